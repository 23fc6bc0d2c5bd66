"""HTTP service of a running monitor: its parts, its rules of access, its address."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from soundness.errors import SettingsError
from soundness.monitoring.configuration.monitor_settings import ServiceSettings
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.sinks.delivery import SinkStatus
from soundness.service.access.guard import Access, is_loopback
from soundness.service.access.passwords import Secrets
from soundness.service.access.sessions import read_session_key
from soundness.service.api.live import LiveEvents
from soundness.service.application import build_application
from soundness.service.parts import Feedback, ServiceParts
from soundness.service.server import open_socket, serving, shown_address

__all__ = ["http_service", "read_secrets"]


@contextmanager
def http_service(
    engine: Engine,
    *,
    metrics: Callable[[], str] | None = None,
    sinks: Callable[[], Sequence[SinkStatus]] = tuple,
    feedback: Feedback | None = None,
) -> Iterator[str]:
    """Context in which a monitor answers under its address, which is printed and given.

    Raises
    ------
    SoundnessError
        If the settings leave it open to others, or it cannot listen there.
    """
    settings = engine.settings.service
    access = _access(settings, engine.folder, engine.store.folder)
    parts = ServiceParts(
        settings=engine.settings,
        store=engine.store,
        events=engine.events,
        detector_of=lambda name: None if name not in engine.recorders else engine.recorders[name].detector,
        metrics=metrics,
        sinks=sinks,
        feedback=feedback,
        shown_state=lambda name: None if name not in engine.recorders else engine.recorders[name].standing.shown(),
        problems=lambda: engine.problems,
        problem=lambda: _problem(engine),
    )
    found, live = open_socket(settings.host, settings.port), LiveEvents(parts)
    with serving(build_application(parts, access, live), found, before_end=live.end):
        address = shown_address(found)
        print(f"pages at {address}", flush=True)
        yield address


def _problem(engine: Engine) -> str:
    """Reason why a monitor is not well, without what only those who have logged in may see."""
    if engine.failure is not None:
        return "the monitor has failed; see the log"
    return "what sensors give is not recorded now; see the log" if engine.unrecorded else ""


def _access(settings: ServiceSettings, folder: Path, store_folder: Path) -> Access:
    secrets = read_secrets(settings, folder)
    key = read_session_key(store_folder, password_hash=secrets.password_hash or secrets.token or "")
    return Access(secrets=secrets, key=key, host=settings.host, public_url=settings.public_url)


def read_secrets(settings: ServiceSettings, folder: Path) -> Secrets:
    """Secrets of the service.

    Raises
    ------
    SettingsError
        If one cannot be used, or there is none and others than this computer can reach the service.
    """
    secrets = Secrets(
        token=None if settings.token is None else settings.token.read(folder, name="service.token"),
        password_hash=None if settings.password is None else settings.password.read(folder, name="service.password"),
    )
    if secrets.is_open and not is_loopback(settings.host):
        raise SettingsError(
            f"service.host: {settings.host} can be reached from other computers: expected service.password or "
            "service.token; soundness monitor password makes a password"
        )
    return secrets
