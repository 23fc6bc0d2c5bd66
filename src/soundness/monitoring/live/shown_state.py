"""State of a sensor as everybody is shown it: nothing that reassures while its sound is not recorded."""

import threading

from soundness.monitoring.capture.sensor import LiveSensor
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.store.records import SensorState

__all__ = ["ShownState"]

_LONG_SECONDS = 60.0  # for which work may wait
_HEEDED = ("alarm", "fault")  # states that stay as they are: they do not say that all is well


class ShownState:
    """State of a sensor that stands in the store, and the one that is shown.

    Parameters
    ----------
    sensor
        The sensor.
    events
        Told of each change of what is shown.

    Attributes
    ----------
    state, note
        State of the store, and why it is so.
    """

    def __init__(self, sensor: LiveSensor, events: Events) -> None:
        self.sensor, self.events = sensor, events
        self.state: SensorState = "waiting"
        self.note = ""
        self._told: tuple[SensorState, str] = (self.state, self.note)
        self._lock = threading.Lock()

    @property
    def problem(self) -> str:
        """Reason why the sound of the sensor is not recorded now; empty if it is."""
        sensor = self.sensor
        if sensor.unrecorded:
            return f"the store cannot be written: {sensor.unrecorded}"
        if sensor.unwritten:
            return f"sound cannot be written: {sensor.unwritten}"
        is_awaited = self.state == "learning" and not sensor.is_live  # by clips that can wait for the detector
        is_long = not is_awaited and sensor.waiting_seconds > _LONG_SECONDS
        return f"clips wait for more than {_LONG_SECONDS:g} s to be recorded" if is_long else ""

    def shown(self) -> tuple[SensorState, str]:
        """State that is shown, and why it is so."""
        problem = self.problem
        if problem and self.state not in _HEEDED:
            return "waiting", f"not recorded now: {problem}"
        return self.state, self.note

    def set(self, state: SensorState, note: str) -> None:
        """Take over what stands in the store from now on."""
        self.state, self.note = state, note
        self.tell()

    def tell(self) -> None:
        """Announce what is shown, if it is something else than before."""
        with self._lock:
            state, note = shown = self.shown()
            if shown == self._told:
                return
            self._told = shown
            content = {"state": state, "note": note}
            self.events.tell(Event(kind="state", sensor=self.sensor.settings.name, content=content))
