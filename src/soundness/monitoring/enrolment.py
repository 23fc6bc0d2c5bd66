"""`enroll`: new normal clips join a detector without training, in memory bank, calibration and band statistics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from soundness.aliases import Array, CountProgress, PathLike
from soundness.audio.log_mel import band_centres
from soundness.data.clips import Clip
from soundness.data.datasets import Paths, Selection, list_clips
from soundness.detectors.detector import Detector
from soundness.detectors.saving import new_detector_file, one_detector
from soundness.detectors.training_summary import TrainingSummary
from soundness.errors import DataError, SettingsError
from soundness.monitoring.new_clips import NewClip, concatenate_clips, independent, read_new_clips
from soundness.monitoring.screening import screen_new_clips
from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.protocol import ANY_DOMAIN, Scorer, TrainingVectors
from soundness.screening.dependence import independent_scores
from soundness.screening.records import ScreeningRecord, are_kept, check_kept

__all__ = ["EnrolledClip", "Enrolment", "enroll"]

ANOMALOUS_P_VALUE = 0.02
"""A clip with at most this p-value in every domain is anomalous; in a small domain, one above all its clips."""
FEWEST_CLIPS = 4
"""With fewer new clips, an anomalous one cannot be compared with the others."""
EXPLAINED_SHARE = 0.5
"""Share of a clip's excess score that must vanish once the other new clips are enrolled."""
FARTHEST = 5.0
"""A clip lies apart from the other new clips if its score beside them is so many deviations above their median."""

