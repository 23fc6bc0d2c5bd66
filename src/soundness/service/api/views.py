"""Rows of the store as programs and pages see them."""

from typing import Any

from soundness.monitoring.store.history import Recent
from soundness.monitoring.store.records import Alarm, ClipRow, Sensor
from soundness.plain_text import printable
from soundness.service.parts import ServiceParts

__all__ = ["alarm_view", "clip_view", "sensor_view"]


def clip_view(clip: ClipRow) -> dict[str, Any]:
    """Plain values of a clip; of its audio only whether it is kept."""
    return {
        "id": clip.id,
        "sensor": clip.sensor_id,
        "number": clip.number,
        "start_us": clip.start_us,
        "seconds": clip.seconds,
        "outcome": clip.outcome,
        "state": clip.state,
        "score": clip.score,
        "p_value": clip.p_value,
        "threshold": clip.threshold,
        "is_anomalous": clip.is_anomalous,
        "level_db": clip.level_db,
        "alarm_id": clip.alarm_id,
        "note": clip.note,
        "has_audio": bool(clip.audio),
        "recording": printable(clip.recording),
    }


def alarm_view(alarm: Alarm) -> dict[str, Any]:
    """Plain values of an alarm."""
    return {
        "id": alarm.key,
        "sensor": alarm.sensor_id,
        "kind": alarm.kind,
        "raised_us": alarm.raised_us,
        "last_us": alarm.last_us,
        "ended_us": alarm.ended_us,
        "score": alarm.score,
        "p_value": alarm.p_value,
        "reason": alarm.reason,
        "acknowledged_us": alarm.acknowledged_us,
        "acknowledged_by": alarm.acknowledged_by,
        "closed_us": alarm.closed_us,
        "closed_by": alarm.closed_by,
        "verdict": alarm.verdict,
        "label": alarm.label,
        "note": alarm.note,
    }


def sensor_view(parts: ServiceParts, sensor: Sensor, recent: Recent) -> dict[str, Any]:
    """Plain values of a sensor with its last clips."""
    detector, last = parts.detector_of(sensor.name), recent.last
    state, note = parts.state_of(sensor)
    return {
        "id": sensor.id,
        "name": sensor.name,
        "source": sensor.source,
        "is_configured": parts.sensor_settings(sensor.name) is not None,
        "state": state,
        "state_since_us": sensor.state_since_us,
        "state_note": note,
        "ignored_until_us": sensor.ignored_until_us,
        "level_db": None if last is None else last.level_db,
        "last_us": None if last is None else last.end_us,
        "p_values": [None if one is None else round(one, 6) for one in recent.p_values],
        "p_threshold": None if detector is None else detector.rule.p_value,
        "alarm": None if recent.alarm is None else alarm_view(recent.alarm),
    }
