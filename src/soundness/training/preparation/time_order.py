"""Calibration of a machine whose normal sound wanders: by clips that came later than those that score them."""

from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.representations.protocol import MachineSpectrograms, network_plan
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.protocol import TrainingVectors
from soundness.scoring.scorers import find_scorer
from soundness.screening.dependence import clips_apart, independent_scores
from soundness.screening.time_order import time_order, wander_p_value
from soundness.settings.system import SystemSettings

__all__ = ["calibrated_in_order"]

_FEWEST_CLIPS = 30  # that depend on no other
_SURE = 0.005
_FIRST_SHARE = 0.5  # of the clips, by which the first of the later ones are scored
_N_BLOCKS = 5


def calibrated_in_order(
    clips: MachineSpectrograms, vectors: TrainingVectors, calibration: Calibration, settings: SystemSettings
) -> Calibration:
    """Calibration by later clips, where clips have an order in time and normal sound wanders; else the same.

    The second half of the clips is scored block by block, each by a scorer that is fitted to all clips before it, so
    that a score is that of a recording which is to come. It replaces scores of clips left out one by one, whose
    neighbours in time stay, where these give a lower threshold.

    Parameters
    ----------
    clips
        Training clips.
    vectors
        Their vectors.
    calibration
        Calibration by clips left out one by one.
    settings
        Settings of the system.
    """
    found = None if settings.calibration_blocks == "off" or network_plan(settings) else time_order(clips.clips)
    if found is None or len(np.unique(vectors.clip_domains)) > 1:
        return calibration
    order, source = found
    apart = order if vectors.dependent is None else np.array(clips_apart(order.tolist(), vectors.dependent))
    if len(apart) < _FEWEST_CLIPS:
        return calibration
    rng = np.random.default_rng(0)  # of a test, which is to come out alike each time
    if wander_p_value(_of_bands(vectors)[apart], rng=rng) > _SURE:
        return calibration
    later = _later_scores(vectors, order, settings)
    counts = np.ones(len(later.clips)) if clips.counts is None else clips.counts[later.clips]
    (domain,) = calibration.scores
    scores = {domain: independent_scores(later.scores, counts)}
    rate = settings.false_alarm_rate
    if _threshold(scores, rate) <= _threshold(calibration.scores, rate):
        note = (
            f"normal sound wanders in the order of the {source}, but later clips score no higher by earlier ones than "
            f"each clip by all others: p-values hold for the time soon after the training"
        )
        return replace(calibration, notes=(*calibration.notes, note))
    note = (
        f"normal sound wanders in the order of the {source}: by thresholds of earlier clips left out one by one, "
        f"{later.share_flagged:.0%} of later ones would be called anomalous where {rate:.0%} are promised; the "
        f"threshold is by {len(later.scores)} later clips, each scored by those before it, for about the next "
        f"{max(1, len(order) // 10)} clips"
    )
    found_later = Calibration.from_scores(scores, origin="later")
    return replace(found_later, notes=(found_later.notes[0], note, *found_later.notes[1:]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Later:
    """Scores of clips by those before them, their indices, and the share that a left-out threshold calls anomalous."""

    scores: Array
    clips: NDArray[np.int64]
    share_flagged: float


def _later_scores(vectors: TrainingVectors, order: NDArray[np.int64], settings: SystemSettings) -> _Later:
    edges = np.linspace(round(_FIRST_SHARE * len(order)), len(order), _N_BLOCKS + 1).astype(int)
    kind, scores, n_flagged = find_scorer(settings.scorer.name), [], 0
    for start, stop in pairwise(edges):
        before = np.zeros(len(order), np.bool_)
        before[order[:start]] = True
        if vectors.dependent is not None:
            before &= ~vectors.dependent[order[start:stop]].any(axis=0)
        scorer = kind.fit(vectors.subset(before), settings.scorer)
        found = [scorer.score(vectors.vectors[clip]) for clip in order[start:stop]]
        threshold = _threshold({"": scorer.left_out_scores()}, settings.false_alarm_rate)
        n_flagged += int((np.array(found) > threshold).sum())
        scores += found
    return _Later(scores=np.array(scores), clips=order[edges[0] :], share_flagged=n_flagged / len(scores))


def _of_bands(vectors: TrainingVectors) -> Array:
    """First views of clips, whose features are bands, or all where there are none, shape ``(clip, feature)``."""
    sizes = takewhile(lambda size: size == vectors.n_bands, vectors.view_sizes)
    return vectors.own[:, : sum(sizes) or None]


def _threshold(scores: dict[str, Array], rate: float) -> float:
    return Threshold.from_scores(scores, false_alarm_rate=rate).value
