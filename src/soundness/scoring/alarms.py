"""Alarm rule: so many of the last clips are anomalous; and rates of alarms in words."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from soundness.stored_values import NotNegative, PositiveFinite, Rate

__all__ = ["MOST_CLIPS", "AlarmRule", "AlarmWindow", "rate_per_day"]

MOST_CLIPS = 10_000
"""Largest number of clips that a rule looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """An alarm where at least ``n_anomalous`` of the last ``n_clips`` clips have a p-value of ``p_value`` or less.

    Parameters
    ----------
    p_value
        Largest p-value of an anomalous clip.
    n_anomalous, n_clips
        k and n.
    clip_every_seconds
        Time from the beginning of one clip to that of the next.
    asked_per_day
        False alarms that were asked for.
    expected_per_day
        False alarms, if neighbouring clips are independent and a share of ``p_value`` of normal clips is anomalous.
    bound_per_day
        The same with the largest share of anomalous normal clips that the calibration clips leave possible, at 95 %.
    dependent_per_day
        The same bound, however much neighbouring clips depend on each other.
    """

    p_value: Rate
    n_anomalous: Annotated[int, Field(ge=1, le=MOST_CLIPS)]
    n_clips: Annotated[int, Field(ge=1, le=MOST_CLIPS)]
    clip_every_seconds: PositiveFinite
    asked_per_day: NotNegative
    expected_per_day: NotNegative
    bound_per_day: NotNegative
    dependent_per_day: NotNegative

    def __str__(self) -> str:
        """The rule in words."""
        return f"{self.n_anomalous} of {self.n_clips} clip(s) with a p-value of {self.p_value:.4g} or less"

    def is_anomalous(self, p_value: float) -> bool:
        """True if a clip of this p-value counts as anomalous."""
        return p_value <= self.p_value


class AlarmWindow:
    """The last clips of one machine, and the alarms that they make.

    Parameters
    ----------
    rule
        Rule of the alarms.
    anomalous
        True for each of the clips before that was anomalous, the last one last; only the last ``n_clips`` matter.
    """

    def __init__(self, rule: AlarmRule, anomalous: Iterable[bool] = ()) -> None:
        self.rule = rule
        self._anomalous = deque(anomalous, maxlen=rule.n_clips)

    @property
    def is_on(self) -> bool:
        """True if the last clips are an alarm."""
        return sum(self._anomalous) >= self.rule.n_anomalous

    def add(self, p_value: float) -> bool:
        """Add the next clip; true if an alarm begins with it. One that goes on is not a new one."""
        was_on = self.is_on
        self._anomalous.append(self.rule.is_anomalous(p_value))
        return self.is_on and not was_on


def rate_per_day(per_day: float) -> str:
    """Rate in words, such as ``3/week``, in the shortest unit of an hour to a year that has about one or more."""
    for unit, days in (("hour", 1 / 24), ("day", 1.0), ("week", 7.0), ("year", 365.0)):
        if per_day * days >= 0.95:
            return f"{per_day * days:.3g}/{unit}"
    return f"{365 * per_day:.2g}/year"
