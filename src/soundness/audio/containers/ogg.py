"""Ogg: a stream ends with a page that says so, and others may follow it."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from soundness.audio.containers.views import SoundView
from soundness.errors import UnreadableError

__all__ = ["views_of_ogg"]

_HEADER_BYTES = 27
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # the bits of each byte
_IS_FIRST, _IS_LAST = 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """One page: position, length in bytes and flags."""

    at: int
    n_bytes: int
    flags: int


def views_of_ogg(file: BinaryIO, n_bytes: int) -> tuple[SoundView, ...]:
    """Views of the streams of an Ogg file that follow each other.

    Raises
    ------
    UnreadableError
        If the last of them is cut short, or a page is damaged.
    """
    starts: list[int] = []
    end, is_open = 0, False
    for page in _pages(file):
        if page.flags & _IS_FIRST:
            if is_open:  # streams within each other, as in a video
                return (SoundView(),)
            starts.append(page.at)
        is_open, end = not page.flags & _IS_LAST, page.at + page.n_bytes
    if is_open or not _ends_at(file, end, n_bytes):
        raise UnreadableError("truncated; its last page does not say that it is the last")
    if len(starts) <= 1:
        return (SoundView(),)
    ends = [*starts[1:], end]
    return tuple(SoundView(segments=(segment,)) for segment in zip(starts, ends, strict=True))


def _ends_at(file: BinaryIO, end: int, n_bytes: int) -> bool:
    """True if a file ends at a position, but for zeros."""
    file.seek(min(end, n_bytes))
    return end <= n_bytes and not file.read().strip(b"\0")


def _page(file: BinaryIO, position: int) -> _Page | None:
    file.seek(position)
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or header[:5] != b"OggS\0":
        return None
    sizes = file.read(header[26])
    content = file.read(sum(sizes))
    n_bytes = _HEADER_BYTES + header[26] + sum(sizes)
    is_whole = len(header) + len(sizes) + len(content) == n_bytes
    if is_whole and _checksum(header[:22] + bytes(4) + header[26:] + sizes + content) != header[22:26]:
        raise UnreadableError(f"damaged; the page at byte {position:,} does not fit its checksum")
    return _Page(at=position, n_bytes=n_bytes, flags=header[5])


def _checksum(page: bytes) -> bytes:
    """Checksum of a page: a CRC of the polynomial of zlib's, but of bits in the other order, and not inverted."""
    crc = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4).translate(_REVERSED)


def _pages(file: BinaryIO) -> Iterator[_Page]:
    position = 0
    while (page := _page(file, position)) is not None:
        yield page
        position += page.n_bytes
