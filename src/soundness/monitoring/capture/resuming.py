"""Place at which a sensor goes on after a restart: its last row, and the clips that have none yet."""

from collections.abc import Sequence
from dataclasses import dataclass

from soundness.monitoring.capture.clip_files import ClipFile
from soundness.monitoring.capture.sensor import Gap, Work
from soundness.monitoring.store.records import ClipRow

__all__ = ["Place", "place_after"]

_TOLERANCE_US = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Place at which a sensor goes on.

    Parameters
    ----------
    number
        Number of its last clip or gap.
    next_us
        Start of the next clip, microseconds since 1970, UTC; ``None`` if there was none.
    end_us
        End of the last clip or gap; ``None`` if there was none.
    work
        Clips that wait to be scored, and gaps between them, in their order.
    first_us
        Start of its first clip, if that waits and no row tells it; else ``None``.
    """

    number: int = 0
    next_us: int | None = None
    end_us: int | None = None
    work: tuple[Work, ...] = ()
    first_us: int | None = None


def place_after(last: ClipRow | None, waiting: Sequence[ClipFile], *, clip_seconds: float, hop_seconds: float) -> Place:
    """Place after the last row of a sensor and the clips on its disk that have no row.

    A gap whose row was not written is known by the number that is missing, and is recorded again.

    Parameters
    ----------
    last
        Last row; ``None`` if there is none.
    waiting
        Clips without a row, by number.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next.
    """
    number, next_us, end_us = 0, None, None
    if last is not None:
        is_gap = last.outcome == "gap" or (last.outcome == "fault" and last.seconds != clip_seconds)
        number, end_us = last.number, last.end_us
        next_us = end_us if is_gap else last.start_us + round(1e6 * hop_seconds)
    work: list[Work] = []
    for clip in waiting:
        if end_us is not None and clip.number > number + 1 and clip.start_us > end_us + _TOLERANCE_US:
            work.append(_gap(number + 1, end_us, clip.start_us))
        work.append(Work(clip=clip, number=clip.number, fault=clip.fault))
        number, next_us = clip.number, clip.start_us + round(1e6 * hop_seconds)
        end_us = clip.start_us + round(1e6 * clip_seconds)
    first_us = waiting[0].start_us if last is None and waiting else None
    return Place(number=number, next_us=next_us, end_us=end_us, work=tuple(work), first_us=first_us)


def _gap(number: int, start_us: int, end_us: int) -> Work:
    reason = "sound was lost; the monitor ended before it was noted why"
    gap = Gap(number=number, start_us=start_us, seconds=(end_us - start_us) / 1e6, reason=reason, is_fault=False)
    return Work(gap=gap, number=number)
