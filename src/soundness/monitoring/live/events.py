"""Events within a monitor: what happened, told to whoever listens in this process."""

import logging
import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

from soundness.monitoring.store.times import shown_time

__all__ = ["Event", "Events", "log_event"]

_LOG = logging.getLogger(__name__)

_MOST_WAITING = 1_000

Kind = Literal["clip", "alarm", "state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    kind
        A clip was scored; an alarm was raised, continued, ended or answered; a sensor has another state.
    sensor
        Name of the sensor.
    content
        Plain values.
    """

    kind: Kind
    sensor: str
    content: Mapping[str, Any] = field(default_factory=dict)


class Events:
    """Events, each to every listener; one that does not keep up loses the earliest and is told so."""

    def __init__(self) -> None:
        self._listeners: list[queue.Queue[Event]] = []
        self._calls: list[Callable[[Event], None]] = []
        self._lock = Lock()

    def listen(self) -> "queue.Queue[Event]":
        """Queue that receives all events from now on, until `leave`."""
        listener: queue.Queue[Event] = queue.Queue(_MOST_WAITING)
        with self._lock:
            self._listeners.append(listener)
        return listener

    def leave(self, listener: "queue.Queue[Event]") -> None:
        """Stop a listener's events."""
        with self._lock:
            self._listeners.remove(listener)

    def call(self, function: Callable[[Event], None]) -> None:
        """Call a function with all events from now on, in the thread that tells them: it must return at once."""
        with self._lock:
            self._calls.append(function)

    def call_no_more(self, function: Callable[[Event], None]) -> None:
        """Stop what `call` began."""
        with self._lock:
            self._calls.remove(function)

    def tell(self, event: Event) -> None:
        """Give an event to every listener."""
        with self._lock:
            listeners, calls = list(self._listeners), list(self._calls)
        for call in calls:
            call(event)
        for listener in listeners:
            while True:
                try:
                    listener.put_nowait(event)
                    break
                except queue.Full:
                    _LOG.debug("a listener does not keep up")
                    try:
                        listener.get_nowait()
                    except queue.Empty:
                        continue


def log_event(event: Event) -> None:
    """Write an alarm that begins or ends, and a recording that cannot be used, to the log of the program."""
    content = event.content
    if event.kind == "alarm":
        since = shown_time(content["raised_us"])
        if content["event"] == "raised":
            _LOG.warning("ALARM %s, %s: %s", event.sensor, since, content["reason"] or content["kind"])
        elif content["event"] == "ended":
            _LOG.info("%s: the alarm of %s ended at %s", event.sensor, since, shown_time(content["ended_us"]))
    elif event.kind == "clip" and content["outcome"] == "failed" and content["recording"]:
        _LOG.warning("%s: %s", event.sensor, content["note"])
