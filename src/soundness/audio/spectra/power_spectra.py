"""Power spectra of frames, in single precision and without a BLAS, so that every process computes the same bits."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import root_mean_square

__all__ = ["PowerSpectra", "UnitLevel", "at_unit_level", "nearest_power_of_two"]

_LONGEST = 2**17  # as the longest frame of a log-mel


class PowerSpectra:
    """Squared magnitude of the spectra of frames, some at a time, in memory that is used again.

    Errors of rounding lie 140 dB below the power of a frame. NumPy's transform of single precision takes twice as long,
    and so does all of it where the arrays do not fit into the cache of a processor, or are new each time.

    Parameters
    ----------
    window
        Shape ``(time,)``.
    most_frames
        Frames at a time.
    """

    def __init__(self, window: NDArray[np.float32], *, most_frames: int) -> None:
        self.window = window
        self._windowed = np.empty((most_frames, len(window)), np.float32)
        self._powers = np.empty((most_frames, 1 + len(window) // 2), np.float32)

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Powers of frames of shape ``(frame, time)``, shape ``(frame, bin)``, which hold until the next call."""
        from scipy.fft import rfft  # type: ignore[import-untyped]  # no types; loaded by the systems that need it alone

        n_frames = len(frames)
        spectrum: NDArray[np.complex64] = rfft(np.multiply(frames, self.window, out=self._windowed[:n_frames]))
        parts = spectrum.view(np.float32)
        np.square(parts, out=parts)
        return np.add(spectrum.real, spectrum.imag, out=self._powers[:n_frames])


class UnitLevel(NamedTuple):
    """Samples whose root mean square is 1, shape ``(time,)``, and the level that was taken off, in dB."""

    samples: NDArray[np.float32]
    level_db: float

    def filled(self, n_samples: int) -> NDArray[np.float32]:
        """Samples, filled up with zeros to a least number."""
        n_missing = n_samples - len(self.samples)
        return self.samples if n_missing <= 0 else np.pad(self.samples, (0, n_missing))


def at_unit_level(waveform: NDArray[np.float32]) -> UnitLevel:
    """A waveform of shape ``(time,)`` at a root mean square of 1."""
    rms = root_mean_square(waveform)
    return UnitLevel(waveform / np.float32(rms), 20.0 * math.log10(rms))


def nearest_power_of_two(n_samples: float, *, at_least: int) -> int:
    """Power of two whose ratio to a number of samples is nearest to 1, within a least one and 131,072."""
    return min(max(at_least, int(2 ** np.round(np.log2(n_samples)))), _LONGEST)
