"""Inputs that several sensors share: a device can be opened once, and each sensor uses a channel of it."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from soundness.aliases import Waveform

__all__ = ["ChannelQueue", "SharedInput", "SharedInputs"]

BLOCK_SECONDS = 0.25
_MOST_BLOCKS = 120  # that wait to be taken


class ChannelQueue:
    """Blocks of one channel, until they are taken; ``None`` stands for sound that was lost.

    Parameters
    ----------
    channel
        The channel, from 0.
    """

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self._blocks: queue.Queue[Waveform | None] = queue.Queue()

    def add(self, samples: Waveform, *, has_overflow: bool) -> None:
        """Add a block, shape ``(time, channel)``."""
        if has_overflow:
            self._blocks.put(None)
        if self._blocks.qsize() < _MOST_BLOCKS:
            self._blocks.put(np.array(samples[:, self.channel]))
        elif self._blocks.qsize() == _MOST_BLOCKS:
            self._blocks.put(None)

    def take(self) -> Iterator[Waveform | None]:
        """Blocks that are there, after a short wait for the first."""
        try:
            yield self._blocks.get(timeout=BLOCK_SECONDS)
            while True:
                yield self._blocks.get_nowait()
        except queue.Empty:
            return


class SharedInput:
    """An open device.

    Parameters
    ----------
    sounddevice
        The module of that name.
    index
        Number of the device.
    n_channels, sample_rate
        Number of channels that are recorded, from the first on, and the rate in Hz.
    """

    def __init__(self, sounddevice: Any, index: int, *, n_channels: int, sample_rate: int) -> None:
        self.n_channels = n_channels
        self._queues: tuple[ChannelQueue, ...] = ()
        self._is_closed = False
        self._stream = sounddevice.InputStream(
            device=index,
            channels=n_channels,
            samplerate=sample_rate,
            blocksize=round(BLOCK_SECONDS * sample_rate),
            dtype="float32",
            latency="high",
            callback=self._add,
        )
        self._stream.start()

    @property
    def is_active(self) -> bool:
        """True while the device gives sound."""
        return not self._is_closed and bool(self._stream.active)

    @property
    def is_closed(self) -> bool:
        """True once it was closed here, and has not failed."""
        return self._is_closed

    def join(self, channel: int) -> ChannelQueue:
        """Queue that receives a channel from now on."""
        joined = ChannelQueue(channel)
        self._queues = (*self._queues, joined)
        return joined

    def leave(self, joined: ChannelQueue) -> bool:
        """Stop a queue; true if it was the last."""
        self._queues = tuple(each for each in self._queues if each is not joined)
        return not self._queues

    def close(self) -> None:
        """Close the device."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.close(ignore_errors=True)

    def _add(self, samples: Waveform, _n_samples: int, _times: object, status: Any) -> None:
        """Take a block from PortAudio, in its own thread."""
        for each in self._queues:
            each.add(samples, has_overflow=bool(status.input_overflow))


class SharedInputs:
    """Open devices of this process, each once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[tuple[int, int], SharedInput] = {}

    @property
    def n_open(self) -> int:
        """Number of open devices."""
        return len(self._open)

    @contextmanager
    def joined(
        self, sounddevice: Any, index: int, *, channel: int, sample_rate: int
    ) -> Iterator[tuple[SharedInput, ChannelQueue]]:
        """Context with an open device, and the queue of one of its channels.

        A device that was opened with fewer channels is closed and opened again, which all that use it notice.
        """
        key = (index, sample_rate)
        with self._lock:
            found = self._open.get(key)
            if found is None or not found.is_active or channel >= found.n_channels:
                n_channels = channel + 1
                if found is not None:
                    n_channels = max(n_channels, found.n_channels)
                    found.close()
                found = SharedInput(sounddevice, index, n_channels=n_channels, sample_rate=sample_rate)
                self._open[key] = found
            own = found.join(channel)
        try:
            yield found, own
        finally:
            with self._lock:
                if found.leave(own):
                    found.close()
                    if self._open.get(key) is found:
                        del self._open[key]
