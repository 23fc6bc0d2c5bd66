"""Training clips shortened, to calibrate a detector for recordings that are shorter than they."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.log_mel import Spectrograms
from soundness.representations.protocol import MachineSpectrograms, Representation, network_plan
from soundness.settings.system import SystemSettings

__all__ = ["has_short_clips", "shortened", "shortened_vectors"]

_STEP = (math.sqrt(5.0) - 1.0) / 2.0  # of the places that clips are taken from, which it spreads evenly


def has_short_clips(settings: SystemSettings) -> bool:
    """True if a system is calibrated for short recordings: not where a network knows its clips."""
    return settings.calibration == "left-out" and network_plan(settings) is None


def shortened(clip: Spectrograms, n_frames: int, *, n_edge: int, place: float) -> Spectrograms:
    """Spectrograms as if a clip had been cut from this one, or this one where it is no longer.

    The first and the last frames of a clip see its ends, so those of the clip are those of the short one.

    Parameters
    ----------
    clip
        Spectrograms of a whole clip.
    n_frames
        Frames of the short one.
    n_edge
        Frames at either end of a clip that reach beyond it.
    place
        Place that it is cut from, from 0 (the beginning) to 1 (the end).
    """
    if clip.input.shape[-1] <= n_frames or n_frames <= 2 * n_edge:
        return clip

    def cut(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
        start = round(place * (log_mel.shape[-1] - n_frames))
        middle = log_mel[:, start + n_edge : start + n_frames - n_edge]
        return np.concatenate([log_mel[:, :n_edge], middle, log_mel[:, -n_edge:]], axis=1)

    found = cut(clip.input)
    return Spectrograms(found, found if clip.reference is clip.input else cut(clip.reference))


def shortened_vectors(
    clips: MachineSpectrograms, representation: Representation, settings: SystemSettings, lengths: Sequence[float]
) -> Array | None:
    """Vectors of each clip at each length in seconds, shape ``(length, clip, condition, feature)``; or ``None``.

    One part of each clip counts, for parts of one clip depend on each other.
    """
    hop = settings.log_mel.hop_length
    n_edge = math.ceil(settings.log_mel.n_fft / 2 / hop)
    counts = [1 + round(length * settings.audio.sample_rate) // hop for length in lengths]
    if not counts:
        return None
    places = [(index * _STEP) % 1.0 for index in range(len(clips.spectrograms))]
    return np.stack(
        [
            [
                representation.vectors(shortened(clip, count, n_edge=n_edge, place=place)).astype(np.float64)
                for clip, place in zip(clips.spectrograms, places, strict=True)
            ]
            for count in counts
        ]
    )
