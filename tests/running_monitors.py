"""Monitors that run while a test looks at their store."""

import threading
import time
from contextlib import contextmanager

from learning_monitors import engine_in, settings


class Running:
    """An engine at work."""

    def __init__(self, engine, store):
        self.engine, self.store = engine, store
        self.failure = None

    def rows(self, sensor_id=1):
        return self.store.last_clips(sensor_id, 100_000)

    def wait(self, condition, *, seconds=60.0):
        """Wait until something is true of this."""
        until = time.monotonic() + seconds
        while not condition(self):
            assert self.failure is None, self.failure
            assert time.monotonic() < until, [(row.number, row.outcome, row.note) for row in self.rows()]
            time.sleep(0.02)


@contextmanager
def running(folder, own=None, **sensor):
    """A monitor with one sensor, or of a configuration, for the time of a block."""
    engine, store = engine_in(folder, settings(**sensor) if own is None else own)
    found = Running(engine, store)

    def run():
        try:
            engine.run()
        except Exception as error:  # noqa: BLE001  # it is shown where the test waits
            found.failure = error

    assert engine.load_detectors() == {}
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        engine.stop.set()
        thread.join()
        store.close()
