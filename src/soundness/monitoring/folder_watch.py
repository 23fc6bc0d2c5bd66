"""Watching a folder: recordings are scored as they appear, and alarms are raised and sent.

The log is the only memory. So a watch that ends in any way continues where it was: a recording that has a row is not
scored again, and one that has none is scored.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import watchfiles

from soundness.aliases import PathLike
from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.data.finding import find_recordings, unread_problems
from soundness.detectors.detector import Detector
from soundness.detectors.protocol import RecordingScore
from soundness.detectors.saving import load
from soundness.errors import AudioError, DataError, SettingsError, UnreadableError
from soundness.monitoring.event_log import EventLog, LogRow, open_log, plain
from soundness.monitoring.webhook import AlarmSender, check_url
from soundness.scoring.alarms import AlarmWindow
from soundness.threads import one_thread_each

__all__ = ["Watch", "WatchCounts", "watch"]

_LOGGER = logging.getLogger(__name__)

_STILL_WRITTEN_SECONDS = 30.0  # an unreadable file that was changed so recently may yet be completed
_QUIET_MS = 200  # without a change, after which changes are reported together

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


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
        Detectors by machine type. One alone scores everything; of several, the one that the first folder below
        ``folder`` is named after.
    log
        Log of the scored recordings.
    longest_seconds
        Longest part of a recording that is scored.
    settled_seconds
        Time for which a recording must be unchanged before it is scored, at two looks at least.
    on_alarm
        Called with the row of a recording with which an alarm begins.
    sender
        Sender of the alarms; ``None`` where there is no webhook.
    """

    folder: Path
    detectors: Mapping[str, Detector]
    log: EventLog
    longest_seconds: float
    settled_seconds: float = 0.0
    on_alarm: Callable[[LogRow], None] = lambda _: None
    sender: AlarmSender | None = None
    counts: WatchCounts = field(default_factory=WatchCounts)
    _seen: dict[Path, tuple[Stamp, float]] = field(default_factory=dict)  # with the monotonic time of the first look
    _windows: dict[str, AlarmWindow] = field(default_factory=dict)
    _problems: list[str] = field(default_factory=list)

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
            for path in sorted(ready, key=lambda path: (found[path][1], path)):
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
        listed = find_recordings(self.folder)
        problems = [str(problem) for problem in unread_problems(listed, self.folder)]
        for problem in problems:
            if problem not in self._problems:
                _LOGGER.warning("%s; looking again", problem)
        self._problems = problems
        self.counts.n_closed = len(listed.closed)
        found = {}
        for path in listed.recordings:
            stamp = _stamp(path)
            if stamp is not None and not self.log.is_known((self._name(path), *stamp)):
                found[path] = stamp
        return found

    def _take(self, path: Path, stamp: Stamp) -> None:
        """Score a recording and log it, unless it is still being written."""
        detector = self._detector(path)
        if detector is None:
            self._fail(path, stamp, f"no detector for it; there are detectors for {', '.join(self.detectors)}")
            return
        try:
            score = detector.score_recording(path, max_seconds=self.longest_seconds)
        except AudioError as error:
            if _stamp(path) is None:
                self._fail(path, stamp, "gone before it could be read", detector)
            elif _stamp(path) == stamp and not (isinstance(error, UnreadableError) and _is_recent(stamp)):
                self._fail(path, stamp, error.reason, detector)
            return
        if _stamp(path) in (stamp, None):  # else it was changed while it was read
            self._log_score(path, stamp, detector, score)

    def _log_score(self, path: Path, stamp: Stamp, detector: Detector, found: RecordingScore) -> None:
        p_value, note = found.p_value, "; ".join(found.notes)
        is_anomalous = is_alarm = False
        window = self._window(detector)
        if window is not None and p_value is not None:
            is_anomalous, is_alarm = window.rule.is_anomalous(p_value), window.add(p_value)
        row = self._row(path, stamp, "clip", machine=detector.machine_type, message=note)
        row = replace(row, score=found.anomaly_score, p_value=p_value, anomalous=int(is_anomalous), alarm=int(is_alarm))
        self.log.add(row)
        self.counts.n_scored += 1
        self.counts.n_alarms += is_alarm
        if note:
            _LOGGER.warning("%s: %s", path, note)
        if is_alarm:
            self.on_alarm(row)

    def _fail(self, path: Path, stamp: Stamp, message: str, detector: Detector | None = None) -> None:
        machine = "" if detector is None else detector.machine_type
        self.log.add(self._row(path, stamp, "failed", machine=machine, message=plain(message)))
        self.counts.n_failed += 1
        _LOGGER.warning("%s: %s", path, message)

    def _row(self, path: Path, stamp: Stamp, event: str, *, machine: str, message: str) -> LogRow:
        moment, name, (size, mtime_ns) = datetime.now(UTC).isoformat(timespec="milliseconds"), self._name(path), stamp
        return LogRow(
            time=moment, event=event, machine=machine, file=name, size=size, mtime_ns=mtime_ns, message=message
        )

    def _window(self, detector: Detector) -> AlarmWindow | None:
        name, rule = detector.machine_type, detector.alarm_rule
        if rule is not None and name not in self._windows:
            self._windows[name] = AlarmWindow(rule, self.log.last_anomalous(name, rule.n_clips))
        return self._windows.get(name)

    def _detector(self, path: Path) -> Detector | None:
        if len(self.detectors) == 1:
            return next(iter(self.detectors.values()))
        return self.detectors.get(path.relative_to(self.folder).parts[0])

    def _name(self, path: Path) -> str:
        return plain(path.relative_to(self.folder).as_posix())


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _is_recent(stamp: Stamp) -> bool:
    """True if a file may still be being written; a clock that goes wrong only makes its age larger."""
    return abs(time.time() - stamp[1] / 1e9) <= _STILL_WRITTEN_SECONDS


