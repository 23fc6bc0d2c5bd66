"""Threshold that follows slow change of normal scores, within bounds, and never while an alarm is on.

Adaptive conformal inference takes a step after every clip towards the rate that was promised. Here it moves scores, not
the p-value that is asked for: once all scores lie above those of the calibration, no p-value tells them apart.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from soundness.scoring.decisions.calibration import Calibration

__all__ = ["FollowedNormal", "ScoreScale"]

_MIDDLE_STEP = 0.02  # deviations, towards half of the scores above the middle
_TAIL_STEP = 0.01  # deviations, towards the promised share of anomalous clips
_HIGHEST, _LOWEST = 4.0, -1.0  # deviations by which the middle may be followed
_HIGHEST_TAIL, _LOWEST_TAIL = 1.5, -0.5  # deviations by which the tail may be followed beyond it
_UPPER_QUANTILE, _UPPER_NORMAL = 0.9, 1.2816


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreScale:
    """Middle and spread of the scores of normal clips.

    Parameters
    ----------
    middles, deviations
        Median and deviation of the upper side of each domain.
    """

    middles: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Scale of a calibration."""
        pairs = [np.quantile(values, (0.5, _UPPER_QUANTILE)) for values in calibration.used.values()]
        middles = [float(middle) for middle, _ in pairs]
        spreads = [max(float(high - middle) / _UPPER_NORMAL, 1e-9 * max(1.0, abs(middle))) for middle, high in pairs]
        return cls(middles=tuple(middles), deviations=tuple(spreads))

    @property
    def deviation(self) -> float:
        """Largest deviation of a domain."""
        return max(self.deviations)

    def level(self, score: float) -> float:
        """Deviations of a score above the middle of the domain that it fits best."""
        pairs = zip(self.middles, self.deviations, strict=True)
        return min((score - middle) / deviation for middle, deviation in pairs)


@dataclass(slots=True, kw_only=True, eq=False)
class FollowedNormal:
    """Threshold that follows normal sound.

    A clip moves it only after as many further clips as the rule looks at, none of which belongs to an alarm: so the
    clips that lead to an alarm teach nothing.

    Parameters
    ----------
    calibration
        Calibration of the detector.
    share
        Promised share of anomalous clips, the rule's p-value.
    delay
        Clips after which a clip counts.
    middle, tail
        Shift of the middle of the scores, and further shift of their tail, in deviations.
    waiting
        For each clip that waits, the latest last: true if it lay above the middle, and true if it was anomalous.
    """

    calibration: Calibration
    share: float
    delay: int
    middle: float = 0.0
    tail: float = 0.0
    waiting: deque[tuple[bool, bool]] = field(default_factory=deque)
    scale: ScoreScale = field(init=False)

    def __post_init__(self) -> None:
        self.scale = ScoreScale.of(self.calibration)

    @property
    def offset(self) -> float:
        """Shift of the scores, in their own unit."""
        return (self.middle + self.tail) * self.scale.deviation

    @property
    def score_threshold(self) -> float:
        """Score above which, and only above which, a clip of now counts as anomalous; infinite where none can."""
        return self.calibration.threshold(self.share) + self.offset

    @property
    def is_at_bound(self) -> bool:
        """True if normal sound has wandered as far as it is followed."""
        return self.middle >= _HIGHEST

    def p_value(self, score: float) -> float:
        """P-value of a score beside normal scores of now."""
        return self.calibration.p_value(score - self.offset)

    def add(self, score: float, *, is_frozen: bool) -> bool:
        """Learn from a clip; true if something is to be kept.

        Parameters
        ----------
        score
            Its score.
        is_frozen
            True while an alarm is on, in maintenance, and while alarms are ignored: nothing is learned, and what
            waits is forgotten.
        """
        if is_frozen:
            had = bool(self.waiting)
            self.waiting.clear()
            return had
        is_above = self.calibration.p_value(score - self.middle * self.scale.deviation) <= 0.5
        is_anomalous = self.p_value(score) <= self.share
        self.waiting.append((is_above, is_anomalous))
        if len(self.waiting) > self.delay:
            self._step(*self.waiting.popleft())
        return True

    def _step(self, is_above: bool, is_anomalous: bool) -> None:
        middle = self.middle + _MIDDLE_STEP * (is_above - 0.5)
        tail = self.tail + _TAIL_STEP * (is_anomalous - self.share)
        self.middle = min(max(middle, _LOWEST), _HIGHEST)
        self.tail = min(max(tail, _LOWEST_TAIL), _HIGHEST_TAIL)

    def as_details(self) -> dict[str, Any]:
        """Plain values to go on with after a restart, see `resume`."""
        waiting = "".join(str(2 * above + anomalous) for above, anomalous in self.waiting)
        return {"middle": round(self.middle, 6), "tail": round(self.tail, 6), "waiting": waiting}

    def resume(self, details: Mapping[str, Any]) -> None:
        """Go on with the values of `as_details`."""
        self.middle = min(max(float(details.get("middle", 0.0)), _LOWEST), _HIGHEST)
        self.tail = min(max(float(details.get("tail", 0.0)), _LOWEST_TAIL), _HIGHEST_TAIL)
        codes = [int(one) for one in str(details.get("waiting", ""))]
        self.waiting = deque((bool(code & 2), bool(code & 1)) for code in codes[-self.delay :])
