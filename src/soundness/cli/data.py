"""Commands on data sets: download, make, inspect."""

import functools
import json
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

import soundness
from soundness.cli.console import ProgressBars, say, show_lines, show_table
from soundness.cli.options import (
    Columns,
    Data,
    JsonFile,
    Machines,
    Native,
    Overwrite,
    Pattern,
    Quiet,
    Rate,
    Since,
    split_names,
    table_overrides,
)
from soundness.files.atomic import write_whole

__all__ = ["download", "inspect", "make_data"]

_MEGABYTE = 1_000_000


def download(
    year: Annotated[int, typer.Argument(help="Year of the challenge: 2023 to 2026.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the data set; each year needs its own.")],
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
    """Download the public data of DCASE Task 2; what was interrupted is continued, what is complete is kept."""
    with ProgressBars(is_quiet=quiet) as bars:

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
        )
    if report.present:
        say(f"there already, and complete: {', '.join(report.present)}")
    for name, found in report.machines.items():
        say(f"{name}: {', '.join(found)}")
    say(f"{len(report.fetched)} archive(s) fetched; {report.n_files:,} files in {out}")
    return 0


def make_data(
    out: Annotated[Path, typer.Argument(help="Folder of the data set; the truth goes to its sibling OUT_truth.")],
    *,
    machines: Annotated[str, typer.Option(help="Machine types, with commas between.", show_default="all seven")] = "",
    train: Annotated[int, typer.Option(help="Training clips of a machine, those of the target domain included.")] = 60,
    target: Annotated[int, typer.Option(help="Training clips of the target domain.")] = 10,
    test_normal: Annotated[int, typer.Option(help="Normal test clips, half of each domain.")] = 50,
    test_anomaly: Annotated[int, typer.Option(help="Anomalous test clips, half of each domain.")] = 50,
    supplemental: Annotated[int, typer.Option(help="Supplemental clips: clean machine sound or noise alone.")] = 40,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Make a data set of synthetic machine sounds, in the layout of DCASE 2025."""
    named: dict[str, Any] = {"machines": tuple(split_names(machines))} if machines else {}
    with ProgressBars(is_quiet=quiet) as bars:
        result = soundness.make_data(
            out,
            overwrite=overwrite,
            progress=bars,
            n_train=train,
            n_target_train=target,
            n_test_normal=test_normal,
            n_test_anomaly=test_anomaly,
            n_supplemental=supplemental,
            seconds=seconds,
            seed=seed,
            **named,
        )
    say(f"{result.n_clips} clips in {result.root}, the truth about them in {result.truth}")
    return 0


def inspect(
    data: Data,
    *,
    pattern: Pattern = None,
    since: Since = None,
    rate: Rate = None,
    columns: Columns = None,
    native: Native = False,
    screen: Annotated[
        bool, typer.Option("--screen", help="Find training clips that are not like the others, which takes longer.")
    ] = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> int:
    """Show the contents of a data set and its problems, before any training."""
    from soundness.cli.tables import show_screening
    from soundness.data.sample_rates import native_overrides
    from soundness.screening.inspection import COLUMNS, table_rows

    selection, changes = soundness.Selection(data, pattern=pattern, since=since), table_overrides(rate, columns)
    if native:
        changes += native_overrides(selection, overrides=changes)
    settings = soundness.load_settings(overrides=changes)
    with ProgressBars(is_quiet=quiet) as bars:
        inspection = soundness.inspect(selection, audio=settings.audio, progress=functools.partial(bars, "reading"))
        screened = soundness.screen(selection, system=settings, progress=bars) if screen else {}
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table_rows(inspection)]
    for row in rows:  # names of conditions are long, and in the file of --json
        row["conditions"] = row["conditions"].partition(":")[0]
        row["kind"] = row.pop("supplemental")
    if len({row["clip s"] for row in rows}) == 1:
        for row in rows:
            del row["total s"]
    show_table(str(data), [tuple(rows[0] if rows else COLUMNS), *(tuple(row.values()) for row in rows)], n_left=5)
    if screen:
        show_screening(screened)
        n_suspects = sum(len(record.suspects) for record in screened.values())
        say(f"{n_suspects} of {sum(len(record.p_values) for record in screened.values())} training clips stand apart")
    show_lines(f"{len(inspection.problems)} problem(s)", [str(problem) for problem in inspection.problems])
    if json_file is not None:
        found = {name: record.model_dump(mode="json") for name, record in screened.items()}
        told = inspection.to_json() | ({"screening": found} if screen else {})
        write_whole(json_file, json.dumps(told, indent=2) + "\n")
    return 0
