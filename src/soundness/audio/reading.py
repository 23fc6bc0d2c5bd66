"""Find and read recordings: headers, waveforms, blocks and pieces at a sample rate."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
import soxr  # type: ignore[import-untyped]  # likewise

from soundness.aliases import Waveform
from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.errors import AudioError, DataError, UnreadableError

__all__ = [
    "AudioInfo",
    "iter_audio",
    "list_audio",
    "list_entries",
    "pick_channel",
    "read_blocks",
    "read_blocks_at",
    "read_info",
    "read_pieces",
    "read_waveform",
]

_BLOCK_SAMPLES = 2**18
_UNKNOWN_LENGTH = 2**62  # libsndfile reports such counts for a stream without a length in its header
_STREAMED_BYTES = 0x7FFF0000  # programs that write WAV to a pipe state a size of this or more, or 0


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Header of a recording: sample rate in Hz, number of channels, and samples per channel."""

    sample_rate: int
    n_channels: int
    n_samples: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.sample_rate


def list_entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the folders and the files in a folder by name; none if there is no such folder.

    Hidden ones are left out, and so are those that macOS adds to archives. A `DataError` names a folder that cannot be
    listed.
    """
    found: tuple[list[Path], list[Path]] = [], []
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if not entry.name.startswith((".", "__MACOSX")):
                found[not entry.is_dir()].append(folder / entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except PermissionError as error:
        raise DataError("no permission to list this folder", path=folder) from error
    except OSError as error:
        raise DataError(f"cannot be listed ({error.strerror})", path=folder) from error
    return found


def list_audio(folder: Path) -> list[Path]:
    """List the recordings among the files of `list_entries`."""
    return list(iter_audio(folder, max_depth=0))


def iter_audio(folder: Path, *, max_depth: int = 8) -> Iterator[Path]:
    """Find recordings in a folder and below it, at most `max_depth` levels deep, for links may form a cycle."""
    folders, files = list_entries(folder)
    yield from (path for path in files if path.suffix.lower() in AUDIO_SUFFIXES)
    if max_depth > 0:
        for below in folders:
            yield from iter_audio(below, max_depth=max_depth - 1)


def read_info(path: Path) -> AudioInfo:
    """Read a recording's header.

    Raises
    ------
    AudioError
        If the file is missing, not readable, empty, not audio, or a WAV shorter than its header says.
    """
    with _opened(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames)


def read_blocks(path: Path, *, block_samples: int = _BLOCK_SAMPLES) -> Iterator[Waveform]:
    """Read a recording block by block, at its own rate; memory does not grow with its length.

    Yields
    ------
    ndarray
        Samples, shape ``(time, channel)``, at most `block_samples` each: integers divided by their full scale, floats
        as they are.

    Raises
    ------
    AudioError
        As `read_info`; or if there are no samples, fewer than the header says, or samples that are not finite.
    """
    with _opened(path) as file:
        yield from _blocks(file, block_samples)


def read_blocks_at(path: Path, *, sample_rate: int) -> Iterator[Waveform]:
    """Read a recording block by block, as `read_blocks`, resampled to `sample_rate` in Hz."""
    with _opened(path) as file:
        yield from (block for block in _blocks_at(file, sample_rate) if len(block) > 0)


def read_waveform(
    path: Path, *, sample_rate: int, fmax: float, min_samples: int = 1, max_samples: int | None = None
) -> Waveform:
    """Read a recording, resampled to a rate.

    Resampling (soxr, high quality) happens while the file is read, so that the original is never in memory as a whole.
    At equal rates the samples are exact.

    Parameters
    ----------
    path
        The audio file.
    sample_rate
        Rate of the result in Hz.
    fmax
        Highest frequency in Hz that is used; the recording's own rate must be at least twice as high.
    min_samples
        Fewest samples per channel, at `sample_rate`.
    max_samples
        Most samples per channel, at `sample_rate`; the rest is not read. ``None`` reads all.

    Returns
    -------
    ndarray
        Waveform, shape ``(channel, time)``, full scale at -1 and 1.

    Raises
    ------
    AudioError
        See `read_blocks`; or if recorded at less than twice `fmax`, or shorter than `min_samples`.
    """
    with _opened(path) as file:
        _check_rate(file, fmax)
        blocks: list[Waveform] = []
        for block in _blocks_at(file, sample_rate):
            n_missing = len(block) if max_samples is None else max_samples - sum(map(len, blocks))
            blocks.append(block[:n_missing])
            if n_missing <= len(block) and max_samples is not None:
                break
        waveform = _concatenated(blocks)
        if (n_samples := waveform.shape[1]) < min_samples:
            raise UnreadableError(f"{n_samples:,} samples at {sample_rate} Hz; a clip needs at least {min_samples:,}")
    return waveform


def pick_channel(waveform: Waveform, *, channel: int) -> Waveform:
    """The channel that is used, shape ``(1, time)``, of a waveform of shape ``(channel, time)``.

    Raises
    ------
    AudioError
        If there is no such channel.
    """
    if channel >= len(waveform):
        raise AudioError(f"{len(waveform)} channel(s); channel {channel} (counted from 0) is needed")
    return waveform[channel : channel + 1]


def read_pieces(path: Path, *, sample_rate: int, fmax: float, n_samples: int) -> Iterator[Waveform]:
    """Read a recording piece by piece, resampled to a rate; memory does not grow with its length.

    Parameters
    ----------
    path, sample_rate, fmax
        See `read_waveform`, as for the errors.
    n_samples
        Samples per channel in each piece, at `sample_rate`; a shorter rest at the end is left out.

    Yields
    ------
    ndarray
        Waveform, shape ``(channel, time)``, full scale at -1 and 1.
    """
    with _opened(path) as file:
        _check_rate(file, fmax)
        held = np.empty((0, file.channels), dtype=np.float32)
        for block in _blocks_at(file, sample_rate):
            held = np.concatenate([held, block])
            while len(held) >= n_samples:
                yield np.ascontiguousarray(held[:n_samples].T)
                held = held[n_samples:]


def _check_rate(file: soundfile.SoundFile, fmax: float) -> None:
    if file.samplerate < 2 * fmax:
        raise AudioError(
            f"recorded at {file.samplerate} Hz, so nothing above {file.samplerate / 2:g} Hz; "
            f"the detector uses frequencies up to {fmax:g} Hz"
        )


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file that is complete by its header; every `AudioError` within names the file."""
    try:
        _check_file(path)
        try:
            file = soundfile.SoundFile(path)
        except soundfile.SoundFileError as error:
            raise UnreadableError("not audio, or damaged; expected a format that libsndfile reads") from error
        with file:
            yield file
    except AudioError as error:
        raise error.at(path) from error.__cause__


