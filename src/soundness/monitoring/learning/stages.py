"""Stages of learning from recordings: each reads what the one before has left in the folder, and can be begun again.

They run in a process of their own, so that a training does not stop the scoring of other sensors.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from soundness.aliases import Array
from soundness.detectors.detector import Detector
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.detectors.saving import load_detector, save_detector
from soundness.errors import AudioError, DataError, SettingsError
from soundness.files.atomic import output_errors
from soundness.monitoring.alarm_proposals import propose_alarms, with_correlations
from soundness.monitoring.alarm_rules import AlarmRequest, nearest_rule, replay
from soundness.monitoring.capture.clip_files import link_or_copy
from soundness.monitoring.configuration.learning_plan import MOST_TRAINED
from soundness.monitoring.learning.recordings import LearningFolder
from soundness.monitoring.learning.threshold import ScoreScale
from soundness.monitoring.learning.trend import bounded
from soundness.monitoring.recalibration import calibrate
from soundness.plain_text import counted
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration
from soundness.screening.dependence import find_dependence
from soundness.screening.findings import suspects_of
from soundness.screening.normal_clips import NormalClips
from soundness.screening.records import ScreeningRecord, Suspect
from soundness.screening.suspects import find_suspects
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings
from soundness.training.run import train

__all__ = ["STAGES", "LearningJob", "Stage", "nicely", "run_stage"]

Stage = Literal["screening", "training", "calibrating"]
"""Clips that do not belong are set aside; a detector is trained on the rest; held-back clips calibrate it."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_RECORD_FILE = "screening.json"
_TRAINED_FILE = "trained.soundness"
_FEWEST_TRAINED = 8
_NICE = 10  # of a process that trains, below those that score


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningJob:
    """A stage of one sensor's learning.

    Parameters
    ----------
    stage
        The stage.
    folder
        Folder of its recordings.
    name
        Name of the sensor.
    clip_seconds
        Length of a clip.
    set_aside
        Largest share of the clips that may be set aside.
    request
        Rate of false alarms that is asked for.
    out
        File of the detector.
    """

    stage: Stage
    folder: Path
    name: str
    clip_seconds: float
    set_aside: float
    request: AlarmRequest
    out: Path

    @property
    def machine(self) -> str:
        """Name of the sensor that can be one of a folder with recordings."""
        return f"sensor {self.name}" if self.name.startswith((".", "_")) else self.name


def run_stage(job: LearningJob) -> dict[str, Any]:
    """Run a stage; plain values about it, to be shown and kept.

    Raises
    ------
    SoundnessError
        If the recordings cannot be learned from.
    """
    return STAGES[job.stage](job)


def nicely(function: Callable[[Item], Result], item: Item) -> Result:
    """Result of a function, in a process that from now on leaves the processor to those that score."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    return function(item)


def _screen(job: LearningJob) -> dict[str, Any]:
    """Set aside clips that are not like the others: of those to train on, and of those held back."""
    started, folder = time.perf_counter(), LearningFolder(job.folder)
    paths = [*folder.clips("train"), *folder.clips("calibrate")]
    settings = load_settings(DEFAULT_SYSTEM)
    reader = RecordingReader(FrontEnd(settings))
    found: list[NormalClips] = []
    read, unread = [], 0
    for path in paths:
        try:
            recording = reader.read(path)
        except AudioError:  # as one that a crash has left incomplete
            unread += 1
            continue
        if recording.has_sound:
            log_mel = recording.spectrograms.reference
            found.append(NormalClips.from_log_mels([log_mel], names=[path.name], domains=[""]))
            read.append(path.name)
    if len(found) < _FEWEST_TRAINED:
        raise DataError(f"{len(found)} of {len(paths)} clips hold sound; expected at least {_FEWEST_TRAINED}")
    record = _screened(found, read, share=job.set_aside)
    silent = len(paths) - len(read) - unread
    notes = [
        *([f"digital silence, left out: {counted(silent, 'clip')}"] if silent else []),
        *([f"cannot be read, left out: {counted(unread, 'clip')}"] if unread else []),
    ]
    record = record.model_copy(update={"notes": (*record.notes, *notes)})
    with output_errors(folder.work):
        folder.work.mkdir(parents=True, exist_ok=True)
        (folder.work / _RECORD_FILE).write_text(record.model_dump_json(), encoding="utf-8")
    known = set(read)
    left_out = [suspect.name for suspect in record.set_aside] + [each.name for each in paths if each.name not in known]
    for use in ("train", "calibrate"):
        folder.chosen(use, job.machine, without=left_out)
    folder.set_aside([each.name for each in record.set_aside])
    return {
        "n_clips": len(paths),
        "set_aside": [_shown(each, folder) for each in record.set_aside],
        "notes": list(record.notes),
        "seconds_a_clip": (time.perf_counter() - started) / len(paths),
    }


def _shown(suspect: Suspect, folder: LearningFolder) -> dict[str, Any]:
    """Plain values of a clip that is set aside, with its audio below the store's folder."""
    audio = Path("learning", folder.path.name, "set-aside", suspect.name).as_posix()
    return {"clip": suspect.name, "finding": suspect.finding, "p_value": suspect.p_value, "audio": audio}


