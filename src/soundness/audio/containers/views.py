"""Views of a file: its bytes with parts replaced or left out, without a copy."""

import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

__all__ = ["FileView", "Segment", "SoundView", "patched"]

Segment = bytes | tuple[int, int]
"""Bytes, or the part of a file from one position to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundView:
    """Part of a file that holds its sound, as a decoder is to see it.

    ``segments`` follow each other in the view; ``None`` stands for the file as it is. ``n_samples`` per channel is
    ``None`` where the decoder knows it from the header. ``stated`` is the length that the header states as a fraction
    of the sound that is there; ``None`` if they agree or none is stated.
    """

    segments: tuple[Segment, ...] | None = None
    n_samples: int | None = None
    stated: float | None = None


class FileView(io.RawIOBase):
    """Segments of an open file as a file of its own, which can be read and sought in."""

    def __init__(self, file: BinaryIO, segments: Sequence[Segment]) -> None:
        self._file = file
        self._segments = [segment for segment in segments if _length(segment) > 0]
        self._starts = [0, *accumulate(map(_length, self._segments))]
        self._position = 0

    def readable(self) -> bool:
        """True: it can be read."""
        return True

    def seekable(self) -> bool:
        """True: it can be sought in."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, which is returned."""
        base = (0, self._position, self._starts[-1])[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any buffer will do
        """Read as many bytes as the buffer takes and the view holds; their number is returned."""
        into, n_read = memoryview(buffer).cast("B"), 0
        while n_read < len(into) and self._position < self._starts[-1]:
            part = self._part(len(into) - n_read)
            if not part:
                break
            into[n_read : n_read + len(part)] = part
            n_read += len(part)
            self._position += len(part)
        return n_read

    def _part(self, n_bytes: int) -> bytes:
        i = bisect_right(self._starts, self._position) - 1
        segment, offset = self._segments[i], self._position - self._starts[i]
        n_bytes = min(n_bytes, self._starts[i + 1] - self._position)
        if isinstance(segment, bytes):
            return segment[offset : offset + n_bytes]
        self._file.seek(segment[0] + offset)
        return self._file.read(n_bytes)


def patched(fields: Mapping[int, bytes], *, end: int) -> tuple[Segment, ...]:
    """Segments of a file up to ``end``, with the bytes at some positions replaced."""
    segments: list[Segment] = []
    position = 0
    for at, content in sorted(fields.items()):
        segments += [(position, at), content]
        position = at + len(content)
    return (*segments, (position, end))


def _length(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment[1] - segment[0]
