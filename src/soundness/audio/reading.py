"""Read recordings: headers, waveforms, blocks and pieces at a sample rate."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soxr  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.audio.decoding import AS_STATED, AudioInfo, Recording, opened
from soundness.errors import AudioError, UnreadableError
from soundness.settings.system import AudioSettings

__all__ = [
    "AudioInfo",
    "Observer",
    "pick_channel",
    "read_blocks",
    "read_blocks_at",
    "read_channel",
    "read_info",
    "read_pieces",
    "read_waveform",
]

_BLOCK_SAMPLES = 2**18
_MOST_SAMPLES_OF_ONE = 128

Observer = Callable[[Recording], Callable[[Waveform], None] | None]
"""Called with a recording that is read; what it returns is called with each block of it, as `read_blocks` gives it."""


def read_info(path: Path, *, audio: AudioSettings = AS_STATED) -> AudioInfo:
    """Read a recording's header.

    Raises
    ------
    AudioError
        If the file is missing, not readable, empty, not audio, or shorter than its header says.
    """
    with opened(path, audio) as recording:
        return recording.info()


def read_blocks(
    path: Path, *, block_samples: int | None = None, audio: AudioSettings = AS_STATED
) -> Iterator[Waveform]:
    """Read a recording block by block, at its own rate; memory grows with neither length nor channels.

    Yields
    ------
    ndarray
        Samples, shape ``(time, channel)``, at most ``block_samples`` each, or as many as are of use: integers divided
        by their full scale, floats as they are.

    Raises
    ------
    AudioError
        As `read_info`; or if there are no samples, fewer than the header says, or samples that are not finite.
    """
    with opened(path, audio) as recording:
        n_samples = max(1, _BLOCK_SAMPLES // recording.n_channels) if block_samples is None else block_samples
        yield from recording.blocks(n_samples)


def read_blocks_at(path: Path, *, sample_rate: int, audio: AudioSettings = AS_STATED) -> Iterator[Waveform]:
    """Read a recording block by block, as `read_blocks`, resampled to `sample_rate` in Hz."""
    with opened(path, audio) as recording:
        yield from (block for block in _blocks_at(recording, sample_rate) if len(block) > 0)


def read_channel(
    path: Path,
    *,
    sample_rate: int,
    fmax: float,
    channel: int,
    audio: AudioSettings = AS_STATED,
    observer: Observer | None = None,
) -> Iterator[Waveform]:
    """Read one channel of a recording block by block, at a rate; memory grows with neither length nor channels.

    Its samples are those of `read_waveform`, to the last bit.

    Parameters
    ----------
    path, sample_rate, fmax
        See `read_waveform`.
    channel
        The channel, from 0.
    audio
        See `read_waveform`.
    observer
        Shown the recording as it is in its file, with all channels.

    Yields
    ------
    ndarray
        Waveform, shape ``(time,)``, full scale at -1 and 1.

    Raises
    ------
    AudioError
        See `read_waveform`; or if there is no such channel.
    """
    with opened(path, audio) as recording:
        _check_rate(recording, fmax)
        _check_channel(recording.n_channels, channel)
        blocks = recording.blocks(max(1, _BLOCK_SAMPLES // recording.n_channels))
        if observer is not None and (observe := observer(recording)) is not None:
            blocks = _observed(blocks, observe)
        picked: Iterator[Waveform] = (np.ascontiguousarray(block[:, channel : channel + 1]) for block in blocks)
        if recording.sample_rate != sample_rate:
            picked = _resampled(picked, _stream(recording.sample_rate, sample_rate, n_channels=1))
        yield from (block[:, 0] for block in picked)


def read_waveform(
    path: Path,
    *,
    sample_rate: int,
    fmax: float,
    min_samples: int = 1,
    max_samples: int | None = None,
    audio: AudioSettings = AS_STATED,
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
    audio
        Its ``rate`` and ``columns`` say how a table of numbers is read.

    Returns
    -------
    ndarray
        Waveform, shape ``(channel, time)``, full scale at -1 and 1.

    Raises
    ------
    AudioError
        See `read_blocks`; or if recorded at less than twice `fmax`, or shorter than `min_samples`.
    """
    with opened(path, audio) as recording:
        _check_rate(recording, fmax)
        blocks: list[Waveform] = []
        for block in _blocks_at(recording, sample_rate):
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
    _check_channel(len(waveform), channel)
    return waveform[channel : channel + 1]


def read_pieces(
    path: Path, *, sample_rate: int, fmax: float, n_samples: int, audio: AudioSettings = AS_STATED
) -> Iterator[Waveform]:
    """Read a recording piece by piece, resampled to a rate; memory does not grow with its length.

    Parameters
    ----------
    path, sample_rate, fmax
        See `read_waveform`, as for the errors.
    n_samples
        Samples per channel in each piece, at `sample_rate`; a shorter rest at the end is left out.
    audio
        See `read_waveform`.

    Yields
    ------
    ndarray
        Waveform, shape ``(channel, time)``, full scale at -1 and 1.
    """
    with opened(path, audio) as recording:
        _check_rate(recording, fmax)
        held = np.empty((0, recording.n_channels), dtype=np.float32)
        for block in _blocks_at(recording, sample_rate):
            held = np.concatenate([held, block])
            while len(held) >= n_samples:
                yield np.ascontiguousarray(held[:n_samples].T)
                held = held[n_samples:]


def _check_channel(n_channels: int, channel: int) -> None:
    if channel >= n_channels:
        raise AudioError(f"{n_channels} channel(s); channel {channel} (counted from 0) is needed")


def _check_rate(recording: Recording, fmax: float) -> None:
    if (sample_rate := recording.sample_rate) < 2 * fmax:
        raise AudioError(
            f"recorded at {sample_rate} Hz, so nothing above {sample_rate / 2:g} Hz; "
            f"the detector uses frequencies up to {fmax:g} Hz"
        )


def _observed(blocks: Iterator[Waveform], observe: Callable[[Waveform], None]) -> Iterator[Waveform]:
    for block in blocks:
        observe(block)
        yield block


def _blocks_at(recording: Recording, sample_rate: int) -> Iterator[Waveform]:
    blocks = recording.blocks(_BLOCK_SAMPLES)
    if recording.sample_rate == sample_rate:
        return blocks
    return _resampled(blocks, _stream(recording.sample_rate, sample_rate, n_channels=recording.n_channels))


def _stream(recorded_rate: int, sample_rate: int, *, n_channels: int) -> soxr.ResampleStream:
    """Resampler from one rate to another; a process may end where it has to make too many samples of one."""
    if sample_rate > _MOST_SAMPLES_OF_ONE * recorded_rate:
        raise AudioError(f"recorded at {recorded_rate:,} Hz, too slow to be resampled to {sample_rate:,} Hz")
    return soxr.ResampleStream(recorded_rate, sample_rate, n_channels)


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