def _screened(clips: Sequence[NormalClips], names: Sequence[str], *, share: float) -> ScreeningRecord:
    """Record of a screening in which at most a share is set aside, the most anomalous first."""
    means = np.concatenate([each.means for each in clips]).astype(np.float64)
    floors = np.concatenate([each.floors for each in clips]).astype(np.float64)
    dependence = find_dependence([each.prints[0] for each in clips], list(means), names)
    domains = np.zeros(len(clips), np.int64)
    found = find_suspects([means, floors], domains, dependent=dependence.common > 0.0)
    most = int(share * len(clips))
    is_set_aside = np.zeros(len(clips), np.bool_)
    (suspects,) = np.nonzero(found.is_suspect)
    is_set_aside[suspects[np.argsort(found.p_values[suspects], kind="stable")][:most]] = True
    settings = load_settings(DEFAULT_SYSTEM)
    shown = suspects_of(
        found.is_suspect,
        found.p_values,
        is_set_aside,
        names=names,
        log_mels=list(means[:, :, None]),
        means=means,
        domains=domains,
        settings=settings,
    )
    notes = [
        f"{len(group)} clips are unlike the others and like each other, as of a state: kept" for group in found.groups
    ]
    notes += [f"{count} clips are unlike the others, too many to be set aside" for count in found.crowds.values()]
    if len(suspects) > most:
        notes.append(f"{len(suspects)} clips are unlike the others; more than {most} ({share:.0%}) are not set aside")
    return ScreeningRecord(screening="set-aside", suspects=shown, notes=tuple(notes))


def _train(job: LearningJob) -> dict[str, Any]:
    """Train the default on the clips that were not set aside."""
    started, folder = time.perf_counter(), LearningFolder(job.folder)
    n_clips = len(_recordings(folder.work / "train" / job.machine))
    if n_clips < _FEWEST_TRAINED:
        raise DataError(f"{n_clips} clips to train on; expected at least {_FEWEST_TRAINED}")
    save_detector(_trained(job, folder.work / "train" / job.machine), folder.work / _TRAINED_FILE)
    return {"n_trained": n_clips, "training_seconds": time.perf_counter() - started}


def _recordings(machine: Path) -> list[Path]:
    """Recordings of a folder of `LearningFolder.chosen`, in the order of time."""
    place = machine / "train"
    return sorted(place.iterdir(), key=lambda path: path.name) if place.is_dir() else []


def _trained(job: LearningJob, data: Path) -> Detector:
    """Detector of the default system, with the screening before its training in its summary."""
    folder = LearningFolder(job.folder)
    run, settings = folder.work / f"run-{os.getpid()}", load_settings(DEFAULT_SYSTEM)
    audio = settings.audio.model_copy(update={"clip_seconds": job.clip_seconds})
    try:
        (detector,) = train(data, run, system=settings.model_copy(update={"screening": "keep", "audio": audio}))
    finally:
        shutil.rmtree(run, ignore_errors=True)
    return replace(detector, summary=_with_record(detector, folder))


def _with_record(detector: Detector, folder: LearningFolder) -> Any:
    """Summary of the training with the screening before it."""
    record = ScreeningRecord.model_validate_json((folder.work / _RECORD_FILE).read_text(encoding="utf-8"))
    notes = (*record.lines, *detector.summary.notes)
    return detector.summary.model_copy(update={"screening": record, "notes": notes})


