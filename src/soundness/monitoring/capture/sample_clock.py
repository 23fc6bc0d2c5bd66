"""Time of samples: from their count, held to the clock of the computer."""

import time
from collections.abc import Callable

from soundness.monitoring.store.times import utc_us

__all__ = ["SampleClock"]

_JUMP_US = 1_000_000  # of the clock of the computer, beyond which it was set
_MOST_SLEW = 500e-6  # seconds a second by which a sound card's rate may be off
_WINDOW_US = 30_000_000  # within which the promptest block tells the time
_EARLY_US = 250_000.0  # by which time is set back for sound that comes before its time; more comes faster than it lasts


def _steady_us() -> int:
    """Clock that only goes on, and goes on while the computer sleeps, in microseconds."""
    kind = getattr(time, "CLOCK_BOOTTIME", None)
    return (time.monotonic_ns() if kind is None else time.clock_gettime_ns(kind)) // 1_000


class SampleClock:
    """Times of the blocks of a live stream.

    Blocks arrive late by a varying time, and the rate of a sound card is off by some parts of a million. So time runs
    with the number of samples, and is held to the promptest arrivals of half a minute.

    Parameters
    ----------
    wall_us, monotonic_us
        Clock of the computer, which may be set, and one that only goes on; both in microseconds.
    """

    def __init__(
        self,
        wall_us: Callable[[], int] = utc_us,
        monotonic_us: Callable[[], int] = _steady_us,
    ) -> None:
        self._wall_us, self._monotonic_us = wall_us, monotonic_us
        self._offset_us = float(wall_us() - monotonic_us())
        self._next_us: float | None = None  # monotonic time of the next sample
        self._least_us, self._window_us = float("inf"), 0.0
        self._early_us = _EARLY_US

    def begin(self) -> None:
        """Begin anew, after a gap."""
        self._next_us = None

    def steady_us(self) -> int:
        """Clock that only goes on, in microseconds."""
        return self._monotonic_us()

    def now_us(self) -> int:
        """Time now, as samples are given it, microseconds since 1970, UTC."""
        return round(self._monotonic_us() + self._offset_us)

    def lag_of(self, n_samples: int, sample_rate: int) -> float:
        """Time by which a block that has just arrived is later than it would follow the one before, in microseconds.

        It is negative if it comes before its time, and 0 for the first block.
        """
        if self._next_us is None:
            return 0.0
        return self._monotonic_us() - 1e6 * n_samples / sample_rate - self._next_us

    def start_of(self, n_samples: int, sample_rate: int) -> int:
        """Time of the first sample of a block that has just arrived, microseconds since 1970, UTC."""
        now, length_us = self._monotonic_us(), 1e6 * n_samples / sample_rate
        arrived_us = now - length_us  # if it came at once
        if self._next_us is None:
            self._next_us, self._least_us, self._window_us = arrived_us, float("inf"), 0.0
            self._early_us = _EARLY_US
        start_us = self._next_us - min(max(0.0, self._next_us - arrived_us), self._early_us)  # none is of the future
        self._early_us = min(_EARLY_US, self._early_us - (self._next_us - start_us) + _MOST_SLEW * length_us)
        self._least_us, self._window_us = min(self._least_us, arrived_us - start_us), self._window_us + length_us
        if self._window_us >= _WINDOW_US:
            most_us = _MOST_SLEW * self._window_us
            start_us += max(0.0, min(self._least_us, most_us))
            self._least_us, self._window_us = float("inf"), 0.0
        self._next_us = start_us + length_us
        return round(start_us + self._offset_us)

    def jump_us(self) -> int:
        """Time by which the clock of the computer was set since the last call, in microseconds; 0 if it was not."""
        offset = self._wall_us() - self._monotonic_us()
        jump = offset - self._offset_us
        if abs(jump) < _JUMP_US:
            self._offset_us += 0.01 * jump  # it is corrected smoothly
            return 0
        self._offset_us = offset
        return round(jump)
