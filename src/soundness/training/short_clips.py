"""Vectors of training clips cut to shorter lengths, to calibrate a detector for recordings that are as short."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from soundness.aliases import Array
from soundness.audio.short_clips import at_length, place_of
from soundness.representations.protocol import Fitted, MachineSpectrograms, network_plan
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.decisions.clip_lengths import ClipLengths
from soundness.scoring.protocol import Scorer, ShortClipScorer, TrainingVectors
from soundness.settings.system import SystemSettings
from soundness.training.calibration import left_out_calibration

__all__ = ["calibrated_lengths", "has_short_clips", "shortened_vectors"]


def has_short_clips(settings: SystemSettings) -> bool:
    """True if a system is calibrated for short recordings: not where a network knows its clips."""
    return settings.calibration == "left-out" and network_plan(settings) is None


def calibrated_lengths(
    lengths: ClipLengths,
    clips: MachineSpectrograms,
    scorer: Scorer,
    vectors: TrainingVectors,
    settings: SystemSettings,
    *,
    calibration: Calibration,
) -> ClipLengths:
    """Lengths with the calibration of short clips, where there is one.

    Where normal sound wanders, scores of short clips are raised by as much as the threshold of whole ones.

    Parameters
    ----------
    lengths
        Lengths of the clips.
    clips
        Training clips.
    scorer
        Scorer that was fitted to them.
    vectors
        Their vectors, with those of shortened clips.
    settings
        Settings of the system.
    calibration
        Calibration of whole clips.
    """
    if vectors.shortened is None or not isinstance(scorer, ShortClipScorer):
        return lengths
    domains, rise, rate = vectors.clip_domains, 0.0, settings.false_alarm_rate
    if calibration.origin == "later":
        left_out = left_out_calibration(clips, scorer.left_out_scores(), domains, settings)
        later, before = (
            Threshold.from_scores(each.scores, false_alarm_rate=rate).value for each in (calibration, left_out)
        )
        rise = later - before
    scores = zip(lengths.short_seconds, scorer.left_out_short_scores(), strict=True)
    short = {at: left_out_calibration(clips, own + rise, domains, settings) for at, own in scores}
    return replace(lengths, short=short)


def shortened_vectors(
    clips: MachineSpectrograms, fitted: Fitted, settings: SystemSettings, lengths: Sequence[float]
) -> Array | None:
    """Vectors of each clip at each length in seconds, shape ``(length, clip, condition, feature)``; or ``None``.

    One part of each clip counts, for parts of one clip depend on each other.
    """
    if not lengths:
        return None
    representations = fitted.representations(len(clips.spectrograms))
    return np.stack(
        [
            [
                own.vectors(at_length(clip, seconds, settings, place=place_of(index))).astype(np.float64)
                for index, (own, clip) in enumerate(zip(representations, clips.spectrograms, strict=True))
            ]
            for seconds in lengths
        ]
    )
