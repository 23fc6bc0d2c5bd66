"""Distances to the clips of a domain: by hand, by scikit-learn and by SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from scorer_vectors import vectors_of
from soundness.scoring.distances.to_neighbors import DensityRatio, nearest_distances
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])  # to the two nearest others: 1 3, 1 2, 2 3, 4 6; spreads 2 1.5 2.5 5


def test_density_ratio_by_hand():
    queries = np.array([[9.0], [-4.0]])
    # 9 is 9 8 6 2 away, -4 is 4 5 7 11 away.
    ratio = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2))
    assert ratio.spreads.tolist() == [2.0, 1.5, 2.5, 5.0]
    np.testing.assert_allclose(ratio.distances(queries), [2 / 5, 4 / 2])
    two = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2, n_neighbors=2))
    np.testing.assert_allclose(two.distances(queries), [(2 / 5 + 6 / 2.5) / 2, (4 / 2 + 11 / 5) / 2])


def test_a_clip_that_is_left_out_is_nobodys_neighbour():
    # Without 1: 0 is 3 and 7 from the others, 3 is 3 and 4, 7 is 4 and 7. Left out, 1 is 1 2 6 away.
    ratio, left_out = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2)), LINE[:, 0] == 1.0
    assert ratio.spreads_without(left_out).tolist() == [5.0, 3.5, 5.5]
    np.testing.assert_allclose(ratio.distances_without(LINE[1:2], LINE, left_out), [1 / 5])


def test_a_lone_clip_has_the_spread_of_the_largest_domain():
    chosen = ScorerSettings(n_density_neighbors=2)
    largest = DensityRatio.from_references(LINE, chosen)
    lone = DensityRatio.from_references(np.array([[100.0]]), chosen, largest=largest)
    np.testing.assert_allclose(lone.distances(np.array([[111.0]])), [11 / 2.75])


def test_mahalanobis_distance_to_the_mean_is_scipys():
    vectors, domains = vectors_of(25)
    chosen = ScorerSettings(distance="mahalanobis", whitening="shrunk", normalization="min")
    scorer = NearestNeighborScorer.fit(TrainingVectors.from_vectors(vectors, domains), chosen)
    covariance = np.cov(vectors, rowvar=False)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / 5 * np.eye(5)
    query = np.arange(5.0)
    apart = query - vectors.mean(axis=0)
    assert scorer.score(query[None]) ** 2 == pytest.approx(apart @ np.linalg.solve(shrunk, apart), rel=1e-9)
    assert scorer.contributions(query[None]).sum() == pytest.approx(scorer.score(query[None]) ** 2, rel=1e-9)


POINTS = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0], [0.0, 1.0]])


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (2, 0.5), (3, 2.0), (4, 4.0), (9, 4.0)])
def test_the_distances_to_the_nearest_are_averaged(k, expected):
    # From the origin: 0, 1, 5, 10.
    assert nearest_distances(np.zeros((1, 2)), POINTS, n_neighbors=k).tolist() == [expected]


def test_an_empty_bank_is_infinitely_far():
    assert nearest_distances(np.zeros((3, 2)), POINTS[:0], n_neighbors=1).tolist() == [np.inf] * 3


@pytest.mark.parametrize("k", [1, 3, 10])
def test_distances_are_scikit_learns(k):
    rng = np.random.default_rng(0)
    queries, bank = rng.standard_normal((7, 12)), rng.standard_normal((40, 12))
    expected = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bank).kneighbors(queries)[0].mean(axis=1)
    np.testing.assert_allclose(nearest_distances(queries, bank, n_neighbors=k), expected, rtol=1e-10)


def test_distances_between_large_and_nearly_equal_vectors_keep_their_digits():
    query = np.full((1, 128), 1e8)
    bank = query + np.array([[1e-3], [2e-3], [3e-3]]) * np.eye(128)[0]
    difference = bank[0, 0] - query[0, 0]  # what is left of 1e-3 at such a size
    assert difference == pytest.approx(1e-3, rel=1e-4)
    assert nearest_distances(query, bank, n_neighbors=1)[0] == difference
    assert np.sqrt(max(0.0, query[0] @ query[0] + bank[0] @ bank[0] - 2 * query[0] @ bank[0])) != difference


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 12))
def test_a_distance_does_not_depend_on_the_other_queries_nor_on_the_order_of_the_bank(seed, k, n_bank):
    rng = np.random.default_rng(seed)
    queries, bank = rng.standard_normal((5, 3)), rng.standard_normal((n_bank, 3))
    together = nearest_distances(queries, bank, n_neighbors=k)
    alone = [nearest_distances(query[None], bank, n_neighbors=k)[0] for query in queries]
    assert together.tolist() == alone
    np.testing.assert_allclose(nearest_distances(queries, rng.permutation(bank), n_neighbors=k), together, rtol=1e-12)
