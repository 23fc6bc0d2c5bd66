"""Commands that write pages and pictures."""

from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.console import ProgressBars, say, say_verdict, show_lines
from soundness.cli.options import Quiet, RunOrDetector, Truth

__all__ = ["explain", "report"]


def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a training or of a benchmark.", show_default=False, metavar="RUN_OR_BENCH")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page, a file that ends in .html; one that is there is replaced.")],
    scores: Annotated[
        Path | None, typer.Option(help="Folder of the run's scores.", show_default="none; a benchmark has its own")
    ] = None,
    truth: Truth = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the recordings that can be played.", show_default="TRUTH, or the benchmark's data"
        ),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Write a page on a training or a benchmark: figures, pictures and sounds in a single file."""
    with ProgressBars(is_quiet=quiet) as bars:
        written = soundness.report(run, out, scores=scores, truth=truth, data=data, progress=bars)
    show_lines("notes", written.notes)
    say(f"{written.path}: {written.n_bytes / 1e6:.1f} MB, {written.n_sounds} recordings to play")
    return 0


def explain(
    detector: RunOrDetector,
    clip: Annotated[Path, typer.Argument(help="One recording.", show_default=False)],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder of page and picture; those of a clip of the same name are replaced.")
    ],
    normal: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the normal recordings, in it or below it, of which the nearest is played.",
            show_default="beside the clip",
        ),
    ] = None,
    machine: Annotated[
        str | None, typer.Option(help="Machine type of the detector.", show_default="the only one there is")
    ] = None,
) -> int:
    """Explain the score of a recording: a page and a picture of what is anomalous in it, in frequency and time."""
    from soundness.detectors.verdicts.score_table import against_threshold

    explained = soundness.explain(detector, clip, out, normal=normal, machine=machine)
    score = explained.score
    say_verdict(score.verdict, f"score {against_threshold(score.anomaly_score, score.threshold)}: {clip.name}")
    for sentence in explained.sentences:
        say(sentence)
    for check in explained.checks:
        say(f"check: {check}")
    show_lines("notes", explained.notes)
    say(f"{explained.page} and {explained.picture.name}")
    return 0
