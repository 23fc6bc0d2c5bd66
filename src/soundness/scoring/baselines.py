"""The official baseline's two scores, which compare a clip with no other: float64 NumPy."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import SettingsError
from soundness.scoring.protocol import ANY_DOMAIN, Scorer, TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["MahalanobisScorer", "MeanScorer"]

_SMALLEST_VARIANCE = 1e-6  # times the mean variance: a band in which nothing happens has a variance of zero
_HEARD_BEFORE = "training clips are scored by the network that has heard them: new normal clips may score higher"


class MeanScorer(Scorer):
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

    def contributions(self, vectors: Array) -> Array:
        """Errors under the condition that explains the clip best, by their number: they add up to the score."""
        contributions: Array = vectors[vectors.mean(axis=1).argmin()] / vectors.shape[1]
        return contributions


class MahalanobisScorer(Scorer):
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
        self._directions = directions
        self.whitening = directions / np.sqrt(np.maximum(values, smallest))[:, None]  # (domain, feature, direction)

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Take over the covariances of the training frames."""
        if training.frame_covariances is None:
            raise SettingsError(
                f"scorer.name: {settings.name!r} needs the covariance of single frames, which this representation does "
                f"not give; a mean residual with its sign does (autoencoder.error=signed)"
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
        return self._smallest(vectors)[0]

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

    def contributions(self, vectors: Array) -> Array:
        """Squares of the residual, whitened by the symmetric root of the covariance: they add up to the score."""
        _, domain, vector = self._smallest(vectors)
        contributions: Array = np.square(self._directions[domain] @ (vector @ self.whitening[domain]))
        return contributions

    def _smallest(self, vectors: Array) -> tuple[float, int, Array]:
        """The smallest norm, with the domain and the vector that give it."""
        smallest, found = math.inf, (0, vectors[0])
        for domain, whitening in enumerate(self.whitening):
            heard = (self.condition_domains == domain) | (self.condition_domains == ANY_DOMAIN)
            for vector in vectors[heard]:
                norm = float(np.square(vector @ whitening).sum())
                if norm < smallest:
                    smallest, found = norm, (domain, vector)
        return smallest, *found
