"""HTTP server of a monitor, in a thread of its process."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from soundness.errors import OutputError, ProcessError, SettingsError
from soundness.service.connections import TimedConnection

__all__ = ["open_socket", "serving", "shown_address"]

_LOG = logging.getLogger(__name__)

_START_SECONDS = 30.0
_STOP_SECONDS = 3
_BACKLOG = 1_024


def open_socket(host: str, port: int) -> socket.socket:
    """Socket that listens on an address; port 0 takes a free one.

    Raises
    ------
    SettingsError
        If there is no such host.
    OutputError
        If the port is taken or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SettingsError(f"service.host: {host}: {error.strerror or error}") from None
    found = socket.socket(family, kind, protocol)  # asyncio sends small answers at once only on a socket that says TCP
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise OutputError(f"service: {host}:{port}: {error.strerror or error}") from None
    return found


def shown_address(found: socket.socket) -> str:
    """Address of a socket as people type it; of one that listens everywhere, by the name of this computer."""
    host, port = found.getsockname()[:2]
    host = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


@contextmanager
def serving(app: ASGIApp, found: socket.socket, *, before_end: Callable[[], None]) -> Iterator[None]:
    """Context in which an application answers on a socket.

    Parameters
    ----------
    app
        The application.
    found
        The socket, which is closed in the end.
    before_end
        Ends the answers that would go on for ever.

    Raises
    ------
    ProcessError
        If the server does not start.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=TimedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # whatever strangers send is no line of the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([found],), name="service", daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        try:
            yield
        finally:
            before_end()
    finally:
        server.should_exit = True
        thread.join(timeout=_STOP_SECONDS + 5.0)
        if thread.is_alive():
            _LOG.warning("the HTTP service does not end")
        found.close()


def _await_start(server: uvicorn.Server, thread: threading.Thread) -> None:
    wait = threading.Event()
    for _ in range(round(_START_SECONDS / 0.02)):
        if server.started:
            return
        if not thread.is_alive():
            break
        wait.wait(0.02)
    raise ProcessError("the HTTP service does not start; see the log")
