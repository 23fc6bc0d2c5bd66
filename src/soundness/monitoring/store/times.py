"""Time as the store holds it, and as people read it."""

import time
from datetime import UTC, datetime

__all__ = ["shown_minute", "shown_time", "utc_us"]


def utc_us() -> int:
    """Time now, microseconds since 1970, UTC."""
    return time.time_ns() // 1_000


def shown_time(time_us: int | None) -> str:
    """Time for people, in UTC; ``None`` is an unknown one."""
    if time_us is None:
        return "an unknown time"
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"


def shown_minute(time_us: int) -> str:
    """Time for people to the minute, in UTC."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
