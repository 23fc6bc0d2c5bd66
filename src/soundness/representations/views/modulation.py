"""Spectrum of the envelopes of groups of bands, in which a sound that is modulated has a line."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.log_mel import Spectrograms, hann_window
from soundness.audio.spectra.envelopes import Envelopes
from soundness.settings.system import SystemSettings

__all__ = [
    "BAND_GROUPS",
    "N_FREQUENCIES",
    "N_MODULATION_FEATURES",
    "SEGMENT_FRAMES",
    "SMALLEST_POWER",
    "ModulationView",
    "band_group_of",
    "modulation_features",
    "rate_of",
]

BAND_GROUPS = ("all bands together", "all bands", "low bands", "middle bands", "high bands")
"""Envelopes that a spectrum is of: their mean, or each, with the mean of the spectra over all or a third of them."""

SEGMENT_FRAMES = 256
"""Frames of a segment, of which half are those of the next, too."""

N_FREQUENCIES = SEGMENT_FRAMES // 2
"""Frequencies of each spectrum, all but 0 Hz."""

N_MODULATION_FEATURES = len(BAND_GROUPS) * N_FREQUENCIES
"""Number of features."""

SMALLEST_POWER = 2.5e-4
"""Added to a power, in dB squared and frame: that of an envelope that is steady to a hundredth of a dB."""


class ModulationView:
    """View of the modulation of a clip; see `modulation_features`.

    Parameters
    ----------
    settings
        Settings of the system.
    """

    size = N_MODULATION_FEATURES

    def __init__(self, settings: SystemSettings) -> None:
        envelopes = Envelopes(settings.log_mel, sample_rate=settings.audio.sample_rate)
        self.frame_rate = envelopes.frame_rate
        self.group_hz = envelopes.group_hz
        """Lower and upper edge of each group of bands in Hz, shape ``(12, 2)``."""

    def features(self, clip: Spectrograms) -> Array:
        """Features of a clip with details, shape ``(640,)``."""
        return modulation_features(clip.known_details.envelopes)

    def rate(self, feature: int) -> float:
        """Rate of modulation of a feature in Hz; `band_group_of` gives its bands."""
        return rate_of(feature, frame_rate=self.frame_rate)


def modulation_features(envelopes: NDArray[np.floating]) -> Array:
    """Power spectra of the envelopes of a clip, in dB, which a gain does not change.

    Welch's method: half-overlapping segments of 256 frames, each less its mean, under a periodic Hann window.

    Parameters
    ----------
    envelopes
        dB, shape ``(group, frame)``, from `soundness.audio.spectra.envelopes.Envelopes`; groups that are not known are
        NaN. With fewer than 256 frames, their mean follows.

    Returns
    -------
    Array
        dB re 1 dB squared in a band of one cycle per frame, shape ``(640,)``: 128 frequencies for each of
        `BAND_GROUPS`; see `rate_of` and `band_group_of`. NaN where it is of a group that is not known.
    """
    together = envelopes.astype(np.float64)
    together = np.concatenate([together.mean(axis=0, keepdims=True), together])  # (1 + group, frame)
    together -= together.mean(axis=1, keepdims=True)
    filled = np.pad(together, ((0, 0), (0, max(0, SEGMENT_FRAMES - together.shape[1]))))
    window = hann_window(SEGMENT_FRAMES)
    segments = sliding_window_view(filled, SEGMENT_FRAMES, axis=1)[:, :: SEGMENT_FRAMES // 2]
    spectra = np.fft.rfft((segments - segments.mean(axis=2, keepdims=True)) * window)[:, :, 1:]
    powers = (np.square(spectra.real) + np.square(spectra.imag)).mean(axis=1)  # (1 + group, frequency)
    levels = 10.0 * np.log10(2.0 * powers / np.square(window).sum() + SMALLEST_POWER)
    each = levels[1:]
    low, middle, high = np.array_split(each, 3)
    found: Array = np.concatenate([levels[0], *(part.mean(axis=0) for part in (each, low, middle, high))])
    return found


def rate_of(feature: int, *, frame_rate: float) -> float:
    """Rate of modulation of a feature in Hz; ``frame_rate`` is that of the envelopes, frames in a second."""
    return (1 + feature % N_FREQUENCIES) * frame_rate / SEGMENT_FRAMES


def band_group_of(feature: int) -> str:
    """Bands whose modulation is a feature, one of `BAND_GROUPS`."""
    return BAND_GROUPS[feature // N_FREQUENCIES]
