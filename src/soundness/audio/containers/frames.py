"""AAC and AMR without a container: frames that state their own length, followed to the last."""

from collections.abc import Callable
from typing import BinaryIO

from soundness.audio.containers.mpeg import end_of_id3
from soundness.audio.containers.views import SoundView
from soundness.errors import UnreadableError

__all__ = ["is_adts", "view_of_adts", "view_of_amr"]

_AMR_BYTES = {  # lengths of the frames by their kind, narrow and wide band
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 1, 1, 1, 1, 1, 1, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 1, 1, 1, 1, 1, 1),
}
_ADTS_BYTES = 7
_BLOCK_BYTES = 2**16


def is_adts(head: bytes) -> bool:
    """True for bytes that begin with the header of an AAC frame."""
    return len(head) >= _ADTS_BYTES and head[0] == 0xFF and head[1] & 0xF6 == 0xF0 and _adts_length(head) >= _ADTS_BYTES


def view_of_adts(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of AAC frames, which is the file as it is.

    Raises
    ------
    UnreadableError
        If the last frame is not whole, or something else follows.
    """
    start = end_of_id3(file)
    return _followed(file, start, n_bytes, lambda head: _adts_length(head) if is_adts(head) else 0)


def view_of_amr(file: BinaryIO, n_bytes: int) -> SoundView:
    """View of AMR frames; see `view_of_adts`."""
    file.seek(0)
    head = file.read(9)
    header = next((header for header in _AMR_BYTES if head.startswith(header)), None)
    if header is None:
        return SoundView()
    lengths = _AMR_BYTES[header]
    return _followed(file, len(header), n_bytes, lambda head: lengths[head[0] >> 3 & 15])


def _adts_length(head: bytes) -> int:
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def _followed(file: BinaryIO, position: int, n_bytes: int, length_of: Callable[[bytes], int]) -> SoundView:
    start, block = position, b""
    while position < n_bytes:
        if position + _ADTS_BYTES > start + len(block):
            file.seek(position)
            start, block = position, file.read(_BLOCK_BYTES)
        head = block[position - start : position - start + _ADTS_BYTES]
        if head[:3] == b"TAG":
            break
        length = length_of(head)
        if length == 0:
            raise UnreadableError(f"damaged or truncated; from byte {position:,} on it holds no frames")
        position += length
    if position > n_bytes:
        raise UnreadableError("truncated; its last frame is not whole")
    return SoundView()
