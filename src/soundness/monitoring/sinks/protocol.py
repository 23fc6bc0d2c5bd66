"""Interface of sinks: places that events are sent to."""

from collections.abc import Callable
from typing import Protocol

from soundness.monitoring.store.records import Delivery

__all__ = ["DrawAlarm", "Sink"]

DrawAlarm = Callable[[Delivery], bytes | None]
"""Gives the picture of an alarm as a PNG; ``None`` where there is none. It may raise a `SoundnessError`."""


class Sink(Protocol):
    """A place that events are sent to, each by its key once."""

    name: str
    """Name, by which its events are kept."""

    def start(self, retry: Callable[[], None]) -> None:
        """Connect, in the background, where the sink keeps a connection.

        Parameters
        ----------
        retry
            Called when there is a connection again, so that what could not be sent is tried at once.
        """

    def send(self, delivery: Delivery) -> None:
        """Send an event; returns once the other side has it.

        Raises
        ------
        SoundnessError
            If it has not; `soundness.errors.NotSentError` where the other side asks for a wait. The message shows no
            secret.
        """

    def close(self) -> None:
        """End the connection."""
