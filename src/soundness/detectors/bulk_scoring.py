"""Scoring of many recordings: in parallel, in order, and without keeping them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundness.aliases import CountProgress, PathLike
from soundness.detectors.saving import load
from soundness.errors import SettingsError

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detectors.detector import Detector
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from soundness.audio.log_mel_cache import LogMelCache
from soundness.data.clips import Clip
from soundness.data.datasets import list_clips
from soundness.data.layouts import ANOMALOUS_FOLDERS, NORMAL_FOLDER
from soundness.detectors.exported import ExportedDetector
from soundness.errors import AudioError, DataError, OutputError
from soundness.evaluation.score_files import FAILED_FILE, ClipScore, ScoreWriter
from soundness.scoring.alarms import AlarmRule, AlarmWindow

if TYPE_CHECKING:  # PyTorch comes with it, which exported detectors do without
    from soundness.detectors.detector import Detector
    from soundness.detectors.reader import RecordingReader

    AnyDetector = Detector | ExportedDetector

__all__ = ["ScoredClip", "ScoringReport", "score", "score_clip", "score_clips", "scored"]

_AHEAD = 4  # recordings in flight for each worker
_ODDEST = 10


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """A recording and what its detector says of it.

    Parameters
    ----------
    clip
        The recording.
    machine_type
        Of the detector that scored it.
    score
        ``None`` where the recording cannot be used.
    remarks
        Why not; or what a person should know of it all the same.
    """

    clip: Clip
    machine_type: str
    score: ClipScore | None
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoringReport:
    """What became of the recordings that were to be scored.

    Parameters
    ----------
    n_scored
        How many have a score.
    n_flagged
        How many of those are called anomalous.
    most_anomalous
        The ten flagged recordings with the highest scores, the highest first; each with score and p-value.
    alarms
        Recordings with which an alarm begins, in the order of the recordings; empty where no rule was applied.
    failures, warnings
        A line each, with the file's path.
    notes
        What was left out or assumed.
    """

    n_scored: int
    n_flagged: int
    most_anomalous: tuple[tuple[Path, float, float | None], ...]
    alarms: tuple[Path, ...]
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def score_clip(detector: "Detector", path: PathLike) -> float:
    """Anomaly score of one recording; higher is more anomalous.

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    from soundness.detectors.reader import read_recording

    path = Path(path)
    return detector.score(read_recording(path, detector.settings))


def score_clips(
    detectors: "Mapping[str, AnyDetector]",
    paths: Iterable[PathLike],
    out: PathLike,
    *,
    overwrite: bool = False,
    has_alarms: bool = False,
    n_workers: int | None = None,
    store: LogMelCache | None = None,
    progress: CountProgress | None = None,
) -> ScoringReport:
    """Score recordings and write the challenge's two files for each machine, and their p-values beside these.

    A recording that cannot be used gets a row in ``failed.csv``, and all others their scores.

    Parameters
    ----------
    detectors
        By machine type, all of a kind: as they were trained, or exported. One detector alone scores whatever it is
        given.
    paths
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files.
    overwrite
        Replace the score files that are there.
    has_alarms
        Apply each detector's alarm rule to its recordings, whose order is taken for that of time.
    n_workers
        Threads; the number of cores where it is ``None``. It has no influence on the scores.
    store
        Where log-mels are kept between systems; ``None`` to keep none. It has no influence on the scores, either.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If there is nothing to score, no detector for it, or two recordings of the same name.
    OutputError
        If ``out`` holds scores already, or cannot be written.
    SettingsError
        If alarms are asked for, and a detector has no rule.
    """
    out = Path(out)
    clips = list_clips(paths)
    assigned, notes = _assign(clips, detectors)
    notes += _left_out_notes(clips)
    earlier = _score_files(out)
    if earlier and not overwrite:
        raise OutputError(f"{out}: holds scores already ({next(iter(earlier)).name}); --overwrite replaces them")
    used = {detector.machine_type: detector for _, detector in assigned}
    notes += [note for detector in used.values() for note in _calibration_notes(detector)]
    windows = _Windows(used) if has_alarms else None
    n_scored = n_flagged = 0
    alarms: list[Path] = []
    failures: list[str] = []
    warnings: list[str] = []
    most_anomalous: list[tuple[float, Path, float | None]] = []
    with ScoreWriter(out) as writer:
        for done, result in enumerate(scored(assigned, n_workers=n_workers, store=store), start=1):
            lines = [f"{result.clip.path}: {remark}" for remark in result.remarks]
            if result.score is None:
                writer.add_failure(result.clip.path, "; ".join(result.remarks))
                failures += lines
            else:
                score = (
                    result.score if windows is None else windows.judged(result.machine_type, result.clip, result.score)
                )
                writer.add(result.machine_type, result.clip.section, score)
                n_scored += 1
                n_flagged += score.decision
                if score.decision == 1:
                    flagged = (score.anomaly_score, result.clip.path, score.p_value)
                    most_anomalous = sorted([*most_anomalous, flagged], key=lambda one: one[:2], reverse=True)[:_ODDEST]
                if score.alarm == 1:
                    alarms.append(result.clip.path)
                warnings += lines
            if progress is not None:
                progress(done, len(assigned))
    _remove_stale(out, earlier)
    shown = tuple((path, value, p_value) for value, path, p_value in most_anomalous)
    return ScoringReport(n_scored, n_flagged, shown, tuple(alarms), tuple(failures), tuple(warnings), tuple(notes))