def _check_file(path: Path) -> None:
    try:
        if path.exists() and not path.is_file():
            came = "a folder" if path.is_dir() else "neither file nor folder"
            raise AudioError(f"expected an audio file, found {came}")
        with path.open("rb") as file:
            n_bytes = path.stat().st_size
            if n_bytes == 0:
                raise UnreadableError("empty file (0 bytes); expected audio")
            _check_wav_size(file, n_bytes)
    except FileNotFoundError as error:
        raise UnreadableError("no such file; expected an audio file") from error
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror})") from error
    if path.suffix.lower() == ".raw":  # soundfile trusts the suffix, and then requires a rate
        raise AudioError("header-less audio; expected a format with a header, such as WAV")


def _check_wav_size(file: BinaryIO, n_bytes: int) -> None:
    """Refuse a WAV file that is shorter than its header says, which libsndfile would accept silently."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
        return
    layout = "<4sI" if head[:4] == b"RIFF" else ">4sI"
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack(layout, chunk)
        if name == b"data":
            found = n_bytes - file.tell()
            if found < size < _STREAMED_BYTES:
                raise UnreadableError(f"truncated; its header says {size:,} bytes of sound, it holds {found:,}")
            return
        file.seek(size + size % 2, 1)


def _blocks(file: soundfile.SoundFile, block_samples: int) -> Iterator[Waveform]:
    n_read = 0
    while len(block := _next_block(file, block_samples)) > 0:
        is_finite = np.isfinite(block).all(axis=1)
        if not is_finite.all():
            position = (n_read + int(np.argmin(is_finite))) / file.samplerate
            raise AudioError(f"holds samples that are no numbers (NaN or infinite), at {position:.3f} s")
        n_read += len(block)
        yield block
    if n_read == 0:
        raise UnreadableError("0 samples; a clip needs at least 1")
    if n_read < file.frames < _UNKNOWN_LENGTH:
        raise UnreadableError(f"truncated; its header says {file.frames:,} samples, it holds {n_read:,}")


def _blocks_at(file: soundfile.SoundFile, sample_rate: int) -> Iterator[Waveform]:
    blocks = _blocks(file, _BLOCK_SAMPLES)
    if file.samplerate == sample_rate:
        return blocks
    return _resampled(blocks, soxr.ResampleStream(file.samplerate, sample_rate, file.channels))


def _next_block(file: soundfile.SoundFile, block_samples: int) -> Waveform:
    try:
        block: Waveform = file.read(block_samples, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise UnreadableError("damaged or truncated; its sound cannot be decoded to the end") from error
    return block


def _resampled(blocks: Iterator[Waveform], stream: soxr.ResampleStream) -> Iterator[Waveform]:
    """Blocks at the stream's other rate, one late each, for the stream must know which is the last."""
    held = next(blocks)
    for block in blocks:
        yield stream.resample_chunk(held)
        held = block
    yield stream.resample_chunk(held, last=True)


def _concatenated(blocks: list[Waveform]) -> Waveform:
    """Blocks of shape ``(time, channel)`` as one contiguous array of shape ``(channel, time)``."""
    waveform = np.empty((blocks[0].shape[1], sum(map(len, blocks))), dtype=np.float32)
    stop = 0
    for block in blocks:
        start, stop = stop, stop + len(block)
        waveform[:, start:stop] = block.T
    return waveform
