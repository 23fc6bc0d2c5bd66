"""Recordings of telephones, cameras and browsers, which PyAV decodes where it is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.audio.formats import coding_of
from soundness.errors import AudioError, UnreadableError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

__all__ = ["MediaFile", "has_pyav", "samples_of"]

# Containers of one local file: a playlist or a description of a session would have FFmpeg open addresses.
_FORMATS = "mov,matroska,webm,asf,avi,aac,amr,amrnb,amrwb,ape,wv,tta,ogg,wav,w64,aiff,caf,au"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
_WITHOUT_LENGTH = ("aac", "amr", "amrnb", "amrwb")
_TOLERATED_SECONDS = 0.25  # a stated length counts frames that a decoder leaves out at either end


class MediaFile:
    """Sound of an open file that FFmpeg decodes.

    Parameters
    ----------
    file
        The file, opened to read bytes.

    Raises
    ------
    AudioError
        If it is of no known format, or holds no sound.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        with _decoding(), self._container() as container:
            stream = container.streams.audio[0]
            if stream.codec_context is None or not (stream.rate and stream.channels):
                raise AudioError("holds sound that FFmpeg has no decoder for")
            self.sample_rate, self.n_channels = stream.rate, stream.channels
            self.coding = coding_of(stream.codec_context.codec.name)
            self._stated_seconds = _stated_seconds(container)

    def count(self) -> int:
        """Samples per channel; all are decoded to count them."""
        return sum(map(len, self.blocks(2**18)))

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time.

        Raises
        ------
        AudioError
            If the file cannot be decoded to its end, holds less than it states, or changes its form.
        """
        n_read, held = 0, np.empty((0, self.n_channels), dtype=np.float32)
        for samples in self._frames():
            held = np.concatenate([held, samples])
            n_read += len(samples)
            while len(held) >= block_samples:
                yield held[:block_samples]
                held = held[block_samples:]
        if len(held) > 0:
            yield held
        stated, seconds = self._stated_seconds, n_read / self.sample_rate
        if stated is not None and seconds < stated - _TOLERATED_SECONDS:
            raise UnreadableError(f"truncated; its header says {stated:.1f} s, it holds {seconds:.1f} s")

    def _frames(self) -> Iterator[Waveform]:
        with _decoding(), self._container() as container:
            for frame in container.decode(container.streams.audio[0]):
                if (frame.sample_rate, frame.layout.nb_channels) != (self.sample_rate, self.n_channels):
                    raise AudioError("its sample rate or its number of channels changes within it")
                yield samples_of(frame)

    @contextmanager
    def _container(self) -> "Iterator[InputContainer]":
        import av

        self._file.seek(0)
        with av.open(self._file, "r", container_options=_OPTIONS, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError("holds no sound, only pictures or data")
            yield container


def has_pyav() -> bool:
    """True where PyAV is installed."""
    return find_spec("av") is not None


@contextmanager
def _decoding() -> Iterator[None]:
    import av

    av.logging.set_level(av.logging.PANIC)  # an error is raised, and need not be printed too
    try:
        yield
    except av.FFmpegError as error:
        raise UnreadableError("damaged or truncated; its sound cannot be decoded to the end") from error


def _stated_seconds(container: "InputContainer") -> float | None:
    """Length that the file states; ``None`` where FFmpeg takes it from the bit rate, for the file states none."""
    stream = container.streams.audio[0]
    if container.format.name in _WITHOUT_LENGTH:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


def samples_of(frame: "AudioFrame") -> Waveform:
    """Samples of a decoded frame in [-1, 1], shape ``(time, channel)``."""
    values: NDArray[Any] = frame.to_ndarray()
    values = values.reshape(-1, frame.layout.nb_channels) if frame.format.is_packed else values.T
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / 128 - 1
    elif values.dtype.kind == "i":
        values = values / 2.0 ** (8 * values.dtype.itemsize - 1)
    return values.astype(np.float32)
