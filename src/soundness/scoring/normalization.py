"""Normalization of the distances of a clip to several domains, so that they can be compared: float64 NumPy."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array

__all__ = ["FEWEST_FOR_STATISTICS", "DomainNormalization", "Quantiles", "Raw", "ZScores", "new_normalization"]

FEWEST_FOR_STATISTICS = 3
"""Clips that a domain needs for statistics of its own; with fewer, those of all clips together are used."""

_CLIPS_OF_ALL = 5  # that the mean of a domain is shrunk by
_SMALLEST_DEVIATION = 1e-6  # times the mean distance: identical clips have a deviation of zero


class DomainNormalization(Protocol):
    """Normalization by the left-out distances of normal clips to their own domain."""

    def __call__(self, distances: Array) -> Array:
        """Comparable distances from distances, both of shape ``(clip, domain)``; higher is farther."""


class Raw:
    """Distances without normalization."""

    def __call__(self, distances: Array) -> Array:
        """The distances."""
        return distances


class ZScores:
    """Distances less their domain's mean, in its deviations.

    Parameters
    ----------
    statistics
        Mean and deviation, shape ``(domain, 2)``.
    """

    def __init__(self, statistics: Array) -> None:
        self.statistics = statistics

    def __call__(self, distances: Array) -> Array:
        """Distances in deviations, shape ``(clip, domain)``."""
        normalized: Array = (distances - self.statistics[:, 0]) / self.statistics[:, 1]
        return normalized


class Quantiles:
    r"""Negative logarithm of the share of normal clips that lie farther.

    Between left-out distances :math:`d_1 < \dots < d_n` it is linear, and at :math:`d_i` it is :math:`-\log(1 - i / (n
    + 1))`. Beyond the largest it goes on as that of an exponential distribution, whose scale is the mean distance above
    the median less the median, so that clips farther than all normal ones stay in order; below the smallest, in the
    same way.

    Parameters
    ----------
    samples
        Left-out distances of each domain.
    """

    def __init__(self, samples: list[Array]) -> None:
        self.knots = [_knots(values) for values in samples]

    def __call__(self, distances: Array) -> Array:
        """Negative log shares in nats, shape ``(clip, domain)``."""
        columns = [_interpolated(column, *knots) for column, knots in zip(distances.T, self.knots, strict=True)]
        return np.stack(columns, axis=1)


def new_normalization(name: str, left_out: Array, domains: NDArray[np.int64], *, n_domains: int) -> DomainNormalization:
    """Normalization of a setting ``scorer.normalization``.

    Parameters
    ----------
    name
        ``min``, ``z-score``, ``shrunk-z-score`` or ``quantile``.
    left_out
        Distance of each normal clip to its own domain without it; infinite where it is alone there, shape ``(clip,)``.
    domains
        Shape ``(clip,)``.
    n_domains
        Number of domains.
    """
    if name == "min":
        return Raw()
    if name == "shrunk-z-score":
        return ZScores(_shrunk_statistics(left_out, domains, n_domains=n_domains))
    samples = [_own_or_all(left_out, domains, domain) for domain in range(n_domains)]
    if name == "quantile":
        return Quantiles(samples)
    return ZScores(np.array([(float(values.mean()), _deviation(values)) for values in samples]))


def _own_or_all(left_out: Array, domains: NDArray[np.int64], domain: int) -> Array:
    here = left_out[(domains == domain) & np.isfinite(left_out)]
    return here if len(here) >= FEWEST_FOR_STATISTICS else left_out[np.isfinite(left_out)]


def _shrunk_statistics(left_out: Array, domains: NDArray[np.int64], *, n_domains: int) -> Array:
    r"""Mean and deviation for each domain, shape ``(domain, 2)``.

    With :math:`n_d` distances of mean :math:`m_d` in a domain, and the mean :math:`m` and the deviation of all, the
    mean is :math:`(n_d m_d + 5 m) / (n_d + 5)`, as if five clips of the domain had been like those of all.
    """
    is_there = np.isfinite(left_out)
    everything = left_out[is_there]
    mean, deviation = float(everything.mean()), _deviation(everything)
    own = [left_out[is_there & (domains == domain)] for domain in range(n_domains)]
    means = [(values.sum() + _CLIPS_OF_ALL * mean) / (len(values) + _CLIPS_OF_ALL) for values in own]
    return np.array([(float(own_mean), deviation) for own_mean in means])


def _deviation(values: Array) -> float:
    return max(float(values.std()), _SMALLEST_DEVIATION * abs(float(values.mean())), 1e-12)


def _knots(values: Array) -> tuple[Array, Array, float]:
    """Distances, their negative log shares, and the scale of the tails."""
    shares = -np.log1p(-np.arange(1, len(values) + 1) / (len(values) + 1))
    distances, first, counts = np.unique(np.sort(values), return_index=True, return_counts=True)
    heights = np.array([shares[start : start + count].mean() for start, count in zip(first, counts, strict=True)])
    median = float(np.median(values))
    above = values[values > median]
    excess = float(above.mean()) - median if len(above) > 0 else 0.0
    return distances, heights, max(excess, _deviation(values))


def _interpolated(distances: Array, knots: Array, heights: Array, scale: float) -> Array:
    beyond = np.maximum(distances - knots[-1], 0.0) - np.maximum(knots[0] - distances, 0.0)
    found: Array = np.interp(distances, knots, heights) + beyond / scale
    return found
