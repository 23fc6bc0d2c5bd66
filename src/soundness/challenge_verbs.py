"""What one does with soundness for the challenge, as functions: commands of the command line, one for one."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.bootstrap import Comparison

__all__ = ["compare"]

PathLike = Path | str


def compare(
    scores: PathLike,
    against: PathLike,
    *,
    truth: PathLike | None = None,
    metric: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> "Comparison":
    """Compare two systems on the clips that both scored: ``soundness evaluate SCORES --against OTHERS``.

    Parameters
    ----------
    scores, against
        Folders of score files, anybody's.
    truth, metric
        As for `soundness.evaluate`.
    n_resamples
        Of the bootstrap, at least 1,000.
    seed
        Of the bootstrap.

    Raises
    ------
    ScoresError
        If the two have no labelled clip in common.
    """
    import numpy as np

    from soundness.bootstrap import compare_scores

    return compare_scores(
        Path(scores),
        Path(against),
        rng=np.random.default_rng(seed),
        truth=None if truth is None else Path(truth),
        metric=metric,
        n_resamples=n_resamples,
    )
