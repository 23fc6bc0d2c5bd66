"""Commands of research: the demonstration, benchmarks, submissions to the challenge."""

from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.console import ProgressBars, say, show_lines
from soundness.cli.options import Data, Machines, Overrides, Overwrite, Quiet, Seed, SeparatorFile, Truth, split_names
from soundness.errors import SettingsError
from soundness.settings.system import SystemSettings

__all__ = ["benchmark", "demo", "submission"]


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for data, detectors, scores and pictures.")] = Path("demo"),
    machines: Annotated[str, typer.Option(help="Machine types, with commas between.")] = "fan,gearbox",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Show training, scoring and evaluation on built-in data, with pictures."""
    from soundness.cli.tables import show_benchmark

    with ProgressBars(is_quiet=quiet) as bars:
        made = soundness.demo(out, machines=split_names(machines), seed=seed, overwrite=overwrite, progress=bars)
    status = show_benchmark(made.result, title="built-in data")
    say(f"data {made.data}; detectors, scores and tables {made.benchmark}")
    say("pictures:")
    for picture in made.pictures:
        say(f"  {picture}")
    return status


def benchmark(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, pictures, detectors and scores.")],
    systems: Annotated[str, typer.Option(help="Names or settings files, with commas between; or all.")] = "all",
    seeds: Annotated[str, typer.Option(help="Random seeds, with commas between.")] = "0,1,2",
    separation: Annotated[
        str | None,
        typer.Option(
            help="As in train, for all systems: augment, denoise, target=separated or off.",
            show_default="each system's own; off where that would train a separator",
        ),
    ] = None,
    separator: SeparatorFile = None,
    machines: Machines = "",
    truth: Truth = None,
    overrides: Overrides = None,
    jobs: Annotated[int | None, typer.Option(help="Processes.", min=1, show_default="one a core")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Train, score and evaluate systems, and print a table; the same command again continues what is unfinished."""
    from soundness.cli.tables import show_benchmark

    chosen = [] if separation is None else [f"separation={separation}"]
    plan = soundness.BenchmarkPlan(
        systems=_load_systems(systems, overrides=[*(overrides or ()), *chosen]),
        seeds=[_seed(text) for text in split_names(seeds)],
        machines=split_names(machines),
        separator=separator,
        truth=truth,
    )
    with ProgressBars(is_quiet=quiet) as bars:
        result, files = soundness.benchmark(data, out, plan, overwrite=overwrite, n_workers=jobs, progress=bars)
    status = show_benchmark(result, title=str(data))
    say(f"tables and pictures in {out}: {', '.join(str(file.relative_to(out)) for file in files)}")
    return status


def submission(
    scores: Annotated[
        Path, typer.Argument(help="Folder of score files with decisions, of the evaluation data.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the submission; task2/TEAM_task2_INDEX is made in it.")],
    team: Annotated[
        str, typer.Option(help="Last name of the corresponding author and abbreviation of the institute: Doe_UXY.")
    ],
    index: Annotated[int, typer.Option(help="Number of the system among those of the team, 1 to 4.", min=1, max=4)] = 1,
    name: Annotated[str | None, typer.Option(help="Name of the system.", show_default="the run's system")] = None,
    abbreviation: Annotated[
        str | None, typer.Option(help="Abbreviation of the name, at most ten characters.", show_default="its beginning")
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            help="'Lastname, Firstname; e-mail; institution; department; location'; may be repeated, the corresponding "
            "author first.",
            show_default=False,
        ),
    ] = None,
    source_code: Annotated[str | None, typer.Option(help="Address of the source code.", show_default=False)] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="The run that made the scores, whose parameters and multiply-accumulates are counted.",
            show_default="that of a benchmark's scores",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the clip whose multiply-accumulates are counted.")] = 10.0,
    development: Annotated[
        Path | None, typer.Option(help="Folder of scores of the development set.", show_default="SCORES, if labelled")
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Write a submission to the challenge: score files, and a description of the system."""
    form = soundness.SubmissionForm(
        team=team, index=index, name=name, abbreviation=abbreviation, authors=author or (), source_code=source_code
    )
    package = soundness.submission(
        scores, out, form, run=run, seconds=seconds, development=development, overwrite=overwrite
    )
    complexity = package.meta.system.complexity
    if complexity.total_parameters is not None and complexity.MACS is not None:
        counted = f"{complexity.total_parameters:,} parameters, {complexity.MACS:,} multiply-accumulates"
        say(f"{counted} for a clip of {seconds:g} s")
    say(f"{len(package.n_clips)} machines, {sum(package.n_clips.values()):,} clips in {package.folder}")
    show_lines("notes", package.notes)
    return 0


def _load_systems(systems: str, *, overrides: list[str]) -> list[SystemSettings]:
    found = []
    for name in soundness.system_names() if systems == "all" else split_names(systems):
        try:
            found.append(soundness.load_settings(name, overrides=overrides))
        except SettingsError as error:
            raise SettingsError(f"systems: {name}: {error}") from None
    if not found:
        raise SettingsError("systems: none is named")
    return found


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingsError(f"--seeds: {text!r} is no whole number") from None
