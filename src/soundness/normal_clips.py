"""What a detector remembers of the clips that it was trained on: names and levels; NumPy alone."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["NormalClips"]


@dataclass(frozen=True, slots=True, eq=False)
class NormalClips:
    """Names and levels of normal clips, in the order of `soundness.scorer_protocol.Scorer.nearest`.

    Parameters
    ----------
    names
        File and folder of each, with ``/`` between them.
    levels
        Mean log-mel of each clip as it is scored, dB, shape ``(clip, mel)``.
    """

    names: tuple[str, ...]
    levels: NDArray[np.floating[Any]]

    def joined(self, other: Self) -> "NormalClips":
        """These clips, then the others, as where clips are enrolled."""
        return NormalClips((*self.names, *other.names), np.concatenate([self.levels, other.levels]))

    def nearest(self, level: NDArray[np.floating[Any]], n_clips: int) -> NDArray[np.int64]:
        """Indices of the clips whose levels are most like one, shape ``(mel,)``, nearest first."""
        distances = np.square(self.levels - level).sum(axis=1)
        return np.argsort(distances, kind="stable")[:n_clips]
