import numpy as np
import pytest

from soundness.monitoring.learning.trend import BLOCK_US, Trend

CLIPS_AN_HOUR = 20


def run(trend, hours, *, start=0):
    """Changes of hours whose clips have these levels, with the hour of each."""
    found = []
    for hour, levels in enumerate(hours, start=start):
        for place, level in enumerate(levels):
            step = trend.add(level, time_us=hour * BLOCK_US + place * BLOCK_US // len(levels))
            found += [(step.change, hour)] if step.change else []
    return found


def normal(n_hours, rng, shift=0.0):
    return rng.standard_normal((n_hours, CLIPS_AN_HOUR)) + np.broadcast_to(shift, n_hours)[:, None]


def test_hours_that_come_and_go_are_no_trend_in_years():
    rng = np.random.default_rng(0)
    hours = 0.6 * np.sin(np.arange(8_760 * 2) / 24 * 2 * np.pi)  # two years of days and nights
    assert run(Trend.against([0.4, -0.4, 0.1, 0.5, -0.5, 0.0]), normal(len(hours), rng, hours)[:, ::4]) == []


@pytest.mark.parametrize(("speed", "days"), [(0.2, 15), (1.0, 4), (5.0, 2)])
def test_a_slow_rise_is_found_with_its_beginning(speed, days):
    rng, start = np.random.default_rng(1), 100
    shift = np.maximum(0.0, (np.arange(start + 24 * days) - start) / 24 * speed)
    trend = Trend()
    found = run(trend, normal(len(shift), rng, shift))
    assert [change for change, _ in found] == ["raised"]
    assert start <= trend.since_us / BLOCK_US <= found[0][1]
    assert trend.is_on


def test_it_ends_when_the_level_is_normal_again():
    rng, trend = np.random.default_rng(2), Trend()
    shift = np.concatenate([np.zeros(10), np.full(60, 3.0), np.zeros(200)])
    found = run(trend, normal(len(shift), rng, shift))
    assert [change for change, _ in found] == ["raised", "ended"]
    assert not trend.is_on


def test_a_level_that_was_accepted_is_no_trend_any_more_and_a_further_rise_is():
    rng, trend = np.random.default_rng(3), Trend()
    run(trend, normal(80, rng, 3.0))
    assert trend.is_on
    assert trend.accept() == 0.0
    assert trend.reference == pytest.approx(3.0, abs=0.2)
    assert run(trend, normal(200, rng, 3.0), start=80) == []
    assert [change for change, _ in run(trend, normal(100, rng, 5.0), start=280)] == ["raised"]


def test_too_little_to_know_is_not_accepted():
    assert Trend().accept() is None


def test_the_margin_is_wider_where_hours_of_the_learning_period_differed():
    assert Trend.against([0.0, 0.1, 0.0]).margin == 0.75
    assert Trend.against([0.0, 2.0, 1.0]).margin == pytest.approx(2.0)
    assert Trend.against([0.0, 2.0, 1.0]).reference == 1.0


def test_clips_of_alarms_and_hours_of_few_clips_do_not_count():
    trend = Trend()
    run(trend, [[None] * 50, [5.0] * 4, [1.0]])
    assert trend.levels == []


def test_it_goes_on_where_it_was():
    rng, trend = np.random.default_rng(4), Trend.against([0.1, 0.2, 0.1])
    run(trend, normal(30, rng, 1.5))
    again = Trend.resume(trend.as_details())
    rest = normal(30, rng, 1.5)
    assert run(trend, rest, start=30) == run(again, rest, start=30)
    assert again.as_details() == trend.as_details()
