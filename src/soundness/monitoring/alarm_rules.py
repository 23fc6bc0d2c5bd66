"""From p-values to alarms that a person can live with: k of n clips, and how often that happens to normal ones."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from soundness.errors import SettingsError
from soundness.monitoring.alarm_rates import (
    CONFIDENCE,
    SECONDS_PER_DAY,
    alarm_rate,
    binomial_at_least,
    poisson_upper,
    rate_per_day,
    upper_share,
)
from soundness.scoring.alarms import AlarmRule, AlarmWindow
from soundness.scoring.calibration import Calibration, n_flagged

__all__ = ["Replay", "candidate_rules", "replay"]

_FAULT_AUC = 0.9  # of the fault that rules are compared by
_FAULT_FOUND = 0.9  # how surely a window should find it
_LARGEST_P_VALUE = 0.5  # a clip with a larger one is not odd by any standard
_N_RESAMPLES = 1_000
_BLOCK_WINDOWS = 10  # a block of a replay is this many windows of the rule


def candidate_rules(
    calibration: Calibration, *, per_second: float, clip_every_seconds: float, longest: int
) -> list[AlarmRule]:
    """Rules whose upper bound keeps to a rate of false alarms, the best first.

    Of each k and n there is one, with the largest p-value that keeps to it. The best is that of the shortest window
    that finds a fault which is told from normal with an AUC of 0.9 in nine of ten windows; then those that find it more
    surely.

    Parameters
    ----------
    calibration
        Whose clips bound what can be promised.
    per_second
        False alarms a second.
    clip_every_seconds
        From one clip to the next.
    longest
        Longest window, in clips.

    Raises
    ------
    SettingsError
        If there is none; the message says what could be supported.
    """
    asked = per_second * clip_every_seconds
    if longest < 1:
        raise SettingsError(f"the longest window is {longest} clips; expected 1 or more")
    if asked >= 1.0:
        raise SettingsError(
            f"{rate_per_day(per_second * SECONDS_PER_DAY)} with a clip every {clip_every_seconds:g} s is an alarm at "
            f"every clip; expected fewer"
        )
    p_values = _possible_p_values(calibration)
    rules = []
    for n_clips in range(1, longest + 1):
        for n_anomalous in range(1, n_clips + 1):
            n_kept = bisect_right(p_values, asked, key=partial(_bound, calibration, n_anomalous, n_clips))
            if n_kept > 0:
                rules.append(
                    _rule(calibration, p_values[n_kept - 1], n_anomalous, n_clips, clip_every_seconds, per_second)
                )
    if not rules:
        raise SettingsError(_unsupported(calibration, per_second, clip_every_seconds, longest))
    return sorted(rules, key=_preference)


def _possible_p_values(calibration: Calibration) -> list[float]:
    """P-values that clips can have, ascending, up to the largest that counts as odd; some hundreds at the most."""
    counts = calibration.n_clips.values()
    found = sorted({m / (n + 1) for n in counts for m in range(1, n + 1)})
    found = [p for p in found if calibration.smallest <= p <= max(_LARGEST_P_VALUE, calibration.smallest)]
    if len(found) <= 200:
        return found
    picked = np.unique(np.geomspace(1, len(found), 200).round().astype(int)) - 1
    return [found[index] for index in picked]


def _upper(calibration: Calibration, p_value: float) -> float:
    """Largest share of odd normal clips that the clips of a domain leave possible, whichever domain it is."""
    return max(upper_share(n_flagged(p_value, n), n) for n in calibration.n_clips.values())


def _bound(calibration: Calibration, n_anomalous: int, n_clips: int, p_value: float) -> float:
    return alarm_rate(_upper(calibration, p_value), n_anomalous=n_anomalous, n_clips=n_clips)


def _rule(
    calibration: Calibration, p_value: float, n_anomalous: int, n_clips: int, every: float, per_second: float
) -> AlarmRule:
    clips_per_day = SECONDS_PER_DAY / every
    return AlarmRule(
        p_value,
        n_anomalous,
        n_clips,
        every,
        per_second * SECONDS_PER_DAY,
        alarm_rate(p_value, n_anomalous=n_anomalous, n_clips=n_clips) * clips_per_day,
        _bound(calibration, n_anomalous, n_clips, p_value) * clips_per_day,
        _upper(calibration, p_value) * clips_per_day,
    )


def _preference(rule: AlarmRule) -> tuple[bool, float, float]:
    normal = NormalDist()
    distance = math.sqrt(2.0) * normal.inv_cdf(_FAULT_AUC)  # between two bells of the same width with that AUC
    share = normal.cdf(distance - normal.inv_cdf(1.0 - rule.p_value))
    found = binomial_at_least(rule.n_anomalous, rule.n_clips, share)
    return (found < _FAULT_FOUND, rule.n_clips if found >= _FAULT_FOUND else -found, -found)


def _unsupported(calibration: Calibration, per_second: float, every: float, longest: int) -> str:
    """What was asked for, why it cannot be, and what can."""
    domain, count = min(calibration.n_clips.items(), key=lambda pair: pair[1])
    single = _rule(calibration, calibration.smallest, 1, 1, every, per_second)
    nearest = _rule(calibration, calibration.smallest, longest, longest, every, per_second)
    asked = rate_per_day(per_second * SECONDS_PER_DAY)
    return (
        f"{asked} cannot be promised: {count} {domain or 'normal'} clip(s) support no rate below 1/{count + 1} a clip, "
        f"{rate_per_day(single.expected_per_day)} with one every {every:g} s; the nearest rule of up to {longest} "
        f"clip(s) is {nearest}, bounded by {rate_per_day(nearest.bound_per_day)}; more normal clips "
        f"(soundness calibrate) or a longer window (--longest) support less"
    )


@dataclass(frozen=True, slots=True)
class Replay:
    """What a rule does on a normal recording, in time order.

    Parameters
    ----------
    n_clips, n_anomalous, n_alarms
        Clips of the recording, odd ones among them, and alarms that began.
    per_day
        Alarms a day.
    upper_per_day
        Upper 95 % bound of it: the larger of that of a Poisson count, and of a bootstrap over blocks of ten windows,
        since neighbouring clips are not independent.
    clustering
        How many times more often an odd clip follows an odd one than follows any; 1 if clips are independent, ``None``
        if there are too few odd ones to tell.
    """

    n_clips: int
    n_anomalous: int
    n_alarms: int
    per_day: float
    upper_per_day: float
    clustering: float | None


def replay(p_values: Sequence[float], rule: AlarmRule, *, rng: np.random.Generator) -> Replay:
    """Apply a rule to the p-values of a normal recording.

    Parameters
    ----------
    p_values
        Of its clips, in the order of time.
    rule
        What is checked.
    rng
        Of the bootstrap.

    Raises
    ------
    SettingsError
        If the recording is shorter than one window of the rule.
    """
    if len(p_values) < rule.n_clips:
        raise SettingsError(f"the recording has {len(p_values)} clip(s); the rule looks at {rule.n_clips}")
    window = AlarmWindow(rule)
    begins = np.array([window.add(p_value) for p_value in p_values])
    odd = np.array([rule.is_anomalous(p_value) for p_value in p_values])
    clips_per_day = SECONDS_PER_DAY / rule.clip_every_seconds
    n_alarms = int(begins.sum())
    upper = max(poisson_upper(n_alarms), _bootstrap_upper(begins, _BLOCK_WINDOWS * rule.n_clips, rng))
    follows = int((odd[1:] & odd[:-1]).sum())
    expected = odd[:-1].sum() * odd.mean()
    clustering = float(follows / expected) if expected >= 1.0 else None
    scale = clips_per_day / len(p_values)
    return Replay(len(p_values), int(odd.sum()), n_alarms, n_alarms * scale, upper * scale, clustering)


def _bootstrap_upper(begins: NDArray[np.bool_], block: int, rng: np.random.Generator) -> float:
    """Upper 95 % bound of the number of alarms, by drawing blocks of clips anew."""
    edges = range(0, len(begins), block)
    counts = np.array([begins[edge : edge + block].sum() for edge in edges])
    drawn = rng.choice(counts, size=(_N_RESAMPLES, len(counts))).sum(axis=1)
    return float(np.quantile(drawn, CONFIDENCE))
