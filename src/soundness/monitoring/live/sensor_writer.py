"""Writing of one sensor, which waits while the store or the disk cannot be written, and shows why."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from soundness.monitoring.live.alarm_book import AlarmBook
from soundness.monitoring.live.shown_state import ShownState
from soundness.monitoring.store.retrying import is_of_disk, retried, written
from soundness.monitoring.store.store import Store, Transaction

__all__ = ["SensorWriter"]

Result = TypeVar("Result")


class SensorWriter:
    """Writing of one sensor.

    Parameters
    ----------
    store
        Store of the monitor.
    standing
        State that is shown.
    book
        Alarms, as they are after what was written.
    stop
        Set to end the tries.
    """

    def __init__(self, store: Store, standing: ShownState, book: AlarmBook, *, stop: Event) -> None:
        self.store, self.standing, self.book, self.stop = store, standing, book, stop

    def transaction(
        self, write: Callable[[Transaction], Result], *, known: Callable[[], Result | None] = lambda: None
    ) -> Result:
        """Result of a transaction, which is tried again while the database is away unless its result is known then."""
        before, told = self.book.copy(), self._told
        return written(
            self.store, write, undo=lambda: self.book.restore(before), known=known, told=told, stop=self.stop
        )

    def reading(self, read: Callable[[], Result]) -> Result:
        """Result of reading the store, which is tried again while the database is away."""
        return retried(read, told=self._told, stop=self.stop)

    def on_disk(self, write: Callable[[], Result]) -> Result:
        """Result of writing a file, which is tried again while the disk is full."""
        return retried(write, told=self._told, may_pass=is_of_disk, stop=self.stop)

    def _told(self, reason: str) -> None:
        self.standing.sensor.unrecorded = reason
        self.standing.tell()
