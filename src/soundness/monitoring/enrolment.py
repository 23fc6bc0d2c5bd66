"""New normal clips join a detector without any training: its memory bank, its calibration, its band statistics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from soundness.aliases import Array, CountProgress, PathLike
from soundness.audio.log_mel import band_centres
from soundness.detectors.detector import Detector, TrainingSummary
from soundness.detectors.normal_clips import NormalClips
from soundness.detectors.saving import one_detector, writable
from soundness.errors import DataError, SettingsError
from soundness.monitoring.new_clips import NewClip, joined_clips, read_new_clips
from soundness.scoring.calibration import Calibration
from soundness.scoring.scorers import ANY_DOMAIN, Scorer, TrainingVectors

__all__ = ["EnrolledClip", "Enrolment", "enrol", "enroll"]

ODD_P_VALUE = 0.02
"""A clip with a p-value of this or less in every domain is odd; in a small domain, one above all its clips."""
FEWEST_WITNESSES = 4
"""Fewer new clips than this cannot say of one of them that it is as the others are."""
EXPLAINED_SHARE = 0.5
"""How much of what makes a clip odd must be gone once the other new clips are known."""
FARTHEST = 5.0
"""So many deviations above the median of the new clips, all of them beside the others, a clip is apart from them."""

_EMPTY_DB = 30.0  # a band so far below all normal clips has no sound in it
_EMPTY_SHARE = 0.04  # of the bands, from the highest down


@dataclass(frozen=True, slots=True)
class EnrolledClip:
    """What the detector says of a new clip.

    Parameters
    ----------
    path
        The recording.
    score, p_value
        By the detector as it was.
    score_beside
        With all other new clips enrolled, and not this one.
    danger
        Why it should not be enrolled; empty where nothing is wrong with it.
    """

    path: Path
    score: float
    p_value: float
    score_beside: float
    danger: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A detector that new clips have joined.

    Parameters
    ----------
    detector
        The new one.
    domain
        Where they joined.
    clips
        In the order given.
    notes
        What was updated and what was kept, and what to know of the clips as a whole.
    """

    detector: Detector
    domain: str
    clips: tuple[EnrolledClip, ...]
    notes: tuple[str, ...]


def enrol(
    detector: Detector,
    paths: Iterable[PathLike],
    *,
    condition: str,
    domain: str | None = None,
    is_forced: bool = False,
    progress: CountProgress | None = None,
) -> Enrolment:
    """Let normal clips of a condition that is new join a detector.

    A new condition is expected to be odd as a whole. What is dangerous is a single clip that is odd, and that the other
    new clips do not explain: one whose score hardly sinks once they are enrolled, or stays far above theirs.

    Parameters
    ----------
    detector
        With a scorer that keeps normal clips, and a calibration.
    paths
        Normal recordings, or folders of them.
    condition
        What is new about them, in a word.
    domain
        Where they join, such as ``target``; ``None`` for a domain of their own, called as the condition.
    is_forced
        Enrol dangerous clips all the same.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If a clip is dangerous, or is there already.
    AudioError
        If one cannot be used.
    SettingsError
        If the detector cannot take new clips.
    """
    calibration = detector.calibration
    if calibration is None:
        raise SettingsError(f"the detector of {detector.machine_type} is not calibrated; soundness calibrate does it")
    if not condition.strip():
        raise SettingsError("condition: no name; expected one such as car_2 or microphone-left")
    domain = condition if domain is None else domain
    fresh = read_new_clips(detector, paths, progress=progress)
    _check_new(detector.normal_clips, fresh)
    training = _vectors(detector, fresh, domain)
    beside = _scores_beside(detector.scorer, training)
    clips = _judged(detector, calibration, fresh, beside)
    if not is_forced:
        _check_safe(clips, beside)
    notes = tuple(_notes(detector, calibration, training, clips, domain))
    about = f"{len(clips)} clip(s) of {condition} enrolled as {domain or 'normal'}"
    known = detector.normal_clips
    changed = replace(
        detector,
        scorer=detector.scorer.enrolled(training),
        normal_clips=None if known is None else known.joined(joined_clips(fresh, domain=domain)),
        summary=_summary(detector.summary, domain, len(clips), (about, *notes)),
    )
    scores = np.concatenate([calibration.scores.get(domain, np.empty(0)), beside])
    joined = Calibration.from_scores({**calibration.scores, domain: scores}, origin=calibration.origin)
    return Enrolment(changed.calibrated(joined), domain, tuple(clips), notes)


def _check_new(known: NormalClips | None, fresh: Sequence[NewClip]) -> None:
    """Refuse a recording that the detector has, or that comes twice: beside itself no clip is odd."""
    before: list[NewClip] = []
    for each in fresh:
        bands = each.remembered.means[0], each.remembered.floors[0]
        if known is not None and (index := known.same_as(*bands)) is not None:
            raise DataError(
                f"{each.clip.path}: the same recording as {known.names[index]}, which is normal clip {index + 1} of "
                f"{len(known)} that the detector has"
            )
        for other in before:
            if other.remembered.same_as(*bands) is not None:
                raise DataError(f"{each.clip.path}: the same recording as {other.clip.path}")
        before.append(each)


def _vectors(detector: Detector, fresh: Sequence[NewClip], domain: str) -> TrainingVectors:
    """The clips as a scorer takes them, all under the condition of the network that reconstructs them best."""
    vectors = np.stack([each.vectors for each in fresh])
    own = int(np.linalg.norm(vectors, axis=2).sum(axis=0).argmin())
    domains = list(detector.summary.n_clips)
    index = domains.index(domain) if domain in domains else len(domains)
    return TrainingVectors(
        vectors=vectors,
        own_conditions=np.full(len(vectors), own),
        clip_domains=np.full(len(vectors), index if detector.settings.scorer.normalization != "none" else 0),
        condition_domains=np.full(vectors.shape[1], ANY_DOMAIN),  # a scorer that is fitted knows them already
    )


