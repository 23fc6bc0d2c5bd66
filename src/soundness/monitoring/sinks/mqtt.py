"""MQTT: alarms, each with a receipt of the broker, and the latest state of every sensor."""

import asyncio
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import aiomqtt

from soundness.data.download_http import RetryPolicy
from soundness.errors import NotSentError
from soundness.monitoring.live.alarm_book import alarm_content
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.sinks.broker import Broker, broker_problem, connect
from soundness.monitoring.sinks.messages import alarm_values, event_values
from soundness.monitoring.sinks.topics import ALARM_ATTRIBUTES, Topics
from soundness.monitoring.store.records import Delivery
from soundness.monitoring.store.store import Store

__all__ = ["MqttSink"]

_LOG = logging.getLogger(__name__)
_RETRY = RetryPolicy(first_seconds=0.5, longest_seconds=30.0)
_SHORT_SECONDS, _MANY = 10.0, 3  # connections that end as soon as this, and as many in a row, have a rival
_AT_ONCE = 20  # messages, as many as a broker has on the way to a client unless told otherwise
_UNKNOWN = "None"  # of a value; Home Assistant shows it as unknown


class MqttSink:
    """Connection to a broker, kept in a thread of its own.

    Parameters
    ----------
    broker
        The broker.
    topics
        Topics.
    sensors
        Names of the sensors.
    store, events
        Store and events, which say how the sensors are.
    public_url
        Address under which the pages are reached; empty if they are not.
    retry
        Waits between two tries to connect.
    """

    name = "mqtt"

    def __init__(
        self,
        broker: Broker,
        *,
        topics: Topics,
        sensors: Sequence[str],
        store: Store,
        events: Events,
        public_url: str = "",
        retry: RetryPolicy = _RETRY,
    ) -> None:
        self.broker, self.topics, self.sensors, self.retry = broker, topics, tuple(sensors), retry
        self.store, self.events, self.public_url = store, events, public_url
        self.problem = ""
        self._context = broker.context()
        self._will = aiomqtt.Will(topics.status, "offline", qos=1, retain=True)
        self._alarms: dict[str, set[str]] = {}  # open, by sensor
        self._values: dict[str, str] = {}  # latest, by topic
        self._changed: dict[str, None] = {}  # topics, in their order
        self._lock = threading.Lock()
        self._tried = threading.Event()  # set once it is known if there is a connection
        self._again: Callable[[], None] = lambda: None
        self._client: aiomqtt.Client | None = None
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self, retry: Callable[[], None]) -> None:
        """Connect in the background."""
        self._again = retry
        self.events.call(self._told)
        self._begin_values()
        is_ready = threading.Event()
        self._ready = is_ready.set
        self._thread.start()
        is_ready.wait()

    def close(self) -> None:
        """Say that the monitor is offline, and end the connection."""
        self.events.call_no_more(self._told)
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def send(self, delivery: Delivery) -> None:
        """Publish an event, and wait for the broker's receipt.

        Raises
        ------
        NotSentError
            If there is no connection or no receipt.
        """
        self._tried.wait()
        if self._client is None:
            raise NotSentError(self.problem)
        topic = self.topics.of(str(delivery.content.get("sensor")), "event")
        payload = json.dumps(event_values(delivery, public_url=self.public_url), allow_nan=False)
        asyncio.run_coroutine_threadsafe(self._send(topic, payload), self._loop).result()

    async def _send(self, topic: str, payload: str) -> None:
        client = self._client
        if client is None:
            raise NotSentError(self.problem)
        sending = asyncio.ensure_future(client.publish(topic, payload, qos=1))
        await asyncio.wait({sending, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            sending.cancel()
            raise NotSentError(f"{self.broker.url}: the connection broke before the broker's receipt")
        try:
            sending.result()
        except aiomqtt.MqttError as error:
            problem = broker_problem(self.broker, error)
            self._lose()  # else the message could arrive late, and a second time
            raise NotSentError(f"{problem}, without a receipt") from None

    def _begin_values(self) -> None:
        """Take the latest values of the store, so that they stand at the broker from the beginning."""
        for sensor in self.store.sensors():
            if sensor.name not in self.sensors:
                continue
            with self._lock:
                alarms = self.store.open_alarms(sensor.id)
                self._alarms.setdefault(sensor.name, {alarm.kind for alarm in alarms})
                about = alarm_content(sensor.name, alarms[-1], event="raised") if alarms else None
                shown = {} if about is None else alarm_values(about, public_url=self.public_url)
                values = {"state": sensor.state, ALARM_ATTRIBUTES: json.dumps(shown), "alarm": self._alarm(sensor.name)}
                for clip in self.store.last_clips(sensor.id, 1):
                    values |= _clip_values(asdict(clip))
                for value, payload in values.items():
                    self._values.setdefault(self.topics.of(sensor.name, value), payload)

    def _told(self, event: Event) -> None:
        with self._lock:
            for value, payload in self._values_of(event).items():
                topic = self.topics.of(event.sensor, value)
                if event.kind == "clip" or self._values.get(topic) != payload:  # what stands there is not sent again
                    self._values[topic], self._changed[topic] = payload, None
        if self._client is not None:
            self._loop.call_soon_threadsafe(self._news.set)

    def _values_of(self, event: Event) -> dict[str, str]:
        content = event.content
        if event.kind == "clip":
            return _clip_values(content)
        if event.kind == "state":
            return {"state": str(content.get("state"))}
        change, kind = content.get("event"), str(content.get("kind"))
        if change in ("raised", "resumed", "continued"):
            self._alarms.setdefault(event.sensor, set()).add(kind)
        elif change == "ended":
            self._alarms.setdefault(event.sensor, set()).discard(kind)
        else:
            return {}
        about = json.dumps(alarm_values(content, public_url=self.public_url), allow_nan=False)
        return {ALARM_ATTRIBUTES: about, "alarm": self._alarm(event.sensor)}  # in this order: who acts on it knows why

    def _alarm(self, sensor: str) -> str:
        return "ON" if self._alarms.get(sensor) else "OFF"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._stay_connected())

    async def _stay_connected(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending, self._news = asyncio.Event(), asyncio.Event()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._ready()
        n_failures = n_short = 0
        while not self._ending.is_set():
            began, was_connected, problem = time.monotonic(), False, f"{self.broker.url}: the connection broke"
            self._lost = self._loop.create_future()
            try:
                async with connect(self.broker, self._context, will=self._will) as client:
                    was_connected = True
                    await self._serve(client)
            except aiomqtt.MqttError as error:
                problem = broker_problem(self.broker, error)
            except Exception as error:  # noqa: BLE001  # a fault of ours or of the library's: alarms are kept
                _LOG.exception("mqtt: the connection failed")
                problem = f"{self.broker.url}: {type(error).__name__} in the program, see its log"
            finally:
                self._client = None
            if was_connected:
                n_failures, n_short = 0, n_short + 1 if time.monotonic() - began < _SHORT_SECONDS else 0
                if n_short >= _MANY and problem.endswith("connection broke"):
                    problem += f"; again and again: does another program use client_id {self.broker.client_id!r}?"
            n_failures += 1
            if not self._ending.is_set():
                self._note(problem)
                await self._pause(self.retry.wait_seconds(n_failures, 0.0))
        self._tried.set()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            _LOG.warning("mqtt: %s; trying again", problem)
        self.problem = problem
        self._tried.set()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return

    def _lose(self) -> None:
        if not self._lost.done():
            self._lost.set_result(None)

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Publish what is new, until the connection breaks or the monitor ends."""
        self._client, self.problem = client, ""
        self._tried.set()
        self._again()
        tasks: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(work) for work in (self._read(client), self._publish_values(client))
        ]
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({*tasks, ending, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._client = None
            self._lose()
            for task in (*tasks, ending):
                task.cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        if self._ending.is_set():
            await client.publish(self.topics.status, "offline", qos=1, retain=True)
        for one in found:
            if isinstance(one, Exception):
                raise one

    async def _publish_values(self, client: aiomqtt.Client) -> None:
        """Publish what stands at the broker: what Home Assistant is told, latest values, being online; then changes."""
        if self.topics.home_assistant:
            await client.subscribe(self.topics.discovery_filter, qos=1)
            await _publish(client, {topic: json.dumps(one) for topic, one in self._discovery().items()})
        with self._lock:
            values = dict(self._values)
            self._changed.clear()
        await _publish(client, {**values, self.topics.status: "online"})
        while True:
            self._news.clear()
            with self._lock:
                values = {topic: self._values[topic] for topic in self._changed}
                self._changed.clear()
            await _publish(client, values)
            await self._news.wait()

    def _discovery(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for sensor in self.sensors:
            found |= self.topics.discovery(sensor, public_url=self.public_url)
        return found

    async def _read(self, client: aiomqtt.Client) -> None:
        """Remove what stands at the broker of sensors that are gone; raises when the connection breaks."""
        known = self._discovery()
        async for message in client.messages:
            topic = str(message.topic)
            if topic not in known and message.payload:
                await _publish(client, dict.fromkeys((topic, *self._values_of_gone(message.payload)), ""))

    def _values_of_gone(self, payload: object) -> list[str]:
        """Topics with what a discovery message tells of, if they are of this monitor."""
        try:
            about = json.loads(payload) if isinstance(payload, bytes | str) else {}
        except (ValueError, RecursionError):
            return []
        places = (
            [about.get(f"{name}_topic") for name in ("state", "json_attributes")] if isinstance(about, dict) else []
        )
        own = [one for one in places if isinstance(one, str) and one.startswith(f"{self.topics.prefix}/")]
        return [one for one in own if one not in self._values and not set(one) & set("+#\0")]


async def _publish(client: aiomqtt.Client, values: Mapping[str, str]) -> None:
    """Publish values, to stand at the broker, and wait for its receipts; an empty one removes what stands there."""
    waiting = list(values.items())
    for start in range(0, len(waiting), _AT_ONCE):
        some = waiting[start : start + _AT_ONCE]
        await asyncio.gather(*(client.publish(topic, text, qos=1, retain=True) for topic, text in some))


def _clip_values(clip: Mapping[str, Any]) -> dict[str, str]:
    """Values of a clip; those that it does not have are unknown, and not those of the clip before."""
    is_scored = clip.get("outcome") == "scored"
    return {
        "score": _number(clip.get("score") if is_scored else None),
        "p_value": _number(clip.get("p_value") if is_scored else None),
        "level": _number(clip.get("level_db")),
    }


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None or not math.isfinite(value) else f"{value:.6g}"
