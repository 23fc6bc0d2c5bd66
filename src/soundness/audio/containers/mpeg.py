"""MP3 and MP2: frames without a header for the whole, counted to know how long the sound is."""

from dataclasses import dataclass, replace
from typing import BinaryIO

from soundness.audio.containers.views import SoundView
from soundness.errors import UnreadableError

__all__ = ["end_of_id3", "view_of_mpeg"]

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_KBPS = {  # by version 1 and layer, version 2 and layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAME = 0xFFFE0C00  # bits of a header that all frames of a file share: sync, version, layer, sample rate
_FREE_FORMAT_BYTES = 4096  # no frame of such a file is longer
_SEARCH_BYTES = 2**16
_N_CONFIRMING = 3  # frames in a row, before they are taken for frames
_BUFFER_BYTES = 2**20
_ID3_BYTES, _APE_BYTES, _TAG_BYTES = 10, 32, 128
_COUNT_BYTES = 12  # of an Info tag: its name, its flags and the number of frames


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Header of a frame, its length in bytes (0 in free format), samples per channel, and the place of an Info tag.

    Layers 1 and 2 have no such tag, and its place is 0.
    """

    header: int
    n_bytes: int
    n_samples: int
    tag_at: int


class _Frames:
    """Frames of a file between two positions; free format has one length, found between its first two."""

    def __init__(self, file: BinaryIO, end: int) -> None:
        self.file, self.end = file, end
        self._start, self._buffer = 0, b""
        self._free_bytes = 0
        self._known: dict[int, _Frame | None] = {}

    def bytes_at(self, position: int, n_bytes: int) -> bytes:
        """Bytes at a position; fewer at the end."""
        n_bytes = min(n_bytes, self.end - position)
        if not self._start <= position <= self._start + len(self._buffer) - n_bytes:
            self.file.seek(position)
            self._start, self._buffer = position, self.file.read(max(_BUFFER_BYTES, n_bytes))
        return self._buffer[position - self._start : position - self._start + n_bytes]

    def at(self, position: int, like: int | None = None) -> _Frame | None:
        """Frame at a position, if there is one, and one like another."""
        header = int.from_bytes(self.bytes_at(position, 4))
        if like is not None and (header ^ like) & _SAME:
            return None
        if header not in self._known:
            self._known[header] = _frame(header)
        frame = self._known[header]
        if frame is not None and frame.n_bytes == 0:
            frame = replace(frame, n_bytes=self._free_length(position, header) + (header >> 9 & 1))
        return frame

    def follow(self, position: int, n_frames: int) -> bool:
        """True where so many frames of a kind follow each other, or fewer up to the end."""
        like = None
        for _ in range(n_frames):
            frame = self.at(position, like)
            if frame is None:
                return position == self.end and like is not None
            like, position = frame.header, position + frame.n_bytes
        return True

    def _free_length(self, position: int, header: int) -> int:
        if self._free_bytes == 0:
            around = self.bytes_at(position, _FREE_FORMAT_BYTES)
            for at in range(_N_CONFIRMING, len(around) - 4):
                if (int.from_bytes(around[at : at + 4]) ^ header) & (_SAME | 0xF000) == 0:
                    self._free_bytes = at - (header >> 9 & 1)
                    break
            else:
                self._free_bytes = len(around)
        return self._free_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """Frames of a file: position of the first with sound, their number, and the end of the last."""

    start: int
    n_frames: int
    end: int


def end_of_id3(file: BinaryIO, start: int = 0) -> int:
    """Position behind the ID3 tags that begin at a position."""
    while True:
        file.seek(start)
        head = file.read(_ID3_BYTES)
        if len(head) < _ID3_BYTES or head[:3] != b"ID3":
            return start
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        start += _ID3_BYTES + size + (_ID3_BYTES if head[5] & 0x10 else 0)


def view_of_mpeg(file: BinaryIO, start: int, end: int) -> SoundView | None:
    """View of the frames between two positions; ``None`` if there are none.

    Raises
    ------
    UnreadableError
        If they are cut short or damaged.
    """
    frames = _Frames(file, end)
    first = next((at for at in range(start, min(start + _SEARCH_BYTES, end - 4)) if _starts(frames, at)), None)
    frame = None if first is None else frames.at(first)
    if first is None or frame is None:
        return None
    is_tag, n_stated = _info_tag(frames.bytes_at(first, frame.n_bytes), frame)
    found = _count(frames, first + frame.n_bytes if is_tag else first, frame, n_stated)
    if n_stated is not None and found.n_frames < n_stated - 1:
        stated, n_samples = n_stated * frame.n_samples, found.n_frames * frame.n_samples
        raise UnreadableError(f"truncated; its header says {stated:,} samples, it holds {n_samples:,}")
    if n_stated == found.n_frames:
        return SoundView() if start == 0 else SoundView(segments=((start, end),))
    if frame.tag_at == 0:  # decoders estimate the length: room behind the last frame has them estimate too much
        rest = bytes((found.end - found.start) // 8)
        return SoundView(segments=((found.start, found.end), rest), n_samples=found.n_frames * frame.n_samples)
    is_wrong = n_stated is not None and n_stated < found.n_frames
    return SoundView(
        segments=(_info_frame(frame, found.n_frames), (found.start, found.end)),
        stated=n_stated / found.n_frames if is_wrong and n_stated is not None else None,
    )


def _starts(frames: _Frames, position: int) -> bool:
    return frames.bytes_at(position, 1) == b"\xff" and frames.follow(position, _N_CONFIRMING)


def _count(frames: _Frames, position: int, first: _Frame, n_stated: int | None) -> _Count:
    start, n_frames, like = position, 0, first.header
    while position < frames.end:
        frame = frames.at(position, like)
        if frame is None:
            behind = _behind(frames, position)
            if behind is None:
                break
            position = behind
            continue
        if position + frame.n_bytes > frames.end:
            if n_stated is None or n_frames < n_stated:
                raise UnreadableError("truncated; its last frame is not whole")
            break
        n_frames, position = n_frames + 1, position + frame.n_bytes
    return _Count(start=start, n_frames=n_frames, end=position)


def _behind(frames: _Frames, position: int) -> int | None:
    """Position of the next frame behind tags; ``None`` if there is no more."""
    head = frames.bytes_at(position, _APE_BYTES)
    if head.startswith(b"ID3"):
        return end_of_id3(frames.file, position)
    if head.startswith(b"APETAGEX"):
        return position + int.from_bytes(head[12:16], "little") + _APE_BYTES
    if head.startswith(b"TAG"):
        return position + _TAG_BYTES
    if head.startswith(b"LYRICSBEGIN"):
        return None
    rest = frames.bytes_at(position, min(_BUFFER_BYTES, frames.end - position))
    if len(rest) < 4 or rest.count(0) == len(rest):
        return None
    raise UnreadableError(f"damaged; from byte {position:,} on it holds no frames")


def _info_tag(content: bytes, frame: _Frame) -> tuple[bool, int | None]:
    """True for a frame without sound, and the number of frames that it states."""
    tag = content[frame.tag_at : frame.tag_at + _COUNT_BYTES]
    if frame.tag_at == 0:
        return False, None
    if content[36:40] == b"VBRI":
        return True, None
    if tag[:4] not in (b"Xing", b"Info"):
        return False, None
    return True, int.from_bytes(tag[8:]) if tag[7] & 1 else None


def _info_frame(frame: _Frame, n_frames: int) -> bytes:
    """Frame that tells a decoder how many frames follow, of the same kind as they."""
    header = frame.header & ~0xF200 | 0x10000  # no bit rate, no padding, no checksum
    tag = b"Info" + (1).to_bytes(4) + n_frames.to_bytes(4)
    for code in range(1, 15):
        info = _frame(header | code << 12)
        if info is not None and info.n_bytes >= info.tag_at + len(tag):
            return (info.header.to_bytes(4) + bytes(info.tag_at - 4) + tag).ljust(info.n_bytes, b"\0")
    raise AssertionError("a frame of the highest bit rate holds a tag")


def _frame(header: int) -> _Frame | None:
    version, layer, code = header >> 19 & 3, 4 - (header >> 17 & 3), header >> 12 & 15
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or code == 15 or header >> 10 & 3 == 3:
        return None
    is_first, is_mono, padding = version == 3, header >> 6 & 3 == 3, header >> 9 & 1
    n_samples = 384 if layer == 1 else 1152 if layer == 2 or is_first else 576
    bits = _KBPS[is_first, layer][code] * 1000
    rate = _RATES[version][header >> 10 & 3]
    n_bytes = (12 * bits // rate + padding) * 4 if layer == 1 else n_samples // 8 * bits // rate + padding
    tag_at = (21 if is_mono else 36) if is_first else (13 if is_mono else 21)
    tag_at = tag_at if layer == 3 else 0
    return _Frame(header=header, n_bytes=0 if code == 0 else n_bytes, n_samples=n_samples, tag_at=tag_at)
