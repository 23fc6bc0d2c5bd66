"""Streams of cameras, radio servers and programs, which FFmpeg decodes."""

import errno
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, ClassVar, Self
from urllib.parse import urlsplit

import numpy as np

from soundness.aliases import Waveform
from soundness.audio.media import samples_of
from soundness.errors import DataError, SettingsError
from soundness.extras import check_extra
from soundness.monitoring.sources.items import opened_again
from soundness.monitoring.sources.protocol import Address, Block, Item, Lost, SourceSettings, SourceState
from soundness.plain_text import counted

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer

__all__ = ["STREAM_SCHEMES", "StreamSource"]

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtp", "udp", "srt")
"""Schemes of streams; their addresses go to FFmpeg as they are."""

_TIMEOUT = 10.0  # seconds without an answer, or without sound
_PROTOCOLS = "http,https,httpproxy,tls,tcp,udp,rtp,srtp,rtsp,rtsps,srt,crypto,data"  # no files: a playlist may name any
_ENDED = "the stream ended"
_BLOCK_SECONDS = 0.25
_MOST_DAMAGED = 50  # packets in a row, after which a stream is opened again
_MISSING_SECONDS = 0.05  # between the times of two packets, beyond which some were lost
_OPTIONS = {
    "rtsp": {"rtsp_flags": "prefer_tcp", "allowed_media_types": "audio"},
    "rtsps": {"allowed_media_types": "audio"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSource:
    """A stream, which is opened again whenever it ends or fails.

    Parameters
    ----------
    address
        Its address, with secrets.
    channel
        Channel that is used, from 0.
    timeout_seconds
        Time without an answer, or without sound, after which it is opened again.
    """

    address: str
    channel: int
    timeout_seconds: float = _TIMEOUT

    is_live: ClassVar[bool] = True

    @classmethod
    def from_address(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``rtsp://host/path`` and the like."""
        if not re.match(r"//[^/]", address.place):
            raise SettingsError(
                f"{address.scheme}: expected {address.scheme}://HOST, and after it what the server asks"
            )
        text = f"{address.scheme}:{address.place}"
        try:
            urlsplit(text).port  # noqa: B018  # it is worked out here
        except ValueError:
            raise SettingsError(
                f"{address.scheme}://: no address that can be understood; in a name or password, / is written as %2F, "
                "@ as %40 and : as %3A"
            ) from None
        return cls(address=text, channel=settings.channel)

    @property
    def shown(self) -> str:
        """Scheme, host and port: what of an address holds no secret."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:  # noqa: ARG002  # it cannot be read again
        """See `soundness.monitoring.sources.protocol.Source`."""
        check_extra("media")
        yield from opened_again(lambda: self._opened(stop), stop)

    def check(self) -> str:
        """See `soundness.monitoring.sources.protocol.Source`."""
        check_extra("media")
        for item in self._opened(Event()):
            if isinstance(item, Lost):
                raise DataError(item.reason)
            return f"{self.shown}: {item.sample_rate:,} Hz" if isinstance(item, Block) else self.shown
        raise DataError(f"{self.shown}: the stream gives no sound")

    def _opened(self, stop: Event) -> Iterator[Item]:
        """Items of the stream until it ends or fails."""
        import av

        av.logging.set_level(av.logging.PANIC)  # an error is told here, and need not be printed too
        began, has_begun = time.monotonic(), False
        try:
            with av.open(
                self.address,
                "r",
                timeout=(self.timeout_seconds, self.timeout_seconds),
                metadata_errors="ignore",
                container_options={"protocol_whitelist": _PROTOCOLS, **_OPTIONS.get(urlsplit(self.address).scheme, {})},
            ) as container:
                for item in _Decoder(container, self.channel, name=self.shown).items():
                    began, has_begun = time.monotonic(), True
                    yield item
                    if stop.is_set():
                        return
            yield Lost(reason=f"{self.shown}: {_ENDED}")
        except av.error.ProtocolNotFoundError:
            scheme = urlsplit(self.address).scheme
            raise SettingsError(
                f"{scheme}: the FFmpeg within the PyAV that is installed cannot read {scheme}://; send it as one of "
                f"{', '.join(other for other in STREAM_SCHEMES if other != scheme)}"
            ) from None
        except (av.FFmpegError, OSError) as error:
            words = self._words(error, seconds=time.monotonic() - began, has_begun=has_begun)
            yield Lost(reason=f"{self.shown}: {words}", is_fault=words != _ENDED)

    def _words(self, error: Exception, *, seconds: float, has_begun: bool) -> str:
        import av

        if seconds >= 0.9 * self.timeout_seconds:
            return f"no answer, or no sound, for {self.timeout_seconds:g} s"
        if isinstance(error, av.InvalidDataError):
            return "what it sends is no sound that can be decoded"
        if isinstance(error, OSError) and error.errno == errno.EIO:
            return _ENDED if has_begun else "no such host, or what it sends is no sound"
        return str(getattr(error, "strerror", None) or "cannot be read").lower()


class _Decoder:
    """Sound of one channel of an open container.

    Parameters
    ----------
    container
        The container.
    channel
        The channel, from 0.
    name
        Name for messages.
    """

    def __init__(self, container: "InputContainer", channel: int, *, name: str) -> None:
        self._container, self._channel, self._name = container, channel, name
        self._held: list[Waveform] = []
        self._sample_rate = 0

    def items(self) -> Iterator[Item]:
        """Blocks, and breaks where packets are damaged or missing."""
        import av

        if not self._container.streams.audio:
            yield self._lost("it holds no sound, only pictures or data", is_fault=True)
            return
        stream, n_damaged = self._container.streams.audio[0], 0
        times = _PacketTimes()
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                n_damaged += 1
                yield from self._rest()
                yield self._lost("a damaged part of the stream", is_fault=n_damaged >= _MOST_DAMAGED)
                if n_damaged >= _MOST_DAMAGED:
                    return
                continue
            for frame in frames:
                n_damaged = 0
                if (seconds := times.missing_seconds(frame)) != 0.0:
                    yield from self._rest()
                    yield self._lost(f"{seconds:.2f} s of sound were lost on the way")
                yield from self._add(frame)
        yield from self._rest()

    def _add(self, frame: "AudioFrame") -> Iterator[Item]:
        if frame.layout.nb_channels <= self._channel:
            raise SettingsError(
                f"{self._name}: {counted(frame.layout.nb_channels, 'channel')}; channel {self._channel} (counted from "
                "0) is needed"
            )
        if frame.sample_rate != self._sample_rate:
            yield from self._rest()
            self._sample_rate = frame.sample_rate
        self._held.append(samples_of(frame)[:, self._channel])
        if sum(map(len, self._held)) >= _BLOCK_SECONDS * self._sample_rate:
            yield from self._rest()

    def _rest(self) -> Iterator[Item]:
        held, self._held = self._held, []
        if held:
            yield Block(samples=np.concatenate(held), sample_rate=self._sample_rate)

    def _lost(self, reason: str, *, is_fault: bool = False) -> Lost:
        return Lost(reason=f"{self._name}: {reason}", is_fault=is_fault)


class _PacketTimes:
    """Times that a stream states for its sound."""

    def __init__(self) -> None:
        self._next: float | None = None

    def missing_seconds(self, frame: "AudioFrame") -> float:
        """Time between a frame and the one before, beyond its length; 0 where it follows."""
        if frame.pts is None or frame.time_base is None:
            self._next = None
            return 0.0
        start, expected = float(frame.pts * frame.time_base), self._next
        self._next = start + frame.samples / frame.sample_rate
        missing = 0.0 if expected is None else start - expected
        return missing if abs(missing) > _MISSING_SECONDS else 0.0
