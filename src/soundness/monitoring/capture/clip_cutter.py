"""Cutting of a stream into clips, which lie on disk while they grow: memory does not depend on their length."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from soundness.aliases import Waveform
from soundness.errors import OutputError
from soundness.files.atomic import output_errors

__all__ = ["CapturedClip", "ClipCutter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedClip:
    """A clip of a stream, all of whose samples follow each other.

    Parameters
    ----------
    start_us
        Time of its first sample, microseconds since 1970, UTC.
    n_samples, sample_rate
        Its length, and its rate in Hz.
    file
        Raw samples, float32.
    """

    start_us: int
    n_samples: int
    sample_rate: int
    file: Path

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return self.n_samples / self.sample_rate


@dataclass(slots=True)
class _Growing:
    """A clip that is not complete."""

    start_us: int
    n_samples: int
    file: Path
    stream: BinaryIO


class ClipCutter:
    """Cuts one stream into clips.

    Parameters
    ----------
    folder
        Folder of the growing clips, which exists.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next.
    """

    def __init__(self, folder: Path, *, clip_seconds: float, hop_seconds: float) -> None:
        self.folder = folder
        self.clip_seconds, self.hop_seconds = clip_seconds, hop_seconds
        self.sample_rate = 0
        self._growing: list[_Growing] = []
        self._n_to_next = 0  # samples until the next clip begins
        self._n_begun = 0

    @property
    def start_us(self) -> int | None:
        """Start of the earliest clip that is not complete; ``None`` if there is none."""
        return self._growing[0].start_us if self._growing else None

    def add(self, samples: Waveform, *, sample_rate: int, start_us: int) -> Iterator[CapturedClip]:
        """Add samples that follow those before; the clips that they complete.

        Parameters
        ----------
        samples
            Samples, shape ``(time,)``.
        sample_rate
            Rate in Hz, the same until `drop`.
        start_us
            Time of the first sample, microseconds since 1970, UTC.

        Raises
        ------
        OutputError
            If they cannot be written; then the clips that grew are lost, as after `drop`.
        """
        self.sample_rate = sample_rate
        n_clip, n_hop = (max(1, round(each * sample_rate)) for each in (self.clip_seconds, self.hop_seconds))
        at = 0
        while at < len(samples):
            if self._n_to_next == 0:
                self._begin(start_us + round(1e6 * at / sample_rate))
                self._n_to_next = n_hop
            ends = [n_clip - one.n_samples for one in self._growing]
            n = min(len(samples) - at, self._n_to_next, *ends)
            self._write(samples[at : at + n])
            at, self._n_to_next = at + n, self._n_to_next - n
            while self._growing and self._growing[0].n_samples == n_clip:
                yield self._completed(self._growing.pop(0))

    def drop(self) -> None:
        """Drop what has grown: the sound does not go on."""
        growing, self._growing, self._n_to_next = self._growing, [], 0
        for one in growing:
            with suppress(OSError):  # it is of no use any more
                one.stream.close()
                one.file.unlink()

    def _begin(self, start_us: int) -> None:
        self._n_begun += 1
        file = self.folder / f"{self._n_begun}.part"
        with self._dropping(file):
            stream = file.open("wb", buffering=0)
        self._growing.append(_Growing(start_us, 0, file, stream))

    def _write(self, samples: Waveform) -> None:
        data = samples.astype("<f4", copy=False).tobytes()
        for one in self._growing:
            with self._dropping(one.file):
                n_written = 0
                while n_written < len(data):
                    n_written += one.stream.write(data[n_written:]) or 0
            one.n_samples += len(samples)

    @contextmanager
    def _dropping(self, file: Path) -> Iterator[None]:
        """Context in which what has grown is dropped if a file cannot be written."""
        try:
            with output_errors(file):
                yield
        except OutputError:
            self.drop()
            raise

    def _completed(self, one: _Growing) -> CapturedClip:
        one.stream.close()
        return CapturedClip(start_us=one.start_us, n_samples=one.n_samples, sample_rate=self.sample_rate, file=one.file)
