"""Delivery of events: a thread for each sink sends what stands in the store, in order, until it has arrived."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sql

from soundness.data.download_http import RetryPolicy
from soundness.errors import NotSentError, OutputError, SoundnessError
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.sinks.protocol import Sink
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Delivery
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.times import utc_us
from soundness.plain_text import one_line

__all__ = ["Deliveries", "DeliveryLoop", "SinkStatus", "count_unsent"]

_LOG = logging.getLogger(__name__)
_RETRY = RetryPolicy(first_seconds=1.0, longest_seconds=300.0)
_IDLE_SECONDS = 30.0  # after which the store is read even if nobody has said that there is something new


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatus:
    """Sink as it is now.

    Parameters
    ----------
    name
        Its name.
    n_unsent
        Number of events that have not arrived.
    problem
        Reason why the last try failed, without secrets; empty if it did not.
    """

    name: str
    n_unsent: int
    problem: str


def count_unsent(store: Store) -> dict[str, int]:
    """Number of events that have not arrived, by name of the sink; without the sinks that have none.

    Raises
    ------
    OutputError
        If the store cannot be read.
    """
    table = tables.deliveries
    query = sql.select(table.c.sink, sql.func.count()).where(table.c.sent_us.is_(None)).group_by(table.c.sink)
    with store.reading() as connection:
        return {str(name): int(number) for name, number in connection.execute(query)}


class DeliveryLoop:
    """Sends the events of one sink in their order; a failure keeps the event, and all after it, for the next try.

    Parameters
    ----------
    sink
        The sink.
    store
        Store with the events.
    retry
        Waits between two tries.
    """

    def __init__(self, sink: Sink, store: Store, *, retry: RetryPolicy = _RETRY) -> None:
        self.sink, self.store, self.retry = sink, store, retry
        self.problem = ""
        self._news, self._try_now = threading.Event(), threading.Event()
        self._patience: float | None = None  # seconds; None as long as it goes on
        self._since = 0.0  # monotonic seconds of the last success, or of `close`
        self._arrived: dict[int, int] = {}  # what is not marked yet, with its time
        self._thread = threading.Thread(target=self._run, name=f"send {sink.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self.sink.start(self._try_now.set)

    def wake(self) -> None:
        """Look for new events now."""
        self._news.set()

    def end(self, patience_seconds: float) -> None:
        """End once nothing is left, or nothing has arrived for some time."""
        self._since, self._patience = time.monotonic(), patience_seconds
        self._news.set()
        self._try_now.set()

    def join(self) -> None:
        """Wait until it has ended, and end the connection."""
        self._thread.join()
        self.sink.close()

    def _run(self) -> None:
        n_failures = 0
        while not self._is_over:
            self._news.clear()
            try:
                is_idle = not self._send_waiting()
            except SoundnessError as error:
                n_failures += 1
                self._note(error, n_failures)
                asked = error.asked_seconds if isinstance(error, NotSentError) else 0.0
                self._pause(self.retry.wait_seconds(n_failures, min(asked, self.retry.longest_asked_seconds)))
                continue
            if n_failures:
                _LOG.info("%s: events are sent again", self.sink.name)
            n_failures, self.problem = 0, ""
            if is_idle:
                if self._patience is not None:
                    return
                self._news.wait(_IDLE_SECONDS)

    @property
    def _is_over(self) -> bool:
        return self._patience is not None and time.monotonic() - self._since > self._patience

    def _pause(self, seconds: float) -> None:
        if self._patience is not None:
            seconds = min(seconds, max(0.0, self._since + self._patience - time.monotonic()) + 0.01)
        self._try_now.wait(seconds)
        self._try_now.clear()

    def _send_waiting(self) -> bool:
        """Send what waits; false if nothing did."""
        self._mark_arrived()
        waiting = self.store.unsent(self.sink.name)
        for delivery in waiting:
            if self._is_over:
                break
            self._try(delivery)
            self._arrived[delivery.id] = utc_us()
            self._since = max(self._since, time.monotonic())
            self._mark_arrived()
        return bool(waiting)

    def _try(self, delivery: Delivery) -> None:
        try:
            self.sink.send(delivery)
            return
        except SoundnessError as error:
            problem: SoundnessError = error
        except Exception as error:  # noqa: BLE001  # a fault of ours or of a library's keeps the event, too
            _LOG.exception("%s: an event could not be sent", self.sink.name)
            problem = OutputError(f"{self.sink.name}: not sent: {type(error).__name__} in the program, see its log")
        with self.store.transaction() as transaction:
            transaction.mark_failed(delivery.id, problem=one_line(str(problem)))
        raise problem

    def _mark_arrived(self) -> None:
        """Note in the store what has arrived; if that fails it is noted later, and not sent a second time."""
        if not self._arrived:
            return
        with self.store.transaction() as transaction:
            for delivery_id, now_us in self._arrived.items():
                transaction.mark_sent(delivery_id, now_us=now_us)
        self._arrived.clear()

    def _note(self, error: SoundnessError, n_failures: int) -> None:
        problem = one_line(str(error))
        if n_failures == 1 or problem != self.problem:
            _LOG.warning("%s: %s; events are kept, and sent later", self.sink.name, problem)
        self.problem = problem


class Deliveries:
    """Delivery to all sinks of a monitor.

    Parameters
    ----------
    sinks
        The sinks.
    store
        Store with the events.
    events
        Tells when there is something new.
    retry
        Waits between two tries.
    """

    def __init__(self, sinks: Sequence[Sink], store: Store, events: Events, *, retry: RetryPolicy = _RETRY) -> None:
        self.store, self.events = store, events
        self.loops = [DeliveryLoop(sink, store, retry=retry) for sink in sinks]

    def start(self) -> None:
        """Begin; a line is logged of events whose sink is not there any more."""
        names = {loop.sink.name for loop in self.loops}
        for name, number in count_unsent(self.store).items():
            if name not in names:
                _LOG.warning("%d events are kept for %r, which is not in the configuration", number, name)
        self.events.call(self._told)
        for loop in self.loops:
            loop.start()

    def _told(self, event: Event) -> None:
        if event.kind == "alarm":
            for loop in self.loops:
                loop.wake()

    def close(self, *, patience_seconds: float) -> None:
        """End once all has arrived, or nothing has for some time; what is left is sent after the next start."""
        self.events.call_no_more(self._told)
        for loop in self.loops:
            loop.end(patience_seconds)
        for loop in self.loops:
            loop.join()
        try:
            left = self.status()
        except OutputError as error:
            _LOG.warning("events that are left are sent after the next start; their number is not known: %s", error)
            return
        for one in left:
            if one.n_unsent:
                _LOG.warning("%s: %d events are kept, and sent after the next start", one.name, one.n_unsent)

    def status(self) -> list[SinkStatus]:
        """Sinks as they are now.

        Raises
        ------
        OutputError
            If the store cannot be read.
        """
        counts = count_unsent(self.store)
        return [
            SinkStatus(name=loop.sink.name, n_unsent=counts.get(loop.sink.name, 0), problem=loop.problem)
            for loop in self.loops
        ]
