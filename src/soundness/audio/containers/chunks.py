"""Chunks of a file, and the end of the chunk that holds its sound.

A stated size may be left from before the recording was complete, wrap round at 4 GB, or come from before the file was
cut; what follows the stated sound tells which.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from soundness.errors import AudioError, UnreadableError

__all__ = ["Chunk", "ChunkStyle", "end_of_sound", "iter_chunks", "truncated"]

# Names of chunks that follow the sound in WAV, AIFF and CAF, four letters each.
_KNOWN_NAMES = (
    b"LIST id3 ID3 bext cue smpl inst fact PEAK iXML axml chna JUNK junk PAD FLLR afsp DISP cart plst _PMX aXML minf "
    b"elm1 regn umid levl MD5 ANNO NAME AUTH (c) MARK COMT INST MIDI AESD APPL FVER CHAN COMM info strg mark free uuid "
    b"pakt edct ovvw peak kuki guan wamd"
)
_KNOWN = frozenset(name.ljust(4) for name in _KNOWN_NAMES.split())
_ANOTHER_FILE = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b"riff")
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICSBEGIN", b"<?xml", b"<x:xmp")
_FEWEST_BYTES = 8  # a shorter rest is padding
_BLOCK_BYTES = 2**16
_N_BLOCKS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkStyle:
    """Layout of chunks: the header's `struct` format of name and size, and the multiple that each chunk is padded to.

    ``counts_header`` is True where the size includes the header.
    """

    header: str
    padding: int
    counts_header: bool = False

    @property
    def header_bytes(self) -> int:
        """Length of a chunk's header in bytes."""
        return struct.calcsize(self.header)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One chunk: its name, the position and the stated size of its content in bytes."""

    name: bytes
    start: int
    size: int


def iter_chunks(file: BinaryIO, style: ChunkStyle, start: int) -> Iterator[Chunk]:
    """Find the chunks from a position to the end of the file; the last may state more than there is."""
    n_header = style.header_bytes
    while True:
        try:
            file.seek(start)
        except (OSError, OverflowError):  # beyond what the disk, or any, could hold
            return
        if len(header := file.read(n_header)) < n_header:
            return
        name, size = struct.unpack(style.header, header)
        size -= n_header if style.counts_header else 0
        yield Chunk(name=name[:4], start=start + n_header, size=size)
        if size < 0:
            return
        start += n_header + size + -(n_header + size) % style.padding


def end_of_sound(file: BinaryIO, sound: Chunk, style: ChunkStyle, *, n_bytes: int) -> int:
    """Position at which a chunk of sound ends, whatever its size says.

    Parameters
    ----------
    file
        The file.
    sound
        Position and stated size of the sound.
    style
        Layout of the file's chunks.
    n_bytes
        Size of the file.

    Raises
    ------
    UnreadableError
        If there is less than the header says.
    AudioError
        If another recording follows.
    """
    stated_end = sound.start + sound.size
    if stated_end > n_bytes:
        raise truncated(sound.size, n_bytes - sound.start)
    padded_end = stated_end + -(stated_end - sound.start + style.header_bytes) % style.padding
    is_none = any(_is_no_sound(file, style, start, n_bytes) for start in {padded_end, stated_end})
    if is_none or (sound.size > 0 and _is_zero(file, stated_end, n_bytes)):
        return stated_end
    return n_bytes


def truncated(stated: int, found: int) -> UnreadableError:
    """Error of a file that holds fewer bytes of sound than its header says."""
    return UnreadableError(f"truncated; its header says {stated:,} bytes of sound, it holds {found:,}")


def _is_no_sound(file: BinaryIO, style: ChunkStyle, start: int, n_bytes: int) -> bool:
    """True where a file holds only chunks or tags from a position on."""
    if n_bytes - start <= _FEWEST_BYTES:
        return True
    file.seek(start)
    if file.read(16).startswith(_TAGS):
        return True
    for chunk in iter_chunks(file, style, start):
        if chunk.name in _ANOTHER_FILE or chunk.name == b"data":
            raise AudioError("two recordings in one file, one behind the other; split it")
        if chunk.name in _KNOWN:
            return True
        end = chunk.start + chunk.size
        if chunk.size < 0 or end > n_bytes or not all(32 <= letter < 127 for letter in chunk.name):
            return False
        if n_bytes - end < style.padding:
            return True
    return False


def _is_zero(file: BinaryIO, start: int, n_bytes: int) -> bool:
    """True where a file holds zeros from a position on, as one for which room was taken in advance.

    The rest may be gigabytes: blocks are read that lie evenly over it.
    """
    step = max((n_bytes - start) // _N_BLOCKS, _BLOCK_BYTES)
    for position in (start, *range(n_bytes - _BLOCK_BYTES, start, -step)):
        file.seek(position)
        block = file.read(_BLOCK_BYTES)
        if block.count(0) < len(block):
            return False
    return True
