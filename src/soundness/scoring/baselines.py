"""Scores of the official baseline, which compare a clip with no other: float64 NumPy."""

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import SettingsError
from soundness.files.stored_values import floats, indices
from soundness.scoring.protocol import ANY_DOMAIN, Scorer, TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["MahalanobisScorer", "MeanScorer"]

_SMALLEST_VARIANCE = 1e-6  # times the mean variance: a band in which nothing happens has a variance of zero
_TRAINED_ON = "training clips are scored by the network that was trained on them: new normal clips may score higher"


class MeanScorer(Scorer):
    """Score MSE of the official baseline: mean of the error vector, the smallest over the conditions.

    Parameters
    ----------
    training_scores
        Score of each training clip, shape ``(clip,)``; nothing else is learned.
    """

    def __init__(self, training_scores: Array) -> None:
        self._training_scores = training_scores

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        """Score the training clips."""
        return cls(np.array([vectors.mean(axis=1).min() for vectors in training.vectors]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        return cls(floats(arrays, "training_scores", (None,)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Scores of the training clips."""
        return {"training_scores": self._training_scores}

    def score(self, vectors: Array) -> float:
        """Mean error of one clip; ``vectors`` has shape ``(condition, feature)``."""
        return float(vectors.mean(axis=1).min())

    def left_out_scores(self) -> Array:
        """Score of each training clip, shape ``(clip,)``: no clip has a part in the score of another."""
        return self._training_scores

    def notes(self) -> list[str]:
        """Note on the network, which was trained on these clips."""
        return [_TRAINED_ON]

    def contributions(self, vectors: Array) -> Array:
        """Errors under the condition of the smallest, divided by their number: they add up to the score."""
        contributions: Array = vectors[vectors.mean(axis=1).argmin()] / vectors.shape[1]
        return contributions


class MahalanobisScorer(Scorer):
    r"""Score MAHALA of the official baseline: squared Mahalanobis norm, the smallest over domains and conditions.

    With :math:`r` the vector of a clip and :math:`S_d` the covariance of single frames of domain :math:`d`, it is the
    smallest :math:`r^T S_d^{-1} r`, with each domain's conditions.

    Parameters
    ----------
    covariances
        Covariance of the single frames of each domain, shape ``(domain, feature, feature)``.
    condition_domains
        See `TrainingVectors`.
    training_scores
        Score of each training clip, shape ``(clip,)``.

    References
    ----------
    .. [1] N. Harada et al., "First-shot anomaly sound detection for machine condition monitoring: a domain
       generalization baseline", EUSIPCO 2023; with the mean residual, as in its code.
    """

    def __init__(self, covariances: Array, condition_domains: NDArray[np.int64], training_scores: Array) -> None:
        self.covariances = covariances
        self.condition_domains = condition_domains
        self._training_scores = training_scores
        values, directions = np.linalg.eigh(covariances)
        smallest = np.maximum(_SMALLEST_VARIANCE * values.mean(axis=1, keepdims=True), 1e-12)
        self._n_floored = (values < smallest).sum(axis=1)
        self._directions = directions
        self.whitening = directions / np.sqrt(np.maximum(values, smallest))[:, None]  # (domain, feature, direction)

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Take the covariances of the training frames, and score the training clips."""
        if training.frame_covariances is None:
            raise SettingsError(
                f"scorer.name: {settings.name!r} needs the covariance of single frames, which this representation does "
                f"not give; a mean residual with its sign does (autoencoder.error=signed)"
            )
        scorer = cls(training.frame_covariances, training.condition_domains, np.empty(len(training.vectors)))
        scorer._training_scores[:] = [scorer.score(vectors) for vectors in training.vectors]
        return scorer

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:  # noqa: ARG003  # as all scorers
        n_features = arrays["covariances"].shape[-1] if "covariances" in arrays else 1
        covariances = floats(arrays, "covariances", (None, n_features, n_features))
        condition_domains = indices(arrays, "condition_domains", (None,), low=ANY_DOMAIN, below=len(covariances))
        return cls(covariances, condition_domains, floats(arrays, "training_scores", (None,)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Covariances, domains of the conditions and scores of the training clips, by name."""
        return {
            "covariances": self.covariances,
            "condition_domains": self.condition_domains,
            "training_scores": self._training_scores,
        }

    def score(self, vectors: Array) -> float:
        """Squared Mahalanobis norm of one clip; ``vectors`` has shape ``(condition, feature)``."""
        return self._smallest(vectors)[0]

    def left_out_scores(self) -> Array:
        """Score of each training clip, shape ``(clip,)``: none is left out of the covariances of so many frames."""
        return self._training_scores

    def notes(self) -> list[str]:
        """Notes on the network, which was trained on these clips, and on directions that do not vary."""
        flat = [
            f"the frames of a domain do not vary in {count} of {self.covariances.shape[-1]} directions: there they are "
            f"taken to vary by a thousandth of their root mean variance"
            for count in self._n_floored
            if count > 0
        ]
        return [_TRAINED_ON, *flat]

    def contributions(self, vectors: Array) -> Array:
        """Squares of the residual, whitened by the symmetric root of the covariance: they add up to the score."""
        _, domain, vector = self._smallest(vectors)
        contributions: Array = np.square(self._directions[domain] @ (vector @ self.whitening[domain]))
        return contributions

    def _smallest(self, vectors: Array) -> tuple[float, int, Array]:
        """Smallest norm, with the domain and the vector that give it."""
        smallest, found = math.inf, (0, vectors[0])
        for domain, whitening in enumerate(self.whitening):
            conditions = np.isin(self.condition_domains, (domain, ANY_DOMAIN))
            for vector in vectors[conditions]:
                norm = float(np.square(vector @ whitening).sum())
                if norm < smallest:
                    smallest, found = norm, (domain, vector)
        return smallest, *found
