"""A rule raises no more alarms than it promises, and nothing is promised that the clips cannot support."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import integrate, signal, stats

import monitored
from soundness.errors import SettingsError
from soundness.monitoring.alarm_rules import (
    AlarmRequest,
    alarm_rate,
    candidate_rules,
    overlap_correlations,
    parse_rate,
    parse_seconds,
    poisson_upper,
    replay,
    score_correlations,
    upper_share,
)
from soundness.scoring.decisions.alarms import AlarmWindow
from soundness.scoring.decisions.calibration import Calibration


def calibration(**counts):
    rng = np.random.default_rng(0)
    return Calibration.from_scores({name: rng.normal(size=n) for name, n in counts.items()}, origin="fresh")


rule = partial(monitored.rule, n_anomalous=2, n_clips=3, p_value=0.1, every=10.0)
REQUEST = partial(AlarmRequest, false_alarms="1/day", clip_every="10s")


def alarms(p_values, found):
    window = AlarmWindow(found)
    return [window.add(p_value) for p_value in p_values]


@pytest.mark.parametrize(
    ("text", "per_day"),
    [
        ("1/day", 1.0),
        ("2/week", 2 / 7),
        ("0.5/h", 12.0),
        ("1e-1 per hour", 2.4),
        (" 3 / min ", 4320.0),
        ("1/s", 86400.0),
    ],
)
def test_a_rate_is_read_as_it_is_written(text, per_day):
    assert parse_rate(text) * 86_400 == pytest.approx(per_day)


@pytest.mark.parametrize(
    "text", ["", "1", "1/fortnight", "0/day", "-1/day", "nan/day", "inf/day", "day", "1/day/2", "e/h"]
)
def test_what_is_no_rate_is_refused_and_shown(text):
    with pytest.raises(SettingsError, match="is no rate; expected one such as 1/day"):
        parse_rate(text)


@pytest.mark.parametrize(("text", "seconds"), [("10s", 10), ("1min", 60), ("2 h", 7200), ("10", 10), ("500ms", 0.5)])
def test_a_time_is_read_as_it_is_written(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0s", "-1s", "10parsecs", "1.2.3s"])
def test_what_is_no_time_is_refused_and_shown(text):
    with pytest.raises(SettingsError, match="is no time; expected one such as 10s"):
        parse_seconds(text)


@pytest.mark.parametrize(("m", "n"), [(1, 10), (3, 10), (10, 10), (1, 1), (50, 990), (400, 990)])
def test_the_bound_of_a_share_is_the_quantile_of_its_beta_distribution(m, n):
    assert upper_share(m, n) == pytest.approx(stats.beta.ppf(0.95, m, n + 1 - m), rel=1e-9)
    clopper_pearson = stats.binomtest(m - 1, n).proportion_ci(0.9, method="exact").high  # two-sided 90 %: upper 95 %
    assert upper_share(m, n) == pytest.approx(clopper_pearson, rel=1e-6)


def test_the_bound_of_a_share_of_none_or_all_clips_is_0_or_1():
    assert upper_share(0, 10) == 0.0
    assert upper_share(11, 10) == 1.0


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_the_bound_of_a_count_is_that_of_poisson(count):
    assert poisson_upper(count) == pytest.approx(stats.chi2.ppf(0.95, 2 * (count + 1)) / 2, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 2), (2, 5), (7, 10)])
def test_the_rate_of_a_rule_is_an_odd_clip_that_completes_it(k, n):
    expected = 0.2 * stats.binom.sf(k - 2, n - 1, 0.2)
    assert alarm_rate(0.2, n_anomalous=k, n_clips=n) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (3, 5)])
def test_independent_clips_raise_no_more_alarms_than_expected_and_nearly_as_many_when_odd_ones_are_rare(k, n):
    p_values = np.random.default_rng(2).uniform(size=60_000)
    share = 0.15
    found = np.mean(alarms(p_values, rule(p_value=share, n_anomalous=k, n_clips=n)))
    expected = alarm_rate(share, n_anomalous=k, n_clips=n)
    exact = (
        stats.binom.pmf(k - 1, n - 1, share) * share * (1 - share)
    )  # the newest is anomalous, the one that left was not
    assert found == pytest.approx(exact, rel=0.15)
    assert 0.6 * expected < found <= 1.05 * expected


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (7, 10), (10, 10)])
@pytest.mark.parametrize("correlation", [0.05, 0.4, 0.9])
def test_the_rate_of_correlated_clips_is_the_mean_over_what_they_have_in_common(k, n, correlation):
    def at(common):
        root = np.sqrt(correlation)
        given = stats.norm.cdf((stats.norm.ppf(0.02) + root * common) / np.sqrt(1 - correlation))
        return stats.norm.pdf(common) * given * stats.binom.sf(k - 2, n - 1, given)

    expected, _ = integrate.quad(at, -10, 10, epsabs=1e-14, limit=500)
    found = alarm_rate(0.02, n_anomalous=k, n_clips=n, correlation=correlation)
    assert found == pytest.approx(expected, rel=0.02)
    assert k == 1 or found > alarm_rate(0.02, n_anomalous=k, n_clips=n)


def test_the_correlation_of_a_window_is_the_mean_of_its_pairs():
    request = REQUEST(correlations=(0.6, 0.5))
    assert [request.correlation(n) for n in (1, 2, 3, 4)] == [0.0, 0.6, 0.5, 0.5]
    assert REQUEST(correlations=(-0.5,)).correlation(2) == 0.0


def test_clips_that_share_sound_correlate_by_their_share_of_it():
    assert overlap_correlations(clip_seconds=10.0, hop_seconds=10.0, longest=10) == ()
    assert overlap_correlations(clip_seconds=10.0, hop_seconds=5.0, longest=4) == pytest.approx((0.5, 1.0 / 3, 1.5 / 6))
    assert overlap_correlations(clip_seconds=10.0, hop_seconds=2.5, longest=3) == pytest.approx((0.75, 2.0 / 3))


def test_the_correlation_of_scores_is_found_in_their_p_values():
    noise = np.random.default_rng(0).standard_normal(100_001)
    scores = (noise[1:] + noise[:-1]) / np.sqrt(2.0)  # of clips that share half of their sound
    found = score_correlations(stats.norm.sf(scores).tolist(), 4)
    assert found[0] == pytest.approx(0.5, abs=0.02)
    assert np.all(np.array(found) >= [0.48, 1.0 / 3 - 0.02, 1.5 / 6 - 0.02])  # as they are, or a little more
    assert score_correlations([0.5] * 10, 4) == score_correlations([0.5], 4) == ()


KINDS = ("of clips that share half of their sound", "that wander within minutes", "with a noise that comes and goes")


@pytest.mark.parametrize("kind", KINDS)
def test_the_alarms_of_normal_scores_that_depend_on_each_other_keep_to_the_rate(kind):
    rng, n_learned, n_live, request = np.random.default_rng(0), 1_500, 1_000_000, REQUEST(clip_every="5s")
    noise = rng.standard_normal(n_learned + n_live + 1)
    scores = (noise[1:] + noise[:-1]) / np.sqrt(2.0)
    if kind == "that wander within minutes":
        slow = signal.lfilter([np.sqrt(1 - 0.96**2)], [1, -0.96], rng.standard_normal(len(scores)))
        scores = np.sqrt(0.7) * scores + np.sqrt(0.3) * slow
    if kind == "with a noise that comes and goes":  # every ten minutes, for half a minute
        for start in np.flatnonzero(rng.random(len(scores)) < 5.0 / 600.0):
            scores[start : start + rng.geometric(5.0 / 30.0)] += 2.5
    learned = Calibration.from_scores({"": scores[:n_learned]}, origin="fresh")
    own, per_day = learned.p_values(scores[:n_learned]).tolist(), []
    for correlations in (score_correlations(own, 10), ()):
        found = candidate_rules(learned, replace(request, correlations=correlations))[0]
        is_anomalous = learned.p_values(scores[n_learned:]) <= found.p_value
        is_on = np.convolve(is_anomalous, np.ones(found.n_clips), "valid") >= found.n_anomalous
        per_day.append(int((is_on[1:] & ~is_on[:-1]).sum()) / (n_live * 5.0 / 86_400))
    counted, independent = per_day  # 1 was asked for, in 58 days
    assert independent > 5.0
    assert counted < (0.2 * independent if kind == KINDS[2] else 1.5)  # of which the learning period has heard little


def test_each_proposed_rule_keeps_to_the_rate_by_its_bound_with_the_largest_p_value_that_does():
    rules = candidate_rules(calibration(source=200, target=50), REQUEST(longest=8))
    assert len({(r.n_anomalous, r.n_clips) for r in rules}) == len(rules) > 5
    for found in rules:
        assert found.bound_per_day <= found.asked_per_day == pytest.approx(1.0)
        assert found.expected_per_day <= found.bound_per_day <= found.dependent_per_day
        m_source, m_target = (np.floor(found.p_value * (n + 1) + 1e-9) for n in (200, 50))
        share = max(stats.beta.ppf(0.95, m_source, 201 - m_source), stats.beta.ppf(0.95, m_target, 51 - m_target))
        odd_and_rest = share * stats.binom.sf(found.n_anomalous - 2, found.n_clips - 1, share)
        assert found.bound_per_day == pytest.approx(8_640 * odd_and_rest, rel=1e-6)
        assert found.dependent_per_day == pytest.approx(8_640 * share, rel=1e-6)


def test_ten_clips_support_no_rule_of_single_clips_below_one_in_eleven_and_it_is_said_what_they_do_support():
    with pytest.raises(SettingsError) as caught:
        candidate_rules(calibration(source=990, target=10), REQUEST(longest=1))
    message = str(caught.value)
    assert "1/day cannot be promised: 10 target clip(s) support no rate below 1/11 a clip" in message
    assert "32.7/hour" in message  # 360 an hour, by 11
    assert "bounded by 93.2/hour" in message  # 360 times the beta quantile 0.2589
    assert "\n" not in message


def test_no_rule_looks_at_p_values_that_no_clip_can_have():
    for found in candidate_rules(calibration(source=990, target=10), REQUEST(false_alarms="1/h")):
        assert found.p_value >= 1 / 11


def test_more_clips_allow_a_shorter_window():
    def shortest(n):
        rules = candidate_rules(calibration(normal=n), REQUEST(longest=12))
        return min(found.n_clips for found in rules)

    assert shortest(2_000) < shortest(100) < shortest(10)


@pytest.mark.parametrize(("rate", "longest", "message"), [("1/s", 5, "alarm at every clip"), ("1/day", 0, "0 clips")])
def test_a_rate_or_a_window_that_makes_no_sense_is_refused(rate, longest, message):
    with pytest.raises(SettingsError, match=message):
        REQUEST(false_alarms=rate, longest=longest)


def test_the_bound_covers_the_true_rate_of_nineteen_draws_of_twenty():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(600):
        threshold = np.sort(rng.uniform(size=40))[-3]  # the three highest of 40 are anomalous: p <= 3 / 41
        covered.append(1.0 - threshold <= upper_share(3, 40))
    assert 0.92 < np.mean(covered) < 0.98


class TestReplay:
    def test_alarms_are_counted_and_bounded(self):
        p_values = np.full(8_640, 0.9)
        p_values[[100, 101, 5_000, 5_001]] = 0.01
        found = replay(p_values.tolist(), rule(), rng=np.random.default_rng(0))
        assert (found.n_clips, found.n_anomalous, found.n_alarms) == (8_640, 4, 2)
        assert found.per_day == pytest.approx(2.0)
        assert found.upper_per_day >= stats.chi2.ppf(0.95, 6) / 2 - 1e-9

    def test_no_alarm_in_a_day_bounds_the_rate_at_three_a_day(self):
        found = replay([0.9] * 8_640, rule(), rng=np.random.default_rng(0))
        assert found.per_day == 0.0
        assert found.upper_per_day == pytest.approx(2.9957, abs=1e-3)
        assert found.clustering is None

    def test_alarms_that_come_together_have_a_wider_bound_than_as_many_that_do_not(self):
        def bound(starts):
            p_values = np.full(9_000, 0.9)
            for start in starts:
                p_values[start : start + 2] = 0.01
            return replay(p_values.tolist(), rule(), rng=np.random.default_rng(0)).upper_per_day

        together = [block + 6 * index for block in (300, 6_000) for index in range(10)]
        assert bound(together) > 1.3 * bound(range(100, 8_900, 440))

    def test_neighbours_that_are_alike_are_noticed(self):
        rng = np.random.default_rng(0)
        independent = rng.uniform(size=20_000)
        alike = np.repeat(rng.uniform(size=4_000), 5)
        for p_values, low, high in ((independent, 0.8, 1.2), (alike, 6.0, 10.0)):
            found = replay(p_values.tolist(), rule(p_value=0.1), rng=rng)
            assert found.clustering is not None
            assert low < found.clustering < high

    def test_the_seed_decides_on_the_blocks_that_are_drawn(self):
        p_values = np.random.default_rng(0).uniform(size=5_000).tolist()
        loose = rule(p_value=0.3)
        same = [replay(p_values, loose, rng=np.random.default_rng(0)) for _ in range(2)]
        assert same[0] == same[1]

    def test_a_recording_shorter_than_a_window_is_refused(self):
        with pytest.raises(SettingsError, match=r"2 clip\(s\); the rule needs 3"):
            replay([0.5, 0.5], rule(), rng=np.random.default_rng(0))
