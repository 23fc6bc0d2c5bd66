"""Work of learning beside the engine: one job after the other, each in a process of its own."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from soundness.errors import OutputError, ProcessError, SoundnessError
from soundness.monitoring.detector_in_use import load_detector_in_use
from soundness.monitoring.learning.commissioning import Commissioning
from soundness.monitoring.learning.stages import nicely, run_stage
from soundness.monitoring.upkeep.detector_versions import next_file
from soundness.plain_text import counted
from soundness.processes import Processes

__all__ = ["Learners", "run_beside"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger(__name__)

_TRIES = 5
_WAIT_SECONDS = 30.0  # after a process that ended: there may be more memory then


def run_beside(function: Callable[[Item], Result], item: Item) -> Result:
    """Result of a function in a process of its own, which leaves the processor to those that score.

    Raises
    ------
    ProcessError
        If the process ends before its work is done.
    OutputError
        If a file cannot be written.
    """
    with _disk_errors(), Processes(1) as processes:
        (found,) = processes.map(partial(nicely, function), [item], name=lambda _: "what it learns")
    return found


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Context that turns what the operating system refused a process, as on a full disk, into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"what it learns: {error}") from error


class Learners:
    """A thread that makes detectors of what sensors have recorded.

    Parameters
    ----------
    stop
        Set to end it; a stage that runs is begun again at the next start.
    wait_seconds
        Time after which a process that ended is tried again.
    """

    def __init__(self, stop: threading.Event, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self.stop, self.wait_seconds = stop, wait_seconds
        self.failure: Exception | None = None
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._running: Processes | None = None
        self._lock = threading.Lock()
        self._n_unfinished = 0
        self._thread = threading.Thread(target=self._work, name="learn", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """True while something is learned or waits for it."""
        return self._n_unfinished > 0

    def learn(self, commissioning: Commissioning) -> None:
        """Make a detector of a sensor's recordings when it is its turn."""
        with self._lock:
            n_before = self._n_unfinished
        if n_before:
            commissioning.recorder.set_note(
                f"waits for {counted(n_before, 'other sensor')} that learn first; {commissioning.words()}"
            )
        self.submit(lambda: self._learn(commissioning))

    def submit(self, job: Callable[[], None]) -> None:
        """Do a job when it is its turn."""
        with self._lock:
            self._n_unfinished += 1
        self._waiting.put(job)

    def close(self) -> None:
        """End the thread and what it runs; `stop` is set before."""
        self._waiting.put(None)
        with self._lock:
            if self._running is not None:
                self._running.close()
        if self._thread.ident is not None:
            self._thread.join(timeout=10.0)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None and not self.stop.is_set():
            try:
                job()
            except Exception as error:  # noqa: BLE001  # it is raised where the monitor runs
                if not self.stop.is_set():
                    self.failure = error
                    self.stop.set()
            finally:
                with self._lock:
                    self._n_unfinished -= 1

    def _learn(self, commissioning: Commissioning) -> None:
        recorder = commissioning.recorder
        name = commissioning.settings.name
        out = recorder.writer.reading(lambda: next_file(recorder.store, recorder.sensor.sensor_id))
        n_tries = 0
        while not self.stop.is_set():
            commissioning.say()
            try:
                if not commissioning.advance(self._run(commissioning, out)):
                    continue
                settings = commissioning.settings
                found = load_detector_in_use(out, settings)
            except (ProcessError, OutputError) as error:
                if self.stop.is_set():
                    return
                n_tries += isinstance(error, ProcessError)
                if n_tries < _TRIES:  # and as long as the disk is full: what was recorded would be lost
                    recorder.set_note(f"{error}; tries again in {self.wait_seconds:g} s")
                    self.stop.wait(self.wait_seconds)
                    continue
                self._again(commissioning, str(error))
                return
            except SoundnessError as error:
                self._again(commissioning, str(error))
                return
            n_aside = len(commissioning.details.get("set_aside", []))
            reason = f"learned from {commissioning.details['n_trained']} clips; {n_aside} set aside"
            with recorder.turn:
                recorder.install(found, reason=reason, details=dict(commissioning.details))
                commissioning.finish()
                recorder.learning = None
            recorder.sensor.ready(recorder.sensor)
            _LOG.info("%s: %s", name, reason)
            return

    @staticmethod
    def _again(commissioning: Commissioning, problem: str) -> None:
        _LOG.warning("%s: cannot learn: %s", commissioning.settings.name, problem)
        with commissioning.recorder.turn:
            commissioning.begin(problem=f"cannot learn from what was recorded: {problem}")
            commissioning.say()
        commissioning.recorder.sensor.ready(commissioning.recorder.sensor)

    def _run(self, commissioning: Commissioning, out: Path) -> dict[str, object]:
        """Run the stage in a process of its own."""
        processes = Processes(1)
        with self._lock:
            self._running = processes
        try:
            if self.stop.is_set():
                raise ProcessError("the monitor ends")
            job = commissioning.job(out)
            with _disk_errors():
                (found,) = processes.map(partial(nicely, run_stage), [job], name=lambda job: job.stage)
            return found
        finally:
            with self._lock:
                self._running = None
            with suppress(ValueError):  # closed by `close`
                processes.close()
