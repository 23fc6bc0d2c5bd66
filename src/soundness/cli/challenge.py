"""The commands of the challenge: systems by name, benchmarks, submissions, data."""

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

import soundness
from soundness.cli.application import Quiet, app, command, split_names
from soundness.cli.console import progress_bars, say, warn

__all__: list[str] = []

_MEGABYTE = 1_000_000


@app.command()
@command
def download(
    year: Annotated[int, typer.Argument(help="Of the challenge: 2023 to 2026.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the data set; every year needs one of its own.")],
    machines: Annotated[str, typer.Option(help="Machine types, with commas between.", show_default="all")] = "",
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
