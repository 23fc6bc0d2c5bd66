"""Plan of a learning period: which of its clips a detector is made from, and which are held back to calibrate it.

Arithmetic alone. Time is that of the clips, so that hours in which a source was away do not count.
"""

import math
from dataclasses import dataclass
from typing import Literal

from soundness.errors import SettingsError

__all__ = ["FEWEST_CLIPS", "MOST_TRAINED", "LearningPlan", "Use"]

Use = Literal["train", "calibrate", "leave"]
"""Use of a clip: to train, to calibrate, or neither, since there are enough."""

FEWEST_CLIPS = 30
"""Clips of the shortest learning period."""

MOST_TRAINED = 600
"""Clips that a detector is trained on: memory and time of a training grow with them."""

_BLOCK_SECONDS = 3_600.0  # neighbouring clips depend on each other: whole hours are held back
_FEWEST_BLOCKS = 12  # of a period that is too short for hours
_EVERY = 4  # block is held back
_FIRST = 2  # block that is held back, from 0: not the first, in which somebody may still be at the machine
_MOST_CALIBRATED = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningPlan:
    """Plan for a period.

    Parameters
    ----------
    seconds
        Length of the period.
    hop_seconds
        Time from the start of one clip to that of the next.

    Raises
    ------
    SettingsError
        If the period is too short to learn in.
    """

    seconds: float
    hop_seconds: float

    def __post_init__(self) -> None:
        if self.n_clips < FEWEST_CLIPS:
            raise SettingsError(
                f"learn: {self.seconds:g} s hold {self.n_clips} clips, one every {self.hop_seconds:g} s; expected at "
                f"least {FEWEST_CLIPS}, {FEWEST_CLIPS * self.hop_seconds:g} s"
            )

    @property
    def n_clips(self) -> int:
        """Clips of the period."""
        return math.floor(self.seconds / self.hop_seconds + 1e-6)

    @property
    def block_clips(self) -> int:
        """Clips of a block, which is held back as a whole or not at all."""
        seconds = min(_BLOCK_SECONDS, self.seconds / _FEWEST_BLOCKS)
        return max(1, round(seconds / self.hop_seconds))

    @property
    def n_held_back(self) -> int:
        """Blocks that are held back."""
        n_blocks = -(-self.n_clips // self.block_clips)
        return len(range(_FIRST, n_blocks, _EVERY))

    def block_of(self, index: int) -> int:
        """Block of a clip of the period, both counted from 0."""
        return index // self.block_clips

    def use_of(self, index: int) -> Use:
        """Use of a clip of the period, counted from 0."""
        block, place = divmod(index, self.block_clips)
        if block % _EVERY == _FIRST:
            most = max(1, _MOST_CALIBRATED // self.n_held_back)
            return "calibrate" if place < most else "leave"
        n_trained = self.n_clips - self.n_held_back * self.block_clips
        stride = max(1, -(-n_trained // MOST_TRAINED))
        return "train" if index % stride == 0 else "leave"
