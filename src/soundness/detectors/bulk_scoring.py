"""Scoring of many recordings: in parallel, in their order, and without keeping them in memory."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundness.aliases import CountProgress, PathLike
from soundness.data.clips import Clip
from soundness.data.datasets import Listing, Paths, find_clips
from soundness.data.finding import order_note
from soundness.detectors.assignment import Assigned, assign
from soundness.detectors.exported import load_exports
from soundness.detectors.protocol import AnyDetector
from soundness.detectors.verdicts.score_table import (
    SCORE_TABLE_FILE,
    WINDOW_TABLE_FILE,
    ScoreTable,
    WindowTable,
)
from soundness.detectors.verdicts.scoring_report import ScoredClip, ScoringReport
from soundness.errors import AudioError, DataError, OutputError, SettingsError
from soundness.evaluation.score_files import FAILED_FILE, ClipScore, ScoreWriter
from soundness.files.atomic import PARTIAL_SUFFIX, output_errors
from soundness.files.run_folders import locked_folder
from soundness.processes import Processes
from soundness.scoring.decisions.alarms import AlarmWindow
from soundness.tables import notes_by_machine
from soundness.threads import map_recordings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.detectors.detector import Detector

__all__ = ["Runtime", "load_any", "score", "score_clip"]

_IMPORTS = ("soundness.detectors.detector", "scipy.fft", "scipy.ndimage")  # slow; what scores without a network uses
_CLIPS_OF_A_PROCESS = 50  # at least: scoring them takes as long as its start


Runtime = Literal["auto", "torch", "onnx"]
"""Kind of detectors: as they are trained, as they are exported, or what is there."""


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
    clips: Paths,
    out: PathLike | None = None,
    *,
    overwrite: bool = False,
    has_alarms: bool = False,
    runtime: Runtime = "auto",
    n_workers: int | None = None,
    progress: CountProgress | None = None,
) -> ScoringReport:
    """Score recordings, say of each whether it is anomalous and why, and write it to files.

    The files are ``scores.csv`` for a person, the challenge's two for each machine, and p-values beside these; and
    ``windows.csv`` with the windows of long recordings. A
    recording that cannot be used gets a row in ``failed.csv``, too, and all others their scores.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder; an exported one, or a folder of them; or
        detectors by machine type. One detector alone scores all recordings.
    clips
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files; ``None`` to write none.
    overwrite
        Replace the score files that are there.
    has_alarms
        Apply each detector's alarm rule to its recordings, in their order.
    runtime
        Kind of the detectors: ``torch`` for files of training, ``onnx`` for exports, ``auto`` for what is there.
    n_workers
        Processes, or threads for a detector with a network, one of a user's own parts or an exported one, and for fewer
        than a hundred recordings; the number of cores if ``None``. With 1 all is done in this process. It has no
        influence on the scores.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SoundnessError
        If there is nothing to score, no detector or alarm rule for it, or if ``out`` holds scores already or cannot be
        written.
    """
    listing = find_clips(clips)
    with _processes(listing.clips, detector, runtime, n_workers=n_workers) as processes:
        detectors = detector if isinstance(detector, Mapping) else load_any(detector, runtime)
        assigned, notes = _assigned(listing, detectors)
        used = {detector.machine_type: detector for _, detector in assigned}
        calibration = [(name, note) for name, detector in used.items() if (note := detector.calibration_note)]
        notes += notes_by_machine(calibration, len(used))
        windows = _Windows(used) if has_alarms else None
        notes += _order_notes(assigned) if has_alarms else []
        report = ScoringReport(notes=notes)
        with _score_files(None if out is None else Path(out), overwrite=overwrite) as files:
            for done, result in enumerate(_scored(assigned, processes, n_workers=n_workers), start=1):
                _add(result, files, windows, report)
                if progress is not None:
                    progress(done, len(assigned))
    if report.n_known:
        report.notes.insert(0, _known_words(report))
    return report


def _assigned(listing: Listing, detectors: Mapping[str, AnyDetector]) -> tuple[list[Assigned], list[str]]:
    """Clips with their detectors, and notes on what is left out."""
    try:
        assigned, notes = assign(listing.clips, detectors)
    except DataError as error:
        if not listing.problems:
            raise
        raise DataError(f"{error}; {'; '.join(map(str, listing.problems[:1]))}") from error
    return assigned, notes + [str(problem) for problem in listing.problems]


def _known_words(report: ScoringReport) -> str:
    if report.n_known == 1:
        return "one of these is a clip that the detector was trained on: it looks more normal than it is"
    return (
        f"{report.n_known:,} of these are clips that the detector was trained on: they look more normal than they are"
    )


def _order_notes(assigned: Sequence[Assigned]) -> list[str]:
    """Notes on machines whose recordings are not in the order of their files' times."""
    paths: dict[tuple[str, str], list[Path]] = {}
    for clip, detector in assigned:
        paths.setdefault((clip.machine_type or detector.machine_type, clip.section), []).append(clip.path)
    found = {name: note for (name, _), own in paths.items() if (note := order_note(own)) is not None}
    return [f"recordings of {name}: {note}" for name, note in found.items()]


def _add(result: ScoredClip, files: "_ScoreFiles | None", windows: "_Windows | None", report: ScoringReport) -> None:
    path, found, row = result.clip.path, result.score, result.row
    report.rows.append(row)
    if files is not None:
        files.table.add(row)
    if found is None:
        if files is not None:
            files.writer.add_failure(path, result.reason)
        return
    score = ClipScore(result.clip.key, found.anomaly_score, found.decision, found.p_value)
    if windows is not None:
        score = windows.with_alarm(result.machine_type, result.clip, score, is_doubtful=bool(found.cannot_tell))
    if files is not None:
        files.windows.add(path, found.windows)
        files.writer.add(result.machine_type, result.clip.section, score)
    report.add_notes(path, result.machine_type, found.notes)
    report.n_known += bool(found.trained_on)
    if score.alarm == 1:
        report.alarms.append(path)


