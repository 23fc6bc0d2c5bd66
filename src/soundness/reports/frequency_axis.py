"""Frequency axis of pictures: low bands, where faults hum, get a fifth of the height. NumPy alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.anomalous_regions import hertz

__all__ = ["FrequencyAxis"]

_LOW_HZ = 250.0
_LOW_SHARE = 0.22  # of the height, at least
_FEWEST_LOW_BANDS = 2  # fewer are not drawn out
_ROWS_PER_BAND = 2
_TICKS_HZ = (31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
_FEWEST_APART = 0.07  # of the height, between two ticks


class FrequencyAxis:
    """Places of bands in a picture, as shares of its height from the bottom.

    Parameters
    ----------
    centres
        Centre frequencies of the bands in Hz, rising, shape ``(mel,)``.
    """

    def __init__(self, centres: Array) -> None:
        self._centres = centres
        n_bands, n_low = len(centres), int((centres < _LOW_HZ).sum())
        share = max(n_low / n_bands, _LOW_SHARE)
        is_drawn_out = _FEWEST_LOW_BANDS <= n_low < n_bands
        self.edges: Array = (
            np.interp(np.arange(n_bands + 1), (0, n_low, n_bands), (0.0, share, 1.0))
            if is_drawn_out
            else np.linspace(0.0, 1.0, n_bands + 1)
        )
        """Edges of the bands, from 0 to 1, shape ``(mel + 1,)``."""

    def drawn(self, values: NDArray[np.floating[Any]]) -> Array:
        """Repeat the bands of a map by their heights, shape ``(row, frame)``, the lowest row first."""
        n_rows = _ROWS_PER_BAND * len(self._centres)
        middles = (np.arange(n_rows) + 0.5) / n_rows
        rows: Array = np.asarray(values, np.float64)[np.searchsorted(self.edges, middles, side="right") - 1]
        return rows

    def ticks(self) -> list[tuple[float, str]]:
        """Places, and their frequencies in words."""
        centres, middles = self._centres, (self.edges[1:] + self.edges[:-1]) / 2
        found: list[tuple[float, str]] = []
        for frequency in _TICKS_HZ:
            if centres[0] <= frequency <= centres[-1]:
                place = float(np.interp(frequency, centres, middles))
                if not found or place - found[-1][0] >= _FEWEST_APART:
                    words = f"{frequency:.0f} Hz" if frequency < 1000 else f"{frequency / 1000:.0f} kHz"
                    found.append((round(place, 4), words))
        return found or [(0.5, hertz(float(centres[len(centres) // 2])))]
