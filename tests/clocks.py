"""Clocks that a test turns."""

from soundness.monitoring.capture.sample_clock import SampleClock

NOON_US = 1_700_000_000_000_000


class Clocks:
    """The clock on the wall, which can be set, and the steady one, both in microseconds."""

    def __init__(self) -> None:
        self.steady_us = 5_000_000_000.0
        self.offset_us = NOON_US - self.steady_us
        self.samples = SampleClock(wall_us=self.wall_us, monotonic_us=lambda: round(self.steady_us))

    def wall_us(self) -> int:
        return round(self.steady_us + self.offset_us)

    def go_on(self, seconds: float) -> None:
        self.steady_us += 1e6 * seconds

    def set(self, seconds: float) -> None:
        """Set the clock on the wall."""
        self.offset_us += 1e6 * seconds
