"""Metrics of the challenge as functions of labels and scores, of all clips or of many resamples at once."""

import sys
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soundness.aliases import Array
from soundness.errors import ScoresError

__all__ = ["harmonic_mean", "harmonic_means", "partial_auc", "partial_aucs", "roc_auc", "roc_aucs", "roc_curve"]


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: share of pairs in which the anomalous clip scores higher, ties counting half.

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
        If shapes differ, labels are not 0 and 1, one of them is missing, or a score is NaN.
    """
    return float(roc_aucs(labels, scores, np.ones((1, np.size(scores))))[0])


def roc_aucs(labels: ArrayLike, scores: ArrayLike, weights: NDArray[np.generic]) -> Array:
    """Area under the ROC curve of resamples, shape ``(resample,)``; NaN where normal or anomalous clips lack.

    ``weights`` counts each clip in each resample, shape ``(resample, clip)``; see `roc_auc` for the others.
    """
    normal, anomalous = _by_score(labels, scores, weights)
    below = np.cumsum(normal, axis=1) - normal / 2
    pairs = normal.sum(axis=1) * anomalous.sum(axis=1)
    return _ratio((anomalous * below).sum(axis=1), pairs)


def partial_auc(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = 0.1) -> float:
    """Area under the ROC curve up to a false-positive rate, standardised: 0.5 by chance, at most 1.

    Parameters
    ----------
    labels, scores
        See `roc_auc`.
    max_fpr
        Highest false-positive rate that counts, above 0 and at most 1.

    Raises
    ------
    ScoresError
        See `roc_auc`, or if `max_fpr` is out of range.

    References
    ----------
    .. [1] D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9(3), 1989.
    """
    return float(partial_aucs(labels, scores, np.ones((1, np.size(scores))), max_fpr=max_fpr)[0])


def partial_aucs(labels: ArrayLike, scores: ArrayLike, weights: NDArray[np.generic], *, max_fpr: float = 0.1) -> Array:
    """Standardised partial area of resamples; see `partial_auc` and `roc_aucs`."""
    if not 0 < max_fpr <= 1:
        raise ScoresError(f"max_fpr must be above 0 and at most 1, got {max_fpr}")
    normal, anomalous = _by_score(labels, scores, weights)
    fpr, tpr = _rates(normal), _rates(anomalous)
    x, rise = np.minimum(fpr, max_fpr), np.diff(tpr)
    run = np.diff(fpr)
    inside = _ratio(np.diff(x), run)  # the part of each piece of the curve that lies within max_fpr
    area = (np.diff(x) * (tpr[:, :-1] + np.where(run > 0, inside * rise, 0.0) / 2)).sum(axis=1)
    chance = max_fpr**2 / 2
    return np.asarray(0.5 * (1 + (area - chance) / (max_fpr - chance)) if max_fpr < 1 else area)


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    """False-positive and true-positive rates as the threshold falls, from (0, 0) to (1, 1); see `roc_auc`.

    Returns
    -------
    tuple of ndarray
        Both of one length: (0, 0) and a point for each distinct score.
    """
    normal, anomalous = _by_score(labels, scores, np.ones((1, np.size(scores))))
    return _rates(normal)[0], _rates(anomalous)[0]


def harmonic_mean(values: Iterable[float]) -> float:
    """Harmonic mean, each value floored at the float epsilon as in the official evaluator."""
    return float(harmonic_means(np.fromiter(values, dtype=np.float64)))


def harmonic_means(values: Array) -> Array:
    """Harmonic mean over the first axis; see `harmonic_mean`."""
    return np.asarray(len(values) / np.sum(1 / np.maximum(values, sys.float_info.epsilon), axis=0))


def _rates(counts: Array) -> Array:
    """Share of the clips that score at least as high as each score, from the highest down, after a 0."""
    totals = np.cumsum(counts[:, ::-1], axis=1)
    return np.pad(_ratio(totals, totals[:, -1:]), ((0, 0), (1, 0)))


def _ratio(numerator: Array, denominator: Array) -> Array:
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, on purpose
        return np.asarray(numerator / denominator)


def _by_score(labels: ArrayLike, scores: ArrayLike, weights: NDArray[np.generic]) -> tuple[Array, Array]:
    """Check input and count normal and anomalous clips at each score, ascending, shape ``(resample, score)``."""
    truth, values = np.asarray(labels), np.asarray(scores)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ScoresError(f"expected labels and scores of one shape (clip,), got {truth.shape} and {values.shape}")
    if not np.isin(truth, (0, 1)).all() or np.unique(truth).size != 2:
        raise ScoresError(f"expected labels 0 and 1, both of them, got {np.unique(truth).tolist()}")
    if np.isnan(values).any():
        raise ScoresError("expected scores without NaN")
    if weights.ndim != 2 or weights.shape[1] != truth.size:
        raise ScoresError(f"expected weights of shape (resample, {truth.size}), got {weights.shape}")
    order = np.argsort(values, kind="stable")
    _, starts = np.unique(values[order], return_index=True)
    sorted_weights = weights[:, order].astype(np.float64)
    is_anomaly = (truth == 1)[order]
    return (
        np.add.reduceat(sorted_weights * ~is_anomaly, starts, axis=1),
        np.add.reduceat(sorted_weights * is_anomaly, starts, axis=1),
    )
