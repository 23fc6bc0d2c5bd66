"""The engine: threads that read the sources, threads that score, and one that watches over them."""

import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from soundness.errors import DataError, SoundnessError
from soundness.monitoring.alarm_rules import AlarmRequest
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder
from soundness.monitoring.capture.kept_audio import KeptAudio
from soundness.monitoring.capture.resuming import place_after
from soundness.monitoring.capture.sensor import LiveSensor
from soundness.monitoring.configuration.monitor_settings import MonitorSettings, SensorSettings
from soundness.monitoring.detector_in_use import DetectorInUse, file_in_use, load_detector_in_use
from soundness.monitoring.learning.commissioning import finish_left
from soundness.monitoring.learning.learners import Learners
from soundness.monitoring.live.detector_files import DetectorFiles
from soundness.monitoring.live.events import Events
from soundness.monitoring.live.keeper import Keeper, retention_of
from soundness.monitoring.live.recorder import Recorder
from soundness.monitoring.sources.protocol import without_secret
from soundness.monitoring.store.recordings import StoredRecordings
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.times import utc_us
from soundness.monitoring.upkeep.configuration_changes import note_configuration
from soundness.monitoring.upkeep.normal_bank import bank_of
from soundness.settings.durations import parse_seconds
from soundness.threads import one_thread_each

__all__ = ["Engine"]

_LOOK_SECONDS = 0.2  # between two looks at the sensors
_END_SECONDS = 10.0  # within which all threads end; one that waits for a network may take longer, and is left

_FEW_SENSORS = 8  # whose clips may end at once
_MOST_NAMED = 4  # sensors of one problem

_LOG = logging.getLogger(__name__)


