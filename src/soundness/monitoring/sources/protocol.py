"""Interface of sources, their addresses, and the items of sound that they give."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol

from soundness.aliases import Waveform

__all__ = [
    "Address",
    "Block",
    "Item",
    "Lost",
    "Source",
    "SourceSettings",
    "SourceState",
    "WholeRecording",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRecording:
    """A file that is scored as one clip.

    Parameters
    ----------
    path
        The file.
    name
        Name below the folder that is watched.
    start_us
        Time at which it begins, microseconds since 1970, UTC.
    seconds
        Its length.
    """

    path: Path
    name: str
    start_us: int
    seconds: float


Item = Block | Lost | WholeRecording


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """Place at which a source goes on after a restart.

    Parameters
    ----------
    next_us
        Start of the next clip, microseconds since 1970, UTC; ``None`` at the first start.
    first_us
        Start of the first clip of this sensor; ``None`` at the first start.
    """

    next_us: int | None = None
    first_us: int | None = None


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
    clip_seconds
        Length of a clip.
    """

    name: str
    folder: Path
    channel: int
    sample_rate: int | None
    clip_seconds: float


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
