"""Watching a folder: recordings are scored as they appear, and alarms are raised and sent.

The log is the only memory. So a watch that ends in any way continues where it was: a recording that has a row is not
scored again, and one that has none is scored.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from soundness.aliases import PathLike
from soundness.audio.reading import read_info
from soundness.data.finding import Selection, find_recordings, unread_problems
from soundness.data.folder_names import machine_folder, path_key
from soundness.detectors.bulk_scoring import load_any
from soundness.detectors.protocol import AnyDetector
from soundness.detectors.verdicts.records import RecordingScore
from soundness.errors import AudioError, DataError, SettingsError, UnreadableError
from soundness.interrupts import interrupt_afterwards
from soundness.monitoring.event_log import EventLog, LogRow, file_cell, open_log
from soundness.monitoring.recording_files import (
    Stamp,
    changes,
    content_of,
    is_being_written,
    is_recent,
    known_as,
    stamp_of,
)
from soundness.monitoring.webhook import AlarmSender, check_url
from soundness.plain_text import one_line, shown_name, spreadsheet_cell
from soundness.scoring.decisions.alarms import AlarmWindow
from soundness.threads import one_thread_each

__all__ = ["Watch", "WatchCounts", "watch"]

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class WatchCounts:
    """Numbers of recordings and alarms of a watch so far."""

    n_scored: int = 0
    n_failed: int = 0
    n_alarms: int = 0
    n_unsent: int = 0
    n_waiting: int = 0
    """Recordings that were not complete at the last look, or changed while they were read."""
    n_closed: int = 0
    """Folders that could not be listed at the last look."""


@dataclass(kw_only=True)
class Watch:
    """A folder, the detectors of its recordings, and the log.

    Parameters
    ----------
    folder
        Folder in which, or below which, recordings appear.
    detectors
        Detectors by machine type. One alone scores everything; of several, the one that a folder below ``folder`` is
        named after. Each folder is a machine of its own, with its own window of the alarm rule, but for folders that
        are named after times.
    log
        Log of the scored recordings.
    longest_seconds
        Longest part of a recording that is scored.
    settled_seconds
        Time for which a recording must be unchanged before it is scored, at two looks at least.
    selection
        Recordings of the folder that are scored; ``None`` for all.
    on_alarm
        Called with the row of a recording with which an alarm begins.
    sender
        Sender of the alarms; ``None`` where there is no webhook.
    """

    folder: Path
    detectors: Mapping[str, AnyDetector]
    log: EventLog
    longest_seconds: float
    settled_seconds: float = 0.0
    selection: Selection | None = None
    on_alarm: Callable[[LogRow], None] = lambda _: None
    sender: AlarmSender | None = None
    counts: WatchCounts = field(default_factory=WatchCounts)
    _seen: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)  # with the monotonic time of the first look
    _windows: dict[str, AlarmWindow] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)
    _present: set[str] = field(default_factory=set)  # names of the recordings at the last look

    def look(self) -> None:
        """Score the recordings that have settled and have no row, the earliest first.

        Raises
        ------
        OutputError
            If the log cannot be written; a later watch continues from there.
        """
        now = time.monotonic()
        found = self._unknown()
        before = self._seen
        self._seen = {path: (stamp, now) for path, stamp in found.items()}
        self._seen |= {path: seen for path, seen in before.items() if seen[0] == found.get(path)}
        ready = [path for path, (_, since) in self._seen.items() if now - since >= self.settled_seconds and since < now]
        with one_thread_each():
            for path in sorted(ready, key=lambda path: (found[path][1], path_key(path))):
                self._take(path, found[path])
                if self.sender is not None:
                    self.sender.deliver()
        self.counts.n_waiting = sum(not self.log.is_known((self._name(path), *found[path])) for path in found)
        if self.sender is not None:
            self.sender.deliver()
            self.counts.n_unsent = len(self.log.unsent())

    def insist(self) -> None:
        """Send the alarms that have not been sent, waiting between several tries."""
        if self.sender is not None:
            self.sender.insist()
            self.counts.n_unsent = len(self.log.unsent())

    def _unknown(self) -> dict[Path, Stamp]:
        """Stamps of the recordings that have no row."""
        listed = find_recordings(self.folder, self.selection)
        problems = [str(problem) for problem in unread_problems(listed, self.folder)]
        for problem in problems:
            if problem not in self._problems:
                _LOGGER.warning("%s; looking again", problem)
        self._problems = problems
        self.counts.n_closed = len(listed.closed)
        names = {path: self._name(path) for path in listed.recordings}
        self._present = set(names.values())
        found = {}
        for path, name in names.items():
            stamp = stamp_of(path)
            if stamp is not None and not self.log.is_known((name, *stamp)):
                found[path] = stamp
        return found

    def _take(self, path: Path, stamp: Stamp) -> None:
        """Score a recording and log it, unless it is still being written or is known under another name or time."""
        if is_being_written(path):
            return
        detector = self._detector(path)
        row = self._row(path, stamp, content_of(path))
        if detector is None:
            self._fail(path, row, f"no detector for it; there are detectors for {', '.join(self.detectors)}")
            return
        alike = self.log.alike(row.size, row.content) if row.content else []
        known = known_as(path, row.file, row.mtime_ns, alike, present=self._present, audio=detector.audio)
        if known is not None:
            self.log.add(replace(row, event="known", message=_plain(known)))
            return
        try:
            if is_recent(stamp) and read_info(path, audio=detector.audio).note:  # its header may yet be completed
                return
            score = detector.score_recording(path, max_seconds=self.longest_seconds)
        except AudioError as error:
            if stamp_of(path) is None:
                self._fail(path, row, "gone before it could be read")
            elif stamp_of(path) == stamp and not (isinstance(error, UnreadableError) and is_recent(stamp)):
                self._fail(path, row, error.reason)
            return
        if stamp_of(path) in (stamp, None):  # else it was changed while it was read
            self._log_score(path, row, detector, score)

    def _log_score(self, path: Path, row: LogRow, detector: AnyDetector, found: RecordingScore) -> None:
        p_value, note = found.p_value, "; ".join(dict.fromkeys((*found.notes, *filter(None, [found.cannot_tell]))))
        is_anomalous = is_alarm = False
        window = self._window(row.machine, detector)
        if window is not None and p_value is not None and not found.cannot_tell:
            is_anomalous, is_alarm = window.rule.is_anomalous(p_value), window.add(p_value)
        row = replace(row, score=found.anomaly_score, p_value=p_value, message=_plain(note))
        row = replace(row, anomalous=int(is_anomalous), alarm=int(is_alarm))
        with interrupt_afterwards():  # what is logged is known from now on, so it is counted and said
            self.log.add(row)
            self.counts.n_scored += 1
            self.counts.n_alarms += is_alarm
            if note:
                _LOGGER.warning("%s: %s", path, note)
            if is_alarm:
                self.on_alarm(row)

    def _fail(self, path: Path, row: LogRow, message: str) -> None:
        with interrupt_afterwards():
            self.log.add(replace(row, event="failed", message=_plain(message)))
            self.counts.n_failed += 1
            _LOGGER.warning("%s: %s", path, message)

    def _row(self, path: Path, stamp: Stamp, content: str) -> LogRow:
        return LogRow(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            event="clip",
            machine=_plain(self._machine(path)),
            file=self._name(path),
            size=stamp[0],
            mtime_ns=stamp[1],
            content=content,
        )

    def _window(self, machine: str, detector: AnyDetector) -> AlarmWindow | None:
        rule = detector.alarm_rule
        if rule is not None and machine not in self._windows:
            self._windows[machine] = AlarmWindow(rule, self.log.last_anomalous(machine, rule.n_clips))
        return self._windows.get(machine)

    def _detector(self, path: Path) -> AnyDetector | None:
        if len(self.detectors) == 1:
            return next(iter(self.detectors.values()))
        names = [shown_name(name) for name in path.relative_to(self.folder).parts[:-1]]
        return next((self.detectors[name] for name in names if name in self.detectors), None)

    def _machine(self, path: Path) -> str:
        """Machine of a recording: the folder below the one that is watched, or that of its detector."""
        folder = machine_folder(path.relative_to(self.folder))
        detector = self._detector(path)
        return folder or ("" if detector is None else detector.machine_type)

    def _name(self, path: Path) -> str:
        return file_cell(path.relative_to(self.folder).as_posix())


def _plain(text: str) -> str:
    return spreadsheet_cell(one_line(text))


def watch(
    folder: PathLike | Selection,
    *,
    detector: PathLike,
    log: PathLike | None = None,
    webhook: str | None = None,
    once: bool = False,
    poll_seconds: float = 2.0,
    longest_seconds: float = 86_400.0,
    on_alarm: Callable[[LogRow], None] | None = None,
) -> WatchCounts:
    """Score recordings as they appear in a folder, until interrupted.

    Problems are logged as warnings of this module's logger.

    Parameters
    ----------
    folder
        Folder in which, or below which, recordings appear; or a `Selection` of them.
    detector
        A detector's file or a run's folder, with alarm rules.
    log
        File that ends in ``.csv`` or ``.sqlite``; ``alarms.csv`` in ``folder`` where it is ``None``.
    webhook
        Address that alarms are posted to.
    once
        Score the recordings that are there, and return.
    poll_seconds
        Time for which a recording must be unchanged before it is scored; also the longest time between two looks, for
        not every file system reports changes.
    longest_seconds
        Longest part of a recording that is scored.
    on_alarm
        Called with the row of a recording with which an alarm begins.

    Raises
    ------
    OutputError
        If the log cannot be written; the same call continues from there.
    SoundnessError
        If the folder, the detector, the log or the webhook cannot be used.
    """
    selection = Selection(folder)
    folder = selection.folder
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that recordings appear in")
    if not (0.0 < poll_seconds < math.inf and 0.0 < longest_seconds < math.inf):
        raise SettingsError(
            f"seconds must be above 0 and finite; got poll {poll_seconds:g}, longest {longest_seconds:g}"
        )
    detectors = load_any(detector)
    for found in detectors.values():
        _check_detector(found, longest_seconds=longest_seconds, needs_rule=webhook is not None)
    if webhook is not None:
        check_url(webhook)
    opened = open_log(folder / "alarms.csv" if log is None else Path(log))
    watching = Watch(
        folder=folder,
        selection=selection,
        detectors=detectors,
        log=opened,
        longest_seconds=longest_seconds,
        settled_seconds=poll_seconds,
        on_alarm=on_alarm if on_alarm is not None else lambda _: None,
        sender=None if webhook is None else AlarmSender(webhook, opened),
    )
    try:
        watching.look()
        if once:
            time.sleep(poll_seconds)
            watching.look()
            watching.insist()
            return watching.counts
        for _ in changes(folder, poll_seconds=poll_seconds):
            watching.look()
    except KeyboardInterrupt:
        _LOGGER.info("stopped; the same command goes on from here")
    finally:
        opened.close()
    return watching.counts


def _check_detector(detector: AnyDetector, *, longest_seconds: float, needs_rule: bool) -> None:
    if longest_seconds < detector.shortest_seconds:
        raise SettingsError(
            f"longest: {longest_seconds:g} s of a recording; the detector of {detector.machine_type} needs at least "
            f"{detector.shortest_seconds:g} s"
        )
    if detector.alarm_rule is None:
        if needs_rule:
            detector.required_rule()
        _LOGGER.warning(
            "the detector of %s has no alarm rule: scores are logged, and no alarm is raised", detector.machine_type
        )
