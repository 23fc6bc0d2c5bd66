"""One sensor of a monitor: its source is read in a thread, and its clips wait in their order to be scored."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from soundness.errors import OutputError, SoundnessError
from soundness.files.atomic import words_of
from soundness.monitoring.capture.arrivals import Arrivals, TimedBlock
from soundness.monitoring.capture.clip_cutter import CapturedClip, ClipCutter
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder
from soundness.monitoring.capture.sample_clock import SampleClock
from soundness.monitoring.capture.signal_health import SignalHealth
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.items import resampled
from soundness.monitoring.sources.protocol import (
    Block,
    Item,
    KnownRecordings,
    Lost,
    Readable,
    RecordingClip,
    SourceSettings,
    SourceState,
)
from soundness.settings.durations import parse_seconds

__all__ = ["Gap", "LiveSensor", "Work"]

_LOG = logging.getLogger(__name__)

_TOLERANCE_US = 250_000  # between the time of a block and that which follows from the one before
_ROUNDING_US = 1_000
_FAULT_EVERY_SECONDS = 60.0  # between two rows of a source that gives nothing
_MARGIN_US = 2_000_000  # of the time now, up to which nothing came: what is on its way is not in it
_SLACK_SECONDS = 15.0  # for which sound may be held back until its time is known
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
    clock_set_seconds
        Time by which the clock of the computer was set; 0 if it was not.
    """

    number: int
    start_us: int
    seconds: float
    reason: str
    is_fault: bool
    clock_set_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A clip, a gap or a recording that is to be recorded, and the fault of the signal at its end, if any.

    With ``is_readable`` it is the sign that the source can be read, which ends a fault.
    """

    clip: ClipFile | None = None
    gap: Gap | None = None
    recording: RecordingClip | None = None
    number: int = 0
    fault: str = ""
    is_readable: bool = False


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
    first_us, next_us, end_us, number
        Start of its first clip; start of the next one; end of the last one or of a gap; number of the last one.
    ready
        Called when there is work to be done.
    known
        Recordings of a folder that have their rows.
    clock
        Clock of its samples.
    """

    settings: SensorSettings
    sensor_id: int
    files: ClipFolder
    base: Path
    address: str
    first_us: int | None
    next_us: int | None
    end_us: int | None
    number: int
    ready: Callable[["LiveSensor"], None]
    known: KnownRecordings | None = None
    clock: SampleClock = field(default_factory=SampleClock)
    pending: deque[Work] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_taken: bool = False
    has_ended: bool = False
    has_begun: bool = False
    most_waiting: int = _MOST_WAITING
    problem: str = ""
    """Reason why no sound comes; empty while it comes."""
    unwritten: str = ""
    """Reason why the sound that comes cannot be written to the disk; empty if it can."""
    unrecorded: str = ""
    """Reason why what is done cannot be written to the store; empty if it can."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.cutter = ClipCutter(self.files.ring, clip_seconds=settings.clip_seconds, hop_seconds=settings.hop)
        self.fault_seconds = parse_seconds(settings.fault_after)
        self.health = SignalHealth(self.fault_seconds)
        self.arrivals = Arrivals(self.clock)
        self.arrived = self.progressed = time.monotonic()  # a block; a clip or gap
        self.is_live = False
        self._begun_us = self._problem_us = self.clock.now_us()
        self._is_broken = True  # what comes next does not follow what came before
        self._was_well = False  # that it can be read was told, and no fault since
        self._lost, self._lost_is_fault, self._set_us = "", False, 0
        self._expected_us: int | None = None
        self._sample_rate = 0
        self._reported = -_FAULT_EVERY_SECONDS
        self._waits_since = time.monotonic()
        self._taking = threading.Lock()
        self._room = threading.Condition(self.lock)

    def capture(self, stop: threading.Event) -> None:
        """Read the source until it ends or ``stop`` is set."""
        state = SourceState(next_us=self.next_us, first_us=self.first_us, known=self.known)
        settings = SourceSettings(
            name=self.settings.name,
            folder=self.base,
            channel=self.settings.channel,
            sample_rate=self.settings.sample_rate,
            clip_seconds=self.settings.clip_seconds,
            hop_seconds=self.settings.hop,
        )
        try:
            source = find_source(self.address, settings)
            self.is_live, self._begun_us = source.is_live, self.clock.now_us()
            self.arrived = self.progressed = time.monotonic()
            for item in resampled(source.items(state, stop), settings.sample_rate):
                with self._taking:
                    self.take(item, stop)
                if stop.is_set():
                    break
            with self._taking:
                self._pass_on_held(stop)
        except SoundnessError as error:
            self._note_problem(str(error))
            _LOG.warning("%s: %s", self.settings.name, error)
        finally:
            with self._taking:
                self.cutter.drop()
                self._is_broken = True
            self.has_ended = not stop.is_set()
            self.ready(self)

    def watch(self) -> None:
        """Record a fault about once a minute while a live source gives nothing, or no whole clip, or another fails."""
        now = time.monotonic()
        is_silent = now - self.arrived >= self.fault_seconds and now - self._reported >= _FAULT_EVERY_SECONDS
        longest = self.fault_seconds + 2 * self.settings.clip_seconds + _SLACK_SECONDS
        is_broken_up = self.is_live and now - self.progressed >= longest
        if not ((self.is_live or self.problem) and is_silent) and not is_broken_up:
            return
        if not self._taking.acquire(blocking=False):
            return
        try:
            self._note_clock()
            if is_silent:
                self._record_silence(now - self.arrived)
            else:
                self._record_pieces(now - self.progressed)
        finally:
            self._taking.release()

    def _record_silence(self, seconds: float) -> None:
        """Record a fault up to now, since nothing comes."""
        words = self.problem or self._lost or f"the source gives nothing for {seconds:.0f} s"
        self._break(words, is_fault=True)
        if not self.is_live and self._reported < 0:  # its clips do not follow one another in time
            self.end_us = self._problem_us
        self._lost, self._lost_is_fault, self._reported = words, True, time.monotonic()
        self.end_us = self._begun_us if self.end_us is None else self.end_us
        margin_us = min(_MARGIN_US, 5e5 * self.fault_seconds) if self.is_live else 0.0
        self._record_gap(max(self.end_us, self.clock.now_us() - round(margin_us)), fault=words)

    def _record_pieces(self, seconds: float) -> None:
        """Record a fault up to the clip that grows, since sound comes and no clip of it is complete."""
        words = f"no whole clip for {seconds:.0f} s: {self._lost or 'sound comes in pieces'}"
        growing_us = self.cutter.start_us
        end_us = self.clock.now_us() - _MARGIN_US if growing_us is None else growing_us
        self._lost, self._lost_is_fault = words, True
        self.end_us = self._begun_us if self.end_us is None else self.end_us
        self._record_gap(max(self.end_us, end_us), fault=words)
        self._lost, self._lost_is_fault = "", False

    def take(self, item: Item, stop: threading.Event) -> None:
        """Take the next item of the source."""
        self.has_begun = True
        if isinstance(item, Lost):
            self._pass_on_held(stop)
            self._break(item.reason, is_fault=item.is_fault)
        elif isinstance(item, Readable):
            self._note_readable(is_well=item.is_well)
        elif isinstance(item, RecordingClip):
            self._note_readable(is_well=False)  # its own row says how it is
            self._await_room(stop)
            self.number += not item.known_as
            self._submit(Work(recording=item, number=self.number))
        elif len(item.samples):
            self._block(item, stop)

    def _break(self, reason: str, *, is_fault: bool = False) -> None:
        """Note that the next block does not follow the one before."""
        self.arrivals.begin()
        self._break_off(reason, is_fault=is_fault)

    def _break_off(self, reason: str, *, is_fault: bool = False) -> None:
        """Drop the clip that grows; of several reasons until the next one is complete, the first is told."""
        if not self._lost:
            _LOG.warning("%s: %s", self.settings.name, reason)
            self._lost = reason
        self.cutter.drop()
        self._is_broken, self._expected_us = True, None
        self._lost_is_fault |= is_fault
        if is_fault:
            self._note_problem(reason)

    def _note_problem(self, problem: str) -> None:
        self._problem_us = self._problem_us if self.problem else self.clock.now_us()
        self.problem = problem

    def _note_readable(self, *, is_well: bool) -> None:
        """Note that a source that is not live can be read: if all is well that ends a fault, of a run before, too."""
        if self.problem and self._reported > 0:
            self._record_gap(self.clock.now_us())
            self._was_well = False
        if is_well and not self._was_well:
            self._was_well = True
            self._submit(Work(number=self.number, is_readable=True))
        self._note_sound()
        self._lost, self._lost_is_fault = "", False

    def _note_sound(self) -> None:
        self.arrived, self.problem, self._reported = time.monotonic(), "", -_FAULT_EVERY_SECONDS

    def _note_clock(self) -> None:
        """Move what is known to the time of a clock that was set."""
        jump = self.clock.jump_us()
        if not jump:
            return
        self._break(f"the clock of the computer was set by {jump / 1e6:+.0f} s")
        self._set_us += jump
        self._begun_us += jump
        self._problem_us += jump
        self.end_us = None if self.end_us is None else self.end_us + jump

    def _block(self, block: Block, stop: threading.Event) -> None:
        self._note_sound()
        if block.start_us is None:
            self._note_clock()
        if self.cutter.sample_rate not in (0, block.sample_rate) and not self._is_broken:
            rates = f"from {self.cutter.sample_rate:,} to {block.sample_rate:,} Hz"
            self._pass_on_held(stop)
            self._break(f"the sample rate changed {rates}")
        self.health.add(block.samples, sample_rate=block.sample_rate)
        self._sample_rate = block.sample_rate
        if block.start_us is not None:
            self._cut(TimedBlock(samples=block.samples, start_us=block.start_us), stop)
        elif (timed := self.arrivals.add(block.samples, sample_rate=block.sample_rate)) is not None:
            self._cut(timed, stop)

    def _pass_on_held(self, stop: threading.Event) -> None:
        if (timed := self.arrivals.rest(sample_rate=self._sample_rate)) is not None:
            self._cut(timed, stop)

    def _cut(self, block: TimedBlock, stop: threading.Event) -> None:
        """Cut samples into clips, each of which waits to be scored."""
        rate, start_us, expected_us = self._sample_rate, block.start_us, self._expected_us
        if block.missing_seconds:
            self._break_off(f"{block.missing_seconds:.1f} s of sound did not come")
        elif expected_us is not None and abs(start_us - expected_us) > _TOLERANCE_US:
            self._break_off("the time of the recording does not go on")
        self._expected_us = start_us + round(1e6 * len(block.samples) / rate)
        try:
            for captured in self.cutter.add(block.samples, sample_rate=rate, start_us=start_us):
                self._captured(captured, stop)
        except OutputError as error:
            self.unwritten = words_of(error)
            self.files.make_again()
            self._break(str(error))

    def _captured(self, captured: CapturedClip, stop: threading.Event) -> None:
        if not self.is_live:
            self._await_room(stop)
        elif len(self.pending) >= self.most_waiting:
            captured.file.unlink(missing_ok=True)
            slow = "the computer is too slow: clips wait longer to be scored than they last"
            reason = f"the store could not be written: {self.unrecorded}" if self.unrecorded else slow
            self._is_broken, self._lost, self.progressed = True, self._lost or reason, time.monotonic()
            return
        if self._is_broken:
            self._close_gap(captured.start_us)
        clip = self.files.take(captured, self.number + 1, fault=self.health.fault)
        self.number += 1
        self.unwritten = ""
        self.next_us = captured.start_us + round(1e6 * self.settings.hop)
        self.end_us = captured.start_us + round(1e6 * captured.seconds)
        self._submit(Work(clip=clip, number=self.number, fault=clip.fault))

    def _close_gap(self, start_us: int) -> None:
        """Record the time from the last clip to one that has come, if the sound between them was lost."""
        if self.end_us is None:
            self.first_us = start_us if self.first_us is None else self.first_us
        elif self.is_live and not self._lost and start_us < self.end_us - _TOLERANCE_US:
            self._lost = "the clock of the computer was set back while the monitor was not running"
            self.end_us = start_us
            self._record_gap(start_us)
        elif self._lost or start_us > self.end_us + _ROUNDING_US:
            self._record_gap(max(start_us, self.end_us))
        self._is_broken, self._lost, self._lost_is_fault, self._set_us = False, "", False, 0

    def _record_gap(self, end_us: int, *, fault: str = "") -> None:
        """Record a gap from the end of the last clip or gap up to a time."""
        assert self.end_us is not None
        if end_us < self.end_us:
            return
        self.number += 1
        gap = Gap(
            number=self.number,
            start_us=self.end_us,
            seconds=(end_us - self.end_us) / 1e6,
            reason=self._lost or "the monitor was not running",
            is_fault=self._lost_is_fault,
            clock_set_seconds=self._set_us / 1e6,
        )
        self.next_us = self.end_us = end_us
        self._set_us = 0
        self._submit(Work(gap=gap, number=self.number, fault=fault))

    def _await_room(self, stop: threading.Event) -> None:
        """Wait until few clips wait to be scored, for a source that can wait."""
        with self._room:
            while len(self.pending) >= _FEW_WAITING and not stop.is_set():
                self._room.wait(0.2)

    def _submit(self, work: Work) -> None:
        self.progressed = time.monotonic()
        with self.lock:
            self._waits_since = self._waits_since if self.pending else self.progressed
            self.pending.append(work)
        self.ready(self)

    @property
    def waiting_seconds(self) -> float:
        """Time for which the earliest work has waited, in seconds; 0 without any."""
        return time.monotonic() - self._waits_since if self.pending else 0.0

    def done(self) -> None:
        """Note that the earliest work is done."""
        with self._room:
            self.pending.popleft()
            self._waits_since = time.monotonic()
            self._room.notify_all()
