"""Items of any source: of one that is opened again whenever it ends, and at another rate."""

from collections.abc import Callable, Iterator
from threading import Event

import numpy as np
import soxr  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.monitoring.sources.protocol import Block, Item, Lost

__all__ = ["opened_again", "resampled"]

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between two tries
_JUMP_US = 1_000  # between the time of a block and that which follows from the one before


def resampled(items: Iterator[Item], sample_rate: int | None) -> Iterator[Item]:
    """Items of a source with blocks at a rate; what is at it already stays as it is.

    Resampling goes on from block to block, so that the samples are those of the whole sound resampled at once.

    Parameters
    ----------
    items
        Items of the source.
    sample_rate
        Rate in Hz; ``None`` to leave all as it is.
    """
    stream, recorded_rate = None, 0
    for item in items:
        if sample_rate is None or not isinstance(item, Block):
            stream, recorded_rate = None, 0  # the sound does not go on
            yield item
            continue
        if recorded_rate not in (0, item.sample_rate):
            yield Lost(reason=f"the sample rate changed from {recorded_rate:,} to {item.sample_rate:,} Hz")
        recorded_rate = item.sample_rate
        if stream is not None and not stream.is_followed_by(item):
            stream = None
        if item.sample_rate == sample_rate:
            yield item
            continue
        stream = _Stream(item, sample_rate) if stream is None else stream
        if (found := stream.add(item)) is not None:
            yield found
    if stream is not None and (last := stream.last()) is not None:
        yield last


class _Stream:
    """Resampling of blocks that follow each other.

    Parameters
    ----------
    first
        The first block.
    sample_rate
        Rate of the result in Hz.
    """

    def __init__(self, first: Block, sample_rate: int) -> None:
        self.recorded_rate, self.sample_rate, self.start_us = first.sample_rate, sample_rate, first.start_us
        self._stream = soxr.ResampleStream(first.sample_rate, sample_rate, 1)
        self._n_read = self._n_given = 0

    def is_followed_by(self, block: Block) -> bool:
        """True if a block is the next one of this sound."""
        if block.sample_rate != self.recorded_rate or (block.start_us is None) != (self.start_us is None):
            return False
        if block.start_us is None or self.start_us is None:
            return True
        expected_us = self.start_us + 1e6 * self._n_read / self.recorded_rate
        return abs(block.start_us - expected_us) < _JUMP_US

    def add(self, block: Block) -> Block | None:
        """Block at the new rate; ``None`` where that is not known before the next."""
        self._n_read += len(block.samples)
        return self._block(self._stream.resample_chunk(block.samples))

    def last(self) -> Block | None:
        """Rest at the end; ``None`` where there is none."""
        return self._block(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))

    def _block(self, samples: Waveform) -> Block | None:
        if not len(samples):
            return None
        start_us = self.start_us
        if start_us is not None:
            start_us += round(1e6 * self._n_given / self.sample_rate)
        self._n_given += len(samples)
        return Block(samples=samples, sample_rate=self.sample_rate, start_us=start_us)


def opened_again(read: Callable[[], Iterator[Item]], stop: Event) -> Iterator[Item]:
    """Items of a source that is opened again each time it ends, until ``stop`` is set.

    Parameters
    ----------
    read
        Opens it and gives its items; at its end a `soundness.monitoring.sources.protocol.Lost` with the reason.
    stop
        Set to end it.
    """
    wait = _FIRST_WAIT
    while not stop.is_set():
        for item in read():
            if isinstance(item, Block):
                wait = _FIRST_WAIT
            yield item
            if stop.is_set():
                return
        if stop.wait(wait):
            return
        wait = min(2 * wait, _LONGEST_WAIT)
