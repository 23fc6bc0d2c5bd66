"""Level, offset, silence, clipping and gaps of a recording, in one pass over its blocks."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.audio.decoding import AS_STATED
from soundness.audio.reading import read_blocks, read_info
from soundness.settings.system import AudioSettings

__all__ = ["CLIPPED_RUN", "ChannelMeasures", "ClipMeasures", "Gap", "Measurement", "measure_clip"]

CLIPPED_RUN = 3
"""Samples in a row at the largest value that occurs, from which on a recording is clipped."""

_FULL_SCALE = 0.98  # mu-law ends there, integers closer to 1
_PILED_UP = 4.0  # times as many samples at the largest value as at the next one: more than at the crest of a tone
_GAP_SECONDS = 0.01  # of equal samples
_GAP_SAMPLES = 32  # at least: neighbours of slow data are often equal
_GAP_POINTS = 5  # of a grid, that lie in the shortest gap
_LONG_GAP_SECONDS = 0.1  # longer than zeros that compressed formats leave at either end, and than clipping
_GAP_EDGE = 0.02  # seconds beside a gap that a filter may have touched
_MOST_STRETCHES = 1_000
_SLOWEST_SOUND_HZ = 4_000
_FEW_STEPS = 16
_CHUNK = 512
_SAMPLES_FOR_VALUES = 4096
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Stretch in which all samples are equal: in seconds from the start of the recording, and the samples' value."""

    start_seconds: float
    seconds: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMeasures:
    """Measures of one channel.

    Parameters
    ----------
    level_dbfs
        Root mean square without the offset, in dB re a full-scale square wave; ``None`` if all samples are equal.
    offset
        Mean, in full scales.
    wander_db
        Movement of the offset: root mean square of the means of each second about the offset, re the level of the
        rest, in dB; ``None`` in less than 1.5 seconds, at less than 4 kHz, or if the mean does not move.
    lowest, highest
        Smallest and largest sample.
    n_clipped
        Number of times that the channel stays at its largest or smallest value for `CLIPPED_RUN` samples or more, as
        clipping makes it do.
    longest_gap
        Longest of the gaps in the sound; ``None`` without any.
    gap_share
        Share of all samples that lie in gaps.
    stretches
        Start and end, in seconds, of the parts without a gap, or of the longest of very many.
    is_coarse
        True if so few values occur that the sound is hardly more than the last digit of its samples.
    """

    level_dbfs: float | None
    offset: float
    wander_db: float | None
    lowest: float
    highest: float
    n_clipped: int
    longest_gap: Gap | None
    gap_share: float
    stretches: tuple[tuple[float, float], ...]
    is_coarse: bool

    @property
    def is_silent(self) -> bool:
        """True for digital silence: all samples are zero."""
        return self.lowest == self.highest == 0.0

    @property
    def is_constant(self) -> bool:
        """True if all samples are equal, zero or not."""
        return self.lowest == self.highest

    @property
    def offset_db(self) -> float:
        """Offset re the level of the sound, in dB; minus infinity without an offset, infinity without sound."""
        if self.offset == 0.0:
            return -math.inf
        return math.inf if self.level_dbfs is None else 20 * math.log10(abs(self.offset)) - self.level_dbfs

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "ChannelMeasures":
        """Rebuild from `dataclasses.asdict`."""
        gap = plain["longest_gap"]
        stretches = tuple(map(tuple, plain["stretches"]))
        return cls(**{**plain, "longest_gap": None if gap is None else Gap(**gap), "stretches": stretches})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMeasures:
    """Measures of one recording, at its own sample rate in Hz, and of each of its channels.

    ``note`` and ``coding`` are those of `soundness.audio.reading.AudioInfo`.
    """

    seconds: float
    sample_rate: int
    channels: tuple[ChannelMeasures, ...]
    note: str = ""
    coding: str = ""

    @property
    def level_dbfs(self) -> float | None:
        """Mean power of all channels without their offsets, in dB; ``None`` if none holds a sound."""
        levels = [channel.level_dbfs for channel in self.channels]
        powers = [0.0 if level is None else 10.0 ** (level / 10) for level in levels]
        return 10 * math.log10(sum(powers) / len(powers)) if sum(powers) > 0.0 else None

    @property
    def silent_channels(self) -> tuple[bool, ...]:
        """True for each channel of zeros."""
        return tuple(channel.is_silent for channel in self.channels)

    @property
    def is_constant(self) -> bool:
        """True if in each channel all samples are equal."""
        return all(channel.is_constant for channel in self.channels)

    @property
    def is_clipped(self) -> bool:
        """True if a channel is clipped."""
        return any(channel.n_clipped > 0 for channel in self.channels)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "ClipMeasures":
        """Rebuild from `dataclasses.asdict`."""
        return cls(**{**plain, "channels": tuple(map(ChannelMeasures.from_plain, plain["channels"]))})


