"""Scoring of one sensor's clips, and what becomes of each: exactly one row, in one transaction with its alarm."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event as ThreadEvent
from threading import RLock
from typing import Any

from soundness.detectors.verdicts.records import RecordingScore, score_reason
from soundness.errors import AudioError, OutputError
from soundness.monitoring.capture.clip_files import ClipFile, level_of
from soundness.monitoring.capture.kept_audio import KeptAudio
from soundness.monitoring.capture.sensor import Gap, LiveSensor, Work
from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.monitoring.learning.commissioning import Commissioning
from soundness.monitoring.learning.following import Following
from soundness.monitoring.learning.trend import TrendStep
from soundness.monitoring.live.alarm_book import AlarmBook, alarm_content
from soundness.monitoring.live.alarm_life import AlarmLife, AlarmStep, FailingClips
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.live.found_recordings import record_recording
from soundness.monitoring.live.muting import is_muted, why_muted
from soundness.monitoring.live.renewing import bank_clip
from soundness.monitoring.live.sensor_writer import SensorWriter
from soundness.monitoring.live.shown_state import ShownState
from soundness.monitoring.sources.protocol import RecordingClip
from soundness.monitoring.store.recordings import note_recording
from soundness.monitoring.store.records import Alarm, ClipRow, SensorState
from soundness.monitoring.store.store import Store, Transaction
from soundness.monitoring.store.times import utc_us
from soundness.monitoring.upkeep.normal_bank import NormalBank
from soundness.plain_text import one_line
from soundness.settings.durations import parse_seconds

__all__ = ["Recorder"]

_LOG = logging.getLogger(__name__)


class Recorder:
    """Work of one sensor: each clip is scored and gets its row.

    Parameters
    ----------
    sensor
        The sensor.
    store
        Store of the monitor.
    events
        Told of each clip, alarm and state.
    audio
        Audio that is kept.
    sinks
        Names of the sinks that alarms are sent to.
    stop
        Set to end tries at a database that is away.

    Attributes
    ----------
    turn
        Held by the thread that works for the sensor: one at a time.
    learning
        Learning of a sensor that has no detector yet.
    learned
        Called when enough has been recorded to learn from.
    beside
        Called with work that takes long, to be done by another thread.
    """

    def __init__(
        self,
        sensor: LiveSensor,
        store: Store,
        events: Events,
        *,
        audio: KeptAudio,
        sinks: Sequence[str],
        stop: ThreadEvent,
    ) -> None:
        self.sensor, self.store, self.events = sensor, store, events
        self.standing = ShownState(sensor, events)
        self.scoring_seconds = 0.0  # of the last clip that was scored
        self.detector: DetectorInUse | None = None
        self.detector_id: int | None = None
        self.life: AlarmLife | None = None
        self.book = AlarmBook.of_store(store, sensor.sensor_id, sensor=sensor.settings.name, sinks=sinks)
        self.writer = SensorWriter(store, self.standing, self.book, stop=stop)
        self.audio = audio
        self.failing = FailingClips(parse_seconds(sensor.settings.fault_after))
        self.has_first = self.has_scored = False  # a clip, in this run; a clip that was scored, in any
        self.following: Following | None = None
        self.learning: Commissioning | None = None
        self.learned: Callable[[Commissioning], None] = lambda _: None
        self.bank: NormalBank | None = None
        self.beside: Callable[[Callable[[], None]], None] = lambda _: None
        self.turn = RLock()

    def install(self, detector: DetectorInUse, *, reason: str, details: Mapping[str, Any] | None = None) -> None:
        """Take a detector into use, and note it, unless it is the one that was in use last."""
        sensor_id, now_us, file, own = self.sensor.sensor_id, utc_us(), str(detector.file), detector.fingerprint

        def known() -> int | None:
            last = self.store.last_detector(sensor_id)
            is_it = last is not None and last.fingerprint == own and (own != "" or last.file == file)
            return last.id if last is not None and is_it else None

        def write(transaction: Transaction) -> int:
            values = {"installed_us": now_us, "reason": reason, "details": dict(details or {})}
            return transaction.add_detector(sensor_id, file=file, fingerprint=own, **values)

        known_id = self.writer.reading(known)
        self.use(detector, self.writer.transaction(write, known=known) if known_id is None else known_id)

    def learn(self) -> None:
        """Begin to learn, or go on with it."""
        self.learning = Commissioning(self)
        self.set_state(self._usual_state())
        self.learning.say()
        _LOG.info("%s: %s", self.sensor.settings.name, self.standing.note)
        if not self.learning.is_recording:
            self.learned(self.learning)

    def end_alarm(self, alarm: Alarm) -> None:
        """End an alarm that is open, since what it is of is normal or ignored."""
        now, last = self.book.open.get(alarm.kind), self.book.last.get(alarm.kind)
        if now is not None and now.id == alarm.id:
            self._end(now, end_us=now.last_us)
        elif last is None or last.id != alarm.id:
            return
        self.book.last.pop(alarm.kind)  # what comes after the answer is another alarm
        if self.life is not None and alarm.kind == "anomaly":
            self.life.forget()

    def _end(self, alarm: Alarm, *, end_us: int) -> None:
        """End an alarm that no clip ends, and tell of it."""
        now_us, name = utc_us(), self.sensor.settings.name
        ended = self.writer.transaction(lambda write: self.book.end(write, alarm.kind, end_us=end_us, now_us=now_us))
        self.events.tell(Event(kind="alarm", sensor=name, content=alarm_content(name, ended, event="ended")))
        self.set_state(self._usual_state(), note=self.book.reason)

    def set_details(self, **details: Any) -> None:
        """Set some details of the sensor; ``None`` removes one."""
        self.writer.transaction(lambda transaction: transaction.set_details(self.sensor.sensor_id, **details))

    def use(self, detector: DetectorInUse, detector_id: int) -> None:
        """Score with a detector from now on."""
        rule, settings = detector.rule, self.sensor.settings
        read, sensor_id = self.writer.reading, self.sensor.sensor_id
        rows = read(lambda: self.store.last_clips(sensor_id, rule.n_clips, is_scored=True))
        self.has_scored, rows = bool(rows), [row for row in rows if row.detector_id == detector_id]
        last = self.book.last.get("anomaly")
        self.detector, self.detector_id = detector, detector_id
        self.life = AlarmLife(
            rule,
            quiet_clips=settings.quiet_clips,
            minimum_gap_us=round(1e6 * parse_seconds(settings.minimum_gap)),
            anomalous=[row.is_anomalous and not is_muted(row) for row in rows],
            is_on="anomaly" in self.book.open,
            ended_us=None if last is None else last.ended_us,
        )
        self.following = read(lambda: Following.of_store(self.store, settings, detector, detector_id=detector_id))
        if self.following is not None and "drift" in self.book.open:
            self.following.trend.is_on = True  # so that the alarm ends when the new detector sees no drift
        self.set_state(self._usual_state(), note=self.book.reason or detector.note)
        if detector.promise:
            _LOG.info("%s: %s", settings.name, detector.promise)

    def set_state(self, state: SensorState, *, note: str = "") -> None:
        """Set the state of the sensor, if it is another."""
        if state == self.standing.state:
            return
        self.writer.transaction(
            lambda transaction: transaction.update_sensor(
                self.sensor.sensor_id, state=state, state_since_us=utc_us(), state_note=one_line(note)
            )
        )
        self.standing.set(state, one_line(note))

    def set_note(self, note: str) -> None:
        """Set the note of the state, if it is another."""
        note = one_line(note)
        if note == self.standing.note:
            return
        self.writer.transaction(lambda transaction: transaction.update_sensor(self.sensor.sensor_id, state_note=note))
        self.standing.set(self.standing.state, note)

    def _usual_state(self) -> SensorState:
        if "fault" in self.book.open:
            return "fault"
        if "anomaly" in self.book.open:
            return "alarm"
        if self.detector is None:
            return "learning"
        if "drift" in self.book.open:
            return "drifting"
        return "normal" if self.has_scored else "waiting"

    def take(self, work: Work) -> None:
        """Record a piece of work."""
        with self.turn:
            self._take(work)

    def _take(self, work: Work) -> None:
        if work.gap is not None:
            self._record_gap(work.gap, fault=work.fault)
        elif work.clip is not None:
            self._record_clip(work.clip, fault=work.fault)
        elif work.recording is not None:
            record_recording(self, work.recording, work.number)
        elif work.is_readable:
            self._note_readable()

    def _note_readable(self) -> None:
        """End a fault that was that the source could not be read; one whose clips cannot be judged goes on."""
        alarm, sensor_id = self.book.open.get("fault"), self.sensor.sensor_id
        if alarm is not None:
            last = self.writer.reading(lambda: self.store.last_clip(sensor_id))
            if last is None or last.outcome == "fault":
                self._end(alarm, end_us=max(alarm.last_us, utc_us()))

    def _record_gap(self, gap: Gap, *, fault: str) -> None:
        row = self.row(gap.number, gap.start_us)
        row = replace(row, seconds=gap.seconds, outcome="fault" if gap.is_fault else "gap", note=one_line(gap.reason))

        def write(transaction: Transaction) -> tuple[ClipRow, list[tuple[Alarm, str]]]:
            stored, now_us, changed = transaction.add_clip(row), utc_us(), list[tuple[Alarm, str]]()
            if jump := gap.clock_set_seconds:
                transaction.note_change("clock set", now_us=now_us, sensor_id=row.sensor_id, seconds=jump)
            if fault:
                changed = self.book.fault(transaction, stored, reason=f"no sound comes: {fault}", now_us=now_us)
            return stored, changed

        stored, changed = self.writer.transaction(write, known=lambda: self._known(row))
        self._tell(stored, changed)
        if fault:
            self.set_state(self._usual_state(), note=self.book.reason)

    def _record_clip(self, clip: ClipFile, *, fault: str) -> None:
        row = self.row(clip.number, clip.start_us)
        try:
            row = replace(row, level_db=level_of(clip.path))
            clip = self.writer.on_disk(lambda: self.sensor.files.encoded(clip))
        except (OutputError, OSError, RuntimeError) as error:  # it is gone or damaged: the row is written all the same
            self.finish(clip, replace(row, level_db=None, outcome="failed", note=one_line(str(error))))
            return
        if fault:
            self.finish(clip, replace(row, outcome="fault", note=fault), fault=fault)
        elif self.detector is None:
            self.learn_from(clip, row)
        else:
            self._score(clip, row)

    def learn_from(self, clip: ClipFile, row: ClipRow, recording: RecordingClip | None = None) -> None:
        """Record a clip that a detector is to be learned from."""
        learning = self.learning
        note = "" if learning is None else learning.take(clip, why_not=self._why_muted(row))
        self.finish(clip, replace(row, outcome="learned", note=one_line(note)), recording=recording)
        if learning is not None and not note and learning.count():
            self.learned(learning)

    def row(self, number: int, start_us: int) -> ClipRow:
        """Row of a clip, before it is scored."""
        return ClipRow(
            sensor_id=self.sensor.sensor_id,
            number=number,
            start_us=start_us,
            seconds=self.sensor.settings.clip_seconds,
            outcome="scored",
            state=self.standing.state,
            detector_id=self.detector_id,
        )

    def _score(self, clip: ClipFile, row: ClipRow) -> None:
        try:
            found = self.scored(clip.path)
        except AudioError as error:
            self.finish(clip, replace(row, outcome="failed", note=one_line(error.reason)))
            return
        self.judge(found, row, clip.path, clip=clip)

    def scored(self, path: Path, *, longest_seconds: float | None = None) -> RecordingScore:
        """Score of a file, or of the first ``longest_seconds`` of it.

        Raises
        ------
        AudioError
            If it cannot be used.
        """
        assert self.detector is not None
        began = time.monotonic()
        found = self.detector.detector.score_recording(path, max_seconds=longest_seconds)
        self.scoring_seconds = time.monotonic() - began
        return found

    def judge(
        self,
        found: RecordingScore,
        row: ClipRow,
        path: Path,
        *,
        clip: ClipFile | None,
        recording: RecordingClip | None = None,
    ) -> None:
        """Record a score, with the alarm that it changes; ``path`` is the file, ``clip`` the audio that may be kept."""
        assert self.life is not None
        row = replace(row, score=found.anomaly_score, p_value=found.p_value)
        if found.cannot_tell or found.p_value is None:
            note = "; ".join(dict.fromkeys(filter(None, (*found.notes, found.cannot_tell))))
            self.finish(clip, replace(row, outcome="failed", note=one_line(note)), recording=recording)
            return
        muted, following = self._why_muted(row), self.following
        if following is not None and not following.can_follow(found.anomaly_score, found.p_value):
            following = None
        p_value = found.p_value if following is None else following.p_value(found.anomaly_score)
        step = self.life.add(p_value, end_us=row.end_us, is_muted=bool(muted))
        note = "; ".join((*found.notes, *([muted] if muted else [])))
        limit = None if following is None else following.score_threshold
        row = replace(row, p_value=p_value, threshold=limit, is_anomalous=step.is_anomalous, note=one_line(note))
        is_frozen = bool(muted) or self.life.is_on
        trend = None if following is None else following.add_clip(row, is_frozen=is_frozen)
        reason = self._reason(path, found) if step.change in ("raised", "resumed") else ""
        self.finish(clip, row, step=step, trend=trend, reason=reason, recording=recording)
        if clip is not None:
            bank_clip(self, clip.path, row, is_muted=bool(muted))

    def _why_muted(self, row: ClipRow) -> str:
        until_us = self.writer.reading(lambda: self.store.ignored_until_us(row.sensor_id))
        return why_muted(row, self.sensor.settings.windows, ignored_until_us=until_us)

    def _reason(self, path: Path, found: RecordingScore) -> str:
        assert self.detector is not None
        detector = self.detector.detector
        try:
            return score_reason(found, lambda start, end: detector.reason(path, start_seconds=start, end_seconds=end))
        except AudioError as error:
            return error.reason

    def finish(
        self,
        clip: ClipFile | None,
        row: ClipRow,
        *,
        step: AlarmStep | None = None,
        trend: TrendStep | None = None,
        fault: str = "",
        reason: str = "",
        recording: RecordingClip | None = None,
    ) -> None:
        """Write the row of a clip with what it changes, keep its audio where that is wanted, and tell of it."""
        book = self.book
        words = f"the sensor gives {fault}" if fault else self.failing.add(row)

        def write(transaction: Transaction) -> tuple[ClipRow, list[tuple[Alarm, str]]]:
            stored, now_us = transaction.add_clip(row), utc_us()
            if recording is not None:
                is_scored = row.outcome != "failed" or row.score is not None
                note_recording(transaction, stored, recording, is_scored=is_scored, now_us=now_us)
            if not self.has_first:
                transaction.set_first(row.sensor_id, row.start_us)
            changed = book.fault(transaction, stored, reason=words, now_us=now_us)
            if step is not None:
                changed += book.step(transaction, stored, step, reason=reason, now_us=now_us)
                if "anomaly" in book.open:
                    transaction.set_clip(stored.id, alarm_id=book.open["anomaly"].id)
            if trend is not None and self.following is not None:
                transaction.set_details(row.sensor_id, following=self.following.as_details())
                drifted = self.following.drift_words()
                changed += book.drift(transaction, stored, trend.change, reason=drifted, now_us=now_us)
            return stored, changed

        stored, changed = self.writer.transaction(write, known=lambda: self._known(row))
        self.has_first, self.has_scored = True, self.has_scored or row.outcome == "scored"
        if clip is not None:
            self._keep_audio(clip, stored)
        self._tell(stored, changed)
        self.set_state(self._usual_state(), note=book.reason)

    def _known(self, row: ClipRow) -> tuple[ClipRow, list[tuple[Alarm, str]]] | None:
        """Row of a clip that was committed, though the database went away before it said so, and the alarm of it."""
        stored = self.store.clip(row.sensor_id, row.number)
        if stored is None:
            return None
        self.book.restore(AlarmBook.of_store(self.store, row.sensor_id, sensor=self.book.sensor, sinks=self.book.sinks))
        return stored, [(alarm, "raised") for alarm in self.book.open.values() if alarm.clip_id == stored.id]

    def _keep_audio(self, clip: ClipFile, row: ClipRow) -> None:
        is_alarm = row.is_anomalous and "anomaly" in self.book.open
        kept = self.audio.add(clip, row.id, is_alarm=is_alarm)
        if kept:
            self.writer.transaction(lambda transaction: transaction.set_audio(kept))

    def _tell(self, row: ClipRow, changed: Sequence[tuple[Alarm, str]]) -> None:
        content = {**asdict(row), "scoring_seconds": self.scoring_seconds if row.outcome == "scored" else None}
        self.events.tell(Event(kind="clip", sensor=self.sensor.settings.name, content=content))
        for alarm, change in changed:
            content = alarm_content(self.sensor.settings.name, alarm, event=change)
            self.events.tell(Event(kind="alarm", sensor=self.sensor.settings.name, content=content))
