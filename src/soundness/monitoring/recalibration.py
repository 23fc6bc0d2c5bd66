"""`calibrate`: p-values of a trained detector by new normal clips."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundness.aliases import Array, CountProgress, PathLike
from soundness.data.clips import Clip, parse_name
from soundness.data.datasets import Paths, Selection, list_clips
from soundness.detectors.detector import Detector
from soundness.detectors.saving import new_detector_file, one_detector
from soundness.errors import DataError
from soundness.monitoring.new_clips import IndependentClips, cut_clips, independent, read_new_clips
from soundness.monitoring.screening import screen_new_clips
from soundness.scoring.decisions.calibration import Calibration, Origin, Threshold
from soundness.screening.dependence import independent_scores
from soundness.screening.records import ScreeningRecord, check_kept

__all__ = ["calibrate"]

_FEWEST_CLIPS = 2


def calibrate(
    detector: PathLike | Detector,
    clips: Paths,
    out: PathLike | None = None,
    *,
    domain: str | None = None,
    group_by: str | None = None,
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> Detector:
    """The same detector with p-values and threshold by new normal clips, and without an alarm rule.

    Parameters
    ----------
    detector
        A detector, its file, or the folder of a run with one machine.
    clips
        Normal recordings that it was not trained on, folders of them, or data sets, of which the test clips are taken.
        Those that are not like the others are named and, as the detector's setting ``screening`` says, set aside;
        `Selection.keep` names those that stay.
    out
        File of the calibrated detector; ``None`` to write none.
    domain
        Domain of all of them, whose calibration they replace; ``None`` takes each clip's domain from its name, and
        replaces the calibration of all domains.
    group_by
        Recordings that count as one by their names: ``folder``, ``prefix`` (the name up to its last number), or a
        regular expression; ``None`` if each stands alone.
    overwrite
        Replace a file that is there.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SoundnessError
        If there are fewer than two clips of a domain, one is labelled anomalous, cannot be used or was in the training,
        or the file exists already or cannot be written.
    """
    with new_detector_file(out, overwrite=overwrite) as save:
        detector = one_detector(detector)
        listed = cut_clips(detector, list_clips(clips))
        _check(listed, domain)
        fresh = independent(detector, read_new_clips(detector, listed, progress=progress), group_by=group_by)
        fresh, record = _screened(detector, fresh, domain, keep=Selection(clips).keep)
        new = _scores_by_domain(fresh, domain)
        before = {} if detector.calibration is None else detector.calibration.scores
        kept = {} if domain is None else {name: values for name, values in before.items() if name != domain}
        origin: Origin = "fresh" if detector.calibration is None or not kept else detector.calibration.origin
        calibration = Calibration.from_scores({**kept, **new}, origin=origin)
        notes = (*calibration.notes, *fresh.notes, *_notes(listed, before.keys(), kept.keys(), new.keys()))
        short = _short_calibrations(detector, fresh, domain, origin=origin)
        calibrated = detector.calibrated(replace(calibration, notes=(*record.lines, *notes)), short=short)
        save(calibrated)
        return calibrated


def _short_calibrations(
    detector: Detector, fresh: IndependentClips, domain: str | None, *, origin: Origin
) -> dict[float, Calibration]:
    """Calibration by the new clips cut to each shorter length, with that of the domains that keep theirs."""
    found: dict[float, Calibration] = {}
    lengths = detector.lengths
    for index, seconds in enumerate(() if lengths is None else lengths.short_seconds):
        assert lengths is not None
        scores = _scores_by_domain(fresh, domain, short=index)
        if domain is not None and detector.calibration is not None and set(detector.calibration.scores) - {domain}:
            if seconds not in lengths.short:
                continue
            scores = {**lengths.short[seconds].scores, **scores}
        found[seconds] = Calibration.from_scores(scores, origin=origin)
    return found


def _screened(
    detector: Detector, fresh: IndependentClips, domain: str | None, *, keep: Sequence[Path]
) -> tuple[IndependentClips, ScreeningRecord]:
    """New clips without those that are set aside, and the record of their screening with what they cost."""
    check_kept(keep, [each.clip.path for each in fresh.clips], kind="new")
    names = [(each.clip.domain or "") if domain is None else domain for each in fresh.clips]
    screening, dependent = detector.settings.screening, fresh.common > 0.0
    record, is_set_aside = screen_new_clips(
        detector, fresh.clips, names, dependent=dependent, screening=screening, keep=keep
    )
    if not record.suspects:
        return fresh, record
    suspects = {suspect.name for suspect in record.suspects}
    is_suspect = np.array([each.statistics.names[0] in suspects for each in fresh.clips])
    thresholds = [
        Threshold.from_scores(
            _scores_by_domain(fresh.subset(chosen), domain), false_alarm_rate=detector.settings.false_alarm_rate
        ).value
        for chosen in (np.ones(len(is_suspect), np.bool_), ~is_suspect)
    ]
    update = {"threshold_with": thresholds[0], "threshold_without": thresholds[1]}
    return fresh.subset(~is_set_aside), record.model_copy(update=update)


def _scores_by_domain(fresh: IndependentClips, domain: str | None, *, short: int | None = None) -> dict[str, Array]:
    """Scores of new clips by domain, whole or at a shorter length, of as many independent clips as they are worth."""
    names = np.array([(each.clip.domain or "") if domain is None else domain for each in fresh.clips])
    scores = np.array([each.score if short is None else each.short_scores[short] for each in fresh.clips])
    found = {str(name): independent_scores(scores[names == name], fresh.counts[names == name]) for name in set(names)}
    for name, values in found.items():
        if len(values) < _FEWEST_CLIPS:
            raise DataError(
                f"{(names == name).sum()} {name or 'normal'} clip(s) to calibrate by are copies, share sound or are of "
                f"one group, and count as {len(values)}; at least {_FEWEST_CLIPS} are needed"
            )
    return found


def _notes(
    clips: Iterable[Clip], before: AbstractSet[str], kept: AbstractSet[str], new: AbstractSet[str]
) -> Iterator[str]:
    """Notes on clips and domains."""
    called = [clip.path.name for clip in clips if _is_for_training(clip)]
    if called:
        yield (
            f"{len(called)} clip(s) are called training clips ({called[0]}): if the detector was fitted on them, "
            f"p-values are too small"
        )
    if gone := sorted(before - kept - new):
        yield f"no clips of {', '.join(name or 'no domain' for name in gone)}: p-values no longer count it"
    if kept and (added := sorted(new - before)):
        yield f"{', '.join(added)}: new beside {', '.join(sorted(kept))}; a p-value is the largest over all of them"


def _is_for_training(clip: Clip) -> bool:
    name = parse_name(clip.path.stem)
    return clip.split == "train" or (name is not None and name.split == "train")


def _check(clips: Iterable[Clip], domain: str | None) -> None:
    counts: dict[str, int] = {}
    for clip in clips:
        if clip.label == "anomaly":
            raise DataError(f"{clip.path}: labelled anomalous; a detector is calibrated by normal clips alone")
        name = (clip.domain or "") if domain is None else domain
        counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise DataError("no recordings to calibrate by; expected normal ones")
    for name, count in counts.items():
        if count < _FEWEST_CLIPS:
            raise DataError(
                f"{count} {name or 'normal'} clip to calibrate by; at least {_FEWEST_CLIPS} are needed, and a "
                f"false-alarm rate of 1/100 needs 99"
            )
