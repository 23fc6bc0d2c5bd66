"""Alarm rule: so many of the last clips are anomalous."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["AlarmRule", "AlarmWindow"]


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """An alarm where at least ``n_anomalous`` of the last ``n_clips`` clips have a p-value of ``p_value`` or less.

    Parameters
    ----------
    p_value
        Largest p-value of an odd clip.
    n_anomalous, n_clips
        k and n.
    clip_every_seconds
        From the beginning of one clip to that of the next.
    asked_per_day
        False alarms that were asked for.
    expected_per_day
        False alarms, if neighbouring clips are independent and ``p_value`` of normal clips are odd.
    bound_per_day
        The same with the largest share of odd normal clips that the calibration clips leave possible, at 95 %.
    dependent_per_day
        The same bound, however much neighbouring clips depend on each other.
    """

    p_value: float
    n_anomalous: int
    n_clips: int
    clip_every_seconds: float
    asked_per_day: float
    expected_per_day: float
    bound_per_day: float
    dependent_per_day: float

    def __str__(self) -> str:
        """In words."""
        return f"{self.n_anomalous} of {self.n_clips} clip(s) with a p-value of {self.p_value:.4g} or less"

    def is_anomalous(self, p_value: float) -> bool:
        """Whether a clip counts."""
        return p_value <= self.p_value


class AlarmWindow:
    """The last clips of one machine, and whether they are an alarm.

    Parameters
    ----------
    rule
        When they are.
    odd
        Whether each of the clips before was odd, the last one last; only the last ``n_clips`` matter.
    """

    def __init__(self, rule: AlarmRule, odd: Iterable[bool] = ()) -> None:
        self.rule = rule
        self._odd = deque(odd, maxlen=rule.n_clips)

    @property
    def is_on(self) -> bool:
        """Whether the last clips are an alarm."""
        return sum(self._odd) >= self.rule.n_anomalous

    def add(self, p_value: float) -> bool:
        """Take in the next clip; whether an alarm begins with it. One that goes on is not a new one."""
        was_on = self.is_on
        self._odd.append(self.rule.is_anomalous(p_value))
        return self.is_on and not was_on
