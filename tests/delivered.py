"""A store with events that are to be sent, and waiting for what happens in another thread."""

import contextlib
import time

from soundness.data.download_http import RetryPolicy
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.sinks.delivery import Deliveries
from soundness.monitoring.store.store import Store

SOON = RetryPolicy(first_seconds=0.02, longest_seconds=0.2)
RAISED_US = 1_764_420_000_000_000  # 2025-11-29 12:40:00 UTC


def until(condition, seconds=60.0):
    """What a condition gives once it is true; it fails where it never is."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
    return found


def alarm(key="a1", event="raised", **content):
    """Content of an event, and its key."""
    values = {"sensor": "pump 3", "kind": "anomaly", "raised_us": RAISED_US, "ended_us": None}
    values |= {"score": 3.5, "p_value": 0.001, "reason": "a tone at 3 kHz is 12 dB louder"}
    return f"{key}:{event}", {"id": key, "event": event, **values, **content}


def commit(store, events, sinks, key, content):
    """Write an event as the recorder does, and tell of it."""
    with store.transaction() as transaction:
        transaction.deliver(sinks, key=key, content=content, now_us=RAISED_US)
    events.tell(Event(kind="alarm", sensor=content["sensor"], content=content))


@contextlib.contextmanager
def delivering(store, sinks, *, events=None, retry=SOON, patience_seconds=5.0):
    """Deliveries for the time of a test."""
    deliveries = Deliveries(sinks, store, Events() if events is None else events, retry=retry)
    deliveries.start()
    try:
        yield deliveries
    finally:
        deliveries.close(patience_seconds=patience_seconds)


@contextlib.contextmanager
def open_store(folder):
    """A store for the time of a test."""
    store = Store.open(folder)
    try:
        yield store
    finally:
        store.close()
