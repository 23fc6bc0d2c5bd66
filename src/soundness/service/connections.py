"""Connections of the service: a limited number, each of which has to send its requests in time."""

import asyncio
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["TimedConnection"]

_MOST = 2_000
_REQUEST_SECONDS = 20.0  # for a request, and its body
_SLOWEST = 10_000.0  # bytes in a second, of a body that takes longer
_LOOK_SECONDS = 2.0


class TimedConnection(H11Protocol):
    """Connection that is closed if a request takes too long to come, or others need its place.

    Who opens many and sends little would otherwise take all files that a process may open, and with them those that
    the clips of the sensors are written to.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in its parent
        """Begin a connection; where there are too many, the one that has waited longest for its request ends."""
        super().connection_made(transport)
        self._begin_request()
        if len(self.connections) > (most := _most_connections()):
            self._make_room(most)
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._n_bytes += len(data)
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._begin_request()
        super().on_response_complete()

    @property
    def is_waiting(self) -> bool:
        """True while a request, or the rest of one, has not come."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.flow.read_paused

    def _make_room(self, most: int) -> None:
        others = [one for one in self.connections if isinstance(one, TimedConnection)]
        still_open = [one for one in others if not one.transport.is_closing()]
        if len(still_open) > most:
            waiting = [one for one in still_open if one.is_waiting]
            min(waiting, default=self, key=lambda one: one.waits_since).transport.abort()

    def _begin_request(self) -> None:
        self.waits_since, self._n_bytes = self.loop.time(), 0

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        allowed = _REQUEST_SECONDS + self._n_bytes / _SLOWEST
        if self.is_waiting and self.loop.time() - self.waits_since > allowed:
            self.transport.abort()
        else:
            self.loop.call_later(_LOOK_SECONDS, self._look)


def _most_connections() -> int:
    """Largest number of connections: at most half of the files that this process may open."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)
