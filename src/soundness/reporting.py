"""The verb `report`: one page on a training run or a benchmark."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.verbs import check_extra

if TYPE_CHECKING:  # loaded when it is needed
    from soundness.reports.run_report import ReportFile

__all__ = ["report"]

PathLike = Path | str


def report(
    run_or_benchmark: PathLike,
    out: PathLike,
    *,
    scores: PathLike | None = None,
    truth: PathLike | None = None,
    data: PathLike | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> "ReportFile":
    """Write one self-contained page on a training run or a benchmark; see `soundness.reports.run_report.write_report`.

    Parameters
    ----------
    run_or_benchmark
        Folder of a run, or of a benchmark.
    out
        The page's file; one that is there is replaced.
    scores
        Folder of the run's scores; a benchmark has its own.
    truth
        A labelled data set, or the official evaluator's truth; ``None`` takes labels from the clips' names or, of a
        benchmark, from its data.
    data
        Where the recordings lie; ``None`` takes `truth`, if it is a data set, or the benchmark's own data.
    progress
        Is told what is read, how much of it is done, and of how much.

    Raises
    ------
    SoundnessError
        If there is neither run nor benchmark, something in it cannot be read, the page cannot be written, or the extra
        ``train`` is not installed.
    """
    check_extra()
    from soundness.reports.run_report import write_report

    optional = [None if path is None else Path(path) for path in (scores, truth, data)]
    return write_report(
        Path(run_or_benchmark), Path(out), scores=optional[0], truth=optional[1], data=optional[2], progress=progress
    )
