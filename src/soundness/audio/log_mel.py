"""Log-mel spectrograms, equal to librosa's."""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from soundness.audio.spectra.details import ClipDetails
from soundness.errors import SettingsError
from soundness.settings.system import LogMelSettings

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]  # SciPy ships no types

__all__ = [
    "SMALLEST_RMS",
    "USABLE_SHARE",
    "LogMel",
    "Spectrograms",
    "band_centres",
    "hann_window",
    "mel_filterbank",
    "n_bands_below",
    "root_mean_square",
    "without_mean",
]

USABLE_SHARE = 0.9
"""Share of half the sample rate up to which filters of recorders and converters leave a sound as it is."""

SMALLEST_RMS = 1e-15
"""Root mean square of digital silence, where the floor of a log-mel lies relative to it."""

_PIECE_FRAMES = 4096  # of a long clip, so that its spectrum fits into memory
_BLOCK_FRAMES = 32  # whose spectra fit into the cache of a processor


@dataclass(frozen=True, slots=True, eq=False)
class Spectrograms:
    """Input of a representation: two log-mels in dB, of shape ``(mel, frame)`` each, and details in some systems.

    The log-mels are the same object, unless a network reads a recording and reconstructs the machine in it.

    Parameters
    ----------
    input
        Log-mel that a network reads.
    reference
        Log-mel that it reconstructs, and that the clip's vectors describe.
    details
        Finer spectra of the sound that `reference` is of; ``None`` in systems that do not use them.
    """

    input: NDArray[np.float32]
    reference: NDArray[np.float32]
    details: ClipDetails | None = None

    @property
    def known_details(self) -> ClipDetails:
        """Details of the clip.

        Raises
        ------
        SettingsError
            If it has none.
        """
        if self.details is None:
            raise SettingsError("spectrograms without details, which the views of this system are of")
        return self.details


