"""Time as the store holds it."""

import time

__all__ = ["utc_us"]


def utc_us() -> int:
    """Time now, microseconds since 1970, UTC."""
    return time.time_ns() // 1_000
