"""Power spectra of frames, in single precision and without a BLAS, so that every process computes the same bits."""

import math

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import root_mean_square

__all__ = ["at_unit_level", "nearest_power_of_two", "power_spectra"]

_LONGEST = 2**17  # as the longest frame of a log-mel


def power_spectra(frames: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared magnitude of the spectrum of each frame.

    Errors of rounding lie 140 dB below the power of a frame. NumPy's transform of single precision takes twice as long.

    Parameters
    ----------
    frames
        Shape ``(frame, time)``.
    window
        Shape ``(time,)``.

    Returns
    -------
    NDArray[np.float32]
        Shape ``(frame, bin)`` with ``1 + time // 2`` bins.
    """
    from scipy.fft import rfft  # type: ignore[import-untyped]  # no types; loaded by the systems that need it alone

    spectrum: NDArray[np.complex64] = rfft(frames * window)
    parts = spectrum.view(np.float32)
    np.square(parts, out=parts)  # in place: large memory is slow to get
    return spectrum.real + spectrum.imag


def at_unit_level(waveform: NDArray[np.float32], *, n_samples: int) -> tuple[NDArray[np.float32], float]:
    """Samples whose root mean square is 1, filled up with zeros to a least number, and the level taken off in dB."""
    rms = root_mean_square(waveform)
    return np.pad(waveform / np.float32(rms), (0, max(0, n_samples - len(waveform)))), 20.0 * math.log10(rms)


def nearest_power_of_two(n_samples: float, *, at_least: int) -> int:
    """Power of two whose ratio to a number of samples is nearest to 1, within a least one and 131,072."""
    return min(max(at_least, int(2 ** np.round(np.log2(n_samples)))), _LONGEST)
