"""Scoring of many recordings: in parallel, in their order, and without keeping them in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundness.aliases import CountProgress, PathLike
from soundness.atomic_files import PARTIAL_SUFFIX, output_errors
from soundness.data.clips import Clip
from soundness.data.datasets import list_clips
from soundness.detectors.assignment import Assigned, assign
from soundness.detectors.exported import load_exports
from soundness.detectors.protocol import AnyDetector, RecordingScore
from soundness.errors import AudioError, OutputError, SettingsError
from soundness.evaluation.score_files import FAILED_FILE, ClipScore, ScoreWriter
from soundness.scoring.alarms import AlarmWindow
from soundness.threads import map_recordings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.detectors.detector import Detector

__all__ = ["ScoredClip", "ScoringReport", "score", "score_clip", "scored"]

_N_MOST_ANOMALOUS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredClip:
    """A recording with its score.

    Parameters
    ----------
    clip
        The recording.
    machine_type
        Machine of the detector that scored it.
    score
        ``None`` where the recording cannot be used.
    problem
        Reason why it cannot be used; empty otherwise.
    """

    clip: Clip
    machine_type: str
    score: RecordingScore | None
    problem: str = ""


@dataclass(slots=True, kw_only=True)
class ScoringReport:
    """Outcome of scoring many recordings.

    Parameters
    ----------
    n_scored
        Recordings that have a score.
    n_flagged
        Those of them that are called anomalous.
    most_anomalous
        The ten flagged recordings with the highest scores, highest first; each with score and p-value.
    alarms
        Recordings with which an alarm begins, in the order of the recordings; empty where no rule was applied.
    failures, warnings
        A line each, with the file's path.
    notes
        Notes on what was left out or assumed.
    """

    n_scored: int = 0
    n_flagged: int = 0
    most_anomalous: list[tuple[Path, float, float | None]] = field(default_factory=list)
    alarms: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, path: Path, score: ClipScore, notes: Iterable[str]) -> None:
        """Count a recording that was scored."""
        self.n_scored += 1
        self.n_flagged += score.decision
        self.warnings += [f"{path}: {note}" for note in notes]
        if score.decision == 1:
            flagged = [*self.most_anomalous, (path, score.anomaly_score, score.p_value)]
            ranked = sorted(flagged, key=lambda one: (one[1], one[0]), reverse=True)
            self.most_anomalous = ranked[:_N_MOST_ANOMALOUS]
        if score.alarm == 1:
            self.alarms.append(path)


def score_clip(detector: "Detector", path: PathLike) -> float:
    """Anomaly score of one recording; higher is more anomalous.

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    return detector.score_recording(path).anomaly_score


def score(
    detector: PathLike | Mapping[str, AnyDetector],
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    overwrite: bool = False,
    has_alarms: bool = False,
    runtime: Literal["torch", "onnx"] = "torch",
    n_workers: int | None = None,
    progress: CountProgress | None = None,
) -> ScoringReport:
    """Score recordings and write the challenge's two files for each machine, and their p-values beside these.

    A recording that cannot be used gets a row in ``failed.csv``, and all others their scores.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder; with the runtime ``onnx`` an exported one, or a folder of them; or
        detectors by machine type. One detector alone scores all recordings.
    clips
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files.
    overwrite
        Replace the score files that are there.
    has_alarms
        Apply each detector's alarm rule to its recordings, in their order.
    runtime
        PyTorch, or onnxruntime, which needs no extra but ``runtime``, to load detectors with.
    n_workers
        Threads; the number of cores if ``None``. It has no influence on the scores.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SoundnessError
        If there is nothing to score, no detector or alarm rule for it, or two recordings of one name, or if ``out``
        holds scores already or cannot be written.
    """
    out = Path(out)
    detectors = detector if isinstance(detector, Mapping) else _load(detector, runtime)
    assigned, notes = assign(list_clips(clips), detectors)
    earlier = _score_files(out)
    if earlier and not overwrite:
        raise OutputError(f"{out}: holds scores already ({next(iter(earlier)).name}); --overwrite replaces them")
    used = {detector.machine_type: detector for _, detector in assigned}
    notes += [f"{name}: {note}" for name, detector in used.items() if (note := detector.calibration_note)]
    windows = _Windows(used) if has_alarms else None
    report = ScoringReport(notes=notes)
    with ScoreWriter(out) as writer:
        for done, result in enumerate(scored(assigned, n_workers=n_workers), start=1):
            _write(result, writer, windows, report)
            if progress is not None:
                progress(done, len(assigned))
    _remove_stale(out, earlier)
    return report


def _write(result: ScoredClip, writer: ScoreWriter, windows: "_Windows | None", report: ScoringReport) -> None:
    path, found = result.clip.path, result.score
    if found is None:
        writer.add_failure(path, result.problem)
        report.failures.append(f"{path}: {result.problem}")
        return
    score = ClipScore(path.name, found.anomaly_score, found.decision, found.p_value)
    if windows is not None:
        score = windows.with_alarm(result.machine_type, result.clip, score)
    writer.add(result.machine_type, result.clip.section, score)
    report.add(path, score, found.notes)


def _load(detector: PathLike, runtime: str) -> Mapping[str, AnyDetector]:
    if runtime == "onnx":
        return load_exports(detector)
    if runtime != "torch":
        raise SettingsError(f"runtime: {runtime!r}; expected torch or onnx")
    from soundness.detectors.saving import load  # needs the extra `train`

    return load(detector)


class _Windows:
    """Last clips of each machine and section, and the rules of their detectors."""

    def __init__(self, detectors: Mapping[str, AnyDetector]) -> None:
        self._rules = {name: detector.required_rule() for name, detector in detectors.items()}
        self._windows: dict[tuple[str, str], AlarmWindow] = {}

    def with_alarm(self, machine_type: str, clip: Clip, score: ClipScore) -> ClipScore:
        """The score, with its alarm: 1 if one begins."""
        window = self._windows.setdefault((machine_type, clip.section), AlarmWindow(self._rules[machine_type]))
        assert score.p_value is not None  # a detector with a rule is calibrated
        return replace(score, alarm=int(window.add(score.p_value)))


def _score_files(out: Path) -> dict[Path, int]:
    """Score files that are there, each with its inode, which changes when it is replaced."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; a folder for the scores is expected")
    names = ("anomaly_score_*.csv", "decision_result_*.csv", "p_value_*_test.csv", "alarm_*_test.csv", FAILED_FILE)
    patterns = [name + suffix for name in names for suffix in ("", PARTIAL_SUFFIX)]
    return {file: file.stat().st_ino for pattern in patterns for file in sorted(out.glob(pattern))}


def _remove_stale(out: Path, earlier: Mapping[Path, int]) -> None:
    """Remove the files of earlier scores that these did not replace, and nothing else."""
    with output_errors(out):
        for file, inode in earlier.items():
            if file.exists() and file.stat().st_ino == inode:
                file.unlink()


def scored(assigned: Sequence[Assigned], *, n_workers: int | None = None) -> Iterator[ScoredClip]:
    """Scores in the order of the clips; a few recordings are read ahead, and none stays in memory."""
    return map_recordings(_score, assigned, n_workers=n_workers)


def _score(pair: Assigned) -> ScoredClip:
    clip, detector = pair
    try:
        score = detector.score_recording(clip.path)
    except AudioError as error:
        return ScoredClip(clip=clip, machine_type=detector.machine_type, score=None, problem=error.reason)
    return ScoredClip(clip=clip, machine_type=detector.machine_type, score=score)
