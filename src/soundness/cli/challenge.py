"""The commands of the challenge: systems by name, benchmarks, submissions, data."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

import soundness
from soundness.cli.application import (
    Data,
    Machines,
    Overrides,
    Overwrite,
    Quiet,
    SeparatorFile,
    app,
    command,
    split_names,
)
from soundness.cli.console import progress_bars, say, show_lines, show_table, warn
from soundness.errors import SettingsError

__all__: list[str] = []

_MEGABYTE = 1_000_000


@app.command()
@command
def submission(
    scores: Annotated[
        Path, typer.Argument(help="Folder of score files with decisions, of the evaluation data.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the submission; task2/TEAM_task2_INDEX is made in it.")],
    team: Annotated[
        str, typer.Option(help="Last name of the corresponding author and abbreviation of the institute: Doe_UXY.")
    ],
    index: Annotated[int, typer.Option(help="Of the team's systems, 1 to 4.", min=1, max=4)] = 1,
    name: Annotated[str | None, typer.Option(help="Of the system.", show_default="the run's system")] = None,
    abbreviation: Annotated[
        str | None, typer.Option(help="Of the name, at most ten characters.", show_default="its beginning")
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            help="'Lastname, Firstname; e-mail; institution; department; location'; may be repeated, the corresponding "
            "author first.",
            show_default=False,
        ),
    ] = None,
    source_code: Annotated[str | None, typer.Option(help="Where it is published.", show_default=False)] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="The run that made the scores, whose parameters and multiply-accumulates are counted.",
            show_default="that of a benchmark's scores",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the clip whose multiply-accumulates are counted.")] = 10.0,
    development: Annotated[
        Path | None,
        typer.Option(help="Folder of scores of the development set.", show_default="SCORES, where names tell labels"),
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Write the challenge's package of a system: score files, and a description of the system."""
    package = soundness.submission(
        scores,
        out,
        team=team,
        index=index,
        name=name,
        abbreviation=abbreviation,
        authors=author or (),
        source_code=source_code,
        run=run,
        seconds=seconds,
        development=development,
        overwrite=overwrite,
    )
    complexity = package.meta.system.complexity
    if complexity.total_parameters is not None and complexity.MACS is not None:
        counted = f"{complexity.total_parameters:,} parameters, {complexity.MACS:,} multiply-accumulates"
        say(f"{counted} for a clip of {seconds:g} s")
    say(f"{len(package.n_clips)} machines, {sum(package.n_clips.values()):,} clips in {package.folder}")
    show_lines("to know", package.notes)
    return 0


@app.command()
@command
def download(
    year: Annotated[int, typer.Argument(help="Of the challenge: 2023 to 2026.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the data set; every year needs one of its own.")],
    machines: Machines = "",
    part: Annotated[str, typer.Option(help="dev (with labels), eval or all.")] = "all",
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the zip files, in OUT/archives.")
    ] = False,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="A server that answers as Zenodo does.", metavar="URL", show_default="https://zenodo.org/api"
        ),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Fetch the public data of DCASE Task 2; go on with what was interrupted, and leave what is complete."""
    with progress_bars(is_quiet=quiet) as bars:

        def show(what: str, done: int, total: int) -> None:
            if total < _MEGABYTE or what.startswith("unpacking"):
                bars(what, done, total)
            else:
                bars(f"{what}, MB", -(-done // _MEGABYTE), -(-total // _MEGABYTE))

        report = soundness.download(
            year,
            out,
            machines=split_names(machines),
            part=cast(Literal["dev", "eval", "all"], part),  # another is refused there
            keep_archives=keep_archives,
            base_url=base_url,
            progress=show,
            announce=warn,
        )
    if report.present:
        say(f"there already, and complete: {', '.join(report.present)}")
    for name, found in report.machines.items():
        say(f"{name}: {', '.join(found)}")
    say(f"{len(report.fetched)} archive(s) fetched; {report.n_files:,} files in {out}")
    return 0


@app.command()
@command
def systems() -> int:
    """List the systems that come with soundness, each with one line on what it is.

    `soundness train DATA --out RUN --system NAME` trains one. `--set KEY=VALUE` changes any of its settings, and a
    settings file of your own (.toml) takes the place of a name.
    """
    show_table("systems", [("system", "what it is"), *soundness.system_descriptions().items()], n_left=2)
    return 0


@app.command()
@command
def benchmark(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures, detectors and scores.")],
    systems: Annotated[str, typer.Option(help="Names or settings files, with commas between; or all.")] = "all",
    seeds: Annotated[str, typer.Option(help="Of everything random, with commas between.")] = "0,1,2",
    separation: Annotated[
        str | None,
        typer.Option(
            help="As in train, for all systems: augment, denoise, target=separated or off.",
            show_default="each system's own",
        ),
    ] = None,
    separator: SeparatorFile = None,
    machines: Machines = "",
    truth: Annotated[
        Path | None,
        typer.Option(help="A labelled data set, or the official evaluator's truth.", show_default="DATA itself"),
    ] = None,
    overrides: Overrides = None,
    jobs: Annotated[int | None, typer.Option(help="Processes.", min=1, show_default="one a core")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Train, score and evaluate every system, and print the table of the report; the same again goes on with it."""
    chosen = [] if separation is None else [f"separation={separation}"]
    with progress_bars(is_quiet=quiet) as bars:
        result, files = soundness.benchmark(
            data,
            out,
            systems=() if systems == "all" else split_names(systems),
            seeds=[_seed(text) for text in split_names(seeds)],
            overrides=[*(overrides or ()), *chosen],
            machines=split_names(machines),
            separator=separator,
            truth=truth,
            overwrite=overwrite,
            n_workers=jobs,
            progress=bars,
            announce=None if quiet else warn,
        )
    if result.measured:
        show_table(f"{data}, per cent, mean ± deviation over seeds", result.table_rows(), n_left=3)
        show_table("summary", result.summary_rows(), n_left=2)
    show_lines(f"{len(result.failures)} failed", result.failures)
    say(f"tables and pictures in {out}: {', '.join(str(file.relative_to(out)) for file in files)}")
    if not result.measured:
        return 2
    return 1 if result.failures else 0


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"--seeds: {text!r} is no whole number") from None