def watch(
    folder: PathLike,
    *,
    detector: PathLike,
    log: PathLike | None = None,
    webhook: str | None = None,
    once: bool = False,
    poll_seconds: float = 2.0,
    longest_seconds: float = 600.0,
    on_alarm: Callable[[LogRow], None] | None = None,
) -> WatchCounts:
    """Score recordings as they appear in a folder, until interrupted.

    Problems are logged as warnings of this module's logger.

    Parameters
    ----------
    folder
        Folder in which, or below which, recordings appear.
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
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that recordings appear in")
    if not (0.0 < poll_seconds < math.inf and 0.0 < longest_seconds < math.inf):
        raise SettingsError(
            f"seconds must be above 0 and finite; got poll {poll_seconds:g}, longest {longest_seconds:g}"
        )
    detectors = load(detector)
    for found in detectors.values():
        _check_detector(found, longest_seconds=longest_seconds, needs_rule=webhook is not None)
    if webhook is not None:
        check_url(webhook)
    opened = open_log(folder / "alarms.csv" if log is None else Path(log))
    watching = Watch(
        folder=folder,
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
        for _ in _changes(folder, poll_seconds=poll_seconds):
            watching.look()
    except KeyboardInterrupt:
        _LOGGER.info("stopped; the same command goes on from here")
    finally:
        opened.close()
    return watching.counts


def _changes(folder: Path, *, poll_seconds: float) -> Iterator[None]:
    """Yield when recordings in a folder have changed, and at the latest after ``poll_seconds``."""
    poll_ms = max(1, round(1000 * poll_seconds))
    try:
        for _ in watchfiles.watch(
            folder,
            watch_filter=lambda _, path: Path(path).suffix.lower() in AUDIO_SUFFIXES,
            debounce=poll_ms,
            step=min(_QUIET_MS, poll_ms),
            rust_timeout=poll_ms,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            yield
    except (OSError, RuntimeError) as error:  # of watchfiles where notifications or file descriptors are exhausted
        _LOGGER.info("%s: changes are not reported (%s); looking every %g s", folder, error, poll_seconds)
    while True:
        time.sleep(poll_seconds)
        yield


def _check_detector(detector: Detector, *, longest_seconds: float, needs_rule: bool) -> None:
    shortest = detector.settings.log_mel.n_fft / detector.settings.audio.sample_rate
    if longest_seconds < shortest:
        raise SettingsError(
            f"longest: {longest_seconds:g} s of a recording; the detector of {detector.machine_type} needs at least "
            f"{shortest:g} s"
        )
    if detector.alarm_rule is None:
        if needs_rule:
            detector.required_rule()
        _LOGGER.warning(
            "the detector of %s has no alarm rule: scores are logged, and no alarm is raised", detector.machine_type
        )