class _Windows:
    """The last clips of each machine and section, and the rules of their detectors."""

    def __init__(self, detectors: "Mapping[str, AnyDetector]") -> None:
        self._rules = {name: _required_rule(detector) for name, detector in detectors.items()}
        self._windows: dict[tuple[str, str], AlarmWindow] = {}

    def judged(self, machine_type: str, clip: Clip, score: ClipScore) -> ClipScore:
        """The score, and whether an alarm begins with it."""
        window = self._windows.setdefault((machine_type, clip.section), AlarmWindow(self._rules[machine_type]))
        assert score.p_value is not None  # a detector with a rule is calibrated
        return replace(score, alarm=int(window.add(score.p_value)))


def _required_rule(detector: "AnyDetector") -> AlarmRule:
    if not isinstance(detector, ExportedDetector):
        return detector.required_rule()
    if detector.about["alarm_rule"] is None:
        raise SettingsError(
            f"the detector of {detector.machine_type} was exported without an alarm rule; soundness alarms makes one, "
            f"and soundness export takes it along"
        )
    return AlarmRule(**detector.about["alarm_rule"])


def _calibration_notes(detector: "AnyDetector") -> list[str]:
    if isinstance(detector, ExportedDetector):
        own = detector.about["calibration"]
        is_valid, notes = (None, []) if own is None else (own["is_valid"], own["notes"])
    else:
        calibration = detector.calibration
        is_valid, notes = (None, []) if calibration is None else (calibration.is_valid, [*calibration.notes])
    if is_valid is None:
        return [f"{detector.machine_type}: not calibrated, so there are no p-values; soundness calibrate does it"]
    return [] if is_valid else [f"{detector.machine_type}: {notes[0]}"]


def _assign(
    clips: Sequence[Clip], detectors: "Mapping[str, AnyDetector]"
) -> "tuple[list[tuple[Clip, AnyDetector]], list[str]]":
    """Each clip with the detector of its machine; what its name says of label and domain is not looked at."""
    if not clips:
        raise DataError("nothing to score")
    heard = sorted({clip.machine_type for clip in clips})
    if len(detectors) == 1 and not set(heard) & set(detectors):
        (only,) = detectors.values()
        strangers = [name for name in heard if name]
        notes = [f"{', '.join(strangers)}: scored by the detector of {only.machine_type}"] if strangers else []
        return _unambiguous((clip, only) for clip in clips), notes
    if len(detectors) == 1:
        clips = [replace(clip, machine_type=clip.machine_type or next(iter(detectors))) for clip in clips]
        heard = sorted({clip.machine_type for clip in clips})
    missing = [name for name in heard if name not in detectors]
    if len(missing) == len(heard):
        raise DataError(
            f"{clips[0].path.parent}: no detector for {missing[0] or 'recordings without a machine type'}; "
            f"there are detectors for {', '.join(detectors)}: give the file of one of them"
        )
    notes = [f"{name or 'recordings without a machine type'}: no detector, not scored" for name in missing]
    learned = sorted({clip.machine_type for clip in clips if clip.split == "train"} & set(detectors))
    notes += [f"{name}: has no test clips; its training clips are scored, which its detector knows" for name in learned]
    known = (clip for clip in clips if clip.machine_type in detectors)
    return _unambiguous((clip, detectors[clip.machine_type]) for clip in known), notes


def _left_out_notes(clips: Sequence[Clip]) -> list[str]:
    """Folders of normal clips that count as training clips because there is one of anomalous clips beside them."""
    listed = {clip.path.parent for clip in clips}
    odd = {
        clip.path.parent for clip in clips if clip.machine_type and clip.path.parent.name.lower() in ANOMALOUS_FOLDERS
    }
    beside = {folder for one in odd for folder in one.parent.iterdir() if folder.name.lower() == NORMAL_FOLDER}
    return [
        f"{folder}: counts as training clips, which are not scored; name it, too, to score them"
        for folder in sorted(beside - listed)
    ]


def _unambiguous(assigned: "Iterable[tuple[Clip, AnyDetector]]") -> "list[tuple[Clip, AnyDetector]]":
    """The pairs, unless two recordings of one name would share a file of scores."""
    paths: dict[tuple[str, str, str], Path] = {}
    pairs = list(assigned)
    for clip, detector in pairs:
        other = paths.setdefault((detector.machine_type, clip.section, clip.path.name), clip.path)
        if other != clip.path:
            raise DataError(f"{clip.path}: of the same name as {other}; score them into folders of their own")
    return pairs


