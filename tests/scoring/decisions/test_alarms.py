"""An alarm begins with the clip that completes it, and rates are shown in a unit that is easy to imagine."""

from functools import partial

import numpy as np
import pytest

import monitored
from soundness.scoring.decisions.alarms import AlarmWindow, duration, rate_in, rate_per_day

rule = partial(monitored.rule, n_anomalous=2, n_clips=3, p_value=0.1)


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


@pytest.mark.parametrize(
    ("per_day", "words"),
    [(48.0, "2/hour"), (1.0, "1/day"), (2.5 / 7, "2.5/week"), (1 / 365, "1/year"), (1e-3, "0.36/year")],
)
def test_a_rate_is_shown_in_a_unit_that_is_easy_to_imagine(per_day, words):
    assert rate_per_day(per_day) == words


def test_rates_of_a_table_have_one_unit():
    assert [rate_in(rate, "day") for rate in (1867.2, 17.1, 0.974, 0.00178, 1e-6, 0.0)] == [
        "1,867", "17.1", "0.974", "0.0018", "< 0.001", "0"
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (80, 100.0, 600, 7200)] == ["80 s", "100 s", "10 min", "2 h"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_the_chance_of_an_alarm_is_that_of_many_faults(share):
    found = rule(n_anomalous=3, n_clips=5)
    clips = np.random.default_rng(0).random((20_000, 5)) < share
    assert found.chance_of_alarm(share) == pytest.approx((clips.sum(axis=1) >= 3).mean(), abs=0.01)
