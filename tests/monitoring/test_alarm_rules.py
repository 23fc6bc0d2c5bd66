"""A rule raises no more alarms than it promises, and nothing is promised that the clips cannot support."""

import numpy as np
import pytest
from scipy import stats

from soundness.errors import SettingsError
from soundness.monitoring.alarm_rates import alarm_rate, parse_rate, upper_share
from soundness.monitoring.alarm_rules import candidate_rules, replay
from soundness.scoring.alarms import AlarmRule, AlarmWindow
from soundness.scoring.calibration import Calibration


def calibration(**counts):
    rng = np.random.default_rng(0)
    return Calibration.from_scores({name: rng.normal(size=n) for name, n in counts.items()}, origin="fresh")


def rule(p_value=0.1, n_anomalous=2, n_clips=3, every=10.0):
    return AlarmRule(p_value, n_anomalous, n_clips, every, 1.0, 0.5, 0.9, 100.0)


def alarms(p_values, found):
    window = AlarmWindow(found)
    return [window.add(p_value) for p_value in p_values]


def test_an_alarm_begins_with_the_clip_that_completes_it_and_is_not_told_again_while_it_goes_on():
    p_values = [0.05, 0.5, 0.1, 0.02, 0.9, 0.9, 0.9, 0.01, 0.01]
    assert alarms(p_values, rule()) == [False, False, True, False, False, False, False, False, True]


def test_a_window_goes_on_from_the_clips_before_it():
    p_values = [0.05, 0.5, 0.1, 0.02, 0.9, 0.9, 0.9, 0.01, 0.01]
    whole = alarms(p_values, rule())
    for split in range(len(p_values) + 1):
        later = AlarmWindow(rule(), [p <= 0.1 for p in p_values[:split]])
        assert [later.add(p) for p in p_values[split:]] == whole[split:]


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (3, 5)])
def test_independent_clips_raise_no_more_alarms_than_expected_and_nearly_as_many_when_odd_ones_are_rare(k, n):
    p_values = np.random.default_rng(2).uniform(size=60_000)
    share = 0.15
    found = np.mean(alarms(p_values, rule(p_value=share, n_anomalous=k, n_clips=n)))
    expected = alarm_rate(share, n_anomalous=k, n_clips=n)
    exact = stats.binom.pmf(k - 1, n - 1, share) * share * (1 - share)  # the newest is odd, the one that left was not
    assert found == pytest.approx(exact, rel=0.15)
    assert 0.6 * expected < found <= 1.05 * expected


def test_each_proposed_rule_keeps_to_the_rate_by_its_bound_with_the_largest_p_value_that_does():
    known, per_second = calibration(source=200, target=50), parse_rate("1/day")
    rules = candidate_rules(known, per_second=per_second, clip_every_seconds=10.0, longest=8)
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
        candidate_rules(
            calibration(source=990, target=10), per_second=parse_rate("1/day"), clip_every_seconds=10.0, longest=1
        )
    message = str(caught.value)
    assert "1/day cannot be promised: 10 target clip(s) support no rate below 1/11 a clip" in message
    assert "32.7/hour" in message  # 360 an hour, by 11
    assert "bounded by 93.2/hour" in message  # 360 times the beta quantile 0.2589
    assert "\n" not in message


def test_no_rule_looks_at_p_values_that_no_clip_can_have():
    known = calibration(source=990, target=10)
    for found in candidate_rules(known, per_second=parse_rate("1/h"), clip_every_seconds=10.0, longest=10):
        assert found.p_value >= 1 / 11


def test_more_clips_allow_a_shorter_window():
    def shortest(n):
        rules = candidate_rules(
            calibration(normal=n), per_second=parse_rate("1/day"), clip_every_seconds=10.0, longest=12
        )
        return min(found.n_clips for found in rules)

    assert shortest(2_000) < shortest(100) < shortest(10)


@pytest.mark.parametrize(("rate", "longest", "message"), [("1/s", 5, "alarm at every clip"), ("1/day", 0, "0 clips")])
def test_a_rate_or_a_window_that_makes_no_sense_is_refused(rate, longest, message):
    with pytest.raises(SettingsError, match=message):
        candidate_rules(calibration(normal=50), per_second=parse_rate(rate), clip_every_seconds=10.0, longest=longest)


def test_the_bound_covers_the_true_rate_of_nineteen_draws_of_twenty():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(600):
        threshold = np.sort(rng.uniform(size=40))[-3]  # the three highest of 40 lie above what is odd: p <= 3 / 41
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
        with pytest.raises(SettingsError, match=r"2 clip\(s\); the rule looks at 3"):
            replay([0.5, 0.5], rule(), rng=np.random.default_rng(0))
