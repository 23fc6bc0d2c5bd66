"""Recordings that are played as if they were live: for rehearsals and tests."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import ClassVar, Self

import numpy as np

from soundness.audio.reading import pick_channel, read_blocks, read_info
from soundness.data.finding import find_recordings
from soundness.errors import AudioError, DataError
from soundness.monitoring.sources.options import check_known, number, switch
from soundness.monitoring.sources.protocol import Address, Block, Item, Lost, SourceSettings, SourceState
from soundness.monitoring.sources.recording_clips import begin_of
from soundness.plain_text import counted

__all__ = ["ReplaySource"]

_BLOCK_SECONDS = 1.0
_MOST_LATE_SECONDS = 2.0  # that are made up for, as after a wait for a detector that is made
_OPTIONS = ("speed", "loop")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySource:
    """A recording, or all of a folder by their names, as one stream.

    Its time runs as fast as its sound: at a speed of 60, an hour of sound takes a minute, and its clips are an hour
    apart. After a restart it goes on where it was.

    Parameters
    ----------
    path
        File, or folder of recordings.
    channel
        Channel that is used, from 0.
    speed
        Seconds of sound in a second; 0 for as fast as its clips are scored.
    is_loop
        Begin again at the end.
    is_dated
        Its time begins when the recording began; else now.
    """

    path: Path
    channel: int
    speed: float = 1.0
    is_loop: bool = False
    is_dated: bool = False

    is_live: ClassVar[bool] = False

    @classmethod
    def from_address(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``replay:PATH?speed=60&loop=true``."""
        check_known(address.options, _OPTIONS, scheme="replay")
        return cls(
            path=settings.folder / address.place,
            channel=settings.channel,
            speed=number(address.options, "speed", 1.0, scheme="replay"),
            is_loop=switch(address.options, "loop", scheme="replay"),
        )

    @classmethod
    def from_file(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``file:PATH``: once, at its own time, as fast as its clips are scored."""
        check_known(address.options, (), scheme="file")
        return cls(path=settings.folder / address.place, channel=settings.channel, speed=0.0, is_dated=True)

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:
        """See `soundness.monitoring.sources.protocol.Source`."""
        first_us = self._first_us() if state.first_us is None else state.first_us
        skipped_us = 0 if state.next_us is None else state.next_us - first_us
        began, played, total, paths = time.monotonic(), 0.0, 0.0, self._paths()  # in seconds
        while True:
            before = total
            for path in paths:
                place_us = round(1e6 * total)
                for item, seconds in self._blocks(path, first_us + place_us, skipped_us=max(0, skipped_us - place_us)):
                    total += seconds
                    if item is None:
                        continue
                    played += seconds
                    after = played / self.speed if self.speed > 0 else 0.0
                    began = max(began, time.monotonic() - after - _MOST_LATE_SECONDS)
                    if self._waits(began + after, stop):
                        return
                    yield item
            if not self.is_loop or total == before:
                return

    def _first_us(self) -> int:
        if not self.is_dated:
            return time.time_ns() // 1_000
        (path, *_) = self._paths()
        changed_us = path.stat().st_mtime_ns // 1_000
        return begin_of(path.name, changed_us=changed_us, seconds=read_info(path).seconds)

    def check(self) -> str:
        """See `soundness.monitoring.sources.protocol.Source`."""
        return f"{counted(len(self._paths()), 'recording')} to replay"

    def _paths(self) -> list[Path]:
        if not self.path.is_dir():
            read_info(self.path)
            return [self.path]
        paths = find_recordings(self.path).recordings
        if not paths:
            raise DataError(f"{self.path}: no recordings in it to replay")
        return list(paths)

    def _blocks(self, path: Path, start_us: int, *, skipped_us: int) -> Iterator[tuple[Item | None, float]]:
        """Items of a file and their lengths in seconds; no item for sound before the place it goes on at."""
        try:
            info = read_info(path)
            n_block, rate = max(1, round(_BLOCK_SECONDS * info.sample_rate)), info.sample_rate
            n_skipped, n_before = round(skipped_us * rate / 1e6), 0
            for block in read_blocks(path, block_samples=n_block):
                samples = np.ascontiguousarray(pick_channel(block.T, channel=self.channel)[0])
                n_out = min(max(0, n_skipped - n_before), len(samples))
                if n_out > 0:
                    yield None, n_out / rate
                if n_out < len(samples):
                    at_us = start_us + round(1e6 * (n_before + n_out) / rate)
                    rest = samples[n_out:]
                    yield Block(samples=rest, sample_rate=rate, start_us=at_us), len(rest) / rate
                n_before += len(samples)
        except AudioError as error:
            yield Lost(reason=str(error)), 0.0

    def _waits(self, until: float, stop: Event) -> bool:
        """Wait until a monotonic time; true if it is to stop."""
        return stop.wait(max(0.0, until - time.monotonic())) if self.speed > 0 else stop.is_set()
