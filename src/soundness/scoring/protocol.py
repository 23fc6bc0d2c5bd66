"""Role of a scorer, with the refusals of one that cannot do something, and the vectors that it is fitted to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError, SettingsError
from soundness.settings.scoring import ScorerSettings

__all__ = ["ANY_DOMAIN", "Scorer", "ShortClipScorer", "TrainingVectors"]

ANY_DOMAIN = -1
"""Domain index of a condition that stands for all domains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingVectors:
    """Vectors of a machine's normal clips.

    Parameters
    ----------
    vectors
        Shape ``(clip, condition, feature)``.
    own_conditions
        Index of the condition under which each clip was recorded, shape ``(clip,)``.
    clip_domains
        Index of each clip's domain, shape ``(clip,)``.
    condition_domains
        Index of each condition's domain, or `ANY_DOMAIN`, shape ``(condition,)``.
    frame_covariances
        Covariance of single frames about their domain's mean, shape ``(domain, feature, feature)``, where a clip's
        vector is the mean of its frames; ``None`` where the representation does not give it.
    view_sizes
        Number of features of each view, where a vector is several views of a clip, one after the other.
    n_bands
        Number of bands of the spectrum; a view of so many features has one value for each, in order. 0 without one.
    dependent
        True where two clips share sound, or are neighbours in time, so that one is left out with the other, shape
        ``(clip, clip)``, symmetric and true on the diagonal; ``None`` where each clip is left out alone.
    weights, excess
        Weight of each clip in the covariance, and what is added to the square of the distance to it, shape ``(clip,)``;
        ``None`` where the scorer finds them.
    shortened
        Vectors of the same clips cut to several shorter lengths, shape ``(length, clip, condition, feature)``; ``None``
        where there are none.
    """

    vectors: Array
    own_conditions: NDArray[np.int64]
    clip_domains: NDArray[np.int64]
    condition_domains: NDArray[np.int64]
    frame_covariances: Array | None = None
    view_sizes: tuple[int, ...] = ()
    n_bands: int = 0
    dependent: NDArray[np.bool_] | None = None
    weights: Array | None = None
    excess: Array | None = None
    shortened: Array | None = None

    @classmethod
    def from_vectors(
        cls,
        vectors: Array,
        domains: NDArray[np.int64] | None = None,
        *,
        view_sizes: tuple[int, ...] = (),
        n_bands: int = 0,
        dependent: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Build from one vector of any kind for each clip, to use a scorer on its own.

        Parameters
        ----------
        vectors
            Shape ``(clip, feature)``.
        domains
            Index of each clip's domain from 0, shape ``(clip,)``; ``None`` where there is one.
        view_sizes, n_bands, dependent
            See `TrainingVectors`.

        Raises
        ------
        DataError
            If the shapes do not fit, or a value is not finite.
        """
        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise DataError(f"vectors of shape {vectors.shape}; expected (clip, feature), at least one of each")
        if not np.isfinite(vectors).all():
            raise DataError(f"{int((~np.isfinite(vectors)).any(axis=1).sum())} vector(s) are not finite")
        labels = np.zeros(len(vectors), np.int64) if domains is None else np.asarray(domains, np.int64)
        if labels.shape != (len(vectors),) or set(labels.tolist()) != set(range(1 + int(labels.max()))):
            raise DataError(
                f"domains {sorted(set(labels.tolist()))} of {labels.size} clip(s); expected 0, 1, ... for each"
            )
        if view_sizes and (min(view_sizes) < 1 or sum(view_sizes) != vectors.shape[1]):
            raise DataError(f"view_sizes {view_sizes}; expected at least 1 each, {vectors.shape[1]} features in all")
        sizes = view_sizes or (vectors.shape[1],)
        if n_bands not in (0, *sizes):
            raise DataError(f"n_bands {n_bands}; expected 0, or the features of a view: {', '.join(map(str, sizes))}")
        if dependent is not None and dependent.shape != (len(vectors), len(vectors)):
            raise DataError(f"dependent of shape {dependent.shape}; expected {(len(vectors), len(vectors))}")
        return cls(
            vectors=vectors[:, None],
            own_conditions=np.zeros(len(vectors), np.int64),
            clip_domains=labels,
            condition_domains=np.array([ANY_DOMAIN]),
            view_sizes=view_sizes,
            n_bands=n_bands,
            dependent=dependent,
        )

    @property
    def is_spectrum(self) -> bool:
        """True if the features are the bands of a spectrum."""
        return bool(self.vectors.shape[2] == self.n_bands)

    def applicable(self, settings: ScorerSettings) -> ScorerSettings:
        """Settings that expect nothing of the bands of a spectrum, nor of outliers, where the features are none.

        Features of other kinds may have tails in which no clip is faulty: those of MIMII lose 6 points of AUC by it.
        """
        expecting_nothing = {"anomaly_width": 0.0, "narrow_width": 0.0, "outlier_exponent": 0.0, "level": "keep"}
        return settings if self.is_spectrum else settings.model_copy(update=expecting_nothing)

    @property
    def own(self) -> Array:
        """Each clip under its own condition, shape ``(clip, feature)``."""
        return self.vectors[np.arange(len(self.vectors)), self.own_conditions]

    @property
    def most_left_out(self) -> int:
        """Most clips that are left out at once."""
        return 1 if self.dependent is None else int(self.dependent.sum(axis=1).max())

    def left_out_with(self, clip: int) -> NDArray[np.bool_]:
        """True for a clip and those that depend on it, shape ``(clip,)``."""
        left_out: NDArray[np.bool_] = np.arange(len(self.vectors)) == clip
        return left_out if self.dependent is None else left_out | self.dependent[clip]

    def subset(self, chosen: NDArray[np.bool_]) -> Self:
        """Clips where ``chosen``, shape ``(clip,)``, is true."""
        return replace(
            self,
            vectors=self.vectors[chosen],
            own_conditions=self.own_conditions[chosen],
            clip_domains=self.clip_domains[chosen],
            dependent=None if self.dependent is None else self.dependent[np.ix_(chosen, chosen)],
            weights=None,
            excess=None,
            shortened=None if self.shortened is None else self.shortened[:, chosen],
        )


@runtime_checkable
class ShortClipScorer(Protocol):
    """A scorer that was fitted to shortened clips, too."""

    def left_out_short_scores(self) -> Array:
        """Score of each training clip at each shorter length, left out as in `Scorer.left_out_scores`.

        Shape ``(length, clip)``; without a length in a scorer that comes from a file.
        """


class Scorer(Protocol):
    """Role of the classes in `soundness.scoring.scorers.SCORERS`.

    A class that inherits from it may leave out `nearest`, `contributions` and `enrolled`, which then refuse with a
    `SettingsError` that names the class.
    """

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Learn from normal clips."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, by name."""

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, higher is more anomalous; ``vectors`` has shape ``(condition, feature)``."""

    def left_out_scores(self) -> Array:
        """Score of each training clip, shape ``(clip,)``, as if it had not been in the training of the scorer."""

    def notes(self) -> list[str]:
        """Notes for the user on the fit."""

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:  # noqa: ARG002  # as it is used
        """Indices of the normal clips that are most like one clip, nearest first; at most as many as there are.

        Clips that were enrolled follow those of the training.

        Raises
        ------
        SettingsError
            If the scorer keeps no clips.
        """
        raise SettingsError(f"{type(self).__name__} keeps no normal clips, so none of {n_clips} is the nearest")

    def contributions(self, vectors: Array) -> Array:
        """Share of each feature in the anomaly of one clip, shape ``(feature,)``; never negative.

        Each scorer documents what they add up to.

        Raises
        ------
        SettingsError
            If the scorer knows no shares.
        """
        raise SettingsError(
            f"{type(self).__name__} does not know which of {vectors.shape[-1]} features make a clip anomalous"
        )

    def enrolled(self, training: TrainingVectors) -> Self:
        """Scorer with further normal clips beside its own.

        Parameters
        ----------
        training
            Clips with an index of their domain: one that the scorer knows, or the one after its last for a new domain.
            A clip's own condition is that of the network which reconstructs it best.

        Raises
        ------
        SettingsError
            If the scorer keeps no clips.
        """
        raise SettingsError(f"{type(self).__name__} keeps no normal clips that {len(training.vectors)} could join")
