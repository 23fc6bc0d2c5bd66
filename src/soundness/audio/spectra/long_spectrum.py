"""Spectrum of long windows, whose bins are fine enough for a steady tone to stand out from its neighbourhood."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from soundness.audio.log_mel import hann_window
from soundness.audio.spectra.power_spectra import PowerSpectra, UnitLevel, at_unit_level, nearest_power_of_two

__all__ = ["MOST_PARTS", "LongSpectrum"]

_WINDOW_SECONDS = 0.512
_SMALLEST_N_FFT = 64
MOST_PARTS = 16
"""Parts of a clip, or fewer where it has fewer windows."""

_FLOOR = 1e-9  # of the mean power of a bin
_BLOCK_WINDOWS = 8  # whose spectra fit into the cache of a processor


class LongSpectrum:
    """Mean over time of the logarithmic power spectrum of half-second windows, for each of several parts of a clip.

    The parts allow that the spectrum of a shorter clip is made from it. A gain adds a constant to all values, and
    nothing else.

    Parameters
    ----------
    sample_rate
        Hz.
    """

    def __init__(self, *, sample_rate: int) -> None:
        self.n_fft = nearest_power_of_two(_WINDOW_SECONDS * sample_rate, at_least=_SMALLEST_N_FFT)
        self.bin_hz = sample_rate / self.n_fft
        """Width of a bin in Hz."""
        window = hann_window(self.n_fft)
        total, squares = window.sum(), np.square(window).sum()
        self.window = (window * (math.sqrt(2.0) / total)).astype(np.float32)
        """Window of the samples, shape ``(time,)``, with which a sine at a bin has its mean square there."""
        self.floor = np.float32(_FLOOR * 2.0 * squares / total**2)
        """Added to the power of a bin, relative to that of the clip."""

    @property
    def n_bins(self) -> int:
        """Number of bins, from 0 Hz to half the sample rate."""
        return 1 + self.n_fft // 2

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level of a sine at each bin in dB re full scale, mean of the decibels of the windows of each part.

        A sine of amplitude 1 at the centre of a bin has -3 dB, its mean square. Windows overlap by half or more and are
        spread evenly over the clip; a clip that is shorter than one is filled up with zeros.

        Parameters
        ----------
        waveform
            Full scale at -1 and 1, shape ``(time,)``.

        Returns
        -------
        NDArray[np.float32]
            dB, shape ``(part, bin)``: up to 16 parts of equally many windows, give or take one, in order.
        """
        return self.of_unit_level(at_unit_level(waveform))

    def of_unit_level(self, sound: UnitLevel) -> NDArray[np.float32]:
        """Long spectrum of a sound at unit level; as that of the sound itself."""
        windows = sliding_window_view(sound.filled(self.n_fft), self.n_fft)
        n_windows = 1 + math.ceil((len(windows) - 1) / (self.n_fft // 2))
        starts = np.round(np.linspace(0, len(windows) - 1, n_windows)).astype(np.int64)
        parts = np.array_split(np.arange(n_windows), min(MOST_PARTS, n_windows))
        levels = np.empty((n_windows, self.n_bins), np.float32)
        powers = PowerSpectra(self.window, most_frames=_BLOCK_WINDOWS)
        for first in range(0, n_windows, _BLOCK_WINDOWS):
            block = powers(windows[starts[first : first + _BLOCK_WINDOWS]])
            np.log10(block + self.floor, out=levels[first : first + len(block)])
        means = np.stack([levels[part[0] : part[-1] + 1].mean(axis=0, dtype=np.float64) for part in parts])
        return (10.0 * means + sound.level_db).astype(np.float32)
