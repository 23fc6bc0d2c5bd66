"""FLAC: the last frame says how long a file is, whatever its header states."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import BinaryIO

from soundness.audio.containers.views import SoundView, patched
from soundness.errors import UnreadableError

__all__ = ["holds_another_flac", "view_of_flac"]

_MAGIC_BYTES = 4
_STARTS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")  # with the header of STREAMINFO
_READ_AHEAD_BYTES = 2**17  # more than decoders read at once
_COUNT_AT = 13  # in STREAMINFO: the 36 bits that count the samples end five bytes later
_MOST_HEADER_BYTES = 16
_TAG_BYTES = 128  # of an ID3v1 tag behind the sound
_BLOCK_SIZES = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StreamInfo:
    """Facts of a FLAC header: position of the sample count, the count, longest block and frame."""

    at: int
    n_samples: int
    block_samples: int
    frame_bytes: int


def view_of_flac(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of a FLAC file that holds all of its sound.

    Raises
    ------
    UnreadableError
        If it is cut short.
    """
    info = _stream_info(file)
    if info is None:
        return SoundView()
    n_samples, stated = _samples_at_end(file, info, n_bytes), info.n_samples
    if n_samples == stated:
        return SoundView()
    if n_samples is None:
        raise UnreadableError("damaged or truncated; its last frame is not whole")
    if stated > n_samples:
        raise UnreadableError(f"truncated; its header says {stated:,} samples, it holds {n_samples:,}")
    file.seek(info.at)
    first, *_ = file.read(1)
    count = ((first & 0xF0) << 32 | n_samples).to_bytes(5)
    return SoundView(segments=patched({info.at: count}, end=n_bytes), stated=stated / n_samples if stated else None)


def holds_another_flac(file: BinaryIO) -> bool:
    """True if another FLAC file follows in a file that was decoded up to the end of the first."""
    position = max(os.lseek(file.fileno(), 0, os.SEEK_CUR) - _READ_AHEAD_BYTES, _MAGIC_BYTES)
    file.seek(position)
    kept = b""
    while block := file.read(_READ_AHEAD_BYTES):
        if any(start in kept + block for start in _STARTS):
            return True
        kept = block[-len(_STARTS[0]) :]
    return False


def _stream_info(file: BinaryIO) -> _StreamInfo | None:
    file.seek(_MAGIC_BYTES)
    content = file.read(4 + 18)
    if len(content) < 22 or content[0] & 0x7F != 0:
        return None
    n_samples = int.from_bytes(content[4 + _COUNT_AT : 4 + _COUNT_AT + 5]) & (2**36 - 1)
    return _StreamInfo(
        at=_MAGIC_BYTES + 4 + _COUNT_AT,
        n_samples=n_samples,
        block_samples=int.from_bytes(content[6:8]),
        frame_bytes=int.from_bytes(content[11:14]),
    )


def _samples_at_end(file: BinaryIO, info: _StreamInfo, n_bytes: int) -> int | None:
    """Samples up to the end of the last frame, as stated where there is none; ``None`` if it is not whole."""
    reach = max(info.frame_bytes, 8 * 4 * info.block_samples) + _TAG_BYTES + _MOST_HEADER_BYTES
    file.seek(max(n_bytes - reach, 0))
    tail = file.read(reach)
    if tail[-_TAG_BYTES:].startswith(b"TAG"):
        tail = tail[:-_TAG_BYTES]
    candidates = list(_frame_starts(tail, info))
    for _, n_samples in candidates:  # an agreement of 36 bits needs no proof
        if n_samples == info.n_samples:
            return n_samples
    checksum = int.from_bytes(tail[-2:])
    whole = [end for at, end in candidates if _crc(tail[at:-2], polynomial=0x8005, n_bits=16) == checksum]
    if whole:
        return whole[0]
    is_cut = info.n_samples == 0 or any(end > info.n_samples for _, end in candidates)
    return None if is_cut else info.n_samples


def _frame_starts(tail: bytes, info: _StreamInfo) -> Iterator[tuple[int, int]]:
    """Positions at which a frame may start, from the last, and the samples at the end of each such frame."""
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        header = tail[at : at + _MOST_HEADER_BYTES]
        if len(header) > 6 and header[1] in (0xF8, 0xF9) and (end := _samples_at_frame_end(header, info)) is not None:
            yield at, end


def _samples_at_frame_end(header: bytes, info: _StreamInfo) -> int | None:
    number, n_number = _coded_number(header[4:])
    code, at = header[2] >> 4, 4 + n_number
    if n_number == 0 or code == 0:
        return None
    n_block = _BLOCK_SIZES[code]
    if code in (6, 7):
        n_block = int.from_bytes(header[at : at + code - 5]) + 1
        at += code - 5
    at += (0, 1, 2, 2)[max(header[2] % 16 - 11, 0)] if header[2] % 16 < 15 else len(header)
    if at >= len(header) or _crc(header[:at], polynomial=0x07, n_bits=8) != header[at]:
        return None
    return (number if header[1] == 0xF9 else number * info.block_samples) + n_block


def _coded_number(content: bytes) -> tuple[int, int]:
    """Number coded as in UTF-8, in up to seven bytes, and how many they are; none at all if it is not valid."""
    first = content[0]
    n_bytes = next((n for n in range(8) if not first & (0x80 >> n)), 8)
    if n_bytes == 0:
        return first, 1
    rest = content[1:n_bytes]
    if n_bytes in (1, 8) or len(rest) < n_bytes - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return 0, 0
    number = first & (0x7F >> n_bytes)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, n_bytes


@cache
def _crc_table(polynomial: int, n_bits: int) -> tuple[int, ...]:
    top, mask = 1 << (n_bits - 1), (1 << n_bits) - 1
    table = []
    for byte in range(256):
        value = byte << (n_bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return tuple(table)


def _crc(content: bytes, *, polynomial: int, n_bits: int) -> int:
    table, mask, crc = _crc_table(polynomial, n_bits), (1 << n_bits) - 1, 0
    for byte in content:
        crc = (crc << 8 & mask) ^ table[crc >> (n_bits - 8) ^ byte]
    return crc
