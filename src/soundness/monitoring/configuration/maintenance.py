"""Windows of time in which a sensor raises no alarm, such as ``Mon-Fri 12:00-12:30``, in UTC."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from soundness.errors import SettingsError

__all__ = ["MaintenanceWindow", "parse_window", "window_at"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(daily|[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*)\s+(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", re.IGNORECASE
)
_MINUTES_A_DAY = 24 * 60
_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow:
    """A window of some days of the week.

    Parameters
    ----------
    text
        The window as it is written in the configuration.
    days
        Days on which it begins, 0 for Monday.
    start, end
        Minutes since midnight, UTC; an end before the start is one of the next day.
    """

    text: str
    days: frozenset[int]
    start: int
    end: int

    def contains(self, time_us: int) -> bool:
        """True if a time, microseconds since 1970, UTC, lies in the window."""
        time = datetime.fromtimestamp(time_us / 1e6, UTC)
        minute, day = 60 * time.hour + time.minute, time.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def parse_window(text: str) -> MaintenanceWindow:
    """Parse a window.

    Raises
    ------
    SettingsError
        If it is none.
    """
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise SettingsError(_problem(text))
    hours = [int(match[place]) for place in (2, 4)]
    minutes = [int(match[place]) for place in (3, 5)]
    ends = [60 * hour + minute for hour, minute in zip(hours, minutes, strict=True)]
    if max(minutes) > 59 or ends[0] >= _MINUTES_A_DAY or ends[1] > _MINUTES_A_DAY or ends[0] == ends[1]:
        raise SettingsError(_problem(text))
    return MaintenanceWindow(text=text, days=_days(match[1].lower(), text), start=ends[0], end=ends[1])


def _days(words: str, text: str) -> frozenset[int]:
    if words == "daily":
        return frozenset(range(7))
    days: set[int] = set()
    for part in words.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise SettingsError(_problem(text))
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(days)


def _problem(text: str) -> str:
    return (
        f"{text!r} is no window of time; expected one such as 'Mon-Fri 12:00-12:30', 'Sat,Sun 00:00-24:00' or "
        f"'daily 02:00-03:00', in UTC"
    )


def window_at(windows: Sequence[MaintenanceWindow], start_us: int, end_us: int) -> MaintenanceWindow | None:
    """First window that a part of a clip lies in; ``None`` if there is none."""
    times = (*range(start_us, end_us, _MINUTE_US), end_us)  # no window is shorter than a minute
    return next((each for each in windows if any(map(each.contains, times))), None)
