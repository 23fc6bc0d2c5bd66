"""Watching a folder: recordings are scored as they appear, and alarms are raised and passed on.

The log is all that is remembered. So a watch that ends in any way whatsoever goes on where it was: a recording that
has a row is not scored again, and one that has none is scored.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import Announce, PathLike
from soundness.detectors.saving import load
from soundness.errors import DataError, OutputError, SettingsError

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detectors.detector import Detector
    from soundness.monitoring.event_log import LogRow
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from soundness.audio.reading import iter_audio, read_info
from soundness.data.download_http import RetryPolicy
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.errors import AudioError
from soundness.monitoring.event_log import EventLog, LogRow, plain
from soundness.monitoring.webhook import post
from soundness.scoring.alarms import AlarmWindow
from soundness.threads import one_thread_each

__all__ = ["Watch", "WatchCounts", "watch"]

_STILL_WRITTEN_SECONDS = 30.0  # an unreadable file that was changed so recently may yet be completed
_POST_TIMEOUT_SECONDS = 5.0

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""


@dataclass(slots=True)
class WatchCounts:
    """What a watch has done so far."""

    n_scored: int = 0
    n_failed: int = 0
    n_alarms: int = 0
    n_unsent: int = 0
    n_waiting: int = 0
    """Recordings that were not whole at the last look, or changed while they were read."""


class AlarmSender:
    """Passes alarms on to a webhook, in order; one that is down is tried again later, ever more rarely.

    Parameters
    ----------
    url
        Of the webhook.
    log
        Says which alarms have not been sent.
    patience
        How long is waited after failures.
    announce
        Is told when sending begins to fail.
    """

    def __init__(self, url: str, log: EventLog, *, patience: RetryPolicy, announce: Announce) -> None:
        self.url = url
        self.log = log
        self.patience = patience
        self.announce = announce
        self.n_failures = 0
        self._not_before = 0.0  # monotonic seconds

    def deliver(self) -> None:
        """Send what has not been sent, as far as the webhook takes it, unless it is too early to try again."""
        if time.monotonic() < self._not_before:
            return
        for row in self.log.unsent():
            try:
                post(self.url, _content(row), timeout_seconds=_POST_TIMEOUT_SECONDS)
            except OutputError as error:
                self.n_failures += 1
                if self.n_failures == 1:
                    self.announce(f"{error}; alarms are kept, and sent later")
                self._not_before = time.monotonic() + self.patience.wait_seconds(self.n_failures, 0.0)
                return
            self.n_failures = 0
            self.log.mark_sent(row)

    def insist(self) -> None:
        """Send what has not been sent, in as many tries as `patience` has."""
        self.deliver()
        while 0 < self.n_failures < self.patience.n_tries and self.log.unsent():
            self.patience.sleep(max(0.0, self._not_before - time.monotonic()))
            self.deliver()


@dataclass
class Watch:
    """One folder, the detectors of what is recorded into it, and the log.

    Parameters
    ----------
    folder
        Recordings appear in it, or in folders below it.
    detectors
        By machine type. One alone scores everything; of several, that which the folder below ``folder`` is named after.
    log
        What has been scored.
    longest_seconds
        What lies behind so much of a recording is not heard.
    announce
        Is told in one line what is wrong.
    on_alarm
        Is told of an alarm when it begins.
    courier
        Passes alarms on; ``None`` where nobody is to know.
    """

    folder: Path
    detectors: Mapping[str, Detector]
    log: EventLog
    longest_seconds: float
    announce: Announce
    on_alarm: Callable[[LogRow], None]
    courier: AlarmSender | None = None
    counts: WatchCounts = field(default_factory=WatchCounts)
    _seen: dict[Path, Stamp] = field(default_factory=dict)
    _windows: dict[str, AlarmWindow] = field(default_factory=dict)
    _is_listable: bool = True

    def look(self) -> None:
        """Score what is as it was at the last look, and has not been scored, the earliest first.

        Raises
        ------
        OutputError
            If the log cannot be written; a later watch goes on from there.
        """
        found = self._unknown()
        ready = [path for path, stamp in found.items() if self._seen.get(path) == stamp]
        self._seen = found
        with one_thread_each():
            for path in sorted(ready, key=lambda path: (found[path][1], path)):
                self._take(path, found[path])
                if self.courier is not None:
                    self.courier.deliver()
        self.counts.n_waiting = sum(not self.log.is_known((self._name(path), *found[path])) for path in found)
        if self.courier is not None:
            self.courier.deliver()
            self.counts.n_unsent = len(self.log.unsent())

    def _unknown(self) -> dict[Path, Stamp]:
        """Recordings that have no row, as they are now."""
        found = {}
        try:
            for path in iter_audio(self.folder):
                stamp = _stamp(path)
                if stamp is not None and not self.log.is_known((self._name(path), *stamp)):
                    found[path] = stamp
            self._is_listable = True
        except DataError as error:
            if self._is_listable:
                self.announce(f"{error}; looking again")
            self._is_listable = False
        return found

    def _take(self, path: Path, stamp: Stamp) -> None:
        """Score one recording and give it its row, unless it turns out to be still written."""
        detector = self._detector(path)
        if detector is None:
            self._fail(path, stamp, f"no detector for it; there are detectors for {', '.join(self.detectors)}")
            return
        try:
            seconds = read_info(path).seconds
            score = detector.score(read_recording(path, detector.settings, max_seconds=self.longest_seconds))
        except AudioError as error:
            if _stamp(path) is None:
                self._fail(path, stamp, "gone before it could be read", detector)
            elif _stamp(path) == stamp and _age_seconds(stamp) > _STILL_WRITTEN_SECONDS:
                self._fail(path, stamp, str(error).removeprefix(f"{path}: "), detector)
            return
        if _stamp(path) not in (stamp, None):
            return  # it was changed while it was read
        if not math.isfinite(score):
            self._fail(path, stamp, f"its score is {score}", detector)
            return
        remark = ""
        if seconds > self.longest_seconds:
            remark = f"the first {self.longest_seconds:g} s of {seconds:,.0f} s were heard"
        self._log_score(path, stamp, detector, score, remark)

    def _log_score(self, path: Path, stamp: Stamp, detector: Detector, score: float, remark: str) -> None:
        p_value = detector.p_value(score)
        is_anomalous = is_alarm = False
        window = self._window(detector)
        if window is not None and p_value is not None:
            is_anomalous, is_alarm = window.rule.is_anomalous(p_value), window.add(p_value)
        machine = detector.machine_type
        row = LogRow(
            _now(), "clip", machine, self._name(path), *stamp, score, p_value, int(is_anomalous), int(is_alarm), remark
        )
        self.log.add(row)
        self.counts.n_scored += 1
        self.counts.n_alarms += is_alarm
        if remark:
            self.announce(f"{path}: {remark}")
        if is_alarm:
            self.on_alarm(row)

    def _fail(self, path: Path, stamp: Stamp, message: str, detector: Detector | None = None) -> None:
        machine = "" if detector is None else detector.machine_type
        self.log.add(LogRow(_now(), "failed", machine, self._name(path), *stamp, None, None, 0, 0, plain(message)))
        self.counts.n_failed += 1
        self.announce(f"{path}: {message}")

    def _window(self, detector: Detector) -> AlarmWindow | None:
        if detector.alarm_rule is None:
            return None
        name, rule = detector.machine_type, detector.alarm_rule
        if name not in self._windows:
            self._windows[name] = AlarmWindow(rule, self.log.last_anomalous(name, rule.n_clips))
        return self._windows[name]

    def _detector(self, path: Path) -> Detector | None:
        if len(self.detectors) == 1:
            return next(iter(self.detectors.values()))
        return self.detectors.get(path.relative_to(self.folder).parts[0])

    def _name(self, path: Path) -> str:
        return plain(path.relative_to(self.folder).as_posix())


def _content(row: LogRow) -> dict[str, object]:
    """What the webhook is told; ``id`` is the same if it is told twice."""
    return {
        "id": f"{row.file}:{row.size}:{row.mtime_ns}",
        "time": row.time,
        "machine": row.machine,
        "file": row.file,
        "score": row.score,
        "p_value": row.p_value,
    }


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _age_seconds(stamp: Stamp) -> float:
    """Since the last change; a clock that goes wrong only makes it larger."""
    return abs(time.time() - stamp[1] / 1e9)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def watch(
    folder: PathLike,
    *,
    detector: PathLike,
    log: PathLike | None = None,
    webhook: str | None = None,
    once: bool = False,
    poll_seconds: float = 2.0,
    longest_seconds: float = 600.0,
    announce: Announce | None = None,
    on_alarm: "Callable[[LogRow], None] | None" = None,
) -> "WatchCounts":
    """Score recordings as they appear in a folder, until interrupted; see `soundness.monitoring.folder_watch.Watch`.

    Parameters
    ----------
    folder
        Recordings appear in it, or in folders below it.
    detector
        A detector's file or a run's folder, with alarm rules.
    log
        A file that ends in ``.csv`` or ``.sqlite``; ``alarms.csv`` in ``folder`` where it is ``None``.
    webhook
        Address that alarms are posted to.
    once
        Score what is there, and return.
    poll_seconds
        From one look to the next.
    longest_seconds
        What lies behind so much of a recording is not heard.
    announce
        Is told in one line what is wrong.
    on_alarm
        Is told of an alarm when it begins.

    Raises
    ------
    OutputError
        If the log cannot be written; the same call goes on from there.
    SoundnessError
        If the folder, the detector, the log or the webhook does not do.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that recordings appear in")
    if not (0.0 < poll_seconds < math.inf and 0.0 < longest_seconds < math.inf):
        raise SettingsError(
            f"seconds must be above 0 and finite; got poll {poll_seconds:g}, longest {longest_seconds:g}"
        )
    from soundness.data.download_http import RetryPolicy
    from soundness.monitoring.event_log import open_log
    from soundness.monitoring.webhook import check_url

    tell = announce if announce is not None else (lambda _: None)
    detectors = load(detector)
    for found in detectors.values():
        _check_watching(found, longest_seconds=longest_seconds, needs_rule=webhook is not None, tell=tell)
    if webhook is not None:
        check_url(webhook)
    opened = open_log(folder / "alarms.csv" if log is None else Path(log))
    patience = RetryPolicy(n_tries=3)
    courier = None if webhook is None else AlarmSender(webhook, opened, patience=patience, announce=tell)
    on_alarm = on_alarm if on_alarm is not None else (lambda _: None)
    watching = Watch(folder, detectors, opened, longest_seconds, tell, on_alarm, courier)
    try:
        watching.look()
        while True:
            time.sleep(poll_seconds)
            watching.look()
            if once:
                break
        if courier is not None:
            courier.insist()
            watching.counts.n_unsent = len(opened.unsent())
    except KeyboardInterrupt:
        tell("stopped; the same command goes on from here")
    finally:
        opened.close()
    return watching.counts


def _check_watching(detector: "Detector", *, longest_seconds: float, needs_rule: bool, tell: Announce) -> None:
    shortest = detector.settings.log_mel.n_fft / detector.settings.audio.sample_rate
    if longest_seconds < shortest:
        raise SettingsError(
            f"longest: {longest_seconds:g} s of a recording; the detector of {detector.machine_type} needs at least "
            f"{shortest:g} s"
        )
    if detector.alarm_rule is None:
        if needs_rule:
            detector.required_rule()
        tell(f"the detector of {detector.machine_type} has no alarm rule: scores are logged, and no alarm is raised")
