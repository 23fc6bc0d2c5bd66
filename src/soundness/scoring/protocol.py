"""What every scorer is; with what one says that it cannot do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError, SettingsError
from soundness.settings.scoring import ScorerSettings

__all__ = ["ANY_DOMAIN", "Scorer", "TrainingVectors"]


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
    view_sizes
        Where a vector is several views of a clip, one after the other: how many features each of them has.
    n_bands
        Bands of the spectrum that a view of so many features is one value for each of, in order; 0 where there is none.
    """

    vectors: Array
    own_conditions: NDArray[np.int64]
    clip_domains: NDArray[np.int64]
    condition_domains: NDArray[np.int64]
    frame_covariances: Array | None = None
    view_sizes: tuple[int, ...] = ()
    n_bands: int = 0

    @classmethod
    def from_vectors(
        cls,
        vectors: Array,
        domains: NDArray[np.int64] | None = None,
        *,
        view_sizes: tuple[int, ...] = (),
        n_bands: int = 0,
    ) -> Self:
        """One vector of any kind for each clip, to use a scorer on its own.

        Parameters
        ----------
        vectors
            Shape ``(clip, feature)``.
        domains
            Index of each clip's domain from 0, shape ``(clip,)``; ``None`` where there is one.
        view_sizes, n_bands
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
        nowhere = np.zeros(len(vectors), np.int64)
        return cls(vectors[:, None], nowhere, labels, np.array([ANY_DOMAIN]), view_sizes=view_sizes, n_bands=n_bands)

    @property
    def is_spectrum(self) -> bool:
        """Whether the features are the bands of a spectrum."""
        return bool(self.vectors.shape[2] == self.n_bands)

    @property
    def own(self) -> Array:
        """Each clip under its own condition, shape ``(clip, feature)``."""
        return self.vectors[np.arange(len(self.vectors)), self.own_conditions]

    def some(self, chosen: NDArray[np.bool_]) -> Self:
        """Some of the clips; ``chosen`` has shape ``(clip,)``."""
        return replace(
            self,
            vectors=self.vectors[chosen],
            own_conditions=self.own_conditions[chosen],
            clip_domains=self.clip_domains[chosen],
        )


class Scorer(Protocol):
    """What stands in `soundness.scoring.scorers.SCORERS`.

    A class of this kind inherits `nearest`, `contributions` and `enrolled`, which refuse by the name of the class.
    """

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

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:  # noqa: ARG002  # as it is used
        """Indices of the normal clips that are most like one clip, nearest first; as many as there are, at most.

        Clips that were enrolled follow those of the training. Refused with a `SettingsError` where a scorer keeps no
        clips.
        """
        raise SettingsError(f"{type(self).__name__} keeps no normal clips, so none of {n_clips} is the nearest")

    def contributions(self, vectors: Array) -> Array:
        """Share of each feature in what makes one clip odd, shape ``(feature,)``; never negative, higher is odder.

        What they add up to is told by each scorer. Refused with a `SettingsError` by one that knows no shares.
        """
        raise SettingsError(
            f"{type(self).__name__} does not know which of {vectors.shape[-1]} features make a clip odd"
        )

    def enrolled(self, training: TrainingVectors) -> Self:
        """The scorer with further normal clips beside its own; nothing else is learned anew.

        Parameters
        ----------
        training
            Clips with an index of their domain: one that the scorer knows, which they join, or the one after its last,
            which they found. A clip's own condition is that of the network which suits it best.

        Raises
        ------
        SettingsError
            If the scorer keeps no clips.
        """
        raise SettingsError(f"{type(self).__name__} keeps no normal clips that {len(training.vectors)} could join")
