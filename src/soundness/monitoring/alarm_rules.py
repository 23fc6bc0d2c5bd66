"""Alarm rules that keep to a rate of false alarms: k of n clips, exact bounds, and the replay of a recording."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, betaincinv, gammaincinv, ndtr, ndtri  # type: ignore[import-untyped]  # SciPy ships no types

from soundness.aliases import Array
from soundness.errors import SettingsError
from soundness.scoring.decisions.alarms import AlarmRule, AlarmWindow, rate_per_day
from soundness.scoring.decisions.calibration import Calibration, n_flagged
from soundness.settings.durations import SECONDS_PER_DAY, parse_rate, parse_seconds

__all__ = [
    "AlarmRequest",
    "Replay",
    "alarm_rate",
    "candidate_rules",
    "nearest_rule",
    "overlap_correlations",
    "poisson_upper",
    "replay",
    "score_correlations",
    "upper_share",
]

_CONFIDENCE = 0.95  # of every upper bound
_FAULT_AUC = 0.9  # of the fault that rules are compared by
_FAULT_FOUND = 0.9  # probability with which a window should find it
_LARGEST_P_VALUE = 0.5  # a clip with a larger one is not anomalous by any standard
_MOST_P_VALUES = 200
_N_RESAMPLES = 1_000
_BLOCK_WINDOWS = 10  # a block of a replay is this many windows of the rule
_LARGEST_CORRELATION = 0.95
_TAILS, _FEWEST_HIGH = (0.1, 0.02), 30  # upper parts of the scores in which pairs are counted, and clips in one
_COMMON, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)  # to integrate over a normal number
_WEIGHTS /= math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRequest:
    """Rate of false alarms that is asked for.

    Parameters
    ----------
    false_alarms
        Acceptable rate, such as ``1/day``.
    clip_every
        Time from the beginning of one clip to that of the next, such as ``10s``.
    longest
        Longest window of a rule, in clips.
    correlations
        Mean correlation of the scores of all pairs of 2, 3 ... clips of normal sound in a row; empty where they are
        taken as independent. See `score_correlations` and `overlap_correlations`.

    Raises
    ------
    SettingsError
        If one of them makes no sense, or there would be an alarm at every clip.
    """

    false_alarms: str
    clip_every: str
    longest: int = 10
    correlations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise SettingsError(f"the longest window is {self.longest} clips; expected 1 or more")
        if self.per_day >= self.clips_per_day:
            raise SettingsError(
                f"{rate_per_day(self.per_day)} with a clip every {self.seconds:g} s is an alarm at every clip; "
                f"expected fewer"
            )

    @property
    def seconds(self) -> float:
        """Time from one clip to the next, in seconds."""
        return parse_seconds(self.clip_every)

    @property
    def per_day(self) -> float:
        """False alarms a day."""
        return parse_rate(self.false_alarms) * SECONDS_PER_DAY

    @property
    def clips_per_day(self) -> float:
        """Clips a day."""
        return SECONDS_PER_DAY / self.seconds

    def correlation(self, n_clips: int) -> float:
        """Mean correlation of the pairs of so many clips in a row, in [0, 0.95]."""
        if n_clips < 2 or not self.correlations:
            return 0.0
        return min(max(self.correlations[min(n_clips - 2, len(self.correlations) - 1)], 0.0), _LARGEST_CORRELATION)


def overlap_correlations(*, clip_seconds: float, hop_seconds: float, longest: int) -> tuple[float, ...]:
    """Correlations of clips that share sound, by the share of it, as `score_correlations`; empty where none do."""
    shares = np.maximum(1.0 - np.arange(1, longest) * hop_seconds / clip_seconds, 0.0)
    return tuple(map(float, _of_pairs(shares))) if shares.max(initial=0.0) > 1e-9 else ()


def score_correlations(p_values: Sequence[float], longest: int) -> tuple[float, ...]:
    """Mean correlations of the scores of 2, 3 ... ``longest`` clips in a row, as a normal recording shows them.

    P-values are mapped onto a normal distribution, so that no single clip decides. High scores may come together more
    than that tells, as of a noise that comes and goes: the correlation is no less than that with which, among normal
    numbers, as many pairs of clips lie in the upper part as do.

    Parameters
    ----------
    p_values
        P-values of its clips, in the order of time.
    longest
        Longest window of a rule, in clips.
    """
    values = np.asarray(p_values, dtype=float)
    if len(values) < 2 or np.ptp(values) == 0.0:
        return ()
    normal = -ndtri(values - 0.5 * values.min())
    normal = (normal - normal.mean()) / normal.std()
    lags = range(1, min(longest, len(normal)))
    found = _of_pairs(np.array([np.dot(normal[lag:], normal[:-lag]) / len(normal) for lag in lags]))
    for share in _TAILS:
        is_high = values <= share
        if is_high.sum() >= _FEWEST_HIGH:
            found = np.maximum(found, _of_pairs(_tail_correlations(is_high, lags)))
    return tuple(map(float, found))


def _tail_correlations(is_high: NDArray[np.bool_], lags: Sequence[int]) -> Array:
    """Correlations with which as many pairs of clips, up to each lag, would lie in the upper part of normal numbers."""
    share = float(is_high.mean())
    both = np.array([np.mean(is_high[lag:] & is_high[:-lag]) for lag in lags])
    grid = np.linspace(0.0, _LARGEST_CORRELATION, 96)
    expected = [alarm_rate(share, n_anomalous=2, n_clips=2, correlation=one) for one in grid]
    found: Array = np.interp(np.cumsum(both) / np.arange(1, len(both) + 1), expected, grid)
    return found


def _of_pairs(by_lag: Array) -> Array:
    """Means of correlations over all pairs of 2, 3 ... clips in a row, from those by lag."""
    n_clips = np.arange(2, len(by_lag) + 2)
    return 2.0 * np.cumsum(np.cumsum(by_lag)) / (n_clips * (n_clips - 1))


def alarm_rate(share: float, *, n_anomalous: int, n_clips: int, correlation: float = 0.0) -> float:
    r"""Upper bound of false alarms per clip, if clips are anomalous with probability ``share``.

    An alarm begins with an anomalous clip that is at least the k-th of its window of n: with :math:`q` the share,
    :math:`q \, P(B_{n-1, q} \ge k - 1)`. It grows with :math:`q`. An alarm that goes on is counted again with each
    anomalous clip.

    Scores of a correlation :math:`\rho` have a part :math:`u` in common, which is normal as they are; given it, clips
    are anomalous independently with probability :math:`\Phi((\Phi^{-1}(q) + \sqrt{\rho} u) / \sqrt{1 - \rho})`, and the
    bound is the mean over it.
    """
    if correlation <= 0.0:
        return share * float(bdtrc(n_anomalous - 2, n_clips - 1, share))
    given = ndtr((ndtri(share) + math.sqrt(correlation) * _COMMON) / math.sqrt(1.0 - correlation))
    return float(np.dot(_WEIGHTS, given * bdtrc(n_anomalous - 2, n_clips - 1, given)))


def upper_share(n_above: int, n_clips: int) -> float:
    r"""Upper 95 % bound of the probability that a normal clip has a p-value of ``n_above / (n_clips + 1)`` or less.

    Conditional on the calibration clips, it is distributed as :math:`\mathrm{Beta}(m, n + 1 - m)`, or lies below where
    scores tie; its quantile is the upper bound of Clopper and Pearson for :math:`m - 1` of :math:`n`.
    """
    if not 0 < n_above <= n_clips:
        return float(n_above > 0)
    return float(betaincinv(n_above, n_clips + 1 - n_above, _CONFIDENCE))


def poisson_upper(count: int) -> float:
    """Upper 95 % bound of the mean of a Poisson count."""
    return float(gammaincinv(count + 1, _CONFIDENCE))


def candidate_rules(calibration: Calibration, request: AlarmRequest) -> list[AlarmRule]:
    """Rules whose upper bound keeps to a rate of false alarms, the best first.

    For each k and n there is one, with the largest p-value that keeps to the rate. The best has the shortest window
    that finds, in nine of ten windows, a fault that differs from normal with an AUC of 0.9; then come those that find
    it with a higher probability.

    Parameters
    ----------
    calibration
        Calibration whose clips limit what can be promised.
    request
        Rate that is asked for.

    Raises
    ------
    SettingsError
        If there is no such rule; the message says what could be supported.
    """
    asked, p_values = request.per_day / request.clips_per_day, _possible_p_values(calibration)
    rules = []
    for n_clips in range(1, request.longest + 1):
        for n_anomalous in range(1, n_clips + 1):
            bound = partial(_bound, calibration, request, n_anomalous, n_clips)
            n_kept = bisect_right(p_values, asked, key=bound)
            if n_kept > 0:
                rules.append(_rule(calibration, request, p_values[n_kept - 1], n_anomalous, n_clips))
    if not rules:
        raise SettingsError(_unsupported(calibration, request))
    return sorted(rules, key=_preference)


def _possible_p_values(calibration: Calibration) -> list[float]:
    """P-values that clips can have, ascending, up to the largest that counts as anomalous."""
    counts = calibration.n_clips.values()
    found = sorted({m / (n + 1) for n in counts for m in range(1, n + 1)})
    found = [p for p in found if calibration.smallest <= p <= max(_LARGEST_P_VALUE, calibration.smallest)]
    if len(found) <= _MOST_P_VALUES:
        return found
    picked = np.unique(np.geomspace(1, len(found), _MOST_P_VALUES).round().astype(int)) - 1
    return [found[index] for index in picked]


def _upper(calibration: Calibration, p_value: float) -> float:
    """Largest share of anomalous normal clips that the clips of a domain leave possible, whichever domain it is."""
    return max(upper_share(n_flagged(p_value, n), n) for n in calibration.n_clips.values())


def _bound(calibration: Calibration, request: AlarmRequest, n_anomalous: int, n_clips: int, p_value: float) -> float:
    share, correlation = _upper(calibration, p_value), request.correlation(n_anomalous)
    return alarm_rate(share, n_anomalous=n_anomalous, n_clips=n_clips, correlation=correlation)


def _rule(calibration: Calibration, request: AlarmRequest, p_value: float, n_anomalous: int, n_clips: int) -> AlarmRule:
    clips_per_day, correlation = request.clips_per_day, request.correlation(n_anomalous)
    expected = alarm_rate(p_value, n_anomalous=n_anomalous, n_clips=n_clips, correlation=correlation)
    return AlarmRule(
        p_value=p_value,
        n_anomalous=n_anomalous,
        n_clips=n_clips,
        clip_every_seconds=request.seconds,
        asked_per_day=request.per_day,
        expected_per_day=expected * clips_per_day,
        bound_per_day=_bound(calibration, request, n_anomalous, n_clips, p_value) * clips_per_day,
        dependent_per_day=_upper(calibration, p_value) * clips_per_day,
        correlations=request.correlations,
    )


def _preference(rule: AlarmRule) -> tuple[bool, float, float]:
    normal = NormalDist()
    distance = math.sqrt(2.0) * normal.inv_cdf(_FAULT_AUC)  # between two normal distributions with that AUC
    share = normal.cdf(distance - normal.inv_cdf(1.0 - rule.p_value))
    found = float(bdtrc(rule.n_anomalous - 1, rule.n_clips, share))
    return (found < _FAULT_FOUND, rule.n_clips if found >= _FAULT_FOUND else -found, -found)


def nearest_rule(calibration: Calibration, request: AlarmRequest) -> AlarmRule:
    """Rule with the fewest false alarms, where none keeps to the rate that is asked for."""
    return _rule(calibration, request, calibration.smallest, request.longest, request.longest)


def _unsupported(calibration: Calibration, request: AlarmRequest) -> str:
    """Message on what was asked for, why it cannot be promised, and what can."""
    domain, count = min(calibration.n_clips.items(), key=lambda pair: pair[1])
    single = _rule(calibration, request, calibration.smallest, 1, 1)
    nearest = nearest_rule(calibration, request)
    return (
        f"{rate_per_day(request.per_day)} cannot be promised: {count} {domain or 'normal'} clip(s) support no rate "
        f"below 1/{count + 1} a clip, {rate_per_day(single.expected_per_day)} with one every {request.seconds:g} s; "
        f"the nearest rule of up to {request.longest} clip(s) is {nearest}, bounded by "
        f"{rate_per_day(nearest.bound_per_day)}; more normal clips (soundness calibrate) or a longer window "
        f"(--longest) support less"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Alarms that a rule raises on a normal recording.

    Parameters
    ----------
    n_clips, n_anomalous, n_alarms
        Clips of the recording, anomalous ones among them, and alarms that began.
    per_day
        Alarms a day.
    upper_per_day
        Upper 95 % bound of it: the larger of that of a Poisson count, and of a bootstrap over blocks of ten windows,
        since neighbouring clips are not independent.
    clustering
        Frequency of anomalous clips after an anomalous one, divided by that after any clip; 1 if clips are independent,
        ``None`` if there are too few anomalous ones.
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
        P-values of its clips, in the order of time.
    rule
        Rule to apply.
    rng
        Random numbers of the bootstrap.

    Raises
    ------
    SettingsError
        If the recording is shorter than one window of the rule.
    """
    if len(p_values) < rule.n_clips:
        raise SettingsError(f"the recording has {len(p_values)} clip(s); the rule needs {rule.n_clips}")
    window = AlarmWindow(rule)
    begins = np.array([window.add(p_value) for p_value in p_values])
    anomalous = np.array([rule.is_anomalous(p_value) for p_value in p_values])
    n_alarms = int(begins.sum())
    upper = max(poisson_upper(n_alarms), _bootstrap_upper(begins, _BLOCK_WINDOWS * rule.n_clips, rng))
    follows = int((anomalous[1:] & anomalous[:-1]).sum())
    expected = anomalous[:-1].sum() * anomalous.mean()
    scale = SECONDS_PER_DAY / rule.clip_every_seconds / len(p_values)
    return Replay(
        n_clips=len(p_values),
        n_anomalous=int(anomalous.sum()),
        n_alarms=n_alarms,
        per_day=n_alarms * scale,
        upper_per_day=upper * scale,
        clustering=float(follows / expected) if expected >= 1.0 else None,
    )


def _bootstrap_upper(begins: NDArray[np.bool_], block: int, rng: np.random.Generator) -> float:
    """Upper 95 % bound of the number of alarms, by drawing blocks of clips anew."""
    edges = range(0, len(begins), block)
    counts = np.array([begins[edge : edge + block].sum() for edge in edges])
    drawn = rng.choice(counts, size=(_N_RESAMPLES, len(counts))).sum(axis=1)
    return float(np.quantile(drawn, _CONFIDENCE))
