"""What every scorer is; with what one says that it cannot do."""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.errors import SettingsError
from soundness.scoring.training_vectors import Array, TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["Scorer"]


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
