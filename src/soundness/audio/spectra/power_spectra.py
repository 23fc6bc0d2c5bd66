"""Power spectra of frames, in single precision and without a BLAS, so that every process computes the same bits."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_power_of_two", "power_spectra"]

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


def nearest_power_of_two(n_samples: float, *, at_least: int) -> int:
    """Power of two whose ratio to a number of samples is nearest to 1, within a least one and 131,072."""
    return min(max(at_least, int(2 ** np.round(np.log2(n_samples)))), _LONGEST)