_EMPTY_DB = 30.0  # a band so far below all normal clips has no sound in it
_EMPTY_SHARE = 0.04  # of the bands, from the highest down


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledClip:
    """A new clip and its scores.

    Parameters
    ----------
    path
        The recording.
    score, p_value
        Score and p-value by the detector before the enrolment.
    score_beside
        Score with all other new clips enrolled, and not this one.
    danger
        Reason why it should not be enrolled; empty if there is none.
    """

    path: Path
    score: float
    p_value: float
    score_beside: float
    danger: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A detector with new clips enrolled.

    Parameters
    ----------
    detector
        The new one.
    domain
        Domain of the new clips.
    clips
        The new clips, in their order.
    notes
        Notes on what was updated and kept, and on the clips as a whole.
    """

    detector: Detector
    domain: str
    clips: tuple[EnrolledClip, ...]
    notes: tuple[str, ...]


def enroll(
    detector: PathLike | Detector,
    clips: Paths,
    out: PathLike | None = None,
    *,
    condition: str,
    domain: str | None = None,
    force: bool = False,
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> Enrolment:
    """Enroll normal clips of a new condition.

    Clips of a new condition are expected to be anomalous as a whole. Dangerous is a single anomalous clip that the
    other new clips do not explain: one whose score hardly falls once they are enrolled, or stays far above theirs.

    Parameters
    ----------
    detector
        A detector with a calibration and a scorer that keeps normal clips, its file, or the folder of a run with one
        machine.
    clips
        Normal recordings, or folders of them; `Selection.keep` names those that are enrolled though they are dangerous.
    out
        File of the new detector; ``None`` to write none.
    condition
        Name of the new condition.
    domain
        Domain of the clips, such as ``target``; ``None`` for a domain of their own, named as the condition.
    force
        Enroll dangerous clips all the same.
    overwrite
        Replace a file that is there.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SoundnessError
        If a clip is dangerous, was enrolled before or cannot be used, the detector cannot take new clips, or the file
        exists already or cannot be written.
    """
    with new_detector_file(out, overwrite=overwrite) as save:
        enrolment = _enrolment(
            one_detector(detector),
            list_clips(clips),
            condition,
            domain,
            keep=Selection(clips).keep,
            force=force,
            progress=progress,
        )
        save(enrolment.detector)
    return enrolment


def _enrolment(
    detector: Detector,
    clips: Sequence[Clip],
    condition: str,
    domain: str | None,
    *,
    keep: Sequence[Path],
    force: bool,
    progress: CountProgress | None,
) -> Enrolment:
    calibration = detector.calibration
    if calibration is None:
        raise SettingsError(f"the detector of {detector.machine_type} is not calibrated; soundness calibrate does that")
    if not condition.strip():
        raise SettingsError("condition: no name; expected one such as car_2 or microphone-left")
    domain = condition if domain is None else domain
    fresh = independent(detector, read_new_clips(detector, clips, progress=progress))
    new = fresh.clips
    dependent = fresh.common > 0.0
    training = replace(_vectors(detector, new, domain), dependent=dependent)
    beside = _scores_beside(detector.scorer, training)
    check_kept(keep, [each.clip.path for each in new], kind="new")
    record, _ = screen_new_clips(detector, new, [domain] * len(new), dependent=dependent, screening="keep")
    enrolled = _accepted(_enrolled_clips(detector, calibration, new, beside), record, new, keep=keep)
    if not force:
        _check_safe(enrolled, beside)
    notes = (*fresh.notes, *_notes(detector, calibration, training, enrolled, domain))
    about = f"{len(enrolled)} clip(s) of {condition} enrolled as {domain or 'normal'}"
    known = detector.normal_clips
    changed = replace(
        detector,
        scorer=detector.scorer.enrolled(training),
        normal_clips=None if known is None else known.concatenate(concatenate_clips(new, domain=domain)),
        summary=_summary(detector.summary, domain, len(enrolled), (about, *notes)),
    )
    scores = np.concatenate([calibration.scores.get(domain, np.empty(0)), independent_scores(beside, fresh.counts)])
    extended = Calibration.from_scores({**calibration.scores, domain: scores}, origin=calibration.origin)
    return Enrolment(detector=changed.calibrated(extended), domain=domain, clips=tuple(enrolled), notes=notes)


def _vectors(detector: Detector, new: Sequence[NewClip], domain: str) -> TrainingVectors:
    """Vectors of the clips, all under the condition of the network that reconstructs them best."""
    vectors = np.stack([each.vectors for each in new])
    own = int(np.linalg.norm(vectors, axis=2).sum(axis=0).argmin())
    domains = list(detector.summary.n_clips)
    index = domains.index(domain) if domain in domains else len(domains)
    return TrainingVectors(
        vectors=vectors,
        own_conditions=np.full(len(vectors), own),
        clip_domains=np.full(len(vectors), index),
        condition_domains=np.full(vectors.shape[1], ANY_DOMAIN),  # a scorer that is fitted knows them already
    )


def _scores_beside(scorer: Scorer, training: TrainingVectors) -> Array:
    """Score of each clip with all others enrolled that do not depend on it, shape ``(clip,)``."""
    scorer.enrolled(training)  # raises an error if it cannot
    found = []
    for clip, vectors in enumerate(training.vectors):
        others = ~training.left_out_with(clip)
        beside = scorer.enrolled(training.subset(others)) if others.any() else scorer
        found.append(beside.score(vectors))
    return np.array(found)


def _enrolled_clips(
    detector: Detector, calibration: Calibration, new: Sequence[NewClip], beside: Array
) -> list[EnrolledClip]:
    usual = max(float(np.median(scores)) for scores in calibration.used.values())
    farthest = float(np.median(beside)) + FARTHEST * _deviation(calibration, beside)
    found = []
    for each, score_beside in zip(new, beside, strict=True):
        p_value = calibration.p_value(each.score)
        reasons = _empty_bands(detector, each)
        if each.clip.label == "anomaly":
            reasons.append("its name calls it anomalous")
        if _is_anomalous(calibration, each.score):
            explained = (each.score - score_beside) / max(each.score - usual, 1e-12)
            if len(new) < FEWEST_CLIPS:
                reasons.append(f"highly anomalous, and {len(new) - 1} other new clip(s) cannot tell what is new")
            elif explained < EXPLAINED_SHARE or (_is_anomalous(calibration, score_beside) and score_beside > farthest):
                reasons.append(f"highly anomalous, and unlike the other {len(new) - 1} new clips")
        found.append(
            EnrolledClip(
                path=each.clip.path,
                score=each.score,
                p_value=p_value,
                score_beside=float(score_beside),
                danger="; ".join(reasons),
            )
        )
    return found


def _accepted(
    clips: Sequence[EnrolledClip], record: ScreeningRecord, new: Sequence[NewClip], *, keep: Sequence[Path]
) -> list[EnrolledClip]:
    """Clips with what a screening of the new ones among themselves found; no danger in those that the user keeps."""
    findings = {suspect.name: str(suspect).partition(": ")[2] for suspect in record.suspects}
    found = []
    for clip, each, is_kept in zip(clips, new, are_kept([clip.path for clip in clips], keep), strict=True):
        own = findings.get(each.statistics.names[0])
        danger = clip.danger
        if own is not None:
            danger = f"{danger or f'not like the other {len(new) - 1} new clips'}, with {own}"
        found.append(replace(clip, danger="" if is_kept else danger))
    return found


def _deviation(calibration: Calibration, beside: Array) -> float:
    """Robust deviation of scores within one condition: of the new clips, or of a domain if that is larger."""
    return max(
        1.4826 * float(np.median(np.abs(scores - np.median(scores)))) for scores in (beside, *calibration.used.values())
    )


def _is_anomalous(calibration: Calibration, score: float) -> bool:
    """True if a score is among the highest of each domain."""
    return all(
        (1 + (values >= score).sum()) / (len(values) + 1) <= max(ANOMALOUS_P_VALUE, 1 / (len(values) + 1))
        for values in calibration.used.values()
    )


def _empty_bands(detector: Detector, new: NewClip) -> list[str]:
    """Warning about empty highest bands where normal clips have sound, as in a recording that was upsampled."""
    if detector.normal_clips is None:
        return []
    is_empty = new.statistics.means[0] < detector.normal_clips.means.min(axis=0) - _EMPTY_DB
    n_empty = int(np.argmin(is_empty[::-1])) if not is_empty.all() else len(is_empty)
    if n_empty < _EMPTY_SHARE * len(is_empty):
        return []
    highest = band_centres(detector.settings.log_mel)[-n_empty]
    return [f"nothing above {highest:.0f} Hz, where normal clips have sound: upsampled, or another microphone"]


def _check_safe(clips: Sequence[EnrolledClip], beside: Array) -> None:
    dangerous = [clip for clip in clips if clip.danger]
    if not dangerous:
        return
    first = max(dangerous, key=lambda clip: clip.score)
    others = f", and {len(dangerous) - 1} more such clip(s)" if len(dangerous) > 1 else ""
    raise DataError(
        f"{first.path}: {first.danger}: score {first.score:.2f}, p-value {first.p_value:.4f}; with the other new clips "
        f"enrolled {first.score_beside:.2f}, where their median is {np.median(beside):.2f}{others}; leave it out, or "
        f"--keep FILE enrolls it all the same, and --force all of them"
    )


def _summary(before: TrainingSummary, domain: str, n_clips: int, notes: tuple[str, ...]) -> TrainingSummary:
    counts = {**before.n_clips, domain: before.n_clips.get(domain, 0) + n_clips}
    return before.model_copy(update={"n_clips": counts, "notes": (*before.notes, *notes)})


def _notes(
    detector: Detector, calibration: Calibration, training: TrainingVectors, clips: Sequence[EnrolledClip], domain: str
) -> list[str]:
    settings, found = detector.settings, []
    n_anomalous = sum(_is_anomalous(calibration, clip.score) for clip in clips)
    if 2 * n_anomalous > len(clips):
        found.append(
            f"{n_anomalous} of {len(clips)} were anomalous before: so is a new condition, and so is a machine "
            f"that fails all the time; no detector tells these apart"
        )
    if (detector.summary.conditions) and len(training.condition_domains) > 1:
        nearest = detector.summary.conditions[int(training.own_conditions[0])]
        found.append(f"the network is not trained anew: it reads them as {nearest}, the nearest condition")
    if settings.scorer.whitening != "none":
        found.append("whitening is fitted to all clips")
    if settings.scorer.normalization in ("z-score", "quantile"):
        found.append(f"the normalization of {domain or 'normal'} is by the left-out distances of its clips")
    found.append("calibration scores of the clips before are kept, so their share in p-values is that of before")
    if detector.alarm_rule is not None:
        found.append("the alarm rule is removed, for it was made for other clips; soundness alarms makes a new one")
    return found