class Measurement:
    """Measures of a recording whose blocks come one after the other.

    Parameters
    ----------
    sample_rate
        Hz.
    note, coding
        See `ClipMeasures`.
    """

    def __init__(self, sample_rate: int, *, note: str = "", coding: str = "") -> None:
        self.sample_rate, self._note, self._coding = sample_rate, note, coding
        self._channels: list[_Channel] = []

    def add(self, block: Waveform) -> None:
        """Measure the next block, shape ``(time, channel)``."""
        columns = np.ascontiguousarray(block.T)
        if not self._channels:
            self._channels = [_Channel(self.sample_rate) for _ in columns]
        for channel, samples in zip(self._channels, columns, strict=True):
            channel.add(samples)

    @property
    def seconds(self) -> float:
        """Length of all blocks together."""
        return self._channels[0].n_samples / self.sample_rate if self._channels else 0.0

    def result(self) -> ClipMeasures:
        """Measures of all blocks, of which there is at least one."""
        channels = tuple(channel.result() for channel in self._channels)
        return ClipMeasures(
            seconds=self.seconds, sample_rate=self.sample_rate, channels=channels, note=self._note, coding=self._coding
        )


def measure_clip(path: Path, *, max_seconds: float | None = None, audio: AudioSettings = AS_STATED) -> ClipMeasures:
    """Measure one recording, block by block, up to ``max_seconds`` of it or a little more.

    Raises
    ------
    AudioError
        If it cannot be read to its end, or holds samples that are not finite.
    """
    info = read_info(path, audio=audio)
    measurement = Measurement(info.sample_rate, note=info.note, coding=info.coding)
    for block in read_blocks(path, audio=audio):
        measurement.add(block)
        if max_seconds is not None and measurement.seconds >= max_seconds:
            break
    return measurement.result()


