"""AIFF, AIFF-C, 8SVX and Core Audio files."""

import struct
from dataclasses import replace
from typing import BinaryIO

from soundness.audio.containers.chunks import Chunk, ChunkStyle, end_of_sound, iter_chunks
from soundness.audio.containers.views import SoundView, patched
from soundness.errors import AudioError

__all__ = ["view_of_core_audio", "view_of_iff"]

_IFF = ChunkStyle(header=">4sI", padding=2)
_CORE_AUDIO = ChunkStyle(header=">4sq", padding=1)
_LARGEST = 0xFFFFFFFF
_STREAMED = (0x7F000000, 0x7F000008)  # sizes that programs state which write to a pipe
_STREAMED_FROM = 0x7FFFFFF0


def view_of_iff(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of an AIFF or 8SVX file that holds all of its sound.

    Raises
    ------
    AudioError
        If it is cut short, or cannot be led to its end.
    """
    common = sound = None
    for chunk in iter_chunks(file, _IFF, 12):
        if chunk.name == b"COMM":
            common = chunk
        elif chunk.name in (b"SSND", b"BODY"):
            sound = chunk
            break
    if sound is None:
        return SoundView()
    is_streamed = sound.size > n_bytes - sound.start and (sound.size in _STREAMED or sound.size >= _STREAMED_FROM)
    if is_streamed:
        sound = replace(sound, size=0)
    end = end_of_sound(file, sound, _IFF, n_bytes=n_bytes)
    if end == sound.start + sound.size:
        return SoundView()
    if end > _LARGEST:
        raise AudioError(f"{end - sound.start:,} bytes of sound, more than AIFF can state; convert it to RF64")
    sizes = {4: struct.pack(">I", end - 8), sound.start - 4: struct.pack(">I", end - sound.start)}
    offset = 8 if sound.name == b"SSND" else 0  # two numbers stand before its sound
    if common is not None:
        sizes[common.start + 2] = _frames(file, common, end - sound.start - offset)
    stated = None if is_streamed else _fraction(sound.size, end - sound.start, offset)
    return SoundView(segments=patched(sizes, end=end), stated=stated)


def view_of_core_audio(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a Core Audio file that holds all of its sound; see `view_of_iff`."""
    sound = next((chunk for chunk in iter_chunks(file, _CORE_AUDIO, 8) if chunk.name == b"data"), None)
    if sound is None:
        return SoundView()
    is_streamed = sound.size < 0 or sound.size >= 2**62  # minus one stands for all up to the end of the file
    if is_streamed:
        sound = replace(sound, size=0)
    end = end_of_sound(file, sound, _CORE_AUDIO, n_bytes=n_bytes)
    if end == sound.start + sound.size:
        return SoundView()
    size = {sound.start - 8: struct.pack(">q", end - sound.start)}
    stated = None if is_streamed else _fraction(sound.size, end - sound.start, 4)
    return SoundView(segments=patched(size, end=end), stated=stated)


def _frames(file: BinaryIO, common: Chunk, n_bytes: int) -> bytes:
    """Number of samples per channel as an AIFF states it, of uncompressed sound."""
    file.seek(common.start)
    n_channels, _, bits = struct.unpack(">HIH", file.read(8))
    return struct.pack(">I", n_bytes // max(n_channels * -(-bits // 8), 1))


def _fraction(stated: int, found: int, offset: int) -> float:
    return max(stated - offset, 0) / max(found - offset, 1)