class LogMel:
    """Log-mel spectrogram of a waveform.

    Frames are centred on multiples of ``hop_length``, the edges padded with zeros, the window is a periodic Hann
    window of ``n_fft`` samples and the filters are Slaney's: as in librosa, and in the official baseline. Spectra are
    float64, since rounding errors of float32 appear 95 dB below a loud tone. Bands are summed without a BLAS, whose
    sums depend on its number of threads, so that every process computes the same bits. Where the floor is relative to
    the recording, a gain adds a constant to all values, and nothing else.

    Parameters
    ----------
    settings
        Frame, bands and floor.
    sample_rate
        Hz.
    """

    def __init__(self, settings: LogMelSettings, *, sample_rate: int) -> None:
        self.settings = settings
        self._filters = mel_filterbank(settings, sample_rate=sample_rate)
        self._window = hann_window(settings.n_fft)

    def __call__(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel spectrogram in dB, ``10 log10`` of the mel bands, never below the floor.

        Parameters
        ----------
        waveform
            Full scale at -1 and 1, shape ``(time,)``.

        Returns
        -------
        NDArray[np.float32]
            dB, shape ``(mel, frame)`` with ``1 + time // hop_length`` frames.
        """
        settings = self.settings
        before = settings.n_fft // 2
        padded = np.pad(waveform, (before, settings.n_fft - before))
        frames = sliding_window_view(padded, settings.n_fft)[: len(waveform) + 1 : settings.hop_length]
        scale = 1.0 if settings.floor_reference == "full-scale" else root_mean_square(waveform)
        window = self._window / scale
        log_mel = np.empty((settings.n_mels, len(frames)), np.float32)
        for start in range(0, len(frames), _PIECE_FRAMES):
            piece = slice(start, start + _PIECE_FRAMES)
            log_mel[:, piece] = self._piece(frames[piece], window)
        return log_mel + np.float32(20 * math.log10(scale))

    def _piece(self, frames: NDArray[np.float32], window: NDArray[np.float64]) -> NDArray[np.float32]:
        """Log-mel, shape ``(mel, frame)``, of frames of shape ``(frame, time)``."""
        settings = self.settings
        floor = np.float32(10 ** (settings.floor_db * settings.power / 20))
        by_bin = np.empty((1 + settings.n_fft // 2, len(frames)), np.float32)
        windowed = np.empty((_BLOCK_FRAMES, settings.n_fft))  # used again: large memory is slow to get
        with np.errstate(over="ignore", invalid="ignore"):  # not finite where it is too loud, which readers refuse
            for start in range(0, len(frames), _BLOCK_FRAMES):
                block = frames[start : start + _BLOCK_FRAMES]
                spectrum = np.fft.rfft(np.multiply(block, window, out=windowed[: len(block)]))  # (frame, bin)
                np.square(spectrum.view(np.float64), out=spectrum.view(np.float64))
                columns = slice(start, start + len(block))
                np.add(spectrum.real.T, spectrum.imag.T, out=by_bin[:, columns], casting="same_kind")
            if settings.power != 2.0:
                by_bin = by_bin ** np.float32(settings.power / 2)
            bands: NDArray[np.float32] = self._sums @ by_bin
            decibels: NDArray[np.float32] = np.log10(np.maximum(bands, floor)) * np.float32(20 / settings.power)
        return decibels

    @cached_property
    def _sums(self) -> "csr_array":
        """Weights of the bands as a sparse array, whose products are sums in the order of the bins."""
        from scipy.sparse import csr_array  # slow to load

        return csr_array(self._filters)


def without_mean(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Waveform less the mean of each channel, which is summed in float64, shape ``(..., time)``."""
    centred = np.empty_like(waveform)
    mean = waveform.mean(axis=-1, dtype=np.float64, keepdims=True)
    np.subtract(waveform, mean, out=centred, dtype=np.float64, casting="same_kind")
    return centred


def root_mean_square(waveform: NDArray[np.float32]) -> float:
    """Root mean square of samples of shape ``(time,)``, at least `SMALLEST_RMS`."""
    return max(math.sqrt(np.square(waveform, dtype=np.float64).mean()), SMALLEST_RMS)


def hann_window(n_samples: int) -> NDArray[np.float64]:
    """Periodic Hann window, shape ``(n_samples,)``."""
    window: NDArray[np.float64] = np.hanning(n_samples + 1)[:-1]
    return window


def mel_filterbank(settings: LogMelSettings, *, sample_rate: int) -> NDArray[np.float32]:
    """Triangular filters of unit area on Slaney's mel scale, or another frequency scale.

    On the other scales a side of a triangle is at least as wide as a bin, so that no band lies between two bins.

    Returns
    -------
    NDArray[np.float32]
        Shape ``(mel, bin)`` with ``1 + n_fft // 2`` bins.

    References
    ----------
    .. [1] M. Slaney, "Auditory Toolbox, version 2", Interval Research, 1998: linear below 1 kHz, logarithmic above.
    """
    edges = _band_edges(settings)
    bins = np.fft.rfftfreq(settings.n_fft, 1 / sample_rate)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    if settings.frequency_scale != "mel":
        low, high = np.minimum(low, centre - bins[1]), np.maximum(high, centre + bins[1])
    rising = (bins - low[:, None]) / (centre - low)[:, None]  # (mel, bin)
    falling = (high[:, None] - bins) / (high - centre)[:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: NDArray[np.float32] = (triangles * (2.0 / (high - low))[:, None]).astype(np.float32)
    return filters


def n_bands_below(settings: LogMelSettings, hz: float) -> int:
    """Number of bands that end at a frequency or below it."""
    return int((_band_edges(settings)[2:] <= hz).sum())


def band_centres(settings: LogMelSettings) -> NDArray[np.float64]:
    """Frequency of each band's peak in Hz, shape ``(mel,)``."""
    return _band_edges(settings)[1:-1].copy()


@cache
def _band_edges(settings: LogMelSettings) -> NDArray[np.float64]:
    """Frequencies in Hz at which one triangle ends and the next but one begins, shape ``(mel + 2,)``."""
    if settings.frequency_scale == "log":
        return np.geomspace(settings.fmin, settings.fmax, settings.n_mels + 2)
    if settings.frequency_scale == "linear":
        return np.linspace(settings.fmin, settings.fmax, settings.n_mels + 2)
    lowest, highest = _hz_to_mel(settings.fmin), _hz_to_mel(settings.fmax)
    return np.array([_mel_to_hz(mel) for mel in np.linspace(lowest, highest, settings.n_mels + 2)])


_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1_000.0
_LOG_STEP = math.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_START_HZ / _HZ_PER_MEL + math.log(hz / _LOG_START_HZ) / _LOG_STEP


def _mel_to_hz(mel: float) -> float:
    log_start_mel = _LOG_START_HZ / _HZ_PER_MEL
    if mel < log_start_mel:
        return mel * _HZ_PER_MEL
    return _LOG_START_HZ * math.exp(_LOG_STEP * (mel - log_start_mel))