class _Channel:
    """Measures of one channel, block by block."""

    def __init__(self, sample_rate: int) -> None:
        self.n_samples = 0
        self._sum = self._squares = self._origin = 0.0
        self._is_coarse, self._seconds = True, _Seconds(sample_rate)
        self._top, self._bottom = _Extreme(1.0), _Extreme(-1.0)
        self._gaps = _Gaps(sample_rate)

    def add(self, samples: Samples) -> None:
        if self.n_samples == 0:
            self._origin = float(samples.mean(dtype=np.float64))  # squares about zero lose a small sound's digits
        about = samples - np.float64(self._origin)
        self._sum += float(about.sum())
        self._seconds.add(about)
        self._squares += float(np.square(about, out=about).sum())
        self._is_coarse = self._is_coarse and _has_few_steps(samples[:: 1 + len(samples) // _SAMPLES_FOR_VALUES])
        self._top.add(samples)
        self._bottom.add(samples)
        self._gaps.add(samples, self.n_samples)
        self.n_samples += len(samples)

    def result(self) -> ChannelMeasures:
        mean = self._sum / self.n_samples
        is_constant = self._top.value == self._bottom.value
        power = max(self._squares / self.n_samples - mean**2, 0.0)
        clipped = [extreme.value for extreme in (self._top, self._bottom) if extreme.n_clipped > 0]
        gaps = [] if is_constant else self._gaps.found(self.n_samples, clipped=clipped)
        seconds = self.n_samples / self._gaps.sample_rate
        return ChannelMeasures(
            level_dbfs=None if is_constant or power == 0.0 else 10 * math.log10(power),
            offset=self._top.value if is_constant else self._origin + mean,
            wander_db=None if is_constant else self._seconds.wander_db(power),
            lowest=self._bottom.value,
            highest=self._top.value,
            n_clipped=0 if is_constant else self._top.n_clipped + self._bottom.n_clipped,
            longest_gap=max(gaps, key=lambda gap: gap.seconds, default=None),
            gap_share=sum(gap.seconds for gap in gaps) / seconds,
            stretches=_stretches(gaps, seconds),
            is_coarse=self._is_coarse and not is_constant and self._is_quiet(),
        )

    def _is_quiet(self) -> bool:
        """True if the sound is far from full scale, as that of a few bits is not, nor that of a logic signal."""
        return max(abs(self._top.value), abs(self._bottom.value)) < 0.1


class _Seconds:
    """Means of the seconds of a channel."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._n_samples, self._sum = 0, 0.0  # of the second that goes on
        self._means: list[float] = []

    def add(self, samples: NDArray[np.float64]) -> None:
        starts = np.arange(self._sample_rate - self._n_samples, len(samples), self._sample_rate)
        if len(starts) == 0:
            self._n_samples, self._sum = self._n_samples + len(samples), self._sum + float(samples.sum())
            return
        self._sum += float(samples[: starts[0]].sum())
        sums = np.add.reduceat(samples, starts)
        self._means += [self._sum / self._sample_rate, *(sums[:-1] / self._sample_rate)]
        self._n_samples, self._sum = len(samples) - int(starts[-1]), float(sums[-1])

    def wander_db(self, power: float) -> float | None:
        """See `ChannelMeasures`; ``power`` is that of the channel without its offset."""
        is_half = self._n_samples >= self._sample_rate / 2
        means = [*self._means, *([self._sum / self._n_samples] if is_half else [])]
        is_sound = self._sample_rate >= _SLOWEST_SOUND_HZ  # of slower data, a second may hold what is measured
        moved = float(np.var(means)) if is_sound and len(means) > 1 else 0.0
        return None if moved == 0.0 else 10 * math.log10(moved / max(power - moved, 1e-9 * power))


def _stretches(gaps: Iterable[Gap], seconds: float) -> tuple[tuple[float, float], ...]:
    ends = [(gap.start_seconds - _GAP_EDGE, gap.start_seconds + gap.seconds + _GAP_EDGE) for gap in gaps]
    edges = [0.0, *(edge for both in ends for edge in both), seconds]
    found = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
    return tuple(sorted(sorted(found, key=lambda stretch: stretch[0] - stretch[1])[:_MOST_STRETCHES]))


class _Extreme:
    """Samples at the largest value that occurs and at the next one, or at the smallest where ``sign`` is -1."""

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self._counts: dict[float, int] = {}
        self._n_runs = 0
        self._before = np.empty(0, np.float32)

    @property
    def value(self) -> float:
        """The largest value."""
        return self._sign * max(self._counts)

    @property
    def n_clipped(self) -> int:
        """Runs at the largest value, if they are those of clipping and not of the crest of a tone in few bits."""
        ordered = [self._counts[value] for value in sorted(self._counts, reverse=True)]
        is_full = _FULL_SCALE <= abs(self.value) <= 1.0
        is_piled_up = len(ordered) > 1 and ordered[0] >= _PILED_UP * ordered[1]
        return self._n_runs if self.value != 0.0 and (is_full or is_piled_up) else 0

    def add(self, samples: Samples) -> None:
        own = samples if self._sign > 0 else -samples
        counts = _two_largest(own)
        top, largest = max(counts), max(self._counts, default=-math.inf)
        if top >= largest:
            n_new = 0
            if counts[top] + int((self._before == top).sum()) >= CLIPPED_RUN:
                n_new = _n_run_starts(np.concatenate([self._before, own]) == top, n_known=len(self._before))
            self._n_runs = n_new + self._n_runs * (top == largest)
        for value, count in counts.items():
            self._counts[value] = self._counts.get(value, 0) + count
        self._counts = {value: self._counts[value] for value in sorted(self._counts, reverse=True)[:2]}
        self._before = np.concatenate([self._before, own[-CLIPPED_RUN:]])[-CLIPPED_RUN:]


def _two_largest(samples: Samples) -> dict[float, int]:
    """Number of samples at the largest value and at the next one."""
    highest = np.maximum.reduceat(samples, np.arange(0, len(samples), _CHUNK))
    lower = highest[highest < highest.max()]
    if len(lower):  # the two largest values lie in these chunks
        (chunks,) = np.nonzero(highest >= lower.max())
        samples = np.concatenate([samples[chunk * _CHUNK : (chunk + 1) * _CHUNK] for chunk in chunks])
    top = samples.max()
    rest = samples[samples < top]
    counts = {float(top): len(samples) - len(rest)}
    if len(rest):
        counts[float(rest.max())] = int((rest == rest.max()).sum())
    return counts


def _has_few_steps(samples: Samples) -> bool:
    """True if the values that occur lie on a grid of few steps."""
    values = np.unique(samples)
    return len(values) == 1 or bool(values[-1] - values[0] <= _FEW_STEPS * np.diff(values).min())


def _n_run_starts(flags: NDArray[np.bool_], *, n_known: int) -> int:
    """Number of runs of `CLIPPED_RUN` flags or more that were not complete in the first ``n_known`` flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    starts, stops = edges[::2], edges[1::2]
    is_long = stops - starts >= CLIPPED_RUN
    return int((is_long & (starts + CLIPPED_RUN > n_known)).sum())


class _Gaps:
    """Stretches of equal samples."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._shortest = max(_GAP_SAMPLES, math.ceil(_GAP_SECONDS * sample_rate))
        self._found: list[tuple[int, int, float]] = []  # start, samples, value
        self._start, self._value = 0, math.nan  # of the run that goes on

    def add(self, samples: Samples, n_before: int) -> None:
        if samples[0] != self._value and not self._may_hold_one(samples):
            self._end(n_before)
            n_last = int(np.argmax(samples[::-1] != samples[-1])) or len(samples)  # equal ones, at the end
            self._start, self._value = n_before + len(samples) - n_last, float(samples[-1])
            return
        starts = np.concatenate([[0], 1 + np.flatnonzero(samples[1:] != samples[:-1])])
        if samples[0] != self._value:
            self._end(n_before)
            self._start, self._value = n_before, float(samples[0])
        if len(starts) == 1:
            return
        self._end(n_before + int(starts[1]))
        lengths = np.diff(starts[1:])
        for index in np.flatnonzero(lengths >= self._shortest):
            start = int(starts[1:][index])
            self._found.append((n_before + start, int(lengths[index]), float(samples[start])))
        self._start, self._value = n_before + int(starts[-1]), float(samples[starts[-1]])

    def _may_hold_one(self, samples: Samples) -> bool:
        """False if no gap lies between the samples' ends: it would make neighbours on a coarse grid equal, in a row."""
        step = self._shortest // _GAP_POINTS
        grid, n_equal = samples[::step], self._shortest // step - 1
        edges = np.flatnonzero(np.concatenate([[True], grid[1:] != grid[:-1], [True]]))
        return bool((np.diff(edges) > n_equal).any())

    def found(self, n_samples: int, *, clipped: Iterable[float]) -> list[Gap]:
        """Gaps in a recording that ends now; at a value at which it is clipped, and at its ends, only long ones."""
        self._end(n_samples)
        self._value = math.nan
        values, longest = set(clipped), _LONG_GAP_SECONDS * self.sample_rate
        return [
            Gap(start_seconds=start / self.sample_rate, seconds=count / self.sample_rate, value=value)
            for start, count, value in self._found
            if count >= longest or (value not in values and 0 < start < n_samples - count)
        ]

    def _end(self, stop: int) -> None:
        if not math.isnan(self._value) and stop - self._start >= self._shortest:
            self._found.append((self._start, stop - self._start, self._value))