def load_any(detector: PathLike, runtime: Runtime = "auto") -> Mapping[str, AnyDetector]:
    """Read detectors, trained or exported, of one file or of a folder, by machine type; see `score`.

    Raises
    ------
    SoundnessError
        If there is none, or one cannot be read.
    """
    if runtime not in ("auto", "torch", "onnx"):
        raise SettingsError(f"runtime: {runtime!r}; expected auto, torch or onnx")
    from soundness.detectors.saving import load

    return load_exports(detector) if _are_exported(detector, runtime) else load(detector)


def _are_exported(detector: PathLike, runtime: Runtime) -> bool:
    from soundness.detectors.saving import is_export

    return runtime == "onnx" or (runtime == "auto" and is_export(Path(detector)))


class _Windows:
    """Last clips of each machine and section, and the rules of their detectors."""

    def __init__(self, detectors: Mapping[str, AnyDetector]) -> None:
        self._rules = {name: detector.required_rule() for name, detector in detectors.items()}
        self._windows: dict[tuple[str, str], AlarmWindow] = {}

    def with_alarm(self, machine_type: str, clip: Clip, score: ClipScore, *, is_doubtful: bool) -> ClipScore:
        """The score, with its alarm: 1 if one begins; a recording that cannot be judged counts for none."""
        name = clip.machine_type or machine_type  # several machines may share a detector
        window = self._windows.setdefault((name, clip.section), AlarmWindow(self._rules[machine_type]))
        if is_doubtful:
            return replace(score, alarm=0)
        assert score.p_value is not None  # a detector with a rule is calibrated
        return replace(score, alarm=int(window.add(score.p_value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScoreFiles:
    """Files of a scoring: those of the challenge, the table for a person, and that of windows."""

    writer: ScoreWriter
    table: ScoreTable
    windows: WindowTable


@contextmanager
def _score_files(out: Path | None, *, overwrite: bool) -> Iterator[_ScoreFiles | None]:
    """Context with the files of a scoring, which get their names at its end; nothing without a folder."""
    if out is None:
        yield None
        return
    with locked_folder(out, kind="scoring"):
        earlier = _earlier_files(out)
        if earlier and not overwrite:
            raise OutputError(f"{out}: holds scores already ({next(iter(earlier)).name}); --overwrite replaces them")
        with ScoreWriter(out) as writer:
            files = _ScoreFiles(writer=writer, table=ScoreTable(out), windows=WindowTable(out))
            yield files
            files.table.complete()
            files.windows.complete()
        _remove_stale(out, earlier)


def _earlier_files(out: Path) -> dict[Path, int]:
    """Score files that are there, each with its inode, which changes when it is replaced."""
    names = ("anomaly_score_*.csv", "decision_result_*.csv", "p_value_*_test.csv", "alarm_*_test.csv")
    patterns = [
        name + suffix
        for name in (*names, FAILED_FILE, SCORE_TABLE_FILE, WINDOW_TABLE_FILE)
        for suffix in ("", PARTIAL_SUFFIX)
    ]
    return {file: file.stat().st_ino for pattern in patterns for file in sorted(out.glob(pattern))}


def _remove_stale(out: Path, earlier: Mapping[Path, int]) -> None:
    """Remove the files of earlier scores that these did not replace, and nothing else."""
    with output_errors(out):
        for file, inode in earlier.items():
            if file.exists() and file.stat().st_ino == inode:
                file.unlink()


@contextmanager
def _processes(
    clips: Sequence[Clip], detector: PathLike | Mapping[str, AnyDetector], runtime: Runtime, *, n_workers: int | None
) -> Iterator[Processes | None]:
    """Context with processes that score, where they may pay; they start while the detectors are read."""
    n_cores = (os.cpu_count() or 1) if n_workers is None else n_workers
    n_processes = min(n_cores, sum(clip.split != "train" for clip in clips) // _CLIPS_OF_A_PROCESS)
    if isinstance(detector, Mapping):
        is_fit = all(each.for_processes() is not None for each in detector.values())
    else:
        is_fit = not _are_exported(detector, runtime)
    if n_processes < 2 or not is_fit:
        yield None
        return
    with Processes(n_processes, imports=_IMPORTS) as processes:
        yield processes


def _scored(
    assigned: Sequence[Assigned], processes: Processes | None, *, n_workers: int | None
) -> Iterator[ScoredClip]:
    """Scores in the order of the clips; a few recordings are read ahead, and none stays in memory."""
    used = {id(detector): detector for _, detector in assigned}
    handed = [one for detector in used.values() if (one := detector.for_processes()) is not None]
    if processes is None or len(handed) < len(used):
        if processes is not None:
            processes.close()
        return map_recordings(_score, assigned, n_workers=n_workers)
    places = {key: place for place, key in enumerate(used)}
    pairs = ((clip, places[id(detector)]) for clip, detector in assigned)
    return processes.map(partial(_score_with, handed), pairs, name=lambda pair: str(pair[0].path))


def _score_with(detectors: Sequence[AnyDetector], pair: tuple[Clip, int]) -> ScoredClip:
    clip, place = pair
    return _score((clip, detectors[place]))


def _score(pair: Assigned) -> ScoredClip:
    clip, detector = pair
    try:
        score, reason = detector.score_and_reason(clip.path)
    except AudioError as error:
        return ScoredClip(clip=clip, machine_type=detector.machine_type, score=None, reason=error.reason)
    return ScoredClip(clip=clip, machine_type=detector.machine_type, score=score, reason=reason)
