r"""Trend of the scores over hours and days against the learning period: a sequential test of bounded false alarms.

The level of a block of time is the mean of its scores, in deviations above those of the calibration, cut to a range and
mapped onto [0, 1]. As long as the level that is to be expected of a block, whatever came before, is at most a reference
with a margin, each :math:`1 + \lambda (x - m)` is an e-value, and their Shiryaev-Roberts sum crosses :math:`c` after
:math:`c` blocks or more on average, however neighbouring blocks depend on each other.

References
----------
.. [1] J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New
   England Journal of Statistics in Data Science 2(2), 2024.
.. [2] I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1), 2024.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["BLOCK_US", "Trend", "TrendStep", "bounded"]

BLOCK_US = 3_600_000_000
"""Length of a block: an hour."""

_LOWEST, _HIGHEST = -2.0, 6.0  # deviations that a clip's level is cut to
_MARGIN = 0.75  # deviations that the level of an hour may be expected to lie above the reference
_MARGINS = 2.0  # times the deviation of the learning period's hours, if that is more
_BETS = (0.25, 0.5, 0.75)  # of the largest
_YEARS = 10.0  # between two false alarms, on average at least
_BLOCKS_A_YEAR = 365.0 * 24.0
_FEWEST_CLIPS = 5
_KEPT = 48  # blocks
_FEWEST_TO_ACCEPT = 6


def bounded(level: float) -> float:
    """Level of a clip, cut to the range of the test."""
    return min(max(level, _LOWEST), _HIGHEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendStep:
    """Effect of a block that is over.

    Parameters
    ----------
    change
        ``raised`` where a trend is found, ``ended`` where it is over, else empty.
    level
        Level of the block, deviations above the reference; ``None`` where it had too few clips.
    """

    change: str = ""
    level: float | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Trend:
    """Trend of one sensor.

    Parameters
    ----------
    reference
        Level of the learning period, or of what was accepted as normal later, in deviations.
    margin
        Deviations above it that are no trend.
    block, sums
        Number of the block that is not over, since 1970; number of its clips and the sum of their levels.
    wealth
        Shiryaev-Roberts sum of each bet.
    rise, since
        Sum of the logarithms of the middle bet since it was last 0, and the block after which that was.
    is_on
        True while there is a trend.
    levels
        Latest levels of blocks.
    """

    reference: float = 0.0
    margin: float = _MARGIN
    block: int = -1
    sums: tuple[int, float] = (0, 0.0)
    wealth: list[float] = field(default_factory=lambda: [0.0] * len(_BETS))
    rise: float = 0.0
    since: int = -1
    is_on: bool = False
    levels: list[float] = field(default_factory=list)

    @classmethod
    def against(cls, levels: Sequence[float]) -> "Trend":
        """Trend against the levels of the blocks of a learning period; against the calibration if there are none."""
        if not len(levels):
            return cls()
        spread = float(np.std(levels, ddof=1)) if len(levels) > 2 else 0.0
        return cls(reference=float(np.mean(levels)), margin=max(_MARGIN, _MARGINS * spread))

    @property
    def since_us(self) -> int:
        """Time since which the level has risen, microseconds since 1970, UTC."""
        return (self.since + 1) * BLOCK_US

    @property
    def recent(self) -> float:
        """Mean level of the last blocks, up to a day, above the reference."""
        last = self.levels[-24:]
        return float(np.mean(last)) - self.reference if last else 0.0

    def add(self, level: float | None, *, time_us: int) -> TrendStep:
        """Add a clip.

        Parameters
        ----------
        level
            Its level, see `soundness.monitoring.learning.threshold.ScoreScale.level`; ``None`` for one that does not
            count, as of an alarm.
        time_us
            Its time, microseconds since 1970, UTC.
        """
        block = time_us // BLOCK_US
        step = TrendStep()
        if block > self.block:
            step = self._over()
            self.block, self.sums = block, (0, 0.0)
        if level is not None:
            self.sums = self.sums[0] + 1, self.sums[1] + bounded(level - self.reference)
        return step

    def _over(self) -> TrendStep:
        n_clips, total = self.sums
        if n_clips < _FEWEST_CLIPS:
            return TrendStep()
        level = total / n_clips
        self.levels = [*self.levels, round(self.reference + level, 4)][-_KEPT:]
        above = (level - self.margin) / (_HIGHEST - _LOWEST)
        middle = (self.margin - _LOWEST) / (_HIGHEST - _LOWEST)
        gains = [max(1.0 + bet / middle * above, 1e-3) for bet in _BETS]
        self.wealth = [min((1.0 + before) * gain, 1e300) for before, gain in zip(self.wealth, gains, strict=True)]
        self.rise = max(0.0, self.rise + float(np.log(gains[len(gains) // 2])))
        if self.rise == 0.0:
            self.since = self.block
        return TrendStep(change=self._change(), level=level)

    def _change(self) -> str:
        if not self.is_on and float(np.mean(self.wealth)) >= _YEARS * _BLOCKS_A_YEAR:
            self.is_on = True
            return "raised"
        if self.is_on and self.rise == 0.0:
            self.is_on, self.wealth = False, [0.0] * len(_BETS)
            return "ended"
        return ""

    def accept(self) -> float | None:
        """Take the level of the last day as the reference; the level before it, ``None`` if too little is known."""
        if len(self.levels) < _FEWEST_TO_ACCEPT:
            return None
        before, self.reference = self.reference, self.reference + self.recent
        self.wealth, self.rise, self.since, self.is_on = [0.0] * len(_BETS), 0.0, self.block, False
        return before

    def as_details(self) -> dict[str, Any]:
        """Plain values to go on with after a restart, see `resume`."""
        return {
            "reference": self.reference,
            "margin": self.margin,
            "block": self.block,
            "sums": list(self.sums),
            "wealth": self.wealth,
            "rise": self.rise,
            "since": self.since,
            "is_on": self.is_on,
            "levels": self.levels,
        }

    @classmethod
    def resume(cls, details: Mapping[str, Any]) -> "Trend":
        """Trend that goes on with the values of `as_details`."""
        found = cls(**{**details, "sums": (int(details["sums"][0]), float(details["sums"][1]))})
        found.wealth, found.levels = list(found.wealth), list(found.levels)
        return found
