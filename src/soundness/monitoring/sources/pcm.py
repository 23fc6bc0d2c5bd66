"""Raw samples on standard input."""

import os
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import BinaryIO, ClassVar, Self

import numpy as np

from soundness.errors import SettingsError
from soundness.monitoring.sources.options import check_known, number
from soundness.monitoring.sources.protocol import Address, Block, Item, SourceSettings, SourceState

__all__ = ["PcmSource"]

_FORMATS = {"s16": ("<i2", 2.0**15), "s32": ("<i4", 2.0**31), "f32": ("<f4", 1.0)}
_BLOCK_SECONDS = 0.25
_POLL_SECONDS = 0.2
_OPTIONS = ("rate", "channels", "format")


@dataclass(frozen=True, slots=True, kw_only=True)
class PcmSource:
    """Raw little-endian samples from standard input, channels interleaved.

    Parameters
    ----------
    sample_rate
        Rate in Hz.
    n_channels
        Number of channels.
    sample_format
        ``s16``, ``s32`` or ``f32``.
    channel
        Channel that is used, from 0.
    """

    sample_rate: int
    n_channels: int
    sample_format: str
    channel: int

    is_live: ClassVar[bool] = True

    @classmethod
    def from_address(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``pcm:-?rate=16000&channels=1&format=s16``."""
        check_known(address.options, _OPTIONS, scheme="pcm")
        if address.place != "-":
            raise SettingsError(f"pcm:{address.place}: expected pcm:-, raw samples on standard input")
        sample_format = address.options.get("format", "s16")
        if sample_format not in _FORMATS:
            raise SettingsError(f"pcm: format={sample_format}; expected one of {', '.join(_FORMATS)}")
        n_channels = int(number(address.options, "channels", 1, least=1, scheme="pcm"))
        if settings.channel >= n_channels:
            raise SettingsError(f"pcm: channels={n_channels}; channel {settings.channel} (counted from 0) is needed")
        return cls(
            sample_rate=int(number(address.options, "rate", 16_000, least=1_000, scheme="pcm")),
            n_channels=n_channels,
            sample_format=sample_format,
            channel=settings.channel,
        )

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:  # noqa: ARG002  # it cannot be read again
        """See `soundness.monitoring.sources.protocol.Source`."""
        yield from self.read(_Polled(sys.stdin.fileno(), stop), stop)

    def check(self) -> str:
        """See `soundness.monitoring.sources.protocol.Source`."""
        return f"raw samples on standard input at {self.sample_rate:,} Hz"

    def read(self, stream: "BinaryIO | _Polled", stop: Event) -> Iterator[Item]:
        """Samples of an open stream as they come; a rest that is no whole sample of all channels is left out."""
        kind, full_scale = _FORMATS[self.sample_format]
        frame = np.dtype(kind).itemsize * self.n_channels
        wanted, held = max(1, round(_BLOCK_SECONDS * self.sample_rate)) * frame, b""
        while not stop.is_set():
            got = stream.read1(wanted) if hasattr(stream, "read1") else stream.read(wanted)
            if not got:
                return
            held += got
            n_whole = len(held) // frame * frame
            if n_whole:
                values = np.frombuffer(held[:n_whole], dtype=kind).reshape(-1, self.n_channels)[:, self.channel]
                held = held[n_whole:]
                yield Block(samples=(values / full_scale).astype(np.float32), sample_rate=self.sample_rate)


class _Polled:
    """Standard input that is read only when there is something, so that a reader ends soon after it is asked to."""

    def __init__(self, file: int, stop: Event) -> None:
        self._file, self._stop = file, stop

    def read(self, size: int) -> bytes:
        """Bytes as they come, none at the end or once the reader is to end."""
        while os.name == "posix" and not select.select([self._file], [], [], _POLL_SECONDS)[0]:  # elsewhere it waits
            if self._stop.is_set():
                return b""
        return os.read(self._file, size)
