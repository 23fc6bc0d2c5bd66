"""Vectors of normal clips, and how far another clip lies from them: float64 NumPy."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundness.errors import DataError
from soundness.settings import ScorerSettings

__all__ = ["ANY_DOMAIN", "Array", "MemoryBank", "TrainingVectors", "nearest_distances", "whitening_matrix"]

Array = NDArray[np.float64]

ANY_DOMAIN = -1
"""The domain of a condition that stands for all of them."""


@dataclass(frozen=True, slots=True)
class TrainingVectors:
    """The vectors of a machine's normal clips.

    Parameters
    ----------
    vectors
        Shape ``(clip, condition, feature)``.
    own_conditions
        The condition under which each clip was recorded, shape ``(clip,)``.
    clip_domains
        Index of each clip's domain, shape ``(clip,)``.
    condition_domains
        Index of each condition's domain, or `ANY_DOMAIN`, shape ``(condition,)``.
    frame_covariances
        Covariance of single frames, whose mean a clip's vector is, about their domain's mean, shape ``(domain, feature,
        feature)``; ``None`` where the representation does not give it.
    """

    vectors: Array
    own_conditions: NDArray[np.int64]
    clip_domains: NDArray[np.int64]
    condition_domains: NDArray[np.int64]
    frame_covariances: Array | None = None

    @property
    def own(self) -> Array:
        """Each clip under its own condition, shape ``(clip, feature)``."""
        return self.vectors[np.arange(len(self.vectors)), self.own_conditions]


@dataclass(frozen=True, slots=True)
class MemoryBank:
    """Vectors of normal clips, and how far a clip lies from those of each domain.

    Parameters
    ----------
    vectors
        Each clip under its own condition, whitened where there is a whitening, shape ``(clip, feature)``.
    domains
        Index of each clip's domain, shape ``(clip,)``.
    condition_domains
        See `TrainingVectors`.
    whitening
        Shape ``(feature, feature)``; ``None`` where vectors are compared as they are.
    n_neighbors
        How many distances are averaged.
    """

    vectors: Array
    domains: NDArray[np.int64]
    condition_domains: NDArray[np.int64]
    whitening: Array | None
    n_neighbors: int
    shrinkage: float

    @classmethod
    def of(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Bank of all training clips."""
        whitening = None
        if settings.whitening == "shrunk":
            whitening = whitening_matrix(training.own, training.clip_domains, shrinkage=settings.shrinkage)
        vectors = training.own if whitening is None else training.own @ whitening
        return cls(
            vectors,
            training.clip_domains,
            training.condition_domains,
            whitening,
            settings.n_neighbors,
            settings.shrinkage,
        )

    def distances(self, vectors: Array, *, left_out: int | None = None) -> Array:
        """Distance of one clip to each domain, the smallest over that domain's conditions.

        Parameters
        ----------
        vectors
            Shape ``(condition, feature)``.
        left_out
            Index of the one clip of the bank that is not looked at.

        Returns
        -------
        Array
            Shape ``(domain,)``; infinite for a domain that has no clip left.
        """
        queries = vectors if self.whitening is None else vectors @ self.whitening
        kept = np.arange(len(self.vectors)) != (-1 if left_out is None else left_out)
        distances = np.empty(1 + int(self.domains.max()))
        for domain in range(len(distances)):
            heard = (self.condition_domains == domain) | (self.condition_domains == ANY_DOMAIN)
            bank = self.vectors[kept & (self.domains == domain)]
            distances[domain] = nearest_distances(queries[heard], bank, n_neighbors=self.n_neighbors).min()
        return distances

    def leave_one_out_distances(self, training: TrainingVectors) -> Array:
        """Distances of each training clip to all others, shape ``(clip, domain)``."""
        return np.array(
            [
                self._without(index, training).distances(clip, left_out=index)
                for index, clip in enumerate(training.vectors)
            ]
        )

    def _without(self, index: int, training: TrainingVectors) -> Self:
        """The bank, whitened as if one clip had not been there."""
        others = np.arange(len(self.vectors)) != index
        if self.whitening is None or not _varies(training.own[others], training.clip_domains[others]):
            return self
        whitening = whitening_matrix(training.own[others], training.clip_domains[others], shrinkage=self.shrinkage)
        return replace(self, vectors=training.own @ whitening, whitening=whitening)


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


def whitening_matrix(vectors: Array, domains: NDArray[np.int64], *, shrinkage: float) -> Array:
    r"""Inverse square root of the shrunk within-domain covariance.

    With :math:`S` the covariance of the vectors about their domain's mean, :math:`d` features and shrinkage
    :math:`\lambda`, it is :math:`((1 - \lambda) S + \lambda \, \mathrm{tr}(S) / d \; I)^{-1/2}`.

    Parameters
    ----------
    vectors
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    shrinkage
        Between 0 (excluded) and 1.

    Returns
    -------
    Array
        Symmetric, shape ``(feature, feature)``.

    Raises
    ------
    DataError
        If no two clips of a domain differ, so that there is nothing to whiten by.
    """
    labels = np.unique(domains)
    centred = np.concatenate([vectors[domains == label] - vectors[domains == label].mean(axis=0) for label in labels])
    covariance = centred.T @ centred / max(1, len(centred) - len(labels))
    variance = np.trace(covariance) / len(covariance)
    if not variance > 0.0:
        raise DataError("no two training clips of a domain differ; whitening needs clips that vary")
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk)
    inverse_root: Array = (directions / np.sqrt(values)) @ directions.T
    return inverse_root


def _varies(vectors: Array, domains: NDArray[np.int64]) -> bool:
    return any(np.ptp(vectors[domains == label], axis=0).any() for label in np.unique(domains))
