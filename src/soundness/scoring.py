"""From the vectors of a clip to its anomaly score, and from the scores of normal clips to a threshold.

All of it is float64 NumPy on arrays of shape ``(clip, condition, feature)``: one vector for each condition under which
the clip was looked at. A representation that knows no conditions gives one vector, which counts for every domain.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.errors import DataError
from soundness.settings import ScorerSettings

__all__ = [
    "ANY_DOMAIN",
    "SCORERS",
    "MemoryBank",
    "NearestNeighborScorer",
    "Scorer",
    "Threshold",
    "TrainingVectors",
    "nearest_distances",
    "whitening_matrix",
]

Array = NDArray[np.float64]

ANY_DOMAIN = -1
"""The domain of a condition that stands for all of them."""

_SMALLEST_DEVIATION = 1e-6  # times the mean distance: identical clips have a deviation of zero
_FEWEST_FOR_STATISTICS = 3


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
    """

    vectors: Array
    own_conditions: NDArray[np.int64]
    clip_domains: NDArray[np.int64]
    condition_domains: NDArray[np.int64]

    @property
    def own(self) -> Array:
        """Each clip under its own condition, shape ``(clip, feature)``."""
        return self.vectors[np.arange(len(self.vectors)), self.own_conditions]


class Scorer(Protocol):
    """What stands in `SCORERS`."""

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Learn from normal clips."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that was learned, by name."""

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, higher is more anomalous; ``vectors`` has shape ``(condition, feature)``."""

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, as if it had not been in the training of the scorer."""

    def notes(self) -> list[str]:
        """What a person should know of how it was fitted."""


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


class NearestNeighborScorer:
    """The report's score: normalised distance to the nearest normal clips, the smallest over the domains.

    A clip's distance to a domain is the mean Euclidean distance to its ``n_neighbors`` nearest normal clips there,
    the smallest over that domain's conditions. It is normalised by mean and deviation of that domain's leave-one-out
    distances, and the smallest over the domains is the score.

    Parameters
    ----------
    bank
        The normal clips.
    statistics
        Mean and deviation of each domain's leave-one-out distances, shape ``(domain, 2)``.

    References
    ----------
    .. [1] C. Fu et al., "Enhanced unsupervised anomalous sound detection via Conv-TasNet-based separation and
       conditional autoencoding", DCASE 2025 Challenge, section 2.2.
    """

    def __init__(self, bank: MemoryBank, *, statistics: Array) -> None:
        self.bank = bank
        self.statistics = statistics

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fill the memory bank; whiten by, and normalise with, the training clips alone."""
        bank = MemoryBank.of(training, settings)
        distances = bank.leave_one_out_distances(training)
        return cls(bank, statistics=_domain_statistics(distances, training.clip_domains))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""
        bank = MemoryBank(
            arrays["vectors"],
            arrays["domains"],
            arrays["condition_domains"],
            arrays.get("whitening"),
            settings.n_neighbors,
            settings.shrinkage,
        )
        return cls(bank, statistics=arrays["statistics"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Memory bank, normalisation and whitening, by name."""
        bank = self.bank
        arrays = {
            "vectors": bank.vectors,
            "domains": bank.domains,
            "condition_domains": bank.condition_domains,
            "statistics": self.statistics,
        }
        return arrays if bank.whitening is None else {**arrays, "whitening": bank.whitening}

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in deviations of normal distances."""
        return float(self._normalised(self.bank.distances(vectors)).min())

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, with all that came from it left out of the bank."""
        scores: Array = self._normalised(self.bank.leave_one_out_distances(training)).min(axis=1)
        return scores

    def notes(self) -> list[str]:
        """Which domains had too few clips for statistics, or for ``n_neighbors``, of their own."""
        counts = np.bincount(self.bank.domains)
        pooled = [
            f"a domain has {count} clip(s), too few for statistics of its own: those of all domains are used"
            for count in counts
            if count < _FEWEST_FOR_STATISTICS
        ]
        fewer = [
            f"a domain has {count} clips: distances to {self.bank.n_neighbors} neighbours use those there are"
            for count in counts
            if count <= self.bank.n_neighbors
        ]
        return pooled + fewer

    def _normalised(self, distances: Array) -> Array:
        return (distances - self.statistics[:, 0]) / self.statistics[:, 1]


SCORERS: dict[str, type[Scorer]] = {"nearest-neighbors": NearestNeighborScorer}


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score above which a clip is called anomalous.

    Parameters
    ----------
    value
        The largest of the domains' thresholds, since a test clip's domain is unknown; a domain of a single clip, whose
        left-out score says nothing of that domain, does not count beside others.
    domains
        Each domain's own threshold, by name.
    notes
        Which domains are too small to support the rate that was asked for.
    """

    value: float
    domains: dict[str, float]
    notes: tuple[str, ...]

    @classmethod
    def from_scores(cls, scores: Mapping[str, Array], *, false_alarm_rate: float) -> Self:
        r"""Conformal threshold at a stated false-alarm rate.

        Of :math:`n` exchangeable normal scores, the :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest is exceeded
        by another normal clip with a probability of at most :math:`\alpha`. Fewer than :math:`1 / \alpha - 1` scores
        support no such threshold; their largest is then used, and a note says which rate it stands for.

        Parameters
        ----------
        scores
            Leave-one-out scores of normal clips, by domain.
        false_alarm_rate
            :math:`\alpha`, between 0 and 1.
        """
        thresholds, notes = {}, []
        for domain, values in scores.items():
            rank = math.ceil((len(values) + 1) * (1 - false_alarm_rate) - 1e-9)
            if rank > len(values):
                notes.append(
                    f"{len(values)} {domain or 'normal'} clip(s) support no false-alarm rate below "
                    f"1/{len(values) + 1}: their largest score is the threshold"
                )
            thresholds[domain] = float(np.sort(values)[min(rank, len(values)) - 1])
        supported = [domain for domain, values in scores.items() if len(values) > 1]
        if supported and len(supported) < len(scores):
            notes.append(
                f"a single clip of a domain supports no threshold: that of {supported[0] or 'the others'} is used"
            )
        return cls(max(thresholds[domain] for domain in supported or scores), thresholds, tuple(notes))


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


def _domain_statistics(distances: Array, domains: NDArray[np.int64]) -> Array:
    """Mean and floored deviation of each domain's leave-one-out distances, shape ``(domain, 2)``.

    A domain of fewer than three clips has no statistics of its own and is given those of all clips together.
    """
    own = distances[np.arange(len(distances)), domains]
    everywhere = own[np.isfinite(own)]
    if len(everywhere) == 0:
        everywhere = distances.min(axis=1)
    rows = []
    for domain in range(distances.shape[1]):
        here = own[domains == domain]
        values = here if len(here) >= _FEWEST_FOR_STATISTICS else everywhere
        mean = float(values.mean())
        rows.append((mean, max(float(values.std()), _SMALLEST_DEVIATION * mean, 1e-12)))
    return np.array(rows)
