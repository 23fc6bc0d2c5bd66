"""Spectrograms of clips cut to shorter lengths."""

import math

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.settings.system import SystemSettings

__all__ = ["at_length", "place_of", "shortened"]

_STEP = (math.sqrt(5.0) - 1.0) / 2.0  # of the places that clips are cut from, which it spreads evenly


def place_of(index: int) -> float:
    """Place that one of many clips is cut from, from 0 (the beginning) to 1 (the end)."""
    return (index * _STEP) % 1.0


def at_length(clip: Spectrograms, seconds: float, settings: SystemSettings, *, place: float) -> Spectrograms:
    """Spectrograms as if a clip of a length in seconds had been cut from this one; see `shortened`."""
    hop = settings.log_mel.hop_length
    n_frames = 1 + round(seconds * settings.audio.sample_rate) // hop
    return shortened(clip, n_frames, n_edge=math.ceil(settings.log_mel.n_fft / 2 / hop), place=place)


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
    share = (n_frames - 1) / (clip.reference.shape[-1] - 1)
    return Spectrograms(
        input=found,
        reference=found if clip.reference is clip.input else cut(clip.reference),
        details=None if clip.details is None else clip.details.shortened(share, place=place),
    )
