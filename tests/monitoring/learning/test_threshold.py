import numpy as np
import pytest

from soundness.monitoring.learning.threshold import FollowedNormal, ScoreScale
from soundness.scoring.decisions.calibration import Calibration

SHARE = 0.05


def calibration(seed=0, n=400):
    return Calibration.from_scores({"": np.random.default_rng(seed).standard_normal(n)}, origin="fresh")


def followed(**options):
    return FollowedNormal(calibration=calibration(), share=SHARE, delay=3, **options)


def run(threshold, scores, *, frozen=()):
    flags = []
    for index, score in enumerate(scores):
        flags.append(threshold.p_value(score) <= SHARE)
        threshold.add(score, is_frozen=index in frozen)
    return np.array(flags)


@pytest.mark.parametrize("deviations", [-0.8, 0.0, 2.0, 4.0])
def test_the_promised_share_is_kept_though_normal_sound_wanders(deviations):
    n_clips = 20_000
    scores = np.random.default_rng(1).standard_normal(n_clips) + np.linspace(0.0, deviations, n_clips)
    assert SHARE / 1.5 < run(followed(), scores).mean() < 1.5 * SHARE


def test_the_promised_share_is_kept_though_scores_spread():
    scores = np.random.default_rng(1).standard_normal(20_000) * np.linspace(1.0, 1.5, 20_000)
    assert SHARE / 1.5 < run(followed(), scores).mean() < 1.5 * SHARE


def test_it_is_followed_within_bounds_alone():
    threshold = followed()
    flags = run(threshold, np.random.default_rng(1).standard_normal(4_000) + 9.0)
    assert threshold.is_at_bound
    assert threshold.offset == pytest.approx((4.0 + 1.5) * threshold.scale.deviation)
    assert flags[-500:].mean() > 0.9
    run(threshold, np.random.default_rng(1).standard_normal(9_000) - 9.0)
    assert threshold.offset == pytest.approx((-1.0 - 0.5) * threshold.scale.deviation)


def test_nothing_is_learned_while_an_alarm_is_on_nor_from_the_clips_that_led_to_it():
    threshold = followed()
    run(threshold, [-0.5, -0.5, 9.0, 9.0, 9.0, 9.0, 9.0], frozen=(5, 6))
    assert threshold.offset <= 0.0
    assert not threshold.waiting


def test_it_goes_on_where_it_was():
    threshold, again = followed(), followed()
    run(threshold, np.random.default_rng(1).standard_normal(100) + 1.0)
    again.resume(threshold.as_details())
    rest = np.random.default_rng(2).standard_normal(100)
    assert (run(threshold, rest) == run(again, rest)).all()
    assert again.offset == pytest.approx(threshold.offset, abs=1e-4)


def test_values_of_a_store_that_are_out_of_bounds_are_cut():
    threshold = followed()
    threshold.resume({"middle": 99.0, "tail": -99.0, "waiting": "30"})
    assert (threshold.middle, threshold.tail) == (4.0, -0.5)
    assert list(threshold.waiting) == [(True, True), (False, False)]


def test_a_level_is_counted_in_deviations_above_the_domain_that_fits_best():
    scores = {"a": np.linspace(-1.0, 1.0, 101), "b": np.linspace(9.0, 11.0, 101)}
    scale = ScoreScale.of(Calibration.from_scores(scores, origin="fresh"))
    assert scale.level(10.0) == pytest.approx(0.0)
    assert scale.level(0.8) == pytest.approx((0.8 - 10.0) * 1.2816 / 0.8)
    assert scale.deviation == pytest.approx(0.8 / 1.2816)
