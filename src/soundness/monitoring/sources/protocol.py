"""Interface of sources, their addresses, and the items of sound that they give."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from soundness.aliases import Waveform

__all__ = [
    "Address",
    "Block",
    "Item",
    "KnownRecordings",
    "Lost",
    "Readable",
    "RecordingClip",
    "Source",
    "SourceSettings",
    "SourceState",
    "without_secret",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Block:
    """Samples that follow those of the block before, without a gap.

    Parameters
    ----------
    samples
        Samples in [-1, 1] of the channel that is used, shape ``(time,)``.
    sample_rate
        Rate in Hz.
    start_us
        Time of the first sample, microseconds since 1970, UTC, where the source knows it, as of a recording; ``None``
        for samples that arrive as they are made.
    """

    samples: Waveform
    sample_rate: int
    start_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A break in the sound: what comes next does not follow what came before.

    Parameters
    ----------
    reason
        Reason in words, such as ``overrun of the microphone``.
    is_fault
        True if the source cannot be read for now, as when it is unplugged.
    """

    reason: str
    is_fault: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecordingClip:
    """A recording that is scored as one clip, or a part of a long one; or one that is not scored, and the reason.

    Parameters
    ----------
    path
        The file.
    name
        Name below the folder that is watched.
    stamp
        Size and time of change of the file.
    content
        Fingerprint of its content.
    start_us
        Time at which the clip begins, microseconds since 1970, UTC.
    seconds
        Length of the clip.
    index
        Number of clips of the recording before it.
    is_last
        True for the last of the recording.
    samples, sample_rate
        Samples of a part, shape ``(time, channel)``, and their rate in Hz; ``None`` and 0 for a whole recording.
    problem
        Reason why it cannot be scored; empty if it can.
    known_as
        Reason why it is one that has its rows; empty if it is new.
    longest_seconds
        Longest part of a whole recording that is scored, from its own file, without a copy of it; ``None`` to copy it.
    put_back
        Called if it is still being written, so that it gets no row now and is looked at again.
    """

    path: Path
    name: str
    stamp: tuple[int, int]
    content: str
    start_us: int
    seconds: float
    index: int = 0
    is_last: bool = True
    samples: Waveform | None = None
    sample_rate: int = 0
    problem: str = ""
    known_as: str = ""
    longest_seconds: float | None = None
    put_back: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Readable:
    """Sign that a source can be read, as a folder in which there is nothing new.

    Parameters
    ----------
    is_well
        False where it is not known yet if what is expected comes: it ends no fault.
    """

    is_well: bool = True


Item = Block | Lost | RecordingClip | Readable


class KnownRecordings(Protocol):
    """Recordings of a folder that have their rows.

    Each question raises `soundness.errors.OutputError` if the store cannot be read, or while it is away and the monitor
    ends.
    """

    def complete(self) -> set[tuple[str, int, int]]:
        """Name, size and time of change of the recordings all of which has its rows."""

    def n_clips(self, name: str, stamp: tuple[int, int]) -> int:
        """Clips of a recording that have their rows."""

    def alike(self, size: int, content: str) -> list[tuple[str, int, bool]]:
        """Names, times of change in nanoseconds, and True unless it failed, of recordings of a size and content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Place at which a source goes on after a restart.

    Parameters
    ----------
    next_us
        Start of the next clip, microseconds since 1970, UTC; ``None`` at the first start.
    first_us
        Start of the first clip of this sensor; ``None`` at the first start.
    known
        Recordings of a folder that have their rows; ``None`` if there are none.
    """

    next_us: int | None = None
    first_us: int | None = None
    known: KnownRecordings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Address of a source.

    Parameters
    ----------
    scheme
        What stands before the first colon.
    place
        What follows it, such as a path; of a stream the whole address.
    options
        Options after a question mark; a stream keeps its own in `place`.
    """

    scheme: str
    place: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """Settings of a source.

    Parameters
    ----------
    name
        Name of the sensor.
    folder
        Folder that relative paths are below.
    channel
        Channel that is used, from 0.
    sample_rate
        Rate to resample to, in Hz; ``None`` to take what comes.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next; ``None`` for one after the other.
    """

    name: str
    folder: Path
    channel: int
    sample_rate: int | None
    clip_seconds: float
    hop_seconds: float | None = None


class Source(Protocol):
    """A place that sound comes from."""

    @property
    def is_live(self) -> bool:
        """True if its sound comes as it is made, so that none for a while is a fault."""

    def check(self) -> str:
        """Make sure that it can be read now; a note on what is there.

        Raises
        ------
        SoundnessError
            If not; the message says why.
        """

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:
        """Sound as it comes, until ``stop`` is set or the source has ended, as a file does.

        A source that fails gives `Lost` with ``is_fault`` and tries again with back-off; it raises only what no further
        try can mend.

        Parameters
        ----------
        state
            Place at which a source that can be read again, as a recording, goes on.
        stop
            Set to end it, soon.

        Raises
        ------
        SoundnessError
            If it can never be read.
        """


def without_secret(address: str) -> str:
    """Address without the user and password before a host."""
    return re.sub(r"//[^/]*@", "//", address)
