"""How often normal clips raise an alarm: rates in words, and their exact upper bounds. Nothing but arithmetic."""

import math
import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from soundness.errors import SettingsError

__all__ = [
    "CONFIDENCE",
    "SECONDS_PER_DAY",
    "alarm_rate",
    "binomial_at_least",
    "parse_rate",
    "parse_seconds",
    "poisson_upper",
    "rate_per_day",
    "upper_share",
]

SECONDS_PER_DAY = 86_400.0
CONFIDENCE = 0.95
"""Of every upper bound."""

_UNITS = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3_600.0),
    **dict.fromkeys(("d", "day", "days"), SECONDS_PER_DAY),
    **dict.fromkeys(("w", "week", "weeks"), 7 * SECONDS_PER_DAY),
    **dict.fromkeys(("month", "months"), 30 * SECONDS_PER_DAY),
    **dict.fromkeys(("y", "year", "years"), 365 * SECONDS_PER_DAY),
}


def parse_rate(text: str) -> float:
    """Events a second, of a text such as ``1/day``, ``2/week`` or ``0.5/h``.

    Raises
    ------
    SettingsError
        If it is none, or not above 0.
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(?:/|per)\s*([a-z]+)\s*", text)
    value = math.nan if match is None else _number(match[1])
    if match is None or match[2] not in _UNITS or not 0.0 < value < math.inf:
        raise SettingsError(f"{text!r} is no rate; expected one such as 1/day, 2/week or 0.5/h")
    return value / _UNITS[match[2]]


def parse_seconds(text: str) -> float:
    """Seconds, of a text such as ``10s``, ``1min`` or ``10``.

    Raises
    ------
    SettingsError
        If it is none, or not above 0.
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]+?)\s*([a-z]*)\s*", text)
    value = math.nan if match is None else _number(match[1])
    if match is None or (match[2] or "s") not in _UNITS or not 0.0 < value < math.inf:
        raise SettingsError(f"{text!r} is no time; expected one such as 10s, 1min or 2h")
    return value * _UNITS[match[2] or "s"]


def rate_per_day(per_day: float) -> str:
    """A rate in words, in the unit in which it is easy to imagine."""
    for unit, days in (("hour", 1 / 24), ("day", 1.0), ("week", 7.0), ("year", 365.0)):
        if per_day * days >= 0.95:
            return f"{per_day * days:.3g}/{unit}"
    return f"{365 * per_day:.2g}/year"


def alarm_rate(share: float, *, n_anomalous: int, n_clips: int) -> float:
    r"""False alarms per clip at most, if clips are odd independently of each other with probability ``share``.

    An alarm begins with an odd clip that is at least the k-th odd one of its window of n: with :math:`q` the share,
    :math:`q \, P(B_{n-1, q} \ge k - 1)`. It grows with :math:`q`. An alarm that goes
    on is counted again with each odd clip.
    """
    return share * binomial_at_least(n_anomalous - 1, n_clips - 1, share)


@lru_cache(maxsize=4096)
def upper_share(n_above: int, n_clips: int) -> float:
    r"""Upper 95 % bound of the probability that a normal clip has a p-value of ``n_above / (n_clips + 1)`` or less.

    Given the calibration clips, it is distributed as :math:`\mathrm{Beta}(m, n + 1 - m)`, with ties less; its
    quantile is the upper bound of Clopper and Pearson for :math:`m - 1` of :math:`n`.
    """
    if n_above <= 0:
        return 0.0
    if n_above > n_clips:
        return 1.0
    return _bisected(lambda share: binomial_at_least(n_above, n_clips, share) >= CONFIDENCE, 0.0, 1.0)


def poisson_upper(count: int) -> float:
    """Upper 95 % bound of the mean of a Poisson count."""

    def is_reached(mean: float) -> bool:
        terms = (math.exp(-mean + i * math.log(mean) - math.lgamma(i + 1)) for i in range(count + 1))
        return math.fsum(terms) <= 1.0 - CONFIDENCE

    return _bisected(is_reached, 1e-9, 20.0 + 3.0 * count)


def binomial_at_least(n_successes: int, n_trials: int, share: float) -> float:
    """Probability of so many successes or more, each of probability ``share``."""
    if n_successes <= 0 or share >= 1.0:
        return float(n_successes <= n_trials)
    if share <= 0.0 or n_successes > n_trials:
        return 0.0
    counts = np.arange(n_successes, n_trials + 1)
    logs = _log_choices(n_trials)[n_successes:] + counts * math.log(share) + (n_trials - counts) * math.log1p(-share)
    return min(1.0, float(np.exp(logs).sum()))


@lru_cache(maxsize=64)
def _log_choices(n: int) -> NDArray[np.float64]:
    """Logarithm of n over k, for k from 0 to n."""
    return np.array([math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)])


def _bisected(is_reached: Callable[[float], bool], low: float, high: float) -> float:
    """Where a condition that holds from somewhere on begins to hold."""
    while low < (middle := (low + high) / 2.0) < high:
        low, high = (low, middle) if is_reached(middle) else (middle, high)
    return high


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
