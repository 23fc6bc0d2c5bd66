"""Rows of a monitor's database as objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Alarm", "AlarmKind", "ClipRow", "Delivery", "DetectorRow", "Outcome", "Sensor", "SensorState"]

SensorState = Literal["waiting", "learning", "normal", "alarm", "fault", "drifting", "stopped"]
"""State of a sensor: nothing came yet; it learns; all is well; an alarm; no usable sound; normal sound has wandered."""

Outcome = Literal["scored", "learned", "gap", "fault", "failed"]
"""Fate of a clip: scored; recorded to learn from; sound was lost; the sensor gave no usable sound; it failed."""

AlarmKind = Literal["anomaly", "fault", "drift"]
"""The machine sounds anomalous; the sensor gives no usable sound; the normal sound has wandered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A sensor; see `soundness.monitoring.store.tables.sensors`."""

    id: int
    name: str
    source: str
    state: SensorState
    state_since_us: int
    state_note: str
    first_us: int | None
    ignored_until_us: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRow:
    """A detector that has been in use; see `soundness.monitoring.store.tables.detectors`."""

    id: int
    sensor_id: int
    file: str
    fingerprint: str
    installed_us: int
    reason: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """A clip or gap; see `soundness.monitoring.store.tables.clips`. ``id`` is 0 before it is stored."""

    sensor_id: int
    number: int
    start_us: int
    seconds: float
    outcome: Outcome
    state: SensorState
    score: float | None = None
    p_value: float | None = None
    threshold: float | None = None
    is_anomalous: bool = False
    level_db: float | None = None
    detector_id: int | None = None
    alarm_id: int | None = None
    note: str = ""
    audio: str = ""
    recording: str = ""
    id: int = 0

    @property
    def end_us(self) -> int:
        """End of the clip, microseconds since 1970, UTC."""
        return self.start_us + round(1e6 * self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm; see `soundness.monitoring.store.tables.alarms`. ``id`` is 0 before it is stored."""

    key: str
    sensor_id: int
    kind: AlarmKind
    raised_us: int
    last_us: int
    clip_id: int | None = None
    ended_us: int | None = None
    score: float | None = None
    p_value: float | None = None
    reason: str = ""
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    closed_us: int | None = None
    closed_by: str = ""
    verdict: str = ""
    label: str = ""
    note: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event that is to be sent; see `soundness.monitoring.store.tables.deliveries`."""

    id: int
    sink: str
    key: str
    content: Mapping[str, Any] = field(default_factory=dict)
    created_us: int = 0
    n_tries: int = 0
