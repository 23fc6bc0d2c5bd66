"""Envelopes of groups of bands, fast enough to show how a sound is modulated."""

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from soundness.audio.log_mel import hann_window
from soundness.audio.spectra.power_spectra import PowerSpectra, UnitLevel, at_unit_level, nearest_power_of_two
from soundness.settings.system import LogMelSettings

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # SciPy ships no types

__all__ = ["N_GROUPS", "Envelopes"]

N_GROUPS = 12
"""Groups of bands whose envelopes are computed."""

_FRAME_SECONDS = 0.016
_SMALLEST_N_FFT = 32
_OVERLAPPING = 4  # frames that a sample is part of
_LOWEST_BIN = 2  # which an offset does not reach
_FLOOR = 1e-9  # of the mean power of a group
_BLOCK_FRAMES = 128  # whose spectra fit into the cache of a processor


class Envelopes:
    """Power of groups of bands over time, in dB.

    The groups part the bins of a short spectrum from the third one, or ``fmin``, up to ``fmax``, and are equally wide
    on a logarithmic scale, but never narrower than a bin. Where there are fewer bins than groups, the highest groups
    are the same. A gain adds a constant to all values, and nothing else.

    Parameters
    ----------
    settings
        ``fmin`` and ``fmax`` are used.
    sample_rate
        Hz.
    """

    def __init__(self, settings: LogMelSettings, *, sample_rate: int) -> None:
        self.n_fft = nearest_power_of_two(_FRAME_SECONDS * sample_rate, at_least=_SMALLEST_N_FFT)
        self.hop_length = self.n_fft // _OVERLAPPING
        self.frame_rate = sample_rate / self.hop_length
        """Frames in a second: twice the highest rate of modulation that can be seen."""
        bin_hz = sample_rate / self.n_fft
        self._bins = _group_bins(settings, n_fft=self.n_fft, bin_hz=bin_hz)
        self.group_hz = (self._bins - 0.5) * bin_hz
        """Lower and upper edge of each group in Hz, shape ``(12, 2)``."""
        self.floor = _FLOOR / N_GROUPS
        """Added to the power of a group, relative to that of the clip."""
        window = hann_window(self.n_fft)
        self.window = (window * math.sqrt(2.0 / (self.n_fft * np.square(window).sum()))).astype(np.float32)
        """Window of a frame, shape ``(time,)``, with which a spectrum sums to the mean square."""

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean square of the sound in each group, in dB re full scale, at least 90 dB below that of the clip.

        Frames lie within the clip; a clip that is shorter than one is filled up with zeros. Digital silence has finite
        values, the same in all frames.

        Parameters
        ----------
        waveform
            Full scale at -1 and 1, shape ``(time,)``.

        Returns
        -------
        NDArray[np.float32]
            dB, shape ``(12, frame)``; the first frame is centred at ``n_fft / 2`` samples, the next ``hop_length``
            later.
        """
        return self.of_unit_level(at_unit_level(waveform))

    def of_unit_level(self, sound: UnitLevel) -> NDArray[np.float32]:
        """Envelopes of a sound at unit level; as those of the sound itself."""
        frames = sliding_window_view(sound.filled(self.n_fft), self.n_fft)[:: self.hop_length]
        envelopes = np.empty((N_GROUPS, len(frames)), np.float32)
        powers = PowerSpectra(self.window, most_frames=_BLOCK_FRAMES)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            block = frames[start : start + _BLOCK_FRAMES]
            envelopes[:, start : start + len(block)] = self._sums @ powers(block).T
        np.log10(envelopes + np.float32(self.floor), out=envelopes)
        return envelopes * np.float32(10.0) + np.float32(sound.level_db)

    @property
    def group_weights(self) -> NDArray[np.float64]:
        """Weight of each bin in the power of each group, shape ``(12, bin)``."""
        bins = np.arange(1 + self.n_fft // 2)
        return ((bins >= self._bins[:, :1]) & (bins < self._bins[:, 1:])).astype(np.float64)

    @cached_property
    def _sums(self) -> "csr_array":
        """The same weights as a sparse array, whose products are sums in the order of the bins."""
        from scipy.sparse import csr_array  # slow to load

        return csr_array(self.group_weights.astype(np.float32))


def _group_bins(settings: LogMelSettings, *, n_fft: int, bin_hz: float) -> NDArray[np.int64]:
    """First bin of each group, and the one after its last, shape ``(12, 2)``."""
    end = min(max(round(settings.fmax / bin_hz), _LOWEST_BIN), n_fft // 2)
    first = min(max(math.ceil(settings.fmin / bin_hz), _LOWEST_BIN), end - 1)
    edges = np.round(np.geomspace(first, end, N_GROUPS + 1)).astype(np.int64)
    for index in range(1, len(edges)):
        edges[index] = max(edges[index], edges[index - 1] + 1)
    starts = np.minimum(edges[:-1], end - 1)
    return np.stack([starts, np.clip(edges[1:], starts + 1, end)], axis=1)
