"""P-values are exact, agree with the threshold to the last tie, and hold for exchangeable clips."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.errors import DataError
from soundness.scoring.decisions.calibration import Calibration, Threshold, n_flagged

TIED = st.lists(st.integers(0, 6).map(float), min_size=2, max_size=25)


def calibration(origin="fresh", **scores):
    return Calibration.from_scores({k: np.array(v, dtype=float) for k, v in scores.items()}, origin=origin)


@pytest.mark.parametrize(("score", "p_value"), [(0.5, 1.0), (1.0, 1.0), (1.5, 0.8), (3.0, 0.6), (4.0, 0.4), (4.1, 0.2)])
def test_a_p_value_is_the_share_of_clips_that_score_at_least_as_high_the_clip_among_them(score, p_value):
    assert calibration(normal=[4, 1, 3, 2]).p_value(score) == p_value  # of 4 and the clip itself: 5


def test_a_tie_counts_against_the_clip():
    found = calibration(normal=[1, 2, 2, 2, 3])
    assert found.p_value(2.0) == 5 / 6
    assert found.p_value(np.nextafter(2.0, 3.0)) == 2 / 6


def test_the_largest_p_value_of_the_domains_is_the_clips():
    found = calibration(source=range(9), target=[100, 101, 102])
    assert found.p_value(50.0) == 1.0  # 1/10 as a source clip, but not anomalous as a target clip
    assert found.p_value(101.5) == 2 / 4
    assert found.p_value(1000.0) == found.smallest == 1 / 4


def test_p_values_of_many_clips_are_those_of_each():
    rng = np.random.default_rng(0)
    found = calibration(source=rng.integers(0, 9, 30), target=rng.integers(3, 12, 7))
    scores = rng.integers(0, 14, 50).astype(float)
    assert found.p_values(scores).tolist() == [found.p_value(score) for score in scores]


@settings(max_examples=120, deadline=None)
@given(TIED, TIED, st.floats(-1, 8), st.integers(1, 40), st.integers(1, 40))
def test_a_score_lies_above_the_threshold_of_a_rate_exactly_if_its_p_value_is_that_or_less(a, b, score, top, bottom):
    found = calibration(source=a, target=b)
    for rate in (top / (top + bottom), 0.1, 1 / (len(a) + 1), 1 - 1 / (len(b) + 1)):
        for value in (score, round(score)):
            assert (value > found.threshold(rate)) == (found.p_value(value) <= rate)


@settings(max_examples=80, deadline=None)
@given(TIED, TIED, st.floats(0.05, 0.95))
def test_the_decision_of_a_detector_is_that_of_its_p_values_where_the_clips_support_its_rate(a, b, rate):
    found = calibration(source=a, target=b)
    threshold = Threshold.from_scores(found.scores, false_alarm_rate=rate)
    if rate >= found.smallest:
        assert threshold.value == found.threshold(rate)
    else:
        assert found.threshold(rate) == math.inf
        assert threshold.notes


@given(st.integers(1, 2000), st.floats(0.0, 1.0))
def test_the_number_of_flagged_clips_is_the_largest_whose_p_value_keeps_to_the_rate(n, rate):
    expected = max(m for m in range(n + 2) if m == 0 or m / (n + 1) <= rate)
    assert n_flagged(rate, n) == expected


def test_normal_clips_are_flagged_at_the_rate_that_is_promised():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(2_000):
        found = calibration(normal=rng.exponential(size=19))
        shares.append(np.mean(found.p_values(rng.exponential(size=20)) <= 0.1))
    # each p-value is one of 1/20 ... 20/20, equally often: 0.1 is promised and kept, within 5 standard errors
    assert np.mean(shares) == pytest.approx(0.1, abs=5 * np.std(shares) / math.sqrt(2_000))


def test_the_promise_is_kept_whichever_domain_a_clip_is_of():
    rng = np.random.default_rng(1)
    rates = {"source": [], "target": []}
    for _ in range(1_500):
        found = calibration(source=rng.normal(size=39), target=rng.normal(0.7, 1.5, size=9))
        rates["source"].append(np.mean(found.p_values(rng.normal(size=20)) <= 0.1))
        rates["target"].append(np.mean(found.p_values(rng.normal(0.7, 1.5, size=20)) <= 0.1))
    assert np.mean(rates["source"]) < 0.1
    assert 0.07 < np.mean(rates["target"]) < 0.108


def test_a_single_clip_of_a_domain_does_not_count_beside_others_and_that_is_said():
    found = calibration(source=range(9), target=[100])
    assert found.p_value(50.0) == 1 / 10
    assert found.n_clips == {"source": 9}
    assert any("single target clip" in note for note in found.notes)
    assert calibration(normal=[3]).p_value(4.0) == 1 / 2


@pytest.mark.parametrize("origin", ["left-out", "trained-on", "held-out", "fresh"])
def test_the_notes_say_what_the_p_values_are_worth(origin):
    found = calibration(origin, source=range(99), target=range(10))
    assert found.is_valid == (origin != "trained-on")
    assert ("promise no rate" in found.notes[0]) == (origin == "trained-on")
    assert found.notes[-1] == "no p-value lies below 1/11: 99 source and 10 target clips calibrate them"


@pytest.mark.parametrize(("scores", "message"), [({}, "no normal clip"), ({"": [math.nan, 1.0]}, "is no number")])
def test_nothing_to_calibrate_by_is_refused(scores, message):
    with pytest.raises(DataError, match=message):
        calibration(**scores)


@pytest.mark.parametrize(
    ("n", "rate", "rank"),
    [(9, 0.1, 9), (10, 0.1, 10), (19, 0.1, 18), (99, 0.1, 90), (100, 0.1, 91), (99, 0.01, 99), (99, 0.5, 50)],
)
def test_the_threshold_is_the_conformal_rank(n, rate, rank):
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    threshold = Threshold.from_scores({"source": scores}, false_alarm_rate=rate)
    assert threshold.value == rank
    assert threshold.domains == {"source": rank}
    assert threshold.notes == ()


@pytest.mark.parametrize(("n", "rate"), [(8, 0.1), (1, 0.1), (98, 0.01)])
def test_too_few_clips_for_a_rate_are_noted_and_the_largest_is_used(n, rate):
    threshold = Threshold.from_scores({"target": np.arange(1.0, n + 1)}, false_alarm_rate=rate)
    assert threshold.value == n
    (note,) = threshold.notes
    assert f"{n} target clip(s) support no false-alarm rate below 1/{n + 1}" in note


def test_the_threshold_is_the_largest_of_the_domains():
    scores = {"source": np.arange(19.0), "target": np.arange(100.0, 119.0)}
    threshold = Threshold.from_scores(scores, false_alarm_rate=0.1)
    assert threshold.domains == {"source": 17.0, "target": 117.0}
    assert threshold.value == 117.0


def test_clips_without_a_domain_are_called_normal_in_a_note():
    (note,) = Threshold.from_scores({"": np.arange(3.0)}, false_alarm_rate=0.1).notes
    assert note.startswith("3 normal clip(s)")


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 60), st.floats(0.001, 0.999))
def test_at_most_the_stated_share_of_exchangeable_scores_lies_above(n, rate):
    # Of n + 1 exchangeable scores each is the new one equally often: leave each out, and count.
    scores = np.arange(n + 1.0)
    thresholds = [Threshold.from_scores({"": np.delete(scores, i)}, false_alarm_rate=rate) for i in range(n + 1)]
    share = np.mean([score > threshold.value for score, threshold in zip(scores, thresholds, strict=True)])
    if any(threshold.notes for threshold in thresholds):
        assert share == pytest.approx(1 / (n + 1))  # the rate that the note tells of
        assert rate < 1 / (n + 1) + 1e-6
    else:
        assert share <= rate + 1e-6
        assert share > rate - 1 / (n + 1) - 1e-6  # and not needlessly few


def test_a_lower_rate_never_has_a_lower_threshold():
    scores = {"": np.random.default_rng(1).standard_normal(57)}
    values = [Threshold.from_scores(scores, false_alarm_rate=rate).value for rate in (0.5, 0.2, 0.1, 0.05, 0.001)]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_a_domain_of_a_single_clip_does_not_set_the_threshold():
    rng = np.random.default_rng(0)
    scores = {"source": rng.normal(size=60), "target": np.array([60.0])}
    threshold = Threshold.from_scores(scores, false_alarm_rate=0.1)
    assert threshold.value == threshold.domains["source"] < 3.0
    assert any("single clip" in note for note in threshold.notes)
    alone = Threshold.from_scores({"": np.array([2.5])}, false_alarm_rate=0.1)
    assert alone.value == 2.5
