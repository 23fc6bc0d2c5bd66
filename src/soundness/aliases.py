"""Types that signatures throughout the package share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "CountProgress", "PathLike", "Progress", "Waveform"]

PathLike = Path | str

Array = NDArray[np.float64]
"""Numbers that scores, p-values and figures are computed with."""

Waveform = NDArray[np.float32]
"""Samples in [-1, 1], shape ``(channel, time)`` or ``(time,)``, as the function says."""

CountProgress = Callable[[int, int], None]
"""Called with the number of items done and their total."""

Progress = Callable[[str, int, int], None]
"""Called with a name of what is being done, the number of items done and their total."""
