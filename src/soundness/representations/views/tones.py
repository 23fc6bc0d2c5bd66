"""Level of each bin of a long spectrum above its neighbourhood, in which a steady tone stands out."""

import math

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.log_mel import Spectrograms
from soundness.audio.spectra.long_spectrum import LongSpectrum
from soundness.settings.system import LogMelSettings, SystemSettings

__all__ = ["NEIGHBOURHOOD", "ToneView", "tone_bins", "tone_features", "tone_hz"]

NEIGHBOURHOOD = 65
"""Bins of a running median, about 127 Hz."""

_LOWEST_BIN = 8


class ToneView:
    """View of the tones of a clip; see `tone_features`.

    Parameters
    ----------
    settings
        Settings of the system.
    """

    def __init__(self, settings: SystemSettings) -> None:
        spectrum = LongSpectrum(sample_rate=settings.audio.sample_rate)
        self.bin_hz = spectrum.bin_hz
        self.bins = tone_bins(settings.log_mel, n_bins=spectrum.n_bins, bin_hz=spectrum.bin_hz)

    @property
    def size(self) -> int:
        """Number of features."""
        return int(self.bins.stop - self.bins.start)

    def features(self, clip: Spectrograms) -> Array:
        """Features of a clip with details, dB, shape ``(size,)``."""
        return tone_features(clip.known_details.long_spectra, self.bins)

    def hz(self, feature: int) -> float:
        """Frequency of a feature in Hz."""
        return tone_hz(feature, self.bins, bin_hz=self.bin_hz)


def tone_features(long_spectra: NDArray[np.floating], bins: slice) -> Array:
    """Mean over the parts of a long spectrum, less its running median over 65 bins, which a gain does not change.

    Parameters
    ----------
    long_spectra
        dB, shape ``(part, bin)``, from `soundness.audio.spectra.long_spectrum.LongSpectrum`; bins that are not known,
        the highest ones, are NaN.
    bins
        Bins whose features are returned, see `tone_bins`.

    Returns
    -------
    Array
        dB, one feature for each of the bins: positive for a tone. NaN where the neighbourhood holds bins that are not
        known.
    """
    from scipy.ndimage import median_filter  # type: ignore[import-untyped]  # no types; loaded by those who need it

    level = long_spectra.mean(axis=0, dtype=np.float64)
    features = np.full(level.shape, np.nan)
    n_known = int(np.isfinite(level).sum())
    if n_known > 0:
        known = level[:n_known]
        features[:n_known] = known - median_filter(known, NEIGHBOURHOOD, mode="nearest")
    if n_known < len(level):
        features[max(0, n_known - NEIGHBOURHOOD // 2) :] = np.nan
    return features[bins]


def tone_bins(settings: LogMelSettings, *, n_bins: int, bin_hz: float) -> slice:
    """Bins between ``fmin`` and ``fmax``, without the lowest 8; at least one.

    Parameters
    ----------
    settings
        ``fmin`` and ``fmax`` are used.
    n_bins, bin_hz
        Number of bins of a long spectrum, and their width in Hz.
    """
    stop = min(n_bins, 1 + math.floor(settings.fmax / bin_hz))
    return slice(min(max(_LOWEST_BIN, math.ceil(settings.fmin / bin_hz)), stop - 1), stop)


def tone_hz(feature: int, bins: slice, *, bin_hz: float) -> float:
    """Frequency of a feature in Hz."""
    return (int(bins.start) + feature) * bin_hz
