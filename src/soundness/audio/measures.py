"""Level, silence and clipping of a recording."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.audio.reading import read_blocks, read_info

__all__ = ["CLIPPED_RUN", "ClipMeasures", "measure_clip"]

_FULL_SCALE = 32767 / 32768  # the largest sample of 16 bits

CLIPPED_RUN = 3  # samples in a row at full scale; one alone is a recording that was normalised


@dataclass(frozen=True, slots=True)
class ClipMeasures:
    """Measures of one recording.

    ``level_dbfs`` is the root mean square over all channels, in dB re a full-scale square wave; ``None`` for digital
    silence. ``silent_channels`` is True for each channel of zeros, ``is_constant`` if in each channel all samples are
    equal, ``is_clipped`` if a channel stays at full scale for three samples or more. ``note`` is that of `AudioInfo`.
    """

    seconds: float
    sample_rate: int
    level_dbfs: float | None
    silent_channels: tuple[bool, ...]
    is_constant: bool
    is_clipped: bool
    note: str = ""


def measure_clip(path: Path) -> ClipMeasures:
    """Measure one recording, block by block.

    Raises
    ------
    AudioError
        If it cannot be read to its end, or holds samples that are not finite.
    """
    info = read_info(path)
    n_samples, energy, is_clipped = 0, 0.0, False
    low, high = np.full(info.n_channels, np.inf), np.full(info.n_channels, -np.inf)
    for block in read_blocks(path):
        n_samples += len(block)
        energy += float(np.square(block, dtype=np.float64).sum())
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        is_clipped = is_clipped or _is_clipped(block)
    return ClipMeasures(
        seconds=n_samples / info.sample_rate,
        sample_rate=info.sample_rate,
        level_dbfs=None if energy == 0 else 10 * float(np.log10(energy / (n_samples * info.n_channels))),
        silent_channels=tuple(bool(flag) for flag in (low == 0) & (high == 0)),
        is_constant=bool((low == high).all()),
        is_clipped=is_clipped,
        note=info.note,
    )


def _is_clipped(block: NDArray[np.float32]) -> bool:
    is_full = np.abs(block) >= _FULL_SCALE
    if not is_full.any():
        return False
    runs = np.lib.stride_tricks.sliding_window_view(is_full, min(CLIPPED_RUN, len(block)), axis=0)
    return len(block) >= CLIPPED_RUN and bool(runs.all(axis=-1).any())
