"""Times, rates and dates as people write them: ``10s``, ``1/day``, ``2024-03-01``."""

import math
import re
import time
from contextlib import suppress
from datetime import datetime

from soundness.errors import SettingsError

__all__ = ["SECONDS_PER_DAY", "parse_rate", "parse_seconds", "parse_since"]

SECONDS_PER_DAY = 86_400.0

_UNITS = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3_600.0),
    **dict.fromkeys(("d", "day", "days"), SECONDS_PER_DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * SECONDS_PER_DAY),
    **dict.fromkeys(("month", "months"), 30 * SECONDS_PER_DAY),
    **dict.fromkeys(("y", "year", "years"), 365 * SECONDS_PER_DAY),
}


def parse_rate(text: str) -> float:
    """Events a second, from a text such as ``1/day``, ``2/week`` or ``0.5/h``.

    Raises
    ------
    SettingsError
        If it is no rate, or not above 0.
    """
    value, unit = _parsed(
        text, r"\s*([0-9.eE+-]+)\s*(?:/|per)\s*([a-z]+)\s*", "rate; expected one such as 1/day, 2/week or 0.5/h"
    )
    return value / unit


def parse_seconds(text: str) -> float:
    """Seconds, from a text such as ``10s``, ``1min`` or ``10``.

    Raises
    ------
    SettingsError
        If it is no time, or not above 0.
    """
    value, unit = _parsed(text, r"\s*([0-9.eE+-]+?)\s*([a-z]*)\s*", "time; expected one such as 10s, 1min or 2h")
    return value * unit


def parse_since(text: str) -> float:
    """Seconds since 1970 of a date, such as ``2024-03-01``, in local time, or of a time before now, such as ``7d``.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(text.strip()).timestamp()
    pattern = r"\s*([0-9.eE+-]+?)\s*([a-z]+)\s*"  # with its unit: 7 alone could be anything
    value, unit = _parsed(text, pattern, "date or time; expected one such as 2024-03-01, 2024-03-01T06:00, 12h or 7d")
    return time.time() - value * unit


def _parsed(text: str, pattern: str, expected: str) -> tuple[float, float]:
    """Number in a text, and the seconds of its unit."""
    match = re.fullmatch(pattern, text)
    if match is not None and (match[2] or "s") in _UNITS:
        with suppress(ValueError):
            value = float(match[1])
            if 0.0 < value < math.inf:
                return value, _UNITS[match[2] or "s"]
    raise SettingsError(f"{text!r} is no {expected}")
