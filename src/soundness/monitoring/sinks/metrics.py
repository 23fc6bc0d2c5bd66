"""Figures of a running monitor for Prometheus."""

import importlib.metadata
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import sqlalchemy as sql
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from soundness.errors import OutputError
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.live.events import Event
from soundness.monitoring.sinks.delivery import Deliveries
from soundness.monitoring.store.records import SensorState
from soundness.monitoring.store.store import Store

__all__ = ["Metrics"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AUDIO_SECONDS = 600.0  # for which the size of the audio is remembered: there may be a million files


class Metrics(Collector):
    """Figures of a monitor.

    Counts are of this run of the program; what is not known is left out, and never shown with an old value.

    Parameters
    ----------
    engine
        The monitor.
    deliveries
        Deliveries to its sinks.
    """

    def __init__(self, engine: Engine, deliveries: Deliveries) -> None:
        self.engine, self.deliveries = engine, deliveries
        self._values: dict[str, dict[str, float]] = {}  # of the last clip, by sensor
        self._lock = threading.Lock()
        self._audio: tuple[float, int] | None = None  # when it was measured, and bytes
        registry = CollectorRegistry()
        self._clips = Counter(
            "soundness_clips", "Clips and gaps by their outcome.", ["sensor", "outcome"], registry=registry
        )
        self._alarms = Counter("soundness_alarms", "Alarms that were raised.", ["sensor", "kind"], registry=registry)
        self._seconds = Histogram(
            "soundness_scoring_seconds", "Time to score a clip.", buckets=_BUCKETS, registry=registry
        )
        registry.register(self)
        self._registry = registry
        engine.events.call(self._told)

    def text(self) -> str:
        """All figures, in the text format of Prometheus."""
        return generate_latest(self._registry).decode()

    def close(self) -> None:
        """Count no more."""
        self.engine.events.call_no_more(self._told)

    def _told(self, event: Event) -> None:
        content = event.content
        if event.kind == "alarm" and content.get("event") == "raised":
            self._alarms.labels(event.sensor, str(content.get("kind"))).inc()
        if event.kind != "clip":
            return
        outcome = str(content.get("outcome"))
        self._clips.labels(event.sensor, outcome).inc()
        seconds = content.get("scoring_seconds")
        if seconds is not None:
            self._seconds.observe(float(seconds))
        names = {"level_db": "level"} | ({"score": "score", "p_value": "p_value"} if outcome == "scored" else {})
        values = {shown: float(content[name]) for name, shown in names.items() if content.get(name) is not None}
        with self._lock:
            self._values[event.sensor] = values | {"end": content["start_us"] / 1e6 + content["seconds"]}

    def collect(self) -> Iterator[Metric]:
        """Figures as they are now; called by the registry."""
        yield _gauge("soundness_version", "Version of the program.", ["version"], [([_version()], 1.0)])
        yield from self._sensors()
        yield from self._store()

    def _sensors(self) -> Iterator[Metric]:
        with self._lock:
            values = dict(self._values)
        for name, shown, about in (
            ("soundness_score", "score", "Anomaly score of the last clip, if it was scored."),
            ("soundness_p_value", "p_value", "P-value of the last clip, if it was scored."),
            ("soundness_level_dbfs", "level", "Level of the last clip, dB below full scale."),
            ("soundness_last_clip_timestamp_seconds", "end", "End of the last clip, since 1970."),
        ):
            samples = [([sensor], found[shown]) for sensor, found in values.items() if shown in found]
            yield _gauge(name, about, ["sensor"], samples)
        recorders = self.engine.recorders.items()
        states = [
            ([sensor, state], float(recorder.standing.shown()[0] == state))
            for sensor, recorder in recorders
            for state in get_args(SensorState)
        ]
        yield _gauge("soundness_state", "1 for the state that a sensor is in.", ["sensor", "state"], states)
        recorded = [([sensor], float(not recorder.standing.problem)) for sensor, recorder in recorders]
        yield _gauge("soundness_recorded", "1 if what a sensor gives can be recorded.", ["sensor"], recorded)
        waiting = [([sensor], float(len(recorder.sensor.pending))) for sensor, recorder in recorders]
        yield _gauge("soundness_clips_waiting", "Clips that wait to be scored.", ["sensor"], waiting)
        lost = CounterMetricFamily(
            "soundness_audio_lost_clips", "Clips whose audio could not be kept.", labels=["sensor"]
        )
        for sensor, recorder in recorders:
            lost.add_metric([sensor], recorder.audio.n_lost)
        yield lost

    def _store(self) -> Iterator[Metric]:
        try:
            status = self.deliveries.status()
            database = _database_bytes(self.engine.store)
        except OutputError:
            yield _gauge("soundness_store_up", "1 if the database can be read.", [], [([], 0.0)])
            return
        yield _gauge("soundness_store_up", "1 if the database can be read.", [], [([], 1.0)])
        unsent = [([one.name], float(one.n_unsent)) for one in status]
        yield _gauge("soundness_deliveries_unsent", "Events that have not arrived.", ["sink"], unsent)
        failing = [([one.name], float(bool(one.problem))) for one in status]
        yield _gauge("soundness_sink_failing", "1 if the last try failed.", ["sink"], failing)
        sizes = [(["database"], float(database)), (["audio"], float(self._audio_bytes()))]
        yield _gauge("soundness_store_bytes", "Size of the store; of the audio every ten minutes.", ["part"], sizes)
        with suppress(OSError):  # the disk is gone
            free = shutil.disk_usage(self.engine.store.folder).free
            yield _gauge("soundness_disk_free_bytes", "Free space where the store is.", [], [([], float(free))])

    def _audio_bytes(self) -> int:
        now = time.monotonic()
        with self._lock:
            if self._audio is None or now - self._audio[0] > _AUDIO_SECONDS:
                self._audio = now, sum(map(_size, (self.engine.store.folder / "audio").rglob("*.flac")))
            return self._audio[1]


def _gauge(name: str, about: str, labels: list[str], samples: Iterable[tuple[list[str], float]]) -> Metric:
    found = GaugeMetricFamily(name, about, labels=labels)
    for values, number in samples:
        found.add_metric(values, number)
    return found


def _database_bytes(store: Store) -> int:
    if store.engine.dialect.name == "sqlite":
        file = Path(store.engine.url.database or "")
        return sum(_size(file.with_name(file.name + end)) for end in ("", "-wal"))
    with store.reading() as connection:
        return int(connection.execute(sql.text("SELECT pg_database_size(current_database())")).scalar() or 0)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it has gone in the meantime
        return 0


def _version() -> str:
    return importlib.metadata.version("soundness")
