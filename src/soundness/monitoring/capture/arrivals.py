"""Times of blocks that arrive in bursts or after a pause: which of them follow those before, and what is missing."""

from dataclasses import dataclass

import numpy as np

from soundness.aliases import Waveform
from soundness.monitoring.capture.sample_clock import SampleClock

__all__ = ["Arrivals", "TimedBlock"]

_LATE_US = 1_000_000  # beyond which sound is missing, unless it comes right after
_LONGEST_BURST_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimedBlock:
    """Samples of a live stream with their time.

    Parameters
    ----------
    samples
        Samples, shape ``(time,)``.
    start_us
        Time of the first, microseconds since 1970, UTC.
    missing_seconds
        Length of the sound that did not come before it; 0 where it follows.
    """

    samples: Waveform
    start_us: int
    missing_seconds: float = 0.0


class Arrivals:
    """Blocks of a live stream as they arrive.

    A server sends the last seconds at once to a client that connects; a network that was blocked gives what has waited.
    So the first blocks, and those after a pause, are held until it is known whether more come right behind them: then
    the time of the last is now, and that of the others follows from the number of samples.

    Parameters
    ----------
    clock
        Clock of the samples.
    """

    def __init__(self, clock: SampleClock) -> None:
        self._clock = clock
        self._held: list[Waveform] = []
        self._arrived = 0
        self._is_first = True

    def begin(self) -> None:
        """Begin anew, after a break; blocks that are held are dropped with the sound before it."""
        self._clock.begin()
        self._held, self._is_first = [], True

    def add(self, samples: Waveform, *, sample_rate: int) -> TimedBlock | None:
        """Add a block; what can be passed on with it, or ``None`` if nothing can.

        Parameters
        ----------
        samples
            Samples, shape ``(time,)``.
        sample_rate
            Rate in Hz.
        """
        now, length_us = self._clock.steady_us(), 1e6 * len(samples) / sample_rate
        is_paced = bool(self._held) and now - self._arrived >= 0.5 * length_us
        self._arrived = now
        self._held.append(samples)
        n_held = sum(map(len, self._held))
        lag_us = self._clock.lag_of(n_held, sample_rate)
        if not self._is_first and lag_us <= _LATE_US:
            return self.rest(sample_rate=sample_rate)
        if is_paced or n_held >= _LONGEST_BURST_SECONDS * sample_rate:
            return self.rest(sample_rate=sample_rate)
        return None

    def rest(self, *, sample_rate: int) -> TimedBlock | None:
        """Blocks that are held, as at the end of the stream; ``None`` if none are."""
        if not self._held:
            return None
        samples = np.concatenate(self._held) if len(self._held) > 1 else self._held[0]
        lag_us, is_first = self._clock.lag_of(len(samples), sample_rate), self._is_first
        missing = 0.0 if is_first or lag_us <= _LATE_US else lag_us / 1e6
        if missing > 0.0:
            self._clock.begin()
        self._held, self._is_first = [], False
        return TimedBlock(
            samples=samples, start_us=self._clock.start_of(len(samples), sample_rate), missing_seconds=missing
        )
