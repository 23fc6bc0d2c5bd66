"""Whitening by hand and by scikit-learn, and without one of the clips."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import empirical_covariance, ledoit_wolf, shrunk_covariance

from scorer_vectors import random_training, training_of, vectors_of, within
from soundness.errors import DataError
from soundness.scoring import whitening
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.whitening import shrunk_inverse_root
from soundness.settings.scoring import ScorerSettings


def test_whitening_by_ledoit_and_wolf_is_scikit_learns_inverse_root():
    vectors, domains = vectors_of(40, n_features=6)
    centred = vectors - vectors.mean(axis=0)
    covariance = ledoit_wolf(centred, assume_centered=True)[0] * 40 / 39
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="ledoit-wolf"))
    np.testing.assert_allclose(root @ covariance @ root, np.eye(6), atol=1e-9)


def test_eigenvalues_are_floored_at_a_share_of_their_mean():
    vectors = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.01], [0.0, -0.01]])  # variances 6 and 1/15,000, mean 3
    root = whitening.shrunk_inverse_root(vectors, np.zeros(4, int), shrinkage=1e-12, eigenvalue_floor=0.5)
    np.testing.assert_allclose(root, np.diag([6**-0.5, 1.5**-0.5]), rtol=1e-4)


def test_standardised_whitening_does_not_depend_on_units():
    training = training_of(12, 6)
    units = np.array([1e-3, 1.0, 1e3, 1e5, 1e-6])
    other = replace(training, vectors=training.vectors * units)
    chosen = ScorerSettings(whitening="shrunk", is_standardised=True)
    one, two = (NearestNeighborScorer.fit(clips, chosen) for clips in (training, other))
    query = training_of(1, 1, seed=3).vectors[0]
    assert two.score(query * units) == pytest.approx(one.score(query), rel=1e-6)
    plain = [NearestNeighborScorer.fit(c, ScorerSettings(whitening="shrunk")) for c in (training, other)]
    assert plain[1].score(query * units) != pytest.approx(plain[0].score(query), rel=1e-2)


def test_scaled_shrinkage_is_a_share_of_features_over_clips():
    vectors, domains = vectors_of(12, 6)  # 5 features, 16 degrees of freedom
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="scaled", shrinkage=0.1))
    expected = whitening.shrunk_inverse_root(vectors, domains, shrinkage=0.1 * 5 / 16)
    np.testing.assert_allclose(root, expected, rtol=1e-12)
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="scaled", shrinkage=1.0))
    np.testing.assert_allclose(root, whitening.shrunk_inverse_root(vectors, domains, shrinkage=0.1), rtol=1e-12)


@pytest.mark.parametrize("shrinkage", [0.01, 0.1, 0.5, 1.0])
def test_whitening_is_the_inverse_root_of_scikit_learns_shrunk_covariance(shrinkage):
    rng = np.random.default_rng(0)
    domains = np.repeat([0, 1], [30, 12])
    vectors = rng.standard_normal((42, 6)) @ rng.standard_normal((6, 6)) + 50 * domains[:, None]
    unbiased = empirical_covariance(within(vectors, domains), assume_centered=True) * 42 / 40
    whitening = shrunk_inverse_root(vectors, domains, shrinkage=shrinkage)
    np.testing.assert_allclose(
        whitening @ shrunk_covariance(unbiased, shrinkage=shrinkage) @ whitening, np.eye(6), atol=1e-9
    )
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-12)
    assert np.linalg.eigvalsh(whitening).min() > 0


def test_with_hardly_any_shrinkage_whitened_vectors_have_the_identity_as_covariance():
    rng = np.random.default_rng(1)
    domains = np.repeat([0, 1, 2], [40, 20, 3])
    vectors = rng.standard_normal((63, 4)) * [1, 10, 100, 0.1] + 500 * domains[:, None]
    whitened = within(vectors @ shrunk_inverse_root(vectors, domains, shrinkage=1e-9), domains)
    np.testing.assert_allclose(whitened.T @ whitened / 60, np.eye(4), atol=1e-3)


def test_whitening_worked_out_by_hand():
    # About the domains' means: +-1 and +-2 on the axes; 4 clips, 2 domains: variances 2/2 = 1 and 8/2 = 4.
    vectors = np.array([[1.0, 0.0], [-1.0, 0.0], [10.0, 2.0], [10.0, -2.0]])
    whitening = shrunk_inverse_root(vectors, np.array([0, 0, 1, 1]), shrinkage=1e-12)
    np.testing.assert_allclose(whitening, [[1.0, 0.0], [0.0, 0.5]], atol=1e-9)
    # Half shrunk towards their mean 2.5: 1.75 and 3.25.
    whitening = shrunk_inverse_root(vectors, np.array([0, 0, 1, 1]), shrinkage=0.5)
    np.testing.assert_allclose(whitening, np.diag([1.75**-0.5, 3.25**-0.5]), atol=1e-12)


def test_whitening_needs_no_more_clips_than_features():
    rng = np.random.default_rng(2)
    assert np.isfinite(shrunk_inverse_root(rng.standard_normal((3, 50)), np.zeros(3, int), shrinkage=0.1)).all()


@pytest.mark.parametrize("domains", [[0, 0, 0], [0, 1, 2]])
def test_clips_that_do_not_vary_within_a_domain_cannot_be_whitened_by(domains):
    with pytest.raises(DataError, match="no two training clips of a domain differ"):
        shrunk_inverse_root(np.ones((3, 4)) * np.array(domains)[:, None], np.array(domains), shrinkage=0.1)


def test_the_shrinkage_matters():
    training, query = random_training(), random_training(seed=6).vectors[0]
    scores = [
        NearestNeighborScorer.fit(training, ScorerSettings(whitening="shrunk", shrinkage=value)).score(query)
        for value in (0.1, 0.9)
    ]
    assert scores[0] != scores[1]
