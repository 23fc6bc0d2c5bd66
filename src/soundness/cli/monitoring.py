"""The commands of an engineer who looks after machines: what was learned, on one page."""

from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.application import Quiet, app, command
from soundness.cli.console import progress_bars, say, show_lines

__all__: list[str] = []


@app.command()
@command
def report(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a training or of a benchmark.", show_default=False, metavar="RUN_OR_BENCH"),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page, a file that ends in .html; one that is there is replaced.")],
    scores: Annotated[
        Path | None, typer.Option(help="Folder of the run's scores.", show_default="none; a benchmark has its own")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="A labelled data set, or the official evaluator's truth.",
            show_default="the clips' names, or the benchmark's data",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the recordings lie, to listen to.", show_default="TRUTH, or the benchmark's data"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Write one page on a training or a benchmark: figures, pictures and sounds in a single file."""
    with progress_bars(is_quiet=quiet) as bars:
        written = soundness.report(run, out, scores=scores, truth=truth, data=data, progress=bars)
    show_lines("to know", written.notes)
    say(f"{written.path}: {written.n_bytes / 1e6:.1f} MB, {written.n_sounds} recordings to listen to")
    return 0