def _calibrate(job: LearningJob) -> dict[str, Any]:
    """Calibrate by the clips that were held back, find the rule, and write the detector."""
    folder, notes = LearningFolder(job.folder), []
    detector = load_detector(folder.work / _TRAINED_FILE)
    paths = _recordings(folder.work / "calibrate" / job.machine)
    try:
        detector = calibrate(detector, paths)
        scores = np.array([detector.score_recording(path).anomaly_score for path in paths])
        blocks = np.array([_block_of(path.name, folder) for path in paths])
        p_values = cross_fitted(scores, blocks)
        assert detector.calibration is not None
        levels = block_levels(scores, blocks, detector.calibration)
        detector = _with_all(job, detector)
    except DataError as error:  # as where the source plays one recording again and again
        p_values, levels = [], []
        notes.append(f"the clips that were held back cannot calibrate it ({error}): clips left out one by one do")
    rule, problem = proposed_rule(detector, job.request, p_values=p_values)
    system = detector.settings.model_copy(update={"screening": "set-aside"})
    save_detector(replace(detector, alarm_rule=rule, settings=system), job.out)
    return {
        "n_calibrated": len(paths),
        "block_levels": levels,
        "rule": str(rule),
        "note": "; ".join([*notes, *([problem] if problem else [])]),
        "calibration_notes": list(detector.calibration.notes) if detector.calibration is not None else [],
    }


def _with_all(job: LearningJob, calibrated: Detector) -> Detector:
    """Detector that knows the held-back clips, too, where there are few: with the calibration of the one without them.

    Its normal clips are more, so that new ones lie nearer to them: p-values are a little too large, if anything.
    """
    folder = LearningFolder(job.folder)
    own = [folder.work / use / job.machine for use in ("train", "calibrate")]
    paths = [path for machine in own for path in _recordings(machine)]
    if len(paths) > MOST_TRAINED or calibrated.calibration is None:
        return calibrated
    data = folder.work / "all" / job.machine
    shutil.rmtree(data, ignore_errors=True)
    for path in paths:
        link_or_copy(path, data / "train" / path.name)
    short = {} if calibrated.lengths is None else calibrated.lengths.short
    return _trained(job, data).calibrated(calibrated.calibration, short=short)


def _block_of(name: str, folder: LearningFolder) -> int:
    found = next((folder.path / "calibrate").glob(f"*/{name}"), None)
    return -1 if found is None else int(found.parent.name.rpartition("-")[2])


def cross_fitted(scores: Array, blocks: Array) -> list[float]:
    """P-value of each clip by the clips of the other blocks, or by all where there is one, in the order of the clips.

    Parameters
    ----------
    scores
        Scores, shape ``(clip,)``.
    blocks
        Block of each, shape ``(clip,)``.
    """
    found = np.empty(len(scores))
    for block in np.unique(blocks):
        here = blocks == block
        others = scores[~here] if (~here).any() else scores
        found[here] = Calibration.from_scores({"": others}, origin="fresh").p_values(scores[here])
    return [float(one) for one in found]


def block_levels(scores: Array, blocks: Array, calibration: Calibration) -> list[float]:
    """Level of each block: the mean deviation of its scores above those of the calibration, as a trend counts them."""
    scale = ScoreScale.of(calibration)
    levels = np.array([bounded(scale.level(score)) for score in scores])
    return [round(float(levels[blocks == block].mean()), 4) for block in np.unique(blocks)]


def proposed_rule(detector: Detector, request: AlarmRequest, *, p_values: Sequence[float]) -> tuple[AlarmRule, str]:
    """Rule for a rate of false alarms, or the nearest, and then why there is none; empty if there is.

    The bound of the nearest is no lower than the rate of its alarms among the clips that were held back.
    """
    assert detector.calibration is not None
    rng = np.random.default_rng(0)  # of a bootstrap, which is to come out alike each time
    try:
        return propose_alarms(detector, request, p_values=p_values, rng=rng).rule, ""
    except SettingsError as error:
        rule = nearest_rule(detector.calibration, with_correlations(request, p_values))
        if len(p_values) >= rule.n_clips:
            found = replay(p_values, rule, rng=rng)
            rule = replace(rule, bound_per_day=max(rule.bound_per_day, found.per_day))
        return rule, str(error)


STAGES: Mapping[Stage, Callable[[LearningJob], dict[str, Any]]] = {
    "screening": _screen,
    "training": _train,
    "calibrating": _calibrate,
}
"""Function of each stage, in their order."""
