"""`monitor`: one process that listens to all sensors of a configuration, tells of alarms and serves the pages."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from soundness.aliases import PathLike
from soundness.errors import SettingsError
from soundness.extras import check_extra

if TYPE_CHECKING:  # loaded when it is needed
    from soundness.monitoring.live.engine import Engine
    from soundness.monitoring.sinks.delivery import Deliveries

__all__ = ["monitor"]

_OPEN_FILES = 8_192
_PATIENCE_AT_END, _PATIENCE_IF_STOPPED = 15.0, 2.0  # seconds for what cannot be sent, which the next start sends


def monitor(configuration: PathLike) -> None:
    """Listen to all sensors of a configuration until it is interrupted, or every source has ended.

    Where recordings were played and the pages are on, it stays until it is interrupted.

    Parameters
    ----------
    configuration
        TOML file, see ``docs/monitor.md``.

    Raises
    ------
    SoundnessError
        If the configuration, the store, a detector or a source cannot be used.
    """
    check_extra("monitor")
    _allow_open_files()
    from soundness.monitoring.configuration.monitor_settings import load_configuration
    from soundness.monitoring.learning.feedback import NormalSounds
    from soundness.monitoring.live.engine import Engine
    from soundness.monitoring.live.events import log_event
    from soundness.monitoring.sinks.configured import configured_sinks
    from soundness.monitoring.sinks.delivery import Deliveries
    from soundness.monitoring.sinks.hidden_secrets import configured_secrets, secrets_hidden
    from soundness.monitoring.sinks.metrics import Metrics
    from soundness.monitoring.store.database import only_monitor
    from soundness.monitoring.store.store import Store
    from soundness.service.alarm_pictures import AlarmPictures
    from soundness.service.http import http_service

    path = Path(configuration)
    settings, folder = load_configuration(path), path.absolute().parent
    own = settings.store
    password = None if own.password is None else own.password.read(folder, name="store.password")
    with ExitStack() as stack:
        stack.enter_context(secrets_hidden(configured_secrets(settings, folder)))
        store = Store.open(folder / own.folder, url=own.url, password=password)
        stack.callback(store.close)
        still_alone = stack.enter_context(only_monitor(store.engine))
        engine = Engine(settings, folder=folder, store=store, sinks=settings.sink_names, still_alone=still_alone)
        engine.events.call(log_event)
        problems = engine.load_detectors()
        if problems:
            name, problem = next(iter(problems.items()))
            raise SettingsError(f"{path}: sensor {name}: {problem}")
        draw = AlarmPictures(store, engine.recorders).draw
        sinks = configured_sinks(settings, folder=folder, store=store, events=engine.events, draw=draw)
        deliveries = Deliveries(sinks, store, engine.events)
        if settings.service.is_on:
            metrics, feedback = Metrics(engine, deliveries).text, NormalSounds(engine.recorders)
            stack.enter_context(http_service(engine, metrics=metrics, sinks=deliveries.status, feedback=feedback))
        stack.callback(engine.stop.set)
        _stop_at_signals(engine.stop)
        with _delivering(deliveries, engine):
            engine.run(stays=settings.service.is_on)


@contextmanager
def _delivering(deliveries: "Deliveries", engine: "Engine") -> Iterator[None]:
    """Context in which events are sent; it ends once all that can be sent has been, if the sources have ended."""
    deliveries.start()
    try:
        yield
    finally:
        is_at_end = engine.has_ended and not engine.is_interrupted
        deliveries.close(patience_seconds=_PATIENCE_AT_END if is_at_end else _PATIENCE_IF_STOPPED)


def _allow_open_files() -> None:
    """Allow this process as many open files as many sensors and many connections need, where the system lets it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _stop_at_signals(stop: threading.Event) -> None:
    def stopped(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)  # if again
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