def _scores_beside(scorer: Scorer, training: TrainingVectors) -> Array:
    """Score of each clip with all others enrolled, shape ``(clip,)``."""
    everybody = np.arange(len(training.vectors))
    if len(everybody) == 1:
        scorer.enrolled(training)  # or it says that it cannot
        return np.array([scorer.score(training.vectors[0])])
    return np.array(
        [scorer.enrolled(training.subset(everybody != clip)).score(training.vectors[clip]) for clip in everybody]
    )


def _judged(
    detector: Detector, calibration: Calibration, fresh: Sequence[NewClip], beside: Array
) -> list[EnrolledClip]:
    usual = max(float(np.median(scores)) for scores in calibration.used.values())
    farthest = float(np.median(beside)) + FARTHEST * _deviation(calibration, beside)
    found = []
    for each, score_beside in zip(fresh, beside, strict=True):
        p_value = calibration.p_value(each.score)
        reasons = _empty_bands(detector, each)
        if each.clip.label == "anomaly":
            reasons.append("its name calls it anomalous")
        if _is_odd(calibration, each.score):
            explained = (each.score - score_beside) / max(each.score - usual, 1e-12)
            if len(fresh) < FEWEST_WITNESSES:
                reasons.append(f"highly anomalous, and {len(fresh) - 1} other new clip(s) cannot tell what is new")
            elif explained < EXPLAINED_SHARE or (_is_odd(calibration, score_beside) and score_beside > farthest):
                reasons.append(f"highly anomalous, and unlike the other {len(fresh) - 1} new clips")
        found.append(EnrolledClip(each.clip.path, each.score, p_value, float(score_beside), "; ".join(reasons)))
    return found


def _deviation(calibration: Calibration, beside: Array) -> float:
    """Of scores of one condition: robust, by the new clips, and no less than that of a domain before."""
    return max(
        1.4826 * float(np.median(np.abs(scores - np.median(scores)))) for scores in (beside, *calibration.used.values())
    )


def _is_odd(calibration: Calibration, score: float) -> bool:
    """Whether a score is among the highest of each domain."""
    return all(
        (1 + (values >= score).sum()) / (len(values) + 1) <= max(ODD_P_VALUE, 1 / (len(values) + 1))
        for values in calibration.used.values()
    )


def _empty_bands(detector: Detector, fresh: NewClip) -> list[str]:
    """Whether the highest bands are empty where normal clips have sound, as in a recording that was upsampled."""
    if detector.normal_clips is None:
        return []
    is_empty = fresh.remembered.means[0] < detector.normal_clips.means.min(axis=0) - _EMPTY_DB
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
        f"enrolled {first.score_beside:.2f}, where their median is {np.median(beside):.2f}{others}; --force enrolls it "
        f"all the same"
    )


def _summary(before: TrainingSummary, domain: str, n_clips: int, notes: tuple[str, ...]) -> TrainingSummary:
    counts = {**before.n_clips, domain: before.n_clips.get(domain, 0) + n_clips}
    return before.model_copy(update={"n_clips": counts, "notes": (*before.notes, *notes)})


def _notes(
    detector: Detector,
    calibration: Calibration,
    training: TrainingVectors,
    clips: Sequence[EnrolledClip],
    domain: str,
) -> list[str]:
    settings, found = detector.settings, []
    n_anomalous = sum(_is_odd(calibration, clip.score) for clip in clips)
    if 2 * n_anomalous > len(clips):
        found.append(
            f"{n_anomalous} of {len(clips)} were odd before: so is a new condition, and so is a machine that fails "
            f"all the time; no detector tells these apart"
        )
    if (detector.summary.conditions) and len(training.condition_domains) > 1:
        nearest = detector.summary.conditions[int(training.own_conditions[0])]
        found.append(f"the network is not trained anew: it hears them as it hears {nearest}, the nearest condition")
    if settings.scorer.whitening != "none":
        is_told_apart = settings.scorer.normalization != "none"
        found.append(f"whitening is {'fitted to all clips' if is_told_apart else 'kept: that of the clips before'}")
    if settings.scorer.normalization in ("z-score", "quantile"):
        found.append(f"the normalization of {domain or 'normal'} is by the left-out distances of its clips")
    found.append("calibration scores of the clips before are kept, so their share in p-values is that of before")
    if detector.alarm_rule is not None:
        found.append("the alarm rule is gone, since it promised for other clips; soundness alarms makes a new one")
    return found


def enroll(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    condition: str,
    domain: str | None = None,
    force: bool = False,
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> "Enrolment":
    """Let normal clips of a new condition join a detector; see `soundness.monitoring.enrolment.enrol`.

    Parameters
    ----------
    detector
        A detector's file, or the folder of a run with one machine.
    clips
        Normal recordings, or folders of them.
    out
        File of the new detector.
    condition
        What is new about the clips, in a word.
    domain
        Where they join, such as ``target``; ``None`` for a domain of their own, called as the condition.
    force
        Enrol clips that are highly anomalous all the same.
    overwrite
        Replace a file that is there.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If the detector, a clip or the file does not do.
    """
    out = writable(out, overwrite=overwrite)
    found = one_detector(detector)
    from soundness.detectors.saving import save_detector

    enrolment = enrol(found, clips, condition=condition, domain=domain, is_forced=force, progress=progress)
    save_detector(enrolment.detector, out)
    return enrolment
