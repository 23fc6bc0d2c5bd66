r"""Power spectra of frames as operators of a graph, as products of matrices, faster than the operator ``DFT``.

A transform of :math:`N = A B` samples is one over :math:`A`, turned by phases, and one over :math:`B` [1]_: with
:math:`n = B n_1 + n_2` and :math:`k = k_1 + A k_2`,

.. math:: X_k = \sum_{n_2} e^{-2 \pi i n_2 k_2 / B} \, e^{-2 \pi i n_2 k_1 / N} \sum_{n_1} x_n e^{-2 \pi i n_1 k_1 / A}.

Samples are real, so :math:`k_1` up to :math:`A / 2` tell all.

References
----------
.. [1] J. W. Cooley, J. W. Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics of
   Computation 19(90), 1965.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.exporting.graph import Value

__all__ = ["Powers", "framed", "frames_at", "power_spectra"]

_LARGEST_FACTOR = 512


def framed(samples: Value, size: int, hop: int) -> Value:
    """Frames of samples that begin each ``hop`` samples, ``(clip, time)`` to ``(clip, frame, size)``."""
    if size % hop == 0:
        n_blocks = samples.size(1).op("Div", np.int64(hop))
        blocks = samples.part(np.int64(0), n_blocks * np.int64(hop), axis=1).reshaped(0, -1, hop)
        n_parts = size // hop
        parts = [blocks.part(np.int64(j), n_blocks - np.int64(n_parts - 1 - j), axis=1) for j in range(n_parts)]
        return parts[0] if n_parts == 1 else samples.graph.op("Concat", *parts, axis=2)
    n_frames = (samples.size(1) - np.int64(size)).op("Div", np.int64(hop)) + np.int64(1)
    return frames_at(samples, samples.graph.range(n_frames) * np.int64(hop), size)


def frames_at(samples: Value, starts: Value, size: int) -> Value:
    """Frames of samples that begin at some places, ``(clip, time)`` to ``(clip, frame, size)``."""
    return samples.take(starts.with_axes(1) + np.arange(size), axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Powers:
    """Squared magnitudes of spectra, in the order in which they are computed.

    Parameters
    ----------
    values
        Shape ``(clip, frame, place)``.
    places
        Place of each bin up to half the sample rate, shape ``(bin,)``; there are others, which are not used.
    """

    values: Value
    places: NDArray[np.int64]

    def sums(self, weights: NDArray[np.floating]) -> Value:
        """Weighted sums over bins, ``(clip, frame, row)``, from weights of shape ``(row, bin)``."""
        weights_of_places = np.zeros((1 + int(self.places.max()), len(weights)), weights.dtype)
        weights_of_places[self.places] = weights.T
        return self.values.part(np.int64(0), np.int64(len(weights_of_places)), axis=2) @ weights_of_places

    def changed(self, values: Value) -> "Powers":
        """Other values in the same order."""
        return replace(self, values=values)


def power_spectra(frames: Value, window: NDArray[np.floating]) -> Powers:
    """Squared magnitude of the spectrum of each frame of shape ``(clip, frame, time)``, in double precision.

    Parameters
    ----------
    frames
        As many samples as the window, and of its type.
    window
        Shape ``(time,)``.
    """
    size = len(window)
    first, second = _factors(size)
    windowed = (frames * window).cast(np.float64)
    if first > _LARGEST_FACTOR:
        powers = windowed.with_axes(3).op("DFT", axis=2, onesided=1).square().sum(-1)
        return Powers(powers, np.arange(size // 2 + 1))
    n_kept = first // 2 + 1
    rows = windowed.reshaped(0, 0, first, second)  # (clip, frame, n1, n2)
    cosine, sine = _turns(n_kept, first, first)
    real, imaginary = (frames.graph.op("MatMul", matrix, rows) for matrix in (cosine, sine))  # (clip, frame, k1, n2)
    cosine, sine = _turns(n_kept, second, size)
    parts = (real * cosine - imaginary * sine, real * sine + imaginary * cosine)
    turned = frames.graph.op("Concat", *parts, axis=3)  # (clip, frame, k1, real and imaginary n2)
    cosine, sine = _turns(second, second, second)
    real, imaginary = (turned @ np.concatenate(matrix) for matrix in ((cosine, -sine), (sine, cosine)))
    powers = real.square() + imaginary.square()  # (clip, frame, k1, k2)
    return Powers(powers.reshaped(0, 0, n_kept * second), _places(first, second))


def _turns(n_rows: int, n_columns: int, size: int) -> tuple[Array, Array]:
    """Cosines and sines of the product of row and column, of which ``size`` is a turn."""
    angles = -2.0 * np.pi * np.outer(np.arange(n_rows), np.arange(n_columns)) / size
    return np.cos(angles), np.sin(angles)


def _places(first: int, second: int) -> NDArray[np.int64]:
    """Place of each bin up to half the sample rate among the values that are computed, shape ``(bin,)``."""
    size = first * second
    bins = np.arange(size // 2 + 1)
    bins = np.where(bins % first <= first // 2, bins, size - bins)
    places: NDArray[np.int64] = bins % first * second + bins // first
    return places


def _factors(size: int) -> tuple[int, int]:
    """Two factors of a size that are as near to each other as can be, the larger one first."""
    return next((size // own, own) for own in range(math.isqrt(size), 0, -1) if size % own == 0)
