"""One sensor of a monitor: its source is read in a thread, and its clips wait in their order to be scored."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from soundness.errors import OutputError, SoundnessError
from soundness.monitoring.capture.clip_cutter import ClipCutter
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder
from soundness.monitoring.capture.sample_clock import SampleClock
from soundness.monitoring.capture.signal_health import SignalHealth
from soundness.monitoring.live.configuration import SensorSettings
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.protocol import Block, Lost, SourceSettings, SourceState, WholeRecording
from soundness.settings.durations import parse_seconds

__all__ = ["Gap", "LiveSensor", "Work"]

_LOG = logging.getLogger(__name__)

_TOLERANCE_US = 250_000  # of the start of a clip beside the end of the one before, which is no gap
_MOST_WAITING = 60  # clips of a live sensor
_FEW_WAITING = 2  # clips of one that can wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Time without usable sound.

    Parameters
    ----------
    number
        Number among the sensor's clips.
    start_us, seconds
        Its start, microseconds since 1970, UTC, and its length.
    reason
        Reason in words.
    is_fault
        True if the sensor is at fault.
    """

    number: int
    start_us: int
    seconds: float
    reason: str
    is_fault: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A clip, a gap or a recording that is to be recorded, and the fault of the signal at its end, if any."""

    clip: ClipFile | None = None
    gap: Gap | None = None
    recording: WholeRecording | None = None
    number: int = 0
    fault: str = ""


@dataclass(kw_only=True, eq=False)
class LiveSensor:
    """A sensor that is being listened to.

    Parameters
    ----------
    settings
        Its settings.
    sensor_id
        Its number in the store.
    files
        Its clips on disk.
    base
        Folder that relative paths of its address are below.
    address
        Its address, with secrets.
    first_us, next_us, number
        Start of its first clip; start of the next one; number of the last one.
    ready
        Called when there is work to be done.
    """

    settings: SensorSettings
    sensor_id: int
    files: ClipFolder
    base: Path
    address: str
    first_us: int | None
    next_us: int | None
    number: int
    ready: Callable[["LiveSensor"], None]
    pending: deque[Work] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_taken: bool = False
    has_ended: bool = False
    has_begun: bool = False
    problem: str = ""
    """Reason why no sound comes; empty while it comes."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.cutter = ClipCutter(self.files.ring, clip_seconds=settings.clip_seconds, hop_seconds=settings.hop)
        self.health = SignalHealth(parse_seconds(settings.fault_after))
        self.clock = SampleClock()
        self.arrived = time.monotonic()
        self._lost = ""
        self._lost_is_fault = False
        self._room = threading.Condition(self.lock)

    def capture(self, stop: threading.Event) -> None:
        """Read the source until it ends or ``stop`` is set."""
        state = SourceState(next_us=self.next_us, first_us=self.first_us)
        settings = SourceSettings(
            name=self.settings.name,
            folder=self.base,
            channel=self.settings.channel,
            sample_rate=self.settings.sample_rate,
            clip_seconds=self.settings.clip_seconds,
        )
        try:
            for item in find_source(self.address, settings).items(state, stop):
                self._take(item, stop)
                if stop.is_set():
                    break
        except SoundnessError as error:
            self.problem = str(error)
            _LOG.warning("%s: %s", self.settings.name, error)
        finally:
            self.cutter.drop()
            self.has_ended = not stop.is_set()
            self.ready(self)

    def _take(self, item: Block | Lost | WholeRecording, stop: threading.Event) -> None:
        self.has_begun = True
        if isinstance(item, Lost):
            self._break(item.reason, is_fault=item.is_fault)
        elif isinstance(item, WholeRecording):
            self._await_room(stop)
            self.number += 1
            self._submit(Work(recording=item, number=self.number))
        elif len(item.samples):
            try:
                self._block(item, stop)
            except OutputError as error:
                self._break(str(error), is_fault=False)

    def _break(self, reason: str, *, is_fault: bool) -> None:
        if not self._lost:
            _LOG.warning("%s: %s", self.settings.name, reason)
        self.cutter.drop()
        self.clock.begin()
        self._lost, self._lost_is_fault = reason, is_fault
        self.problem = reason if is_fault else self.problem

    def _block(self, block: Block, stop: threading.Event) -> None:
        self.arrived, self.problem = time.monotonic(), ""
        is_live = block.start_us is None
        if is_live and (jump := self.clock.jump_us()):
            self._break(f"the clock of the computer was set by {jump / 1e6:+.0f} s", is_fault=False)
            self.next_us = None if self.next_us is None else self.next_us + jump
        if self.cutter.sample_rate not in (0, block.sample_rate) and self.cutter.start_us is not None:
            rates = f"from {self.cutter.sample_rate:,} to {block.sample_rate:,} Hz"
            self._break(f"the sample rate changed {rates}", is_fault=False)
        start_us = block.start_us
        if start_us is None:
            start_us = self.clock.start_of(len(block.samples), block.sample_rate)
        self._close_gap(start_us)
        self.health.add(block.samples, sample_rate=block.sample_rate)
        for captured in self.cutter.add(block.samples, sample_rate=block.sample_rate, start_us=start_us):
            if not is_live:
                self._await_room(stop)
            if is_live and len(self.pending) >= _MOST_WAITING:
                captured.file.unlink(missing_ok=True)
                self._lost = "the computer is too slow: clips wait longer to be scored than they last"
                continue
            self._close_gap(captured.start_us)
            self.number += 1
            clip = self.files.take(captured, self.number)
            self.next_us = captured.start_us + round(1e6 * self.settings.hop)
            self._submit(Work(clip=clip, number=self.number, fault=self.health.fault))

    def _close_gap(self, start_us: int) -> None:
        """Record the time since the end of the last clip, if there is a gap, now that it is over."""
        if self.next_us is None:
            self.first_us = start_us if self.first_us is None else self.first_us
            self._lost = ""
            return
        if self.cutter.start_us is not None or start_us - self.next_us <= _TOLERANCE_US:
            return
        self.record_gap(start_us)
        self._lost = ""

    def record_gap(self, end_us: int) -> None:
        """Record a gap up to a time."""
        if self.next_us is None or end_us <= self.next_us:
            return
        self.number += 1
        gap = Gap(
            number=self.number,
            start_us=self.next_us,
            seconds=(end_us - self.next_us) / 1e6,
            reason=self._lost or "the monitor was not running",
            is_fault=self._lost_is_fault,
        )
        self.next_us = end_us
        self._submit(Work(gap=gap, number=self.number))

    def _await_room(self, stop: threading.Event) -> None:
        """Wait until few clips wait to be scored, for a source that can wait."""
        with self._room:
            while len(self.pending) >= _FEW_WAITING and not stop.is_set():
                self._room.wait(0.2)

    def _submit(self, work: Work) -> None:
        with self.lock:
            self.pending.append(work)
        self.ready(self)

    def done(self) -> None:
        """Note that the earliest work is done."""
        with self._room:
            self.pending.popleft()
            self._room.notify_all()
