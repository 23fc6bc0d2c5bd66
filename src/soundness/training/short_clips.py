"""Vectors of training clips cut to shorter lengths, to calibrate a detector for recordings that are as short."""

from collections.abc import Sequence

import numpy as np

from soundness.aliases import Array
from soundness.audio.short_clips import at_length, place_of
from soundness.representations.protocol import MachineSpectrograms, Representation, network_plan
from soundness.settings.system import SystemSettings

__all__ = ["has_short_clips", "shortened_vectors"]


def has_short_clips(settings: SystemSettings) -> bool:
    """True if a system is calibrated for short recordings: not where a network knows its clips."""
    return settings.calibration == "left-out" and network_plan(settings) is None


def shortened_vectors(
    clips: MachineSpectrograms, representation: Representation, settings: SystemSettings, lengths: Sequence[float]
) -> Array | None:
    """Vectors of each clip at each length in seconds, shape ``(length, clip, condition, feature)``; or ``None``.

    One part of each clip counts, for parts of one clip depend on each other.
    """
    if not lengths:
        return None
    return np.stack(
        [
            [
                representation.vectors(at_length(clip, seconds, settings, place=place_of(index))).astype(np.float64)
                for index, clip in enumerate(clips.spectrograms)
            ]
            for seconds in lengths
        ]
    )
