"""Clips of a recording: itself, or the parts of a long one, and the time at which it begins."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from soundness.aliases import Waveform
from soundness.audio.reading import AudioInfo, read_blocks
from soundness.audio.windows import is_long
from soundness.errors import AudioError
from soundness.monitoring.sources.protocol import RecordingClip

__all__ = ["begin_of", "part_starts", "parts_of"]

_BLOCK_SECONDS = 1.0
_REST = 0.1  # of a clip; a longer rest at the end is scored with what comes before it

_TIME = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)([-_.]?)(?P<month>\d\d)\2(?P<day>\d\d)[T _-]{0,3}"
    r"(?P<hour>\d\d)([-_.:h]?)(?P<minute>\d\d)\6(?P<second>\d\d)(?:[.,_]?\d{3})?(?P<zone>Z|UTC)?(?![\d])"
)
_HALF_HOUR_US = 1_800_000_000
_MOST_HALF_HOURS = 28
_NEAR_US = 120_000_000


def part_starts(n_samples: int, *, n_clip: int, n_hop: int) -> list[int]:
    """First samples of the parts of a long recording; a rest at the end is in one that begins earlier."""
    starts = list(range(0, n_samples - n_clip + 1, n_hop))
    if n_samples - (starts[-1] + n_clip) > _REST * n_clip:
        starts.append(n_samples - n_clip)
    return starts


def parts_of(
    whole: RecordingClip, info: AudioInfo, *, clip_seconds: float, hop_seconds: float, n_done: int
) -> Iterator[RecordingClip]:
    """Recording as a clip if it is no longer than 1.5 of them, else its parts.

    Parameters
    ----------
    whole
        The whole recording.
    info
        Contents of its header.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next.
    n_done
        Parts that have their rows already.
    """
    if not is_long(info.seconds, clip_seconds):
        yield whole
        return
    rate = info.sample_rate
    n_clip, n_hop = (max(1, round(seconds * rate)) for seconds in (clip_seconds, hop_seconds))
    starts, index = part_starts(info.n_samples, n_clip=n_clip, n_hop=n_hop), n_done
    part = replace(whole, seconds=n_clip / rate, sample_rate=rate)
    try:
        for samples in _cut(whole, starts[n_done:], n_clip=n_clip, sample_rate=rate):
            start_us = whole.start_us + round(1e6 * starts[index] / rate)
            is_last = index == len(starts) - 1
            yield replace(part, start_us=start_us, samples=samples, index=index, is_last=is_last)
            index += 1
        problem = "" if index >= len(starts) else "it became shorter while it was read"
    except AudioError as error:
        problem = error.reason
    if problem:
        rest = (info.n_samples - starts[index]) / rate
        start_us = whole.start_us + round(1e6 * starts[index] / rate)
        yield replace(whole, start_us=start_us, seconds=rest, index=index, problem=problem)


def _cut(whole: RecordingClip, starts: Sequence[int], *, n_clip: int, sample_rate: int) -> Iterator[Waveform]:
    """Samples of parts, shape ``(time, channel)``, in one pass over the file."""
    waiting, held, at = list(starts), np.empty((0, 0), dtype=np.float32), 0  # `at` is the place of the first held one
    for block in read_blocks(whole.path, block_samples=max(1, round(_BLOCK_SECONDS * sample_rate))):
        held = np.concatenate([held, block]) if len(held) else block
        while waiting and waiting[0] + n_clip <= at + len(held):
            start = waiting.pop(0) - at
            yield np.array(held[start : start + n_clip])
        if not waiting:
            return
        n_passed = min(len(held), max(0, waiting[0] - at))
        held, at = held[n_passed:], at + n_passed


def begin_of(name: str, *, changed_us: int, seconds: float) -> int:
    """Time at which a recording begins, microseconds since 1970, UTC.

    It is the time in its name, if there is one alone with day, hour, minute and second: UTC if it ends in ``Z``, else
    in the time zone in which it agrees with the last change of the file, else in that of this computer. Without one it
    is the time of the last change without the length.

    Parameters
    ----------
    name
        Name of the file.
    changed_us
        Time of its last change, microseconds since 1970, UTC.
    seconds
        Length of the recording.
    """
    begun_us = changed_us - round(1e6 * seconds)
    found = list(_TIME.finditer(name))
    if len(found) != 1:
        return begun_us
    fields = (int(found[0][field]) for field in ("year", "month", "day", "hour", "minute", "second"))
    try:
        time = datetime(*fields)  # type: ignore[arg-type]  # its zone follows
    except ValueError:
        return begun_us
    as_utc_us = round(1e6 * time.replace(tzinfo=UTC).timestamp())
    if found[0]["zone"]:
        return as_utc_us
    shifts = round((begun_us - as_utc_us) / _HALF_HOUR_US)
    if abs(shifts) <= _MOST_HALF_HOURS and abs(begun_us - as_utc_us - shifts * _HALF_HOUR_US) <= _NEAR_US:
        return as_utc_us + shifts * _HALF_HOUR_US
    return round(1e6 * time.timestamp())
