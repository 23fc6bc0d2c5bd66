"""Description of what is anomalous about a clip beside others. NumPy alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.audio.anomalous_regions import find_regions
from soundness.audio.log_mel import band_centres
from soundness.screening.records import Suspect
from soundness.settings.system import SystemSettings

__all__ = ["finding", "suspects_of"]

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
        frame_seconds=settings.frame_seconds,
        n_regions=1,
    )
    if not regions:
        return "no single band stands out"
    return regions[0].description(reference="the others")


def suspects_of(
    is_suspect: NDArray[np.bool_],
    p_values: Array,
    is_set_aside: NDArray[np.bool_],
    *,
    names: Sequence[str],
    log_mels: Sequence[NDArray[np.floating[Any]]],
    means: Array,
    domains: NDArray[np.int64],
    settings: SystemSettings,
) -> tuple[Suspect, ...]:
    """Describe the suspects among clips, the most anomalous first, each beside the others of its domain.

    Parameters
    ----------
    is_suspect, is_set_aside
        True for suspects, and for those that do not enter the detector, shape ``(clip,)``.
    p_values
        P-value of each clip, shape ``(clip,)``.
    names
        Name of each clip.
    log_mels
        Log-mel of each clip, dB, shape ``(mel, frame)`` each.
    means
        Mean over time of each, dB, shape ``(clip, mel)``.
    domains
        Index of each clip's domain, shape ``(clip,)``.
    settings
        Settings of the system.
    """
    (suspects,) = np.nonzero(is_suspect)
    ordered = suspects[np.argsort(p_values[suspects], kind="stable")].tolist()
    return tuple(
        Suspect(
            name=names[index],
            p_value=float(p_values[index]),
            finding=finding(log_mels[index], means[(domains == domains[index]) & ~is_suspect], settings=settings),
            is_set_aside=bool(is_set_aside[index]),
        )
        for index in ordered
    )
