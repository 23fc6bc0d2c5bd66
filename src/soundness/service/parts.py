"""Parts of a running monitor that the HTTP service shows and changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from soundness.monitoring.configuration.monitor_settings import MonitorSettings, SensorSettings
from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.monitoring.live.events import Events
from soundness.monitoring.sinks.delivery import SinkStatus
from soundness.monitoring.store.records import Alarm, Sensor, SensorState
from soundness.monitoring.store.store import Store

__all__ = ["Feedback", "ServiceParts"]


class Feedback(Protocol):
    """Learning from an answer that the sound of an alarm is normal."""

    def __call__(self, alarm: Alarm, *, person: str) -> str:
        """Learn the clips of an alarm as normal; what changes by it, in words.

        Raises
        ------
        SoundnessError
            If they cannot be learned.
        """

    def undo(self, sensor: str, *, person: str) -> str:
        """Go back to the detector before the latest answer that was learned, which is taken back; that in words.

        Raises
        ------
        SoundnessError
            If there is nothing to undo.
        """


@dataclass(kw_only=True, eq=False)
class ServiceParts:
    """Parts of a running monitor.

    Parameters
    ----------
    settings
        Configuration of the monitor.
    store
        Its store.
    events
        Events of the monitor.
    detector_of
        Gives the detector that a sensor's clips are scored with, by the sensor's name; ``None`` without one.
    metrics
        Gives the text of ``/metrics``; ``None`` without any.
    feedback
        Learns from answers; ``None`` where they are only stored.
    sinks
        Gives the sinks with what they have not sent.
    shown_state
        Gives the state of a sensor that is shown, and its note, by the sensor's name; ``None`` to show the store's.
    problems
        Gives all that is wrong with the monitor itself, a line each.
    problem
        Gives the reason why the monitor is not well, for everybody to see; empty if it is.
    """

    settings: MonitorSettings
    store: Store
    events: Events
    detector_of: Callable[[str], DetectorInUse | None]
    metrics: Callable[[], str] | None = None
    feedback: Feedback | None = None
    sinks: Callable[[], Sequence[SinkStatus]] = field(default=tuple)
    shown_state: Callable[[str], tuple[SensorState, str] | None] = field(default=lambda _name: None)
    problems: Callable[[], Sequence[str]] = field(default=tuple)
    problem: Callable[[], str] = field(default=lambda: "")

    def sensor_settings(self, name: str) -> SensorSettings | None:
        """Settings of a sensor; ``None`` for one that is only in the store."""
        return next((one for one in self.settings.sensor if one.name == name), None)

    def state_of(self, sensor: Sensor) -> tuple[SensorState, str]:
        """State of a sensor that is shown, and its note: nothing that reassures while its sound is not recorded."""
        shown = self.shown_state(sensor.name) if sensor.state != "stopped" else None
        return (sensor.state, sensor.state_note) if shown is None else shown

    def tell_of_alarm(self, sensor: str, content: Mapping[str, Any]) -> None:
        """Send an alarm that was answered to the monitor's listeners."""
        from soundness.monitoring.live.events import Event

        kind: Literal["alarm"] = "alarm"
        self.events.tell(Event(kind=kind, sensor=sensor, content=content))
