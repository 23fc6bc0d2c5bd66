"""Distances to several domains made comparable, by hand."""

import numpy as np

from soundness.scoring.normalization import new_normalization


def test_quantiles_by_hand():
    normalization = new_normalization("quantile", np.array([1.0, 3.0, 2.0]), np.zeros(3, int), n_domains=1)
    # -log(3/4), -log(2/4), -log(1/4) at 1, 2, 3; beyond: the mean above the median, 3, less the median, 2.
    at = normalization(np.array([[1.0], [2.0], [2.5], [3.0], [5.0], [0.0]]))[:, 0]
    logs = -np.log([0.75, 0.5, 0.25])
    np.testing.assert_allclose(at, [*logs[:2], logs[1:].mean(), logs[2], logs[2] + 2, logs[0] - 1])


def test_z_scores_by_hand():
    left_out, domains = np.array([1.0, 2.0, 3.0, 10.0, 10.0, 16.0]), np.repeat([0, 1], 3)
    z_scores = new_normalization("z-score", left_out, domains, n_domains=2)
    # Means 2 and 12, variances 2/3 and 8.
    np.testing.assert_allclose(z_scores(np.array([[4.0, 4.0]])), [[2 / np.sqrt(2 / 3), -8 / np.sqrt(8)]])


def test_raw_distances_stay_as_they_are():
    distances = np.array([[4.0, -1.0]])
    assert np.array_equal(new_normalization("min", np.ones(3), np.zeros(3, int), n_domains=2)(distances), distances)


def test_shrunk_z_scores_by_hand():
    left_out, domains = np.array([1.0, 2.0, 3.0, 10.0]), np.array([0, 0, 0, 1])
    normalization = new_normalization("shrunk-z-score", left_out, domains, n_domains=3)
    # Mean 4 of all and variance 12.5; domain means (6 + 20) / 8, (10 + 20) / 6, and 4 without a clip.
    means, deviation = np.array([3.25, 5.0, 4.0]), np.sqrt(12.5)
    np.testing.assert_allclose(normalization(np.array([[7.0, 7.0, 7.0]])), [(7 - means) / deviation])
