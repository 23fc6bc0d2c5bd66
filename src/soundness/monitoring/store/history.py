"""History of sensors for pages and charts: aggregated by the database, so that a month is as quick as an hour."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store, row_values

__all__ = ["Bucket", "Recent", "level_at_share", "recent_clips", "score_history"]

_NO_SOUND = ("gap", "fault")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """Last clips of a sensor, and its latest alarm.

    Parameters
    ----------
    last
        Latest clip or gap; ``None`` before the first.
    p_values
        P-values of the last clips, the latest last; ``None`` for what was not scored.
    alarm
        Latest alarm; ``None`` without one.
    """

    last: ClipRow | None = None
    p_values: tuple[float | None, ...] = ()
    alarm: Alarm | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Clips that start within a span of time, put together.

    Parameters
    ----------
    start_us
        Start of the span, microseconds since 1970, UTC.
    n_clips, n_scored, n_anomalous, n_failed
        Clips and gaps; those that were scored, that count as anomalous, and that could not be judged.
    score, lowest_score, highest_score
        Mean, lowest and highest anomaly score; ``None`` where none was scored.
    p_value
        Lowest p-value; ``None`` where none was scored.
    threshold
        Mean of the scores above which its clips counted as anomalous; ``None`` where none could.
    level_db
        Mean level, in dB below full scale; ``None`` without sound.
    no_sound_until_us
        Latest end of a gap or fault that starts in it; ``None`` without one.
    fault_until_us
        The same of faults alone.
    """

    start_us: int
    n_clips: int
    n_scored: int
    n_anomalous: int
    n_failed: int
    score: float | None
    lowest_score: float | None
    highest_score: float | None
    p_value: float | None
    threshold: float | None
    level_db: float | None
    no_sound_until_us: int | None
    fault_until_us: int | None


def recent_clips(store: Store, n_clips: int) -> dict[int, Recent]:
    """Last clips and latest alarm of every sensor, by the sensor's id.

    Parameters
    ----------
    store
        The store.
    n_clips
        Number of p-values for each.
    """
    clips, alarms, sensors = tables.clips, tables.alarms, tables.sensors
    number = sql.select(sql.func.max(clips.c.number)).where(clips.c.sensor_id == sensors.c.id).correlate(sensors)
    newest = sql.select(sensors.c.id, number.scalar_subquery().label("number")).cte("newest")
    newest = newest.prefix_with("MATERIALIZED")  # else SQLite reads every clip there is
    recent = sql.and_(clips.c.sensor_id == newest.c.id, clips.c.number > newest.c.number - n_clips)
    of_p = sql.select(clips.c.sensor_id, clips.c.p_value).select_from(newest.join(clips, recent))
    last = sql.and_(clips.c.sensor_id == newest.c.id, clips.c.number == newest.c.number)
    of_last = sql.select(clips).select_from(newest.join(clips, last))
    latest = sql.select(sql.func.max(alarms.c.id)).group_by(alarms.c.sensor_id)
    of_alarms = sql.select(alarms).where(alarms.c.id.in_(latest))
    p_values: dict[int, list[float | None]] = {}
    with store.reading() as connection:
        for sensor_id, p_value in connection.execute(of_p.order_by(clips.c.sensor_id, clips.c.number)):
            p_values.setdefault(sensor_id, []).append(p_value)
        last_clips = {row["sensor_id"]: row_values(ClipRow, row) for row in connection.execute(of_last).mappings()}
        last_alarms = {row["sensor_id"]: row_values(Alarm, row) for row in connection.execute(of_alarms).mappings()}
    return {
        sensor_id: Recent(
            last=last_clips.get(sensor_id),
            p_values=tuple(p_values.get(sensor_id, ())),
            alarm=last_alarms.get(sensor_id),
        )
        for sensor_id in {*last_clips, *last_alarms}
    }


def score_history(store: Store, sensor_id: int, *, start_us: int, end_us: int, n_buckets: int) -> list[Bucket]:
    """Scores of a sensor over time, in spans of one length; spans without clips are left out.

    Parameters
    ----------
    store
        The store.
    sensor_id
        The sensor.
    start_us, end_us
        Time, microseconds since 1970, UTC; the end lies after the start.
    n_buckets
        Number of spans that the time is cut into.
    """
    clips = tables.clips
    width_us = max(1, -(-(end_us - start_us) // n_buckets))
    number = ((clips.c.start_us - start_us) // width_us).label("number")
    is_scored = clips.c.outcome == "scored"

    def count(condition: Any) -> Any:
        return sql.func.sum(sql.case((condition, 1), else_=0))

    ends = clips.c.start_us + clips.c.seconds * 1e6
    query = (
        sql.select(
            number,
            sql.func.count().label("n_clips"),
            count(is_scored).label("n_scored"),
            count(clips.c.is_anomalous).label("n_anomalous"),
            count(clips.c.outcome == "failed").label("n_failed"),
            sql.func.avg(clips.c.score).label("score"),
            sql.func.min(clips.c.score).label("lowest_score"),
            sql.func.max(clips.c.score).label("highest_score"),
            sql.func.min(clips.c.p_value).label("p_value"),
            sql.func.avg(clips.c.threshold).label("threshold"),
            sql.func.avg(clips.c.level_db).label("level_db"),
            sql.func.max(sql.case((clips.c.outcome.in_(_NO_SOUND), ends))).label("no_sound_until_us"),
            sql.func.max(sql.case((clips.c.outcome == "fault", ends))).label("fault_until_us"),
        )
        .where(clips.c.sensor_id == sensor_id, clips.c.start_us >= start_us, clips.c.start_us < end_us)
        .group_by(number)
        .order_by(number)
    )
    with store.reading() as connection:
        return [_bucket(row, start_us, width_us) for row in connection.execute(query).mappings()]


def _bucket(row: Mapping[Any, Any], start_us: int, width_us: int) -> Bucket:
    values = dict(row)
    values["start_us"] = start_us + width_us * int(values.pop("number"))
    for name in ("n_clips", "n_scored", "n_anomalous", "n_failed"):
        values[name] = int(values[name])
    for name in ("no_sound_until_us", "fault_until_us"):
        values[name] = None if values[name] is None else round(values[name])
    return Bucket(**values)


def level_at_share(store: Store, sensor_id: int, *, share: float, start_us: int) -> float | None:
    """Level that a share of a sensor's clips since a time does not exceed, in dB; ``None`` without any."""
    clips = tables.clips
    where = (clips.c.sensor_id == sensor_id, clips.c.start_us >= start_us, clips.c.level_db.is_not(None))
    with store.reading() as connection:
        n_clips = int(connection.execute(sql.select(sql.func.count()).where(*where)).scalar() or 0)
        if not n_clips:
            return None
        query = sql.select(clips.c.level_db).where(*where).order_by(clips.c.level_db)
        return float(connection.execute(query.limit(1).offset(int(share * (n_clips - 1)))).scalar_one())
