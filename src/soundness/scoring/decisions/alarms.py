"""Alarm rule: so many of the last clips are anomalous; and rates of alarms in words."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from soundness.files.stored_values import NotNegative, PositiveFinite, Rate
from soundness.plain_text import counted

__all__ = ["MOST_CLIPS", "AlarmRule", "AlarmWindow", "duration", "rate_in", "rate_per_day", "rate_unit"]

MOST_CLIPS = 10_000
"""Largest number of clips that a rule looks at."""

Correlation = Annotated[float, Field(ge=-1.0, le=1.0)]


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
        False alarms, if a share of ``p_value`` of normal clips is anomalous, and neighbours depend on each other as
        `correlations` say.
    bound_per_day
        The same with the largest share of anomalous normal clips that the calibration clips leave possible, at 95 %.
    dependent_per_day
        The same bound, however much neighbouring clips depend on each other.
    correlations
        Mean correlation of all pairs of 2, 3 ... clips in a row that the rates count with; empty for independent ones.
    """

    p_value: Rate
    n_anomalous: Annotated[int, Field(ge=1, le=MOST_CLIPS)]
    n_clips: Annotated[int, Field(ge=1, le=MOST_CLIPS)]
    clip_every_seconds: PositiveFinite
    asked_per_day: NotNegative
    expected_per_day: NotNegative
    bound_per_day: NotNegative
    dependent_per_day: NotNegative
    correlations: Annotated[tuple[Correlation, ...], Field(max_length=MOST_CLIPS)] = ()

    def __str__(self) -> str:
        """The rule in words."""
        return f"{self.n_anomalous} of {counted(self.n_clips, 'clip')} with a p-value of {self.p_value:.4g} or less"

    def chance_of_alarm(self, share: float) -> float:
        """Probability of an alarm within the first ``n_clips`` clips of a fault.

        Parameters
        ----------
        share
            Probability with which a clip of the fault is anomalous, independently of the others.
        """
        counts = range(self.n_anomalous, self.n_clips + 1)
        return sum(math.comb(self.n_clips, k) * share**k * (1 - share) ** (self.n_clips - k) for k in counts)

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


_UNIT_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "year": 365.0}


def rate_per_day(per_day: float) -> str:
    """Rate in words, such as ``3/week``, in the shortest unit of an hour to a year that has about one or more."""
    unit = rate_unit(per_day)
    return f"{rate_in(per_day, unit)}/{unit}"


def rate_unit(per_day: float) -> str:
    """Shortest unit of time, of an hour to a year, in which a rate is about one or more."""
    return next((unit for unit, days in _UNIT_DAYS.items() if per_day * days >= 0.95), "year")


def rate_in(per_day: float, unit: str) -> str:
    """Rate in a unit of time, in digits."""
    rate = per_day * _UNIT_DAYS[unit]
    if rate >= 100:
        return f"{rate:,.0f}"
    return f"{rate:.3g}" if rate >= 0.95 else f"{rate:.2g}" if rate >= 0.001 or rate == 0 else "< 0.001"


def duration(seconds: float) -> str:
    """Time in words, such as ``80 s``, ``12 min`` or ``5 h``."""
    if seconds <= 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.3g} min" if seconds < 6000 else f"{seconds / 3600:.3g} h"