class Engine:
    """A monitor at work.

    Parameters
    ----------
    settings
        Configuration.
    folder
        Folder of the configuration, that relative paths are below.
    store
        Store of the monitor.
    sinks
        Names of the sinks that alarms are sent to.
    n_workers
        Threads that score; the number of cores if ``None``.
    still_alone
        Makes sure that no other monitor uses the database, see `soundness.monitoring.store.database.only_monitor`.
    waits_for_store
        Try again and again to write to a database that is away or has no room; else the monitor ends.

    Attributes
    ----------
    feeds
        Each is called in a thread of its own, with an event that ends it, and hands recordings to sensors of
        `add_sensor`.
    end_of_tries
        Set where a database that is away is not asked again.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        *,
        folder: Path,
        store: Store,
        sinks: Sequence[str] = (),
        n_workers: int | None = None,
        still_alone: Callable[[], None] = lambda: None,
        waits_for_store: bool = True,
    ) -> None:
        self.settings, self.folder, self.store = settings, folder, store
        self.events = Events()
        self.stop, self.is_interrupted = threading.Event(), False
        self.failure: Exception | None = None
        self.sinks = tuple(sinks)
        self.n_workers = (os.cpu_count() or 1) if n_workers is None else n_workers
        self.learners, self.still_alone = Learners(self.stop), still_alone
        self.feeds: list[Callable[[threading.Event], None]] = []
        self._feeding: list[threading.Thread] = []
        self.end_of_tries = self.stop if waits_for_store else threading.Event()
        if not waits_for_store:
            self.end_of_tries.set()
        self._ready: queue.SimpleQueue[LiveSensor | None] = queue.SimpleQueue()
        self.recorders: dict[str, Recorder] = {}
        note_configuration(store, settings, now_us=utc_us())
        for one in settings.sensor:
            self.recorders[one.name] = self._recorder(one)

    def _recorder(self, settings: SensorSettings) -> Recorder:
        """Recorder of a sensor, which goes on where it was."""
        now_us, store = utc_us(), self.store
        with store.transaction() as transaction:
            sensor_id = transaction.add_sensor(
                settings.name, source=without_secret(settings.source), state="waiting", now_us=now_us
            )
        found = store.sensor(settings.name)
        assert found is not None
        files, last = ClipFolder(store.folder, f"{sensor_id}"), store.last_clip(sensor_id)
        last_number = 0 if last is None else last.number
        left = files.left(last_number=last_number)
        waiting = [clip for clip in left if clip.number > last_number]
        place = place_after(last, waiting, clip_seconds=settings.clip_seconds, hop_seconds=settings.hop)
        secret = "" if settings.source_secret is None else settings.source_secret.read(self.folder, name=settings.name)
        sensor = LiveSensor(
            settings=settings,
            sensor_id=sensor_id,
            files=files,
            base=self.folder,
            address=settings.source.replace("{secret}", secret),
            first_us=place.first_us if found.first_us is None else found.first_us,
            next_us=place.next_us,
            end_us=place.end_us,
            number=place.number,
            ready=self._ready.put,
            known=StoredRecordings(store, sensor_id, self.end_of_tries),
        )
        sensor.pending.extend(place.work)
        recorder = Recorder(
            sensor,
            store,
            self.events,
            audio=self._audio(files, hop_seconds=settings.hop),
            sinks=self.sinks,
            stop=self.end_of_tries,
        )
        recorder.learned, recorder.beside = self.learners.learn, self.learners.submit
        recorder.bank = bank_of(store, found)
        self._begin_audio(recorder, left)
        return recorder

    def add_sensor(self, settings: SensorSettings, detector: DetectorInUse | None) -> LiveSensor:
        """Add a sensor without a source of its own, also while the engine runs; a feed hands recordings to it.

        Parameters
        ----------
        settings
            Its settings.
        detector
            Detector of its recordings, as `score` applies it: what is normal does not move. ``None`` for a sensor all
            of whose recordings have a problem.
        """
        recorder = self._recorder(settings)
        if detector is not None:
            recorder.install(detector, reason="configured")
            recorder.following = None
        recorder.sensor.has_ended = True
        self.recorders[settings.name] = recorder
        return recorder.sensor

    def _begin_audio(self, recorder: Recorder, left: Sequence[ClipFile]) -> None:
        """Go on with the clips that are in the ring of a sensor."""
        store = self.store
        rows = store.clips_from(recorder.sensor.sensor_id, left[0].number) if left else []
        known = {row.number: row for row in rows}
        kept = recorder.audio.begin(
            [(clip, known[clip.number].id, bool(known[clip.number].audio)) for clip in left if clip.number in known],
            has_alarm=any(row.is_anomalous and row.alarm_id is not None and not row.audio for row in known.values()),
        )
        if kept:
            with store.transaction() as transaction:
                transaction.set_audio(kept)

    def _audio(self, files: ClipFolder, *, hop_seconds: float) -> KeptAudio:
        settings, before = self.settings.store, parse_seconds(self.settings.store.before_alarm)
        return KeptAudio(
            files,
            settings.keep_audio,
            round(1e6 * before),
            1e9 * settings.min_free_gigabytes,
            most_clips=math.ceil(before / hop_seconds) + 2,
        )

    def load_detectors(self) -> Mapping[str, str]:
        """Read the detectors, those of the configuration and those that were learned; problems by name of the sensor.

        Sensors that have none begin to learn, or go on with it.
        """
        problems: dict[str, str] = {}
        loaded: dict[tuple[Path, AlarmRequest, bool], DetectorInUse] = {}
        for name, recorder in self.recorders.items():
            settings = recorder.sensor.settings
            file = file_in_use(self.store, recorder.sensor, folder=self.folder)
            if file is None:
                recorder.learn()
                continue
            wanted = (file, settings.alarm_request, settings.has_rate)
            try:
                if wanted not in loaded:  # sensors of one file share it
                    loaded[wanted] = load_detector_in_use(file, settings)
            except SoundnessError as error:
                problems[name] = str(error)
                continue
            recorder.install(loaded[wanted], reason="configured")
            finish_left(recorder)
        return problems

    @property
    def has_ended(self) -> bool:
        """True if every source has ended, and all that came of them is recorded and learned."""
        if any(thread.is_alive() for thread in self._feeding):
            return False  # asked first: what a feed has handed over is pending before it ends
        sensors = [recorder.sensor for recorder in list(self.recorders.values())]
        is_recorded = all(sensor.has_ended and not sensor.pending for sensor in sensors)
        return is_recorded and not self.learners.is_busy

    @property
    def unrecorded(self) -> list[str]:
        """Reasons why sensors are not recorded now, a line each; empty if all are."""
        found: dict[str, list[str]] = {}
        for name, recorder in self.recorders.items():
            if problem := recorder.standing.problem:
                found.setdefault(problem, []).append(name)
        return [f"{_shown_names(names)}: {problem}" for problem, names in found.items()]

    @property
    def problems(self) -> list[str]:
        """All that is wrong with the monitor itself, a line each."""
        found, kept = self.unrecorded, [one.audio for one in self.recorders.values()]
        if self.failure is not None:
            found.append("the monitor has failed; see the log")
        if not all(one.has_room() for one in kept):
            n_lost = sum(one.n_lost for one in kept)
            words = f"; that of {n_lost:,} clip(s) is lost" if n_lost else ""
            found.append(f"too little free space on the disk of the store: no audio is kept until there is more{words}")
        return found

    def run(self, *, stays: bool = False) -> None:
        """Listen until every source has ended, or `stop` is set.

        Parameters
        ----------
        stays
            Go on after recordings have been played to their end, for those who look at what came of them.

        Raises
        ------
        OutputError
            If the store cannot be written.
        DataError
            If every source has ended, and one of them because it can never be read.
        """
        workers = [threading.Thread(target=self._work, name=f"score {n}", daemon=True) for n in range(self.n_workers)]
        captures = [
            threading.Thread(target=self._capture, args=(sensor, begin), name=f"capture {name}", daemon=True)
            for name, sensor, begin in self._begins()
        ]
        feeds = [threading.Thread(target=self._feed, args=(feed,), name="feed", daemon=True) for feed in self.feeds]
        self._feeding = feeds
        keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self.learners.start()
        with one_thread_each():
            for recorder in self.recorders.values():
                self._ready.put(recorder.sensor)
            for thread in (*workers, *captures, *feeds, keeper):
                thread.start()
            try:
                self._watch(stays=stays)
                self.is_interrupted = self.stop.is_set()
            finally:
                self.stop.set()
                self.learners.close()
                for _ in workers:
                    self._ready.put(None)
                until = time.monotonic() + _END_SECONDS
                for thread in (*workers, *captures, *feeds, keeper):
                    thread.join(timeout=max(0.0, until - time.monotonic()))
        if failure := self.failure or self.learners.failure:
            raise failure
        problems = [f"{name}: {one.sensor.problem}" for name, one in self.recorders.items() if one.sensor.problem]
        if problems and not self.is_interrupted:
            raise DataError("; ".join(problems))

    def _watch(self, *, stays: bool) -> None:
        """Watch over the sensors until `stop` is set, or every source has ended."""
        sensors, is_over = [recorder.sensor for recorder in self.recorders.values()], False
        while not self.stop.wait(_LOOK_SECONDS):
            if self.has_ended and not is_over:
                if not stays or any(sensor.is_live or sensor.problem for sensor in sensors):
                    if sensors:  # what a feed ends with is said by it
                        _LOG.info("every source has ended")
                    return
                is_over = True
                for recorder in self.recorders.values():
                    recorder.set_note("; ".join(filter(None, (recorder.standing.note, "the recording has ended"))))
                _LOG.info("every recording has ended; the pages stay until this is interrupted (Ctrl-C)")
            for recorder in list(self.recorders.values()):
                recorder.sensor.watch()
                recorder.standing.tell()

    def _begins(self) -> list[tuple[str, LiveSensor, float]]:
        """Sensors that have sources, and seconds after which each begins: many do not end their clips at once."""
        sensors = self.settings.sensor
        share = 1.0 / len(sensors) if len(sensors) > _FEW_SENSORS else 0.0
        return [
            (one.name, self.recorders[one.name].sensor, share * number * one.hop) for number, one in enumerate(sensors)
        ]

    def _feed(self, feed: Callable[[threading.Event], None]) -> None:
        try:
            feed(self.stop)
        except Exception as error:  # noqa: BLE001  # it is raised where the monitor runs
            self._fail(error)

    def _capture(self, sensor: LiveSensor, begin_seconds: float) -> None:
        if self.stop.wait(begin_seconds):
            return
        try:
            sensor.capture(self.stop)
        except Exception as error:  # noqa: BLE001  # it is raised where the monitor runs
            self._fail(error)

    def _keep(self) -> None:
        try:
            Keeper(
                retention_of(self.store, self.settings.store),
                DetectorFiles(self.recorders, folder=self.folder),
                sensor_ids=lambda: [recorder.sensor.sensor_id for recorder in list(self.recorders.values())],
                still_alone=self.still_alone,
            ).run(self.stop)
        except Exception as error:  # noqa: BLE001  # it is raised where the monitor runs
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.stop.set()

    def _work(self) -> None:
        """Score the earliest clip of the sensor whose turn it is; one thread at a time works for a sensor."""
        while (sensor := self._ready.get()) is not None:
            recorder = self.recorders[sensor.settings.name]
            learning = recorder.learning
            is_awaited = learning is not None and learning.is_awaited
            with sensor.lock:
                if sensor.is_taken or is_awaited or not sensor.pending or self.stop.is_set():
                    continue
                sensor.is_taken, work = True, sensor.pending[0]
            try:
                recorder.take(work)
                sensor.done()
            except Exception as error:  # noqa: BLE001  # it is raised where the monitor runs
                self._fail(error)
            finally:
                with sensor.lock:
                    sensor.is_taken = False
                    has_more = bool(sensor.pending)
            if has_more:
                self._ready.put(sensor)


def _shown_names(names: Sequence[str]) -> str:
    """Names of sensors in one line, of many the number."""
    return ", ".join(names) if len(names) <= _MOST_NAMED else f"{len(names)} sensors"
