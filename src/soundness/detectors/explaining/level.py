"""Change of level that alone makes a clip anomalous."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from soundness.audio.log_mel import Spectrograms
from soundness.detectors.explaining.measured_clip import clip_threshold
from soundness.representations.statistics import MeanLogMel

if TYPE_CHECKING:  # it uses this module
    from soundness.detectors.detector import Detector

__all__ = ["level_change"]

_LEVEL_CHANGE_DB = 1.0


def level_change(detector: "Detector", clip: Spectrograms, *, anomaly_score: float) -> str:
    """Change of level in words, where it alone makes a clip anomalous; empty elsewhere.

    Parameters
    ----------
    detector
        Detector of any system.
    clip, anomaly_score
        The clip, and its score.
    """
    if not isinstance(detector.representation, MeanLogMel) or detector.normal_clips is None:
        return ""
    change = detector.normal_clips.level_change(clip.reference)
    if abs(change) < _LEVEL_CHANGE_DB:
        return ""
    gain, threshold = np.float32(change), clip_threshold(detector, clip)
    same_level = replace(clip, input=clip.input - gain, reference=clip.reference - gain)
    if not anomaly_score > threshold >= detector.score_spectrograms(same_level):
        return ""
    word = "louder" if change > 0 else "quieter"
    return f"all bands {abs(change):.0f} dB {word}: the gain of the microphone, or the machine?"
