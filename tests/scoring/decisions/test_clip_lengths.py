"""Recordings of any length keep the promised rate, or are not decided."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.decisions.clip_lengths import (
    ClipLengths,
    Tail,
    recording_p_value,
    recording_threshold,
    window_rate,
)


def calibration(scores, *, domain=""):
    return Calibration.from_scores({domain: np.asarray(scores, np.float64)}, origin="left-out")


def test_a_rate_of_windows_makes_the_rate_of_the_recording():
    assert window_rate(0.1, 1) == pytest.approx(0.1)
    for n_windows in (1.6, 60, 720):
        assert 1 - (1 - window_rate(0.1, n_windows)) ** n_windows == pytest.approx(0.1)


def test_the_tail_is_that_of_an_exponential_with_the_doubt_of_its_few_scores():
    # The largest eight of 100 scores: as many as a tenth would be ten, so ten; share 11/101, mean excess by hand.
    scores = np.arange(100.0)
    tail = Tail.from_scores(scores)
    assert (tail.start, tail.n_scores) == (89.0, 10)
    assert tail.share == pytest.approx(11 / 101)
    assert tail.mean_excess == pytest.approx(5.5)
    assert tail.p_value(89.0 + 55.0) == pytest.approx(11 / 101 * 2.0**-10)  # (1 + 55 / (10 * 5.5))^-10
    assert tail.score(tail.p_value(120.0)) == pytest.approx(120.0)


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=60),
    st.sampled_from([1.0, 1.6, 5.0, 60.0, 720.0]),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.floats(-200, 2_000),
)
def test_a_recording_is_above_its_threshold_exactly_where_its_p_value_reaches_the_rate(scores, n_windows, rate, score):
    found = calibration(scores)
    threshold = recording_threshold(found, rate, n_windows=n_windows)
    p_value = recording_p_value(found, score, n_windows=n_windows)
    assert 0.0 <= p_value <= 1.0
    if math.isfinite(threshold) and not math.isclose(score, threshold, rel_tol=1e-6, abs_tol=1e-6):
        assert (score > threshold) == (p_value <= rate * (1 + 1e-9))


def test_more_windows_need_a_higher_score():
    found = calibration(np.random.default_rng(0).standard_normal(40))
    thresholds = [recording_threshold(found, 0.1, n_windows=n) for n in (1, 2, 4, 15, 60, 720)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] == found.threshold(0.1)
    assert recording_p_value(found, 10.0, n_windows=60) > recording_p_value(found, 10.0, n_windows=1)


def test_the_domain_of_the_largest_p_value_counts():
    rng = np.random.default_rng(1)
    scores = {"source": rng.standard_normal(60), "target": 5 + rng.standard_normal(30)}
    both = Calibration.from_scores(scores, origin="left-out")
    target = calibration(scores["target"], domain="target")
    assert recording_threshold(both, 0.1, n_windows=20) == recording_threshold(target, 0.1, n_windows=20)
    assert recording_p_value(both, 7.0, n_windows=20) == recording_p_value(target, 7.0, n_windows=20)


@pytest.mark.parametrize("n_clips", [14, 40, 100])
@pytest.mark.parametrize("n_windows", [4, 60])
@pytest.mark.parametrize("kind", ["normal", "gamma", "exponential"])
def test_normal_recordings_are_flagged_at_most_at_the_rate(kind, n_windows, n_clips):
    rng = np.random.default_rng(2)
    draw = {
        "normal": rng.standard_normal,
        "gamma": lambda size: rng.gamma(3.0, size=size),
        "exponential": lambda size: rng.exponential(size=size),
    }[kind]
    highest = draw((2_000, n_windows)).max(axis=1)
    thresholds = [recording_threshold(calibration(draw(n_clips)), 0.1, n_windows=n_windows) for _ in range(200)]
    assert np.mean([(highest > threshold).mean() for threshold in thresholds]) < 0.115


def test_a_clip_is_as_long_as_the_training_recordings_are():
    assert ClipLengths.from_recordings(np.array([10.0, 10.0, 11.0])).clip_seconds == 10.0
    assert ClipLengths.from_recordings(np.array([600.0, 600.0])).clip_seconds == 10.0
    assert ClipLengths.from_recordings(np.array([7_200.0]), asked=6.0).clip_seconds == 6.0


def test_recordings_as_short_as_some_of_the_training_count_as_whole():
    same = ClipLengths.from_recordings(np.full(20, 10.0))
    assert same.full_seconds == 9.0
    mixed = ClipLengths.from_recordings(np.concatenate([np.full(10, 5.0), np.full(20, 10.0)]))
    assert mixed.full_seconds == 5.0


def test_a_short_recording_has_the_calibration_of_the_longest_length_that_it_reaches():
    full = calibration(np.arange(10.0))
    short = {length: calibration(np.arange(10.0) + length) for length in (5.0, 2.5, 1.25)}
    lengths = ClipLengths(clip_seconds=10.0, full_seconds=9.0, short=short)
    assert lengths.short_seconds == (5.0, 2.5, 1.25)
    assert lengths.calibration(9.0, full) is full
    for seconds, length in ((8.99, 5.0), (5.0, 5.0), (4.9, 2.5), (1.3, 1.25)):
        assert lengths.calibration(seconds, full) is short[length]
        assert not lengths.is_too_short(seconds)
    assert lengths.is_too_short(1.24)
    assert lengths.reason(1.0) == (
        "1.0 s long; the detector learned clips of 10.0 s, and can tell normal from anomalous from 1.25 s on"
    )
    assert ClipLengths(clip_seconds=10.0, full_seconds=9.0).is_too_short(8.0)


def test_no_recording_of_less_than_a_second_is_decided_unless_the_clips_are_as_short():
    lengths = ClipLengths.from_recordings(np.full(9, 2.0))
    assert lengths.short_seconds == (1.0,)
    with_short = ClipLengths(clip_seconds=2.0, full_seconds=1.8, short={1.0: calibration(np.arange(9.0))})
    assert with_short.is_too_short(0.99)
    assert not with_short.is_too_short(1.0)
    assert not ClipLengths.from_recordings(np.full(9, 0.4)).is_too_short(0.37)