def _score_files(out: Path) -> dict[Path, int]:
    """Score files that are there, each with its inode, which changes when it is replaced."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; a folder for the scores is expected")
    names = ("anomaly_score_*.csv", "decision_result_*.csv", "p_value_*_test.csv", "alarm_*_test.csv", FAILED_FILE)
    patterns = [name + suffix for name in names for suffix in ("", ".partial")]
    return {file: file.stat().st_ino for pattern in patterns for file in sorted(out.glob(pattern))}


def _remove_stale(out: Path, earlier: Mapping[Path, int]) -> None:
    """Remove the files of earlier scores that these did not replace, and nothing else."""
    try:
        for file, inode in earlier.items():
            if file.exists() and file.stat().st_ino == inode:
                file.unlink()
    except OSError as error:
        raise OutputError(f"{out}: earlier scores cannot be removed: {error.strerror}") from None


def scored(
    assigned: "Sequence[tuple[Clip, AnyDetector]]",
    *,
    n_workers: int | None = None,
    store: LogMelCache | None = None,
) -> Iterator[ScoredClip]:
    """Results in the order of the clips; a few recordings are read ahead, and none stays in memory."""
    workers = n_workers if n_workers is not None else os.cpu_count() or 1
    detectors = {id(detector): detector for _, detector in assigned}
    listening = {key: _listening(each, store) for key, each in detectors.items()}
    waiting: deque[Future[ScoredClip]] = deque()
    with _one_thread_each(detectors.values()), ThreadPoolExecutor(workers) as pool:
        try:
            for clip, detector in assigned:
                waiting.append(pool.submit(listening[id(detector)], clip))
                if len(waiting) > _AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _listening(detector: "AnyDetector", store: LogMelCache | None) -> Callable[[Clip], ScoredClip]:
    """What scores a recording with a detector."""
    if isinstance(detector, ExportedDetector):
        return partial(_score_exported, detector)
    from soundness.detectors.reader import RecordingReader

    return partial(_score, detector, RecordingReader(detector.settings, detector.separator, store))


def _one_thread_each(detectors: "Iterable[AnyDetector]") -> AbstractContextManager[None]:
    if all(isinstance(detector, ExportedDetector) for detector in detectors):
        return nullcontext()
    from soundness.threads import one_thread_each

    return one_thread_each()


def _score_exported(detector: ExportedDetector, clip: Clip) -> ScoredClip:
    try:
        waveform = detector.read(clip.path)
        answer = detector.run(waveform)
    except AudioError as error:
        return _failed(clip, detector.machine_type, str(error))
    value = float(answer.scores[0])
    if not math.isfinite(value):
        return _failed(clip, detector.machine_type, f"its score is {value}")
    p_value = None if answer.p_values is None else float(answer.p_values[0])
    score = ClipScore(clip.path.name, value, detector.decide(value), p_value)
    return ScoredClip(clip, detector.machine_type, score, tuple(detector.remarks(waveform)))


def _failed(clip: Clip, machine_type: str, message: str) -> ScoredClip:
    return ScoredClip(clip, machine_type, None, (message.removeprefix(f"{clip.path}: "),))


def _score(detector: "Detector", listener: "RecordingReader", clip: Clip) -> ScoredClip:
    from soundness.detectors.reader import recording_spectrograms

    try:
        heard = listener.hear(clip.path)
    except AudioError as error:
        return _failed(clip, detector.machine_type, str(error))
    value = detector.score_spectrograms(recording_spectrograms(heard))
    if not math.isfinite(value):
        return _failed(clip, detector.machine_type, f"its score is {value}")
    score = ClipScore(clip.path.name, value, detector.decide(value), detector.p_value(value))
    remarks = detector.remarks_on(has_sound=heard.has_sound, n_samples=heard.n_samples)
    return ScoredClip(clip, detector.machine_type, score, tuple(remarks))


def score(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    overwrite: bool = False,
    has_alarms: bool = False,
    runtime: Literal["torch", "onnx"] = "torch",
    n_workers: int | None = None,
    progress: CountProgress | None = None,
) -> "ScoringReport":
    """Score recordings and write the challenge's two files for each machine; see `score_clips`.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder; with the runtime ``onnx`` an exported one, or a folder of them.
    clips
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files.
    overwrite
        Replace the scores that are there.
    has_alarms
        Apply each detector's alarm rule to its recordings, in the order of their names.
    runtime
        What computes: PyTorch, or onnxruntime, which needs no extra but ``runtime``.
    n_workers
        Threads; the number of cores where it is ``None``.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If nothing can be scored; a recording that cannot be used is in the report instead.
    """
    from soundness.detectors.exported import load_exports

    if runtime not in ("torch", "onnx"):
        raise SettingsError(f"runtime: {runtime!r}; expected torch or onnx")
    detectors: Mapping[str, AnyDetector] = load_exports(detector) if runtime == "onnx" else load(detector)
    return score_clips(
        detectors, clips, out, overwrite=overwrite, has_alarms=has_alarms, n_workers=n_workers, progress=progress
    )
