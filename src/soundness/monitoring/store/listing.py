"""Pages of clips and alarms, the latest first, and single ones."""

from collections.abc import Collection
from typing import Any, Literal, TypeVar

import sqlalchemy as sql

from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, AlarmKind, ClipRow, Outcome, Sensor
from soundness.monitoring.store.store import Store, row_values

__all__ = [
    "AlarmState",
    "find_alarm",
    "find_clip",
    "find_clips",
    "find_last_normal",
    "find_sensor",
    "list_alarms",
    "list_clips",
    "list_detectors",
    "list_false_alarms",
]

Record = TypeVar("Record", Sensor, ClipRow, Alarm)

_DAY_US = 86_400 * 1_000_000
_LARGEST_NUMBER = 2**63 - 1

AlarmState = Literal["open", "unanswered", "answered"]
"""An alarm that has not ended; one that nobody has answered; one that somebody has."""


def find_sensor(store: Store, sensor_id: int) -> Sensor | None:
    """Sensor of an id; ``None`` if there is none."""
    return _first(store, Sensor, sql.select(tables.sensors).where(tables.sensors.c.id == sensor_id))


def find_clip(store: Store, clip_id: int) -> ClipRow | None:
    """Clip of an id; ``None`` if there is none."""
    return _first(store, ClipRow, sql.select(tables.clips).where(tables.clips.c.id == clip_id))


def find_alarm(store: Store, key: str) -> Alarm | None:
    """Alarm of a key; ``None`` if there is none."""
    return _first(store, Alarm, sql.select(tables.alarms).where(tables.alarms.c.key == key))


def find_clips(store: Store, sensor_id: int, numbers: Collection[int]) -> list[ClipRow]:
    """Clips of a sensor with some numbers, by number."""
    table = tables.clips
    query = sql.select(table).where(table.c.sensor_id == sensor_id, table.c.number.in_(list(numbers)))
    return _all(store, ClipRow, query.order_by(table.c.number))


def list_clips(
    store: Store,
    *,
    sensor_id: int | None = None,
    alarm: Alarm | None = None,
    outcome: Outcome | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[ClipRow]:
    """Clips and gaps, the latest first.

    Parameters
    ----------
    store
        The store.
    sensor_id, alarm, outcome
        Only those of a sensor, of an alarm, and with an outcome; ``None`` for all.
    before
        Only those whose id is lower; ``None`` for the first page.
    limit
        Largest number.
    """
    table = tables.clips
    query = sql.select(table)
    if sensor_id is not None:
        query = query.where(table.c.sensor_id == sensor_id)
    if alarm is not None:  # the time is in the index, the alarm is not
        query = query.where(table.c.sensor_id == alarm.sensor_id, table.c.start_us >= alarm.raised_us)
        if alarm.ended_us is not None:
            query = query.where(table.c.start_us <= max(alarm.ended_us, alarm.last_us))
        query = query.where(table.c.alarm_id == alarm.id)
    if outcome is not None:
        query = query.where(table.c.outcome == outcome)
    if before is not None:
        query = query.where(table.c.id < before)
    of_sensor = sensor_id if alarm is None else alarm.sensor_id
    if of_sensor is None:
        return _all(store, ClipRow, query.order_by(table.c.id.desc()).limit(limit))
    if before is not None:  # clips of one sensor have their numbers in the order of their ids
        at = sql.select(table.c.number).where(table.c.id == before, table.c.sensor_id == of_sensor).scalar_subquery()
        query = query.where(table.c.number < sql.func.coalesce(at, _LARGEST_NUMBER))
    return _all(store, ClipRow, query.order_by(table.c.number.desc()).limit(limit))


def list_alarms(
    store: Store,
    *,
    sensor_id: int | None = None,
    kind: AlarmKind | None = None,
    state: AlarmState | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Alarm]:
    """Alarms, the latest first; see `list_clips`."""
    table = tables.alarms
    query = sql.select(table)
    if sensor_id is not None:
        query = query.where(table.c.sensor_id == sensor_id)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if state == "open":
        query = query.where(table.c.ended_us.is_(None))
    elif state is not None:
        query = query.where((table.c.verdict == "") if state == "unanswered" else (table.c.verdict != ""))
    if before is not None:
        query = query.where(table.c.id < before)
    return _all(store, Alarm, query.order_by(table.c.id.desc()).limit(limit))


def find_last_normal(store: Store, sensor_id: int, *, before_us: int) -> ClipRow | None:
    """Latest clip of the day before a time that counts as normal and whose audio is kept; ``None`` without one."""
    table = tables.clips
    query = sql.select(table).where(
        table.c.sensor_id == sensor_id,
        table.c.start_us < before_us,
        table.c.start_us >= before_us - _DAY_US,
        table.c.outcome == "scored",
        table.c.is_anomalous.is_(False),
        table.c.audio != "",
    )
    return _first(store, ClipRow, query.order_by(table.c.start_us.desc()))


def list_false_alarms(store: Store, sensor_id: int, *, since_us: int) -> tuple[int, int]:
    """Numbers of alarms since a time that were answered as normal, and of those that nobody has answered."""
    table = tables.alarms
    query = (
        sql.select(table.c.verdict, sql.func.count())
        .where(table.c.sensor_id == sensor_id, table.c.kind == "anomaly", table.c.raised_us >= since_us)
        .group_by(table.c.verdict)
    )
    with store.reading() as connection:
        found = {str(verdict): int(n) for verdict, n in connection.execute(query)}
    return found.get("normal", 0), found.get("", 0)


def list_detectors(store: Store, sensor_id: int, *, limit: int = 20) -> list[dict[str, Any]]:
    """Detectors of a sensor, the latest first, as plain values."""
    table = tables.detectors
    query = sql.select(table).where(table.c.sensor_id == sensor_id).order_by(table.c.id.desc()).limit(limit)
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _first(store: Store, kind: type[Record], query: sql.Select[Any]) -> Record | None:
    return next(iter(_all(store, kind, query.limit(1))), None)


def _all(store: Store, kind: type[Record], query: sql.Select[Any]) -> list[Record]:
    with store.reading() as connection:
        return [row_values(kind, row) for row in connection.execute(query).mappings()]
