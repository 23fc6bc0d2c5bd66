"""Containers with one header before their sound: AU, NIST SPHERE, AVR and Creative Voice."""

import re
import struct
from typing import BinaryIO

from soundness.audio.containers.chunks import truncated
from soundness.audio.containers.views import SoundView, patched
from soundness.errors import AudioError, UnreadableError

__all__ = ["view_of_au", "view_of_avr", "view_of_nist", "view_of_voice"]

_UNKNOWN_SIZE = 0xFFFFFFFF
_NIST_HEADER_BYTES = 1024


def view_of_au(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of an AU file that holds all of its sound.

    Raises
    ------
    UnreadableError
        If it is cut short.
    """
    file.seek(0)
    magic = file.read(4)
    order = ">" if magic == b".snd" else "<"
    start, size = struct.unpack(f"{order}II", file.read(8))
    found = n_bytes - start
    if size in (_UNKNOWN_SIZE, found) or found <= 0:
        return SoundView()
    if size > found:
        raise truncated(size, found)
    _check_single(file, start + size, magic)
    return SoundView(segments=patched({8: struct.pack(f"{order}I", _UNKNOWN_SIZE)}, end=n_bytes), stated=size / found)


def view_of_nist(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a NIST SPHERE file, whose samples are counted in a header of text; see `view_of_au`."""
    file.seek(0)
    text = file.read(_NIST_HEADER_BYTES)
    fields = {key: int(value) for key, value in re.findall(rb"(\w+) -i (\d+)", text)}
    start = re.match(rb"NIST_1A\s+(\d+)", text)
    per_sample = fields.get(b"channel_count", 1) * fields.get(b"sample_n_bytes", 2)
    is_plain = b"shorten" not in text and b"embedded" not in text
    if start is not None and is_plain and b"sample_count" in fields:
        stated, found = fields[b"sample_count"] * per_sample, n_bytes - int(start[1])
        if stated > found:
            raise truncated(stated, found)
        if 0 < stated <= found - per_sample:
            _check_single(file, int(start[1]) + stated, text[:7])
            return SoundView(stated=stated / found)  # libsndfile reads to the end of the file
    return SoundView()


def view_of_avr(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of an AVR file; see `view_of_au`."""
    file.seek(12)
    is_mono, n_bits = struct.unpack(">HH", file.read(4))
    file.seek(26)
    (n_samples,) = struct.unpack(">I", file.read(4))
    stated, found = n_samples * (1 if is_mono == 0 else 2) * n_bits // 8, n_bytes - 128
    if stated > found:
        raise truncated(stated, found)
    return SoundView()


def view_of_voice(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a Creative Voice file of one block of sound; see `view_of_au`."""
    file.seek(20)
    (position,) = struct.unpack("<H", file.read(2))
    n_sounds = 0
    while position < n_bytes:
        file.seek(position)
        block = file.read(4)
        if block[0] == 0:  # the end
            return SoundView()
        if len(block) < 4:
            break
        size = int.from_bytes(block[1:], "little")
        n_sounds += block[0] in (1, 2, 9)
        if n_sounds > 1:
            raise AudioError("several blocks of sound in one Creative Voice file; convert it to WAV")
        if position + 4 + size > n_bytes:
            raise truncated(size, n_bytes - position - 4)
        position += 4 + size
    raise UnreadableError("truncated; a Creative Voice file ends with a block that says so")


def _check_single(file: BinaryIO, end: int, magic: bytes) -> None:
    """Refuse a file of another recording behind the end of the sound that is stated."""
    file.seek(end)
    if file.read(len(magic)) == magic:
        raise AudioError("two recordings in one file, one behind the other; split it")
