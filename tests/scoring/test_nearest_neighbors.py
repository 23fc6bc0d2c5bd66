"""The report's score by hand, its left-out scores, and clips that are few or alike."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import shrunk_covariance
from sklearn.neighbors import NearestNeighbors

from scorer_vectors import (
    DEVIATIONS,
    LINE,
    LINE_DOMAINS,
    MEANS,
    one_condition,
    random_training,
    training_of,
    within,
)
from soundness.errors import DataError
from soundness.scoring.memory_bank import MemoryBank
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings


def test_the_minimum_is_of_the_distances_to_each_domain():
    training = TrainingVectors.from_vectors(np.array([[0.0], [2.0], [5.0], [6.0]]), np.array([0, 0, 1, 1]))
    scorer = NearestNeighborScorer.fit(training, ScorerSettings(normalization="min", n_neighbors=2))
    assert scorer.score(np.array([[4.0]])) == 1.5  # (2 + 4) / 2 and (1 + 2) / 2
    assert scorer.score(np.array([[3.0]])) == 2.0  # (1 + 3) / 2 and (2 + 3) / 2


def test_contributions_of_a_whitened_distance_add_up_to_its_square():
    training = training_of(20, 8)
    chosen = ScorerSettings(whitening="shrunk", normalization="min")
    scorer = NearestNeighborScorer.fit(training, chosen)
    query = training_of(1, 1, seed=7).vectors[0]
    assert scorer.contributions(query).sum() == pytest.approx(scorer.score(query) ** 2, rel=1e-12)


def test_clips_cannot_join_a_domain_or_with_features_that_do_not_fit():
    scorer = NearestNeighborScorer.fit(training_of(5, 4), ScorerSettings())
    with pytest.raises(DataError, match="domain 3; expected one of 0 to 2"):
        scorer.enrolled(replace(training_of(5, 4), clip_domains=np.full(9, 3)))
    with pytest.raises(DataError, match=r"vectors of shape \(4, 6\); expected \(condition, feature\) \(4, 5\)"):
        scorer.enrolled(training_of(5, 4, n_features=6))


def line_scorer(**changes):
    return NearestNeighborScorer.fit(one_condition(LINE, LINE_DOMAINS), ScorerSettings(**changes))


def test_statistics_are_those_of_leave_one_out_distances():
    np.testing.assert_allclose(line_scorer().normalization.statistics, np.transpose([MEANS, DEVIATIONS]))


def test_the_score_is_the_smaller_of_the_normalised_distances():
    scorer = line_scorer()
    # 9 is 2 from the source (7), 91 from the target (100); 110 is 103 and 4 away.
    assert scorer.score(np.array([[9.0]])) == pytest.approx((2 - MEANS[0]) / DEVIATIONS[0])
    assert scorer.score(np.array([[110.0]])) == pytest.approx((4 - MEANS[1]) / DEVIATIONS[1])
    # 52 is 45 from the source and 48 from the target: the smaller score is the source's only after normalising.
    expected = min((45 - MEANS[0]) / DEVIATIONS[0], (48 - MEANS[1]) / DEVIATIONS[1])
    assert scorer.score(np.array([[52.0]])) == pytest.approx(expected)


def test_leave_one_out_scores_by_hand():
    expected = (np.array([1, 1, 2, 4]) - MEANS[0]) / DEVIATIONS[0], (np.array([2, 2, 4]) - MEANS[1]) / DEVIATIONS[1]
    np.testing.assert_allclose(line_scorer().left_out_scores(), np.concatenate(expected))


def test_two_neighbours_are_averaged_in_statistics_and_score():
    scorer = line_scorer(n_neighbors=2)
    # Source: means of (1 3) (1 2) (2 3) (4 6) = 2 1.5 2.5 5; target: (2 6) (2 4) (4 6) = 4 3 5.
    np.testing.assert_allclose(scorer.normalization.statistics[:, 0], [11 / 4, 4.0])
    np.testing.assert_allclose(scorer.normalization.statistics[:, 1], [np.std([2, 1.5, 2.5, 5]), np.std([4, 3, 5])])
    # 9 is 2 and 6 away from 7 and 3.
    assert scorer.score(np.array([[9.0]])) == pytest.approx((4 - 11 / 4) / np.std([2, 1.5, 2.5, 5]))


@pytest.mark.parametrize("n_few", [1, 2])
def test_a_domain_of_one_or_two_clips_is_given_the_statistics_of_all_and_says_so(n_few):
    values = [[0.0], [1.0], [3.0], [7.0], [100.0], [102.0]][: 4 + n_few]
    scorer = NearestNeighborScorer.fit(one_condition(values, [0] * 4 + [1] * n_few), ScorerSettings())
    everywhere = [1, 1, 2, 4] + ([2, 2] if n_few == 2 else [])  # one clip alone has no distance of its own
    np.testing.assert_allclose(scorer.normalization.statistics[0], [2.0, np.sqrt(1.5)])
    np.testing.assert_allclose(scorer.normalization.statistics[1], [np.mean(everywhere), np.std(everywhere)])
    assert any(f"a domain has {n_few} clip" in note and "all domains" in note for note in scorer.notes())


def test_a_domain_of_three_clips_has_statistics_of_its_own_and_no_note():
    assert line_scorer().notes() == []


def test_fewer_clips_than_neighbours_are_noted():
    assert any("5 neighbours" in note for note in line_scorer(n_neighbors=5).notes())
    assert line_scorer(n_neighbors=2).notes() == []


def test_after_the_minimum_the_domain_that_gave_it_normalises():
    before, after = line_scorer(), line_scorer(normalization_order="after-min")
    assert np.array_equal(before.normalization.statistics, after.normalization.statistics)
    # 55 is 48 from the source (7) and 45 from the target (100), but fewer deviations from the source.
    source, target = (48 - MEANS[0]) / DEVIATIONS[0], (45 - MEANS[1]) / DEVIATIONS[1]
    assert source < target
    assert before.score(np.array([[55.0]])) == pytest.approx(source)
    assert after.score(np.array([[55.0]])) == pytest.approx(target)
    assert after.score(np.array([[9.0]])) == pytest.approx((2 - MEANS[0]) / DEVIATIONS[0])


def test_leave_one_out_scores_follow_the_same_order_of_minimum_and_normalisation():
    training = one_condition([[0.0], [1.0], [3.0], [10.0], [30.0], [70.0]], [0, 0, 0, 1, 1, 1])
    before, after = (
        NearestNeighborScorer.fit(training, ScorerSettings(normalization_order=order)).left_out_scores()
        for order in ("before-min", "after-min")
    )
    # Left out, the source's are 1, 1, 2 away, the target's 20, 20, 40; 10 is 7 from the source, 20 from its own.
    assert before[3] == pytest.approx((20 - 80 / 3) / np.std([20, 20, 40]))
    assert after[3] == pytest.approx((7 - 4 / 3) / np.std([1, 1, 2]))


@pytest.mark.parametrize("domains", [[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 2], [0, 1]])
def test_domains_of_one_clip_each_still_have_finite_scores(domains):
    training = one_condition(np.arange(len(domains))[:, None] ** 2.0, domains)
    scorer = NearestNeighborScorer.fit(training, ScorerSettings())
    assert np.isfinite(scorer.normalization.statistics).all()
    assert np.isfinite(scorer.left_out_scores()).all()
    assert np.isfinite(scorer.score(np.array([[7.0]])))


def test_identical_clips_have_finite_scores_and_another_clip_a_higher_one():
    training = one_condition(np.full((5, 3), 4.0), [0] * 5)
    scorer = NearestNeighborScorer.fit(training, ScorerSettings())
    assert (scorer.normalization.statistics[:, 1] > 0).all()
    assert scorer.left_out_scores().tolist() == [0.0] * 5
    assert scorer.score(np.full((1, 3), 4.0)) == 0.0
    assert 0.0 < scorer.score(np.full((1, 3), 4.1)) < np.inf


def test_equally_spaced_clips_have_finite_scores():
    training = one_condition([[0.0], [1.0], [2.0], [3.0]], [0] * 4)
    scorer = NearestNeighborScorer.fit(training, ScorerSettings())
    assert scorer.left_out_scores().tolist() == [0.0] * 4
    assert 0.0 < scorer.score(np.array([[4.5]])) < np.inf


def test_a_whitened_distance_is_scikit_learns_mahalanobis_distance():
    training = random_training((20,), conditions_per_domain=1)
    bank = MemoryBank.from_training(training, ScorerSettings(whitening="shrunk", shrinkage=0.2))
    centred = within(training.own, training.clip_domains)
    covariance = shrunk_covariance(centred.T @ centred / 19, shrinkage=0.2)
    queries = np.random.default_rng(3).standard_normal((6, 5))
    nearest = NearestNeighbors(
        n_neighbors=1, algorithm="brute", metric="mahalanobis", metric_params={"VI": np.linalg.inv(covariance)}
    ).fit(training.own)
    expected = nearest.kneighbors(queries)[0][:, 0]
    np.testing.assert_allclose([bank.distances(query[None])[0] for query in queries], expected, rtol=1e-9)
