"""Open alarms of a sensor: written with the clip that changes them, and with what is to be sent of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from soundness.monitoring.live.alarm_life import AlarmStep
from soundness.monitoring.store.records import Alarm, AlarmKind, ClipRow
from soundness.monitoring.store.store import Store, Transaction, new_key
from soundness.plain_text import one_line

__all__ = ["AlarmBook", "alarm_content"]


@dataclass(slots=True)
class AlarmBook:
    """Open alarms of one sensor, and the sinks that are told of them.

    Parameters
    ----------
    sensor
        Name of the sensor.
    sinks
        Names of the sinks.
    open
        Open alarms by kind.
    last
        Latest alarm of each kind that has ended.
    """

    sensor: str
    sinks: Sequence[str]
    open: dict[AlarmKind, Alarm]
    last: dict[AlarmKind, Alarm]

    @classmethod
    def of_store(cls, store: Store, sensor_id: int, *, sensor: str, sinks: Sequence[str]) -> "AlarmBook":
        """Alarms of a sensor as they stand in the store."""
        open_alarms = {alarm.kind: alarm for alarm in store.open_alarms(sensor_id)}
        last = store.last_alarm(sensor_id, "anomaly")
        can_resume = last is not None and last.ended_us is not None and last.verdict != "normal"
        return cls(sensor, sinks, open_alarms, {last.kind: last} if last is not None and can_resume else {})

    @property
    def reason(self) -> str:
        """Reason of the open alarm that matters most; empty without one."""
        kinds: tuple[AlarmKind, ...] = ("fault", "anomaly", "drift")
        return next((self.open[kind].reason for kind in kinds if kind in self.open), "")

    def copy(self) -> "AlarmBook":
        """Copy, to be restored if what was written is not."""
        return AlarmBook(self.sensor, self.sinks, dict(self.open), dict(self.last))

    def restore(self, before: "AlarmBook") -> None:
        """Go back to a copy."""
        self.open, self.last = dict(before.open), dict(before.last)

    def step(
        self, transaction: Transaction, clip: ClipRow, step: AlarmStep, *, reason: str, now_us: int
    ) -> list[tuple[Alarm, str]]:
        """Apply the effect of a scored clip; the alarm that has changed, if any, with its change."""
        if step.change == "raised" or (step.change == "resumed" and "anomaly" not in self.last):
            return [(self.begin(transaction, "anomaly", clip, reason=reason, now_us=now_us), "raised")]
        if step.change == "resumed":
            alarm = replace(self.last.pop("anomaly"), ended_us=None, last_us=clip.end_us)
            transaction.update_alarm(alarm.id, ended_us=None, last_us=clip.end_us)
            self.open["anomaly"] = alarm
            self._deliver(transaction, alarm, event="resumed", key=f"resumed:{clip.end_us}", now_us=now_us)
            return [(alarm, "resumed")]
        if step.change == "continued" and "anomaly" in self.open:
            alarm = replace(self.open["anomaly"], last_us=clip.end_us)
            transaction.update_alarm(alarm.id, last_us=clip.end_us)
            self.open["anomaly"] = alarm
            return [(alarm, "continued")]
        if step.change == "ended" and "anomaly" in self.open:
            return [(self.end(transaction, "anomaly", end_us=clip.end_us, now_us=now_us), "ended")]
        return []

    def drift(
        self, transaction: Transaction, clip: ClipRow, change: str, *, reason: str, now_us: int
    ) -> list[tuple[Alarm, str]]:
        """Apply a change of the trend, ``raised`` or ``ended``; the alarm that has changed, if any, with its change."""
        if change == "raised" and "drift" not in self.open:
            return [(self.begin(transaction, "drift", clip, reason=reason, now_us=now_us), "raised")]
        if change == "ended" and "drift" in self.open:
            return [(self.end(transaction, "drift", end_us=clip.end_us, now_us=now_us), "ended")]
        return []

    def fault(self, transaction: Transaction, clip: ClipRow, *, reason: str, now_us: int) -> list[tuple[Alarm, str]]:
        """Raise an alarm of a sensor at fault, or end it with a clip that has sound; the alarm that has changed."""
        if reason and "fault" not in self.open:
            return [(self.begin(transaction, "fault", clip, reason=reason, now_us=now_us), "raised")]
        if clip.outcome in ("scored", "learned") and "fault" in self.open:
            return [(self.end(transaction, "fault", end_us=clip.start_us, now_us=now_us), "ended")]
        return []

    def begin(self, transaction: Transaction, kind: AlarmKind, clip: ClipRow, *, reason: str, now_us: int) -> Alarm:
        """Raise an alarm with a clip."""
        alarm = transaction.add_alarm(
            Alarm(
                key=new_key(),
                sensor_id=clip.sensor_id,
                kind=kind,
                raised_us=clip.start_us,
                last_us=clip.end_us,
                clip_id=clip.id,
                score=clip.score,
                p_value=clip.p_value,
                reason=one_line(reason),
            )
        )
        self.open[kind] = alarm
        self._deliver(transaction, alarm, event="raised", key="raised", now_us=now_us, recording=clip.recording)
        return alarm

    def end(self, transaction: Transaction, kind: AlarmKind, *, end_us: int, now_us: int) -> Alarm:
        """End an open alarm."""
        alarm = replace(self.open.pop(kind), ended_us=end_us)
        transaction.update_alarm(alarm.id, ended_us=end_us)
        self.last[kind] = alarm
        self._deliver(transaction, alarm, event="ended", key=f"ended:{end_us}", now_us=now_us)
        return alarm

    def _deliver(
        self, transaction: Transaction, alarm: Alarm, *, event: str, key: str, now_us: int, recording: str = ""
    ) -> None:
        content = alarm_content(self.sensor, alarm, event=event) | ({"recording": recording} if recording else {})
        transaction.deliver(self.sinks, key=f"{alarm.key}:{key}", content=content, now_us=now_us)


def alarm_content(sensor: str, alarm: Alarm, *, event: str) -> dict[str, Any]:
    """Plain values of an alarm's event, as sinks send them."""
    return {
        "id": alarm.key,
        "event": event,
        "sensor": sensor,
        "kind": alarm.kind,
        "raised_us": alarm.raised_us,
        "ended_us": alarm.ended_us,
        "score": alarm.score,
        "p_value": alarm.p_value,
        "reason": alarm.reason,
    }
