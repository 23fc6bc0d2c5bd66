"""Description of what is anomalous about a clip beside others. NumPy alone."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.anomalous_regions import find_regions
from soundness.audio.log_mel import band_centres
from soundness.settings.system import SystemSettings

__all__ = ["finding"]

_SMALLEST_DEVIATION_DB = 0.5


def finding(log_mel: NDArray[np.floating[Any]], others: Array, *, settings: SystemSettings) -> str:
    """Describe a clip, such as: a tone near 3.1 kHz, 12 dB above the others, all the time.

    Parameters
    ----------
    log_mel
        Log-mel of the clip, dB, shape ``(mel, frame)``.
    others
        Mean over time of the log-mel of each of the others, dB, shape ``(clip, mel)``.
    settings
        Settings of the system.
    """
    usual = np.median(others, axis=0)
    spread = 1.4826 * np.median(np.abs(others - usual), axis=0) * (1.0 + 2.0 / len(others))
    excess = np.asarray(log_mel, np.float64) - usual[:, None]
    deviations = excess / np.maximum(spread, _SMALLEST_DEVIATION_DB)[:, None]
    level = deviations.mean(axis=1)
    frames = np.maximum(np.where(level < 0.0, -1.0, 1.0)[:, None] * deviations, 0.0)
    total = frames.sum(axis=1, keepdims=True)
    weights = np.where(total > 0.0, frames / np.where(total > 0.0, total, 1.0), 1.0 / frames.shape[1])
    regions = find_regions(
        np.square(level)[:, None] * weights,
        excess,
        deviations=deviations,
        centres=band_centres(settings.log_mel),
        frame_seconds=settings.log_mel.hop_length / settings.audio.sample_rate,
        n_regions=1,
    )
    if not regions:
        return "no single band stands out"
    return regions[0].description(reference="the others")
