"""Rates in words and their bounds, against scipy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from soundness.errors import SettingsError
from soundness.monitoring.alarm_rates import (
    alarm_rate,
    binomial_at_least,
    parse_rate,
    parse_seconds,
    poisson_upper,
    rate_per_day,
    upper_share,
)


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


@pytest.mark.parametrize(
    ("per_day", "words"),
    [(48.0, "2/hour"), (1.0, "1/day"), (2.5 / 7, "2.5/week"), (1 / 365, "1/year"), (1e-3, "0.36/year")],
)
def test_a_rate_is_shown_in_a_unit_that_is_easy_to_imagine(per_day, words):
    assert rate_per_day(per_day) == words


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 300), st.integers(0, 320), st.floats(0.0, 1.0))
def test_the_binomial_tail_is_that_of_scipy(n, k, share):
    assert binomial_at_least(k, n, share) == pytest.approx(stats.binom.sf(k - 1, n, share), rel=1e-9, abs=1e-14)


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
