"""WAV, and its relatives for more than 4 GB: RF64, BW64 and Wave64."""

import struct
from dataclasses import replace
from typing import BinaryIO

from soundness.audio.containers.chunks import Chunk, ChunkStyle, end_of_sound, iter_chunks, truncated
from soundness.audio.containers.mpeg import view_of_mpeg
from soundness.audio.containers.views import SoundView, patched
from soundness.errors import AudioError

__all__ = ["view_of_riff", "view_of_wave64"]

_LARGEST = 0xFFFFFFFF
_LARGE_MAGICS = (b"RF64", b"BW64")
_MPEG = (0x50, 0x55)  # codings: MP2 and MP3
_WAVE64 = ChunkStyle(header="<16sq", padding=8, counts_header=True)


def view_of_riff(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a WAV, RF64 or BW64 file that holds all of its sound.

    Raises
    ------
    AudioError
        If it is cut short, or cannot be led to its end.
    """
    file.seek(0)
    magic, size, kind = file.read(4), int.from_bytes(file.read(4), "little"), file.read(4)
    if kind != b"WAVE":  # AVI, which others decode
        if 8 + size > n_bytes:
            raise truncated(size, n_bytes - 8)
        return SoundView()
    order = ">" if magic == b"RIFX" else "<"
    style = ChunkStyle(header=f"{order}4sI", padding=2)
    found: dict[bytes, Chunk] = {}
    for chunk in iter_chunks(file, style, 12):
        found.setdefault(chunk.name, chunk)
        if chunk.name == b"data":
            break
    if b"data" not in found:
        return SoundView()
    sound = found[b"data"]
    if magic in _LARGE_MAGICS and b"ds64" in found and sound.size == _LARGEST:
        file.seek(found[b"ds64"].start + 8)
        sound = replace(sound, size=int.from_bytes(file.read(8), "little"))
    if sound.size != n_bytes - sound.start and _is_placeholder(sound.size):
        end, stated = n_bytes, None
    else:
        end = end_of_sound(file, sound, style, n_bytes=n_bytes)
        stated = None if end == sound.start + sound.size else sound.size / (end - sound.start)
    if _coding(file, found.get(b"fmt ")) in _MPEG:
        return view_of_mpeg(file, sound.start, end) or SoundView()
    size = end - sound.start
    if sound.size >= size and magic != b"BW64" and (magic == b"RF64" or size < _LARGEST):
        return SoundView()  # decoders take no more than there is
    if magic not in _LARGE_MAGICS and end - 8 < _LARGEST:
        sizes = {4: struct.pack(f"{order}I", end - 8), sound.start - 4: struct.pack(f"{order}I", size)}
        return SoundView(segments=patched(sizes, end=end), stated=stated)
    if magic == b"RIFX" or b"fmt " not in found:
        raise AudioError(f"{size:,} bytes of sound, more than this format can state; convert it to RF64")
    return replace(_as_rf64(found[b"fmt "], sound.start, end), stated=stated)


def view_of_wave64(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a Wave64 file that holds all of its sound; see `view_of_riff`."""
    sound = next((chunk for chunk in iter_chunks(file, _WAVE64, 40) if chunk.name == b"data"), None)
    if sound is None:
        return SoundView()
    is_streamed = sound.size >= 2**62 or sound.size < 0
    if is_streamed:
        sound = replace(sound, size=0)
    end = end_of_sound(file, sound, _WAVE64, n_bytes=n_bytes)
    if end == sound.start + sound.size:
        return SoundView()
    sizes = {16: struct.pack("<q", end), sound.start - 8: struct.pack("<q", end - sound.start + 24)}
    stated = None if is_streamed else sound.size / (end - sound.start)
    return SoundView(segments=patched(sizes, end=end), stated=stated)


def _coding(file: BinaryIO, form: Chunk | None) -> int | None:
    if form is None:
        return None
    file.seek(form.start)
    return int.from_bytes(file.read(2), "little")


def _is_placeholder(size: int) -> bool:
    """True for a size that programs state which write to a pipe: close to 2 or 4 GiB, or to 2 to the power of 63."""
    return 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= _LARGEST or size >= 2**62


def _as_rf64(form: Chunk, start: int, end: int) -> SoundView:
    """View of a WAV's sound under a header that can state its size."""
    size = end - start
    large = struct.pack("<4sI4s4sIQQQI", b"RF64", _LARGEST, b"WAVE", b"ds64", 28, size + 60 + form.size, size, 0, 0)
    form_header = struct.pack("<4sI", b"fmt ", form.size)
    form_end = form.start + form.size + form.size % 2
    sound_header = struct.pack("<4sI", b"data", _LARGEST)
    return SoundView(segments=(large + form_header, (form.start, form_end), sound_header, (start, end)))
