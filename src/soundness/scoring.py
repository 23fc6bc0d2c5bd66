"""From the vectors of a clip to its anomaly score, and from the scores of normal clips to a threshold.

All of it is float64 NumPy on arrays of shape ``(clip, condition, feature)``: one vector for each condition under which
the clip was looked at. A representation that knows no conditions gives one vector, which counts for every domain.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.calibration import n_flagged
from soundness.errors import SettingsError
from soundness.memory_bank import ANY_DOMAIN, Array, MemoryBank, TrainingVectors
from soundness.parts import find_part, methods_of
from soundness.settings import ScorerSettings

__all__ = [
    "ANY_DOMAIN",
    "SCORERS",
    "MahalanobisScorer",
    "MeanScorer",
    "NearestNeighborScorer",
    "Scorer",
    "Threshold",
    "TrainingVectors",
    "find_scorer",
]

_SMALLEST_DEVIATION = 1e-6  # times the mean distance: identical clips have a deviation of zero
_FEWEST_FOR_STATISTICS = 3
_SMALLEST_VARIANCE = 1e-6  # times the mean variance: a band in which nothing happens has a variance of zero
_HEARD_BEFORE = "training clips are scored by the network that has heard them: new normal clips may score higher"


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


class NearestNeighborScorer:
    """The report's score: normalised distance to the nearest normal clips, the smallest over the domains.

    A clip's distance to a domain is the mean Euclidean distance to its ``n_neighbors`` nearest normal clips there,
    the smallest over that domain's conditions. It is normalised by mean and deviation of that domain's leave-one-out
    distances, and the smallest over the domains is the score; or, ``after-min``, the smallest distance is the one that
    is normalised.

    Parameters
    ----------
    bank
        The normal clips.
    statistics
        Mean and deviation of each domain's leave-one-out distances, shape ``(domain, 2)``.
    normalization
        See `soundness.settings.ScorerSettings`.

    References
    ----------
    .. [1] C. Fu et al., "Enhanced unsupervised anomalous sound detection via Conv-TasNet-based separation and
       conditional autoencoding", DCASE 2025 Challenge, section 2.2.
    """

    def __init__(
        self, bank: MemoryBank, *, statistics: Array, normalization: Literal["before-min", "after-min"] = "before-min"
    ) -> None:
        self.bank = bank
        self.statistics = statistics
        self.normalization = normalization

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fill the memory bank; whiten by, and normalise with, the training clips alone."""
        bank = MemoryBank.of(training, settings)
        distances = bank.leave_one_out_distances(training)
        statistics = _domain_statistics(distances, training.clip_domains)
        return cls(bank, statistics=statistics, normalization=settings.normalization)

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
        return cls(bank, statistics=arrays["statistics"], normalization=settings.normalization)

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
        return float(self._smallest(self.bank.distances(vectors)[None])[0])

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, with all that came from it left out of the bank."""
        return self._smallest(self.bank.leave_one_out_distances(training))

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

    def _smallest(self, distances: Array) -> Array:
        """Scores, shape ``(clip,)``, from distances to the domains, shape ``(clip, domain)``."""
        normalised = (distances - self.statistics[:, 0]) / self.statistics[:, 1]
        compared = normalised if self.normalization == "before-min" else distances
        smallest: Array = np.take_along_axis(normalised, compared.argmin(axis=1)[:, None], axis=1)[:, 0]
        return smallest


class MeanScorer:
    """The official baseline's score MSE: the mean of the error vector, the smallest over the conditions.

    Nothing is learned of the training clips.
    """

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        """There is nothing to learn."""
        return cls()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        """Rebuild a scorer from `arrays`."""
        return cls()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Nothing."""
        return {}

    def score(self, vectors: Array) -> float:
        """Mean error of one clip; ``vectors`` has shape ``(condition, feature)``."""
        return float(vectors.mean(axis=1).min())

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``: the scorer knows none of them."""
        return np.array([self.score(vectors) for vectors in training.vectors])

    def notes(self) -> list[str]:
        """That the network knows the training clips."""
        return [_HEARD_BEFORE]


class MahalanobisScorer:
    r"""The official baseline's score MAHALA: squared Mahalanobis norm, the smallest over domains and conditions.

    With :math:`r` the vector of a clip and :math:`S_d` the covariance of single frames of domain :math:`d`, it is the
    smallest :math:`r^T S_d^{-1} r`, with each domain's conditions.

    Parameters
    ----------
    covariances
        Of the single frames of each domain, shape ``(domain, feature, feature)``.
    condition_domains
        See `TrainingVectors`.

    References
    ----------
    .. [1] N. Harada et al., "First-shot anomaly sound detection for machine condition monitoring: a domain
       generalization baseline", EUSIPCO 2023; with the mean residual, as in its code.
    """

    def __init__(self, covariances: Array, condition_domains: NDArray[np.int64]) -> None:
        self.covariances = covariances
        self.condition_domains = condition_domains
        values, directions = np.linalg.eigh(covariances)
        smallest = np.maximum(_SMALLEST_VARIANCE * values.mean(axis=1, keepdims=True), 1e-12)
        self._n_floored = (values < smallest).sum(axis=1)
        self._whitening = directions / np.sqrt(np.maximum(values, smallest))[:, None]  # (domain, feature, direction)

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Take over the covariances of the training frames."""
        if training.frame_covariances is None:
            raise SettingsError(
                f"scorer.name: {settings.name!r} needs the covariance of single frames, which this representation does "
                f"not give; mean-residual does"
            )
        return cls(training.frame_covariances, training.condition_domains)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        """Rebuild a scorer from `arrays`."""
        return cls(arrays["covariances"], arrays["condition_domains"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Covariances and the conditions' domains, by name."""
        return {"covariances": self.covariances, "condition_domains": self.condition_domains}

    def score(self, vectors: Array) -> float:
        """Squared Mahalanobis norm of one clip; ``vectors`` has shape ``(condition, feature)``."""
        smallest = math.inf
        for domain, whitening in enumerate(self._whitening):
            heard = (self.condition_domains == domain) | (self.condition_domains == ANY_DOMAIN)
            smallest = min(smallest, *(float(np.square(vector @ whitening).sum()) for vector in vectors[heard]))
        return smallest

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``: none is left out of the covariances of so many frames."""
        return np.array([self.score(vectors) for vectors in training.vectors])

    def notes(self) -> list[str]:
        """That training clips are known, and where frames of a domain do not vary."""
        flat = [
            f"the frames of a domain do not vary in {count} of {self.covariances.shape[-1]} directions: there they are "
            f"taken to vary by a thousandth of their root mean variance"
            for count in self._n_floored
            if count > 0
        ]
        return [_HEARD_BEFORE, *flat]


SCORERS: dict[str, type[Scorer]] = {
    "nearest-neighbors": NearestNeighborScorer,
    "mean": MeanScorer,
    "mahalanobis": MahalanobisScorer,
}


def find_scorer(name: str) -> type[Scorer]:
    """The scorer of a name, or a user's own by import path.

    Raises
    ------
    SettingsError
        If there is none, or it does not fit.
    """
    scorer: type[Scorer] = find_part(name, SCORERS, key="scorer.name", methods=methods_of(Scorer))
    return scorer


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
            rank = len(values) + 1 - n_flagged(false_alarm_rate, len(values))
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
