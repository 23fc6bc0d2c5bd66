"""How far a clip lies from the normal clips of one domain: float64 NumPy, one class for each way to say it.

Each of `DISTANCES` is made from references, shape ``(reference, feature)``: the normal clips of a domain, as they are
or whitened. Where there are none, everything is infinitely far.
"""

import math
from collections.abc import Mapping
from copy import copy
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.settings.scoring import ScorerSettings

__all__ = [
    "DISTANCES",
    "DensityDifference",
    "DensityRatio",
    "Distance",
    "DistanceToMean",
    "GaussianMixture",
    "NearestNeighbors",
    "nearest_distances",
]


_SMALLEST_SPREAD = 1e-3  # times the mean spread: clips that lie on each other have a spread of zero
_CLIPS_PER_COMPONENT = 5
_PRIOR_CLIPS = 5.0  # how many clips the variance of the whole domain counts for in that of a component
_SMALLEST_VARIANCE = 1e-6  # times the mean variance
_N_ROUNDS = 50


class Distance(Protocol):
    """What stands in `DISTANCES`."""

    @classmethod
    def of(cls, references: Array, settings: ScorerSettings, *, like: Self | None = None) -> Self:
        """Learn from the normal clips of a domain.

        Parameters
        ----------
        references
            Shape ``(reference, feature)``.
        settings
            Of the scorer.
        like
            The distance to the largest domain, which helps out where there are too few clips.
        """

    @classmethod
    def from_arrays(cls, references: Array, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild from the references and `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was learned beside the references, by name."""

    def distances(self, queries: Array) -> Array:
        """Distance of each query to the domain, shape ``(query,)``; higher is farther, and it may be negative."""

    def without(self, left_out: NDArray[np.bool_], references: Array) -> Self:
        """The same without some references.

        Parameters
        ----------
        left_out
            Shape ``(reference,)``.
        references
            All of them, as they are whitened without what is left out.
        """

    def contributions(self, query: Array) -> Array:
        """Share of each feature in the distance, shape ``(feature,)``."""


class NearestNeighbors:
    """Mean Euclidean distance to the nearest references; contributions add up to their mean squared distance."""

    def __init__(self, references: Array, settings: ScorerSettings) -> None:
        self.references = references
        self._settings = settings

    @classmethod
    def of(cls, references: Array, settings: ScorerSettings, *, like: Self | None = None) -> Self:  # noqa: ARG003  # as all distances
        """There is nothing to learn but the references."""
        return cls(references, settings)

    @classmethod
    def from_arrays(cls, references: Array, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all distances
        """Rebuild from the references."""
        return cls(references, settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def distances(self, queries: Array) -> Array:
        """Distance of each query, shape ``(query,)``."""
        return nearest_distances(queries, self.references, n_neighbors=self._settings.n_neighbors)

    def without(self, left_out: NDArray[np.bool_], references: Array) -> Self:
        """The same without some references; see `Distance`."""
        return type(self)(references[~left_out], self._settings)

    def contributions(self, query: Array) -> Array:
        """Mean of the squared differences from the nearest references, shape ``(feature,)``."""
        squares = np.square(self.references - query)
        nearest = np.argsort(squares.sum(axis=1), kind="stable")[: self._settings.n_neighbors]
        contributions: Array = squares[nearest].mean(axis=0)
        return contributions


class DensityRatio:
    r"""Local density normalisation: smallest of the distances to the references, each by that reference's spread.

    With :math:`s(r)` the mean distance of reference :math:`r` to its ``n_density_neighbors`` nearest other ones, it is
    the smallest :math:`\|x - r\| / s(r)`, the mean of the ``n_neighbors`` smallest. A spread is at least a thousandth
    of the mean spread, for clips that lie on each other. Where all do, or a domain has a single clip, it is the mean
    spread in the largest domain; and 1 where there is none. Contributions add up to the squared distance to the
    reference that gives the smallest, without its spread.

    Parameters
    ----------
    references
        Shape ``(reference, feature)``.
    near
        Distances of each reference to its nearest others, nearest first, shape ``(reference, neighbor)``.
    neighbors
        Which ones those are.
    usual
        The spread where there is no other reference.
    settings
        Of the scorer.

    References
    ----------
    .. [1] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.
    """

    def __init__(
        self, references: Array, near: Array, neighbors: NDArray[np.int64], usual: float, settings: ScorerSettings
    ) -> None:
        self.references = references
        self._near, self._neighbors, self._usual, self._settings = near, neighbors, usual, settings
        self._means = self._averaged(near, np.ones(near.shape, np.bool_))
        self.spreads = self._divisible(self._means)

    @classmethod
    def of(cls, references: Array, settings: ScorerSettings, *, like: Self | None = None) -> Self:
        """Find the nearest neighbours of each reference: one more than are averaged, since one may be left out."""
        n_kept = min(settings.n_density_neighbors + 1, max(len(references) - 1, 0))
        near = np.empty((len(references), n_kept))
        neighbors = np.empty((len(references), n_kept), np.int64)
        for index, reference in enumerate(references):
            squares = np.square(references - reference).sum(axis=1)
            squares[index] = np.inf
            neighbors[index] = np.argsort(squares, kind="stable")[:n_kept]
            near[index] = np.sqrt(squares[neighbors[index]])
        usual = 1.0 if like is None else float(like.spreads.mean())
        return cls(references, near, neighbors, usual, settings)

    @classmethod
    def from_arrays(cls, references: Array, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild from the references and `arrays`."""
        return cls(references, arrays["near"], arrays["neighbors"], arrays["usual"].item(), settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Each reference's neighbours and their distances, and the usual spread, by name."""
        return {"near": self._near, "neighbors": self._neighbors, "usual": np.array([self._usual])}

    def distances(self, queries: Array) -> Array:
        """Distance of each query, shape ``(query,)``."""
        n_neighbors = min(self._settings.n_neighbors, len(self.references))
        if n_neighbors == 0:
            return np.full(len(queries), np.inf)
        compared = np.stack([self._compared(query) for query in queries])
        distances: Array = np.partition(compared, n_neighbors - 1, axis=1)[:, :n_neighbors].mean(axis=1)
        return distances

    def without(self, left_out: NDArray[np.bool_], references: Array) -> Self:
        """The same without some references; spreads are those under the whitening of all, as in a test."""
        kept = ~left_out
        means = self._means.copy()
        (touched,) = np.nonzero(left_out[self._neighbors].any(axis=1))
        means[touched] = self._averaged(self._near[touched], kept[self._neighbors[touched]])
        found = copy(self)
        found.references, found.spreads = references[kept], self._divisible(means[kept])
        return found

    def contributions(self, query: Array) -> Array:
        """Squared differences from the reference that gives the smallest, shape ``(feature,)``."""
        contributions: Array = np.square(self.references[self._compared(query).argmin()] - query)
        return contributions

    def _compared(self, query: Array) -> Array:
        return _distances(self.references, query) / self.spreads

    def _averaged(self, near: Array, is_there: NDArray[np.bool_]) -> Array:
        """Mean distance to those neighbours that are there, shape ``(reference,)``; NaN where none is."""
        chosen = is_there & (np.cumsum(is_there, axis=1) <= self._settings.n_density_neighbors)
        counts = chosen.sum(axis=1)
        means: Array = np.where(chosen, near, 0.0).sum(axis=1) / np.where(counts > 0, counts, np.nan)
        return means

    def _divisible(self, means: Array) -> Array:
        """Spreads that can be divided by, shape ``(reference,)``."""
        mean = float(np.nansum(means)) / max(1, int((~np.isnan(means)).sum()))
        if mean == 0.0:
            return np.full(len(means), self._usual)
        return np.where(np.isnan(means), mean, means).clip(min=_SMALLEST_SPREAD * mean)


class DensityDifference(DensityRatio):
    """As `DensityRatio`, with the spread taken off each distance."""

    def _compared(self, query: Array) -> Array:
        return _distances(self.references, query) - self.spreads


class DistanceToMean:
    """Euclidean distance to the mean of the references: whitened, it is Mahalanobis distance.

    Contributions add up to the squared distance.
    """

    def __init__(self, mean: Array) -> None:
        self.mean = mean

    @classmethod
    def of(cls, references: Array, settings: ScorerSettings, *, like: Self | None = None) -> Self:  # noqa: ARG003  # as all distances
        """Learn the mean; infinite without a reference."""
        return cls(references.mean(axis=0) if len(references) > 0 else np.full(references.shape[1], np.inf))

    @classmethod
    def from_arrays(cls, references: Array, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all distances
        """Rebuild from `arrays`."""
        return cls(arrays["mean"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The mean."""
        return {"mean": self.mean}

    def distances(self, queries: Array) -> Array:
        """Distance of each query, shape ``(query,)``."""
        return _distances(queries, self.mean)

    def without(self, left_out: NDArray[np.bool_], references: Array) -> Self:
        """The same without some references; see `Distance`."""
        kept = references[~left_out]
        return type(self)(kept.mean(axis=0) if len(kept) > 0 else np.full(references.shape[1], np.inf))

    def contributions(self, query: Array) -> Array:
        """Squared differences from the mean, shape ``(feature,)``."""
        contributions: Array = np.square(query - self.mean)
        return contributions


class GaussianMixture:
    r"""Negative logarithm of the density, in nats, of a few Gaussians with a variance for each feature.

    The variance of a component is that of its clips together with the domain's variance, which counts for five clips
    more, as that of the largest domain does in the domain's own. The mixture is fitted by expectation and maximisation
    from the clips that are farthest apart, so that it depends on nothing random and not on the order of clips.
    Contributions add up to the squared distance to the component that most likely gave the clip, in its deviations.

    Parameters
    ----------
    means, variances
        Shape ``(component, feature)``.
    weights
        Shape ``(component,)``.
    whole
        Variance of the domain, shape ``(feature,)``.
    settings
        Of the scorer.
    """

    def __init__(self, means: Array, variances: Array, weights: Array, whole: Array, settings: ScorerSettings) -> None:
        self.means, self.variances, self.weights = means, variances, weights
        self._whole, self._settings = whole, settings

    @classmethod
    def of(cls, references: Array, settings: ScorerSettings, *, like: Self | None = None) -> Self:
        """Fit to the normal clips of a domain."""
        if len(references) == 0:
            return cls(references, references, references[:, 0], np.ones(references.shape[1]), settings)
        whole = references.var(axis=0)
        if like is not None:
            whole = (len(references) * whole + _PRIOR_CLIPS * like._whole) / (len(references) + _PRIOR_CLIPS)
        whole = np.maximum(whole, max(_SMALLEST_VARIANCE * float(whole.mean()), 1e-12))
        n_components = max(1, min(settings.n_components, len(references) // _CLIPS_PER_COMPONENT))
        means = _farthest(references, n_components)
        found = cls(means, np.tile(whole, (n_components, 1)), np.full(n_components, 1 / n_components), whole, settings)
        for _ in range(_N_ROUNDS):
            found = found._better(references)
        return found

    @classmethod
    def from_arrays(cls, references: Array, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all distances
        """Rebuild from `arrays`."""
        return cls(arrays["means"], arrays["variances"], arrays["weights"], arrays["whole"], settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Means, variances and weights, and the variance of the domain, by name."""
        return {"means": self.means, "variances": self.variances, "weights": self.weights, "whole": self._whole}

    def distances(self, queries: Array) -> Array:
        """Negative log density of each query, shape ``(query,)``."""
        if len(self.weights) == 0:
            return np.full(len(queries), np.inf)
        logs = self._logs(queries)
        largest = logs.max(axis=1)
        distances: Array = -(largest + np.log(np.exp(logs - largest[:, None]).sum(axis=1)))
        return distances

    def without(self, left_out: NDArray[np.bool_], references: Array) -> Self:
        """Fitted again without some references; see `Distance`."""
        return self.of(references[~left_out], self._settings, like=self)

    def contributions(self, query: Array) -> Array:
        """Squared differences from the likeliest component, in its deviations, shape ``(feature,)``."""
        likeliest = self._logs(query[None])[0].argmax()
        contributions: Array = np.square(query - self.means[likeliest]) / self.variances[likeliest]
        return contributions

    def _logs(self, queries: Array) -> Array:
        """Logarithm of weight times density, shape ``(query, component)``."""
        squares = (np.square(queries[:, None] - self.means) / self.variances).sum(axis=2)
        norms = np.log(self.variances).sum(axis=1) + self.means.shape[1] * math.log(2 * math.pi)
        logs: Array = np.log(self.weights) - (squares + norms) / 2
        return logs

    def _better(self, references: Array) -> Self:
        """One round of expectation and maximisation."""
        shares = np.exp(self._logs(references) + self.distances(references)[:, None])  # (reference, component)
        counts = shares.sum(axis=0)
        means = (shares.T @ references + 1e-3 * self.means) / (counts + 1e-3)[:, None]
        squares = np.stack([share @ np.square(references - mean) for share, mean in zip(shares.T, means, strict=True)])
        variances = (squares + _PRIOR_CLIPS * self._whole) / (counts + _PRIOR_CLIPS)[:, None]
        weights = (counts + 1.0) / (counts.sum() + len(counts))
        return type(self)(means, variances, weights, self._whole, self._settings)


DISTANCES: dict[str, type[Distance]] = {
    "nearest": NearestNeighbors,
    "density-ratio": DensityRatio,
    "density-difference": DensityDifference,
    "mahalanobis": DistanceToMean,
    "gaussian-mixture": GaussianMixture,
}


def nearest_distances(queries: Array, bank: Array, *, n_neighbors: int) -> Array:
    """Mean Euclidean distance of each query to its nearest vectors of a bank.

    Differences are taken before they are squared: expanded squares lose digits.

    Parameters
    ----------
    queries
        Shape ``(query, feature)``.
    bank
        Shape ``(clip, feature)``.
    n_neighbors
        How many are averaged; all of the bank where it holds fewer.

    Returns
    -------
    Array
        Shape ``(query,)``; infinite where the bank is empty.
    """
    if len(bank) == 0:
        return np.full(len(queries), np.inf)
    n_neighbors = min(n_neighbors, len(bank))
    distances = np.empty(len(queries))
    for index, query in enumerate(queries):
        squares = np.square(bank - query).sum(axis=1)
        distances[index] = np.sqrt(np.partition(squares, n_neighbors - 1)[:n_neighbors]).mean()
    return distances


def _distances(vectors: Array, query: Array) -> Array:
    """Distance of each vector from one, shape ``(vector,)``; infinite from one that is not there."""
    distances: Array = np.sqrt(np.square(vectors - query).sum(axis=1))
    return distances


def _farthest(references: Array, n_chosen: int) -> Array:
    """The reference farthest from the mean, then again and again the one farthest from those chosen before."""
    apart = _distances(references, references.mean(axis=0))
    chosen = [int(apart.argmax())]
    apart = _distances(references, references[chosen[0]])
    while len(chosen) < n_chosen:
        chosen.append(int(apart.argmax()))
        apart = np.minimum(apart, _distances(references, references[chosen[-1]]))
    return references[chosen]
