"""A recording as clips of one length: windows that overlap, or clips one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundness.aliases import Waveform
from soundness.audio.decoding import AS_STATED
from soundness.audio.reading import Observer, read_channel
from soundness.errors import UnreadableError, audio_errors_at
from soundness.settings.system import AudioSettings

__all__ = ["LONG", "ClipLength", "Window", "is_long", "n_consecutive", "read_windows"]

LONG = 1.5
"""A recording of more than so many clips is long: it is cut, and not taken as a whole."""

_WHOLE = 0.9  # of a clip, at the end of a recording, is one clip more


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLength:
    """Clips that a recording is read as.

    Parameters
    ----------
    n_samples
        Samples of a clip, at the system's rate.
    is_overlapping
        True for windows half a clip apart, the last one at the end of the recording; False for clips one after the
        other, the rest left out.
    """

    n_samples: int
    is_overlapping: bool

    @property
    def hop(self) -> int:
        """Samples from one clip to the next."""
        return max(1, self.n_samples // 2) if self.is_overlapping else self.n_samples


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Part of a recording: its first sample, the channel that is used, shape ``(1, time)``; or all of it."""

    start: int
    waveform: Waveform
    is_whole: bool = False


def is_long(n_samples: float, clip_samples: float) -> bool:
    """True if a recording is cut into clips; both lengths have one unit."""
    return n_samples > LONG * clip_samples


def n_consecutive(seconds: float, clip_seconds: float) -> int:
    """Number of clips, one after the other, of a long recording."""
    return int(seconds / clip_seconds + (1.0 - _WHOLE))


def read_windows(
    path: Path,
    *,
    sample_rate: int,
    fmax: float,
    clip: ClipLength,
    min_samples: int = 1,
    samples: slice = slice(None),
    audio: AudioSettings = AS_STATED,
    observer: Observer | None = None,
) -> Iterator[Window]:
    """Read a recording in windows; one that is not long is one window, whatever its length.

    Memory grows with neither length nor channels. The samples are those of `soundness.audio.reading.read_waveform`.

    Parameters
    ----------
    path, sample_rate, fmax
        See `soundness.audio.reading.read_waveform`, as for the errors.
    clip
        Length of the windows.
    min_samples
        Fewest samples of the recording.
    samples
        Part that is read, from a sample on, up to another.
    audio
        See `soundness.audio.reading.read_waveform`; the channel that is used among them.
    observer
        See `soundness.audio.reading.read_channel`.
    """
    blocks = read_channel(
        path, sample_rate=sample_rate, fmax=fmax, channel=audio.channel, audio=audio, observer=observer
    )
    n_windows = 0
    with audio_errors_at(path):
        for window in _windows(_without_first(_first(blocks, samples.stop), samples.start or 0), clip):
            if n_windows == 0 and (n_samples := window.waveform.shape[1]) < min_samples:
                raise UnreadableError(
                    f"{n_samples:,} samples at {sample_rate} Hz; a clip needs at least {min_samples:,}"
                )
            n_windows += 1
            yield window


def _windows(blocks: Iterator[Waveform], clip: ClipLength) -> Iterator[Window]:
    held, start, is_cut = np.empty(0, np.float32), 0, False
    for block in blocks:
        held = np.concatenate([held, block])
        is_cut = is_cut or is_long(len(held), clip.n_samples)
        while is_cut and len(held) - clip.hop >= clip.n_samples:  # one clip is held back for the end
            yield Window(start, held[None, : clip.n_samples].copy())
            held, start = held[clip.hop :], start + clip.hop
    if not is_cut:
        yield Window(0, held[None], is_whole=True)
    else:
        yield Window(start, held[None, : clip.n_samples])
        n_left = len(held) - clip.n_samples
        if clip.is_overlapping and n_left > 0:
            yield Window(start + n_left, held[None, n_left:])
        elif n_left >= _WHOLE * clip.n_samples:
            yield Window(start + clip.n_samples, held[None, clip.n_samples :])


def _first(blocks: Iterator[Waveform], n_samples: int | None) -> Iterator[Waveform]:
    """Blocks up to a number of samples."""
    for block in blocks:
        if n_samples is None or len(block) < n_samples:
            n_samples = None if n_samples is None else n_samples - len(block)
            yield block
        else:
            yield block[:n_samples]
            return


def _without_first(blocks: Iterator[Waveform], n_samples: int) -> Iterator[Waveform]:
    """Blocks without a number of samples."""
    for block in blocks:
        if n_samples < len(block):
            yield block[n_samples:]
        n_samples = max(n_samples - len(block), 0)
