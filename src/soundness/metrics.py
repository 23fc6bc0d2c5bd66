"""The metrics of the challenge as functions of labels and scores."""

import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soundness.errors import ScoresError

__all__ = ["harmonic_mean", "partial_auc", "roc_auc", "roc_curve"]


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: how often an anomalous clip scores higher than a normal one, ties half.

    Parameters
    ----------
    labels
        1 where anomalous, else 0, shape ``(clip,)``; both must occur.
    scores
        Anomaly scores, shape ``(clip,)``, no NaN.

    Returns
    -------
    float
        0 to 1, 0.5 by chance; higher is better.

    Raises
    ------
    ScoresError
        Where shapes differ, labels are not 0 and 1, one of them is missing, or a score is NaN.
    """
    is_anomaly, group, sizes = _grouped(labels, scores)
    n_anomalous = int(is_anomaly.sum())
    mid_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    wins = mid_ranks[group[is_anomaly]].sum() - n_anomalous * (n_anomalous + 1) / 2
    return float(wins / (n_anomalous * (is_anomaly.size - n_anomalous)))


def partial_auc(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = 0.1) -> float:
    """Area under the ROC curve up to a false-positive rate, standardised: 0.5 by chance, at most 1.

    Parameters
    ----------
    labels, scores
        As for `roc_auc`.
    max_fpr
        Highest false-positive rate that counts, above 0 and at most 1.

    Raises
    ------
    ScoresError
        As for `roc_auc`, or where `max_fpr` is out of range.

    References
    ----------
    .. [1] D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9(3), 1989.
    """
    if not 0 < max_fpr <= 1:
        raise ScoresError(f"max_fpr must be above 0 and at most 1, got {max_fpr}")
    fpr, tpr = roc_curve(labels, scores)
    stop = int(np.searchsorted(fpr, max_fpr, side="right"))
    y = np.append(tpr[:stop], np.interp(max_fpr, fpr[stop - 1 : stop + 1], tpr[stop - 1 : stop + 1]))
    x = np.append(fpr[:stop], max_fpr)
    area = float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)
    chance = max_fpr**2 / 2
    return 0.5 * (1 + (area - chance) / (max_fpr - chance)) if max_fpr < 1 else area


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive and true-positive rates as the threshold falls, from (0, 0) to (1, 1).

    Parameters
    ----------
    labels, scores
        As for `roc_auc`.

    Returns
    -------
    tuple of NDArray[np.float64]
        Of one length: a point for each distinct score, and the first.

    Raises
    ------
    ScoresError
        As for `roc_auc`.
    """
    is_anomaly, group, sizes = _grouped(labels, scores)
    positives = np.bincount(group, weights=is_anomaly, minlength=sizes.size)[::-1]
    negatives = sizes[::-1] - positives
    fpr, tpr = (np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]) for counts in (negatives, positives))
    return fpr, tpr


def harmonic_mean(values: Iterable[float]) -> float:
    """Harmonic mean with each value floored at the float epsilon, as the official evaluator takes it."""
    floored = np.maximum(np.fromiter(values, dtype=np.float64), sys.float_info.epsilon)
    return float(floored.size / np.sum(1 / floored))


def _grouped(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.intp]]:
    """Labels, each clip's group of equal scores in ascending order, and the groups' sizes; all checked."""
    truth, values = np.asarray(labels), np.asarray(scores)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ScoresError(f"expected labels and scores of one shape (clip,), got {truth.shape} and {values.shape}")
    if not np.isin(truth, (0, 1)).all() or np.unique(truth).size != 2:
        raise ScoresError(f"expected labels 0 and 1, both of them, got {np.unique(truth).tolist()}")
    if np.isnan(values).any():
        raise ScoresError("expected scores without NaN")
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return truth == 1, group, sizes
