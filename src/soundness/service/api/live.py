"""Events as they happen: server-sent, to every page and program that listens."""

import asyncio
import json
import logging
import queue
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from soundness.errors import OutputError
from soundness.monitoring.live.events import Event
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, problem_responses

__all__ = ["LiveEvents", "events_api"]

_LOG = logging.getLogger(__name__)

_MOST_LISTENERS = 200
_MOST_WAITING = 500  # events of one listener
_HEARTBEAT_SECONDS = 15.0


class LiveEvents:
    """Hands events of the monitor's threads to the listeners of the service.

    Parameters
    ----------
    parts
        Parts of the monitor.
    """

    def __init__(self, parts: ServiceParts) -> None:
        self.parts = parts
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._ids: dict[str, int] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to listen, within the loop of the service."""
        self._loop = asyncio.get_running_loop()
        self._source = self.parts.events.listen()
        self._thread = threading.Thread(target=self._forward, name="service events", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the streams of all listeners; called from any other thread, before the service ends."""
        self._stop.set()
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._spread, None)
        self.parts.events.leave(self._source)
        with suppress(queue.Full):  # then it wakes by itself
            self._source.put_nowait(Event(kind="state", sensor=""))
        self._thread.join(timeout=5.0)

    def _forward(self) -> None:
        while not self._stop.is_set():
            event = self._source.get()
            try:
                sensor_id = self._sensor_id(event.sensor) if self._listeners else None
            except OutputError as error:  # listeners miss the event, and are told of the next
                _LOG.warning("%s; an event of %s is not shown", error, event.sensor)
                continue
            if sensor_id is not None:
                self._loop.call_soon_threadsafe(self._spread, _message(event, sensor_id))

    def _sensor_id(self, name: str) -> int | None:
        if name not in self._ids:
            found = self.parts.store.sensor(name)
            if found is None:
                return None
            self._ids[name] = found.id
        return self._ids[name]

    def _spread(self, message: bytes | None) -> None:
        for listener in self._listeners:
            _put(listener, message)

    async def stream(self) -> AsyncIterator[bytes]:
        """Messages for one listener, until it leaves or the service ends."""
        listener: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING)
        self._listeners.add(listener)
        try:
            yield b"retry: 3000\nevent: hello\ndata: {}\n\n"
            while not self._stop.is_set():
                try:
                    message = await asyncio.wait_for(listener.get(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield b"event: beat\ndata: {}\n\n"
                    continue
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(listener)

    @property
    def is_full(self) -> bool:
        """True if no more listeners are taken."""
        return len(self._listeners) >= _MOST_LISTENERS


def _put(listener: "asyncio.Queue[bytes | None]", message: bytes | None) -> None:
    """Give a message to a listener; one that does not keep up is sent away, and comes back to read the whole."""
    try:
        listener.put_nowait(message)
    except asyncio.QueueFull:
        while not listener.empty():
            listener.get_nowait()
        listener.put_nowait(None)


def _message(event: Event, sensor_id: int) -> bytes:
    content: Mapping[str, Any] = {"sensor": sensor_id, "name": event.sensor, **_public(event)}
    return f"event: {event.kind}\ndata: {json.dumps(content, allow_nan=False)}\n\n".encode()


def _public(event: Event) -> dict[str, Any]:
    hidden = ("sensor", "sensor_id", "detector_id", "audio")  # paths and numbers of the store alone
    return {name: value for name, value in event.content.items() if name not in hidden}


def events_api(live: LiveEvents) -> APIRouter:
    """Operation that streams events."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, **problem_responses()},
    )
    async def stream_events() -> StreamingResponse:
        """Events as they happen: `clip`, `alarm`, `state`; `hello` at the beginning, `beat` every 15 s of quiet."""
        if live.is_full:
            raise Problem(503, f"{_MOST_LISTENERS} listeners already", kind="busy", headers={"Retry-After": "10"})
        return StreamingResponse(live.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return router
