"""Clips that are far from the others, in a covariance."""

import numpy as np

from soundness.scoring.clip_weights import _left_out_squares, clip_weights
from soundness.scoring.whitening import CrossFit, whitening_matrix
from soundness.settings.scoring import ScorerSettings


def outlier_settings(exponent=4.0):
    return ScorerSettings(whitening="scaled", shrinkage=0.01, is_standardised=True, outlier_exponent=exponent)


def test_clips_far_from_the_others_count_less_in_the_covariance():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((80, 6))
    vectors[:3, 2] += 12.0
    weights = clip_weights(vectors, np.zeros(80, np.int64), outlier_settings())
    assert weights[:3].max() < 0.2
    assert np.median(weights[3:]) > 0.9
    assert (clip_weights(vectors, np.zeros(80, np.int64), outlier_settings(0.0)) == 1.0).all()


def test_a_few_clips_that_are_not_normal_do_not_carry_the_whitening():
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((100, 6))
    faulty = vectors.copy()
    faulty[:5, 2] += 10.0
    domains = np.zeros(100, np.int64)
    clean, weighted, plain = (
        np.linalg.norm(np.eye(6)[2] @ whitening_matrix(own, domains, outlier_settings(exponent)))
        for own, exponent in ((vectors, 0.0), (faulty, 4.0), (faulty, 0.0))
    )
    assert plain < 0.6 * clean
    assert weighted > 0.85 * clean


def test_few_clips_count_alike():
    vectors = np.random.default_rng(2).standard_normal((30, 6))
    vectors[0] += 20.0
    assert (clip_weights(vectors, np.zeros(30, np.int64), outlier_settings()) == 1.0).all()


def test_the_distances_of_the_weights_are_those_without_the_clip():
    rng = np.random.default_rng(3)
    vectors, domains = rng.standard_normal((60, 5)) * [1, 2, 3, 4, 5], np.repeat([0, 1], 30)
    settings = outlier_settings(0.0)
    squares = _left_out_squares(vectors, domains, np.ones(60), settings)
    crossfit = CrossFit(vectors, domains, settings)
    for clip in (0, 17, 42):
        embedded = crossfit.without(clip)(vectors)
        here = (domains == domains[clip]) & (np.arange(60) != clip)
        expected = np.square(embedded[here] - embedded[clip]).sum(axis=1)
        np.testing.assert_allclose(squares[clip, here], expected, rtol=0.05)
