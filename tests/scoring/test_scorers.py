"""Scores by hand, by scikit-learn, and as a contract of every scorer; thresholds that keep their promise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import EmpiricalCovariance, empirical_covariance, shrunk_covariance
from sklearn.neighbors import NearestNeighbors

from soundness.errors import DataError, SettingsError
from soundness.scoring.calibration import Threshold
from soundness.scoring.distances import nearest_distances
from soundness.scoring.memory_bank import MemoryBank, left_out_distances
from soundness.scoring.scorers import (
    ANY_DOMAIN,
    SCORERS,
    MahalanobisScorer,
    MeanScorer,
    NearestNeighborScorer,
    TrainingVectors,
)
from soundness.scoring.whitening import shrunk_inverse_root
from soundness.settings.system import ScorerSettings


def training_of(values, domains, *, own=None, condition_domains=(ANY_DOMAIN,)):
    """Training vectors of shape (clip, condition, feature) from nested lists."""
    values = np.array(values, dtype=np.float64)
    own = np.zeros(len(values), int) if own is None else np.array(own)
    return TrainingVectors(
        vectors=values,
        own_conditions=own,
        clip_domains=np.array(domains),
        condition_domains=np.array(condition_domains),
    )


def left_out(bank, training):
    """Left-out distances of the training clips to each domain."""
    (found,) = left_out_distances([bank], training)
    return found


def one_condition(values, domains):
    return training_of(np.array(values, dtype=np.float64)[:, None], domains)


def random_training(n_clips=(9, 4), *, n_features=5, conditions_per_domain=2, seed=0):
    rng = np.random.default_rng(seed)
    domains = np.repeat(np.arange(len(n_clips)), n_clips)
    condition_domains = np.repeat(np.arange(len(n_clips)), conditions_per_domain)
    own = domains * conditions_per_domain + rng.integers(conditions_per_domain, size=len(domains))
    vectors = rng.standard_normal((len(domains), len(condition_domains), n_features)) + 3 * domains[:, None, None]
    return TrainingVectors(
        vectors=vectors,
        own_conditions=own,
        clip_domains=domains,
        condition_domains=condition_domains,
        frame_covariances=random_covariances(len(n_clips), n_features),
        view_sizes=(2, n_features - 2),
    )


def random_covariances(n_domains, n_features):
    roots = np.random.default_rng(99).standard_normal((n_domains, n_features, 3 * n_features))
    return roots @ roots.transpose(0, 2, 1) / (3 * n_features)


# Distances

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


# Whitening


def within(vectors, domains):
    """Vectors less their domain's mean."""
    return np.concatenate([vectors[domains == d] - vectors[domains == d].mean(axis=0) for d in np.unique(domains)])


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


# The report's score, by hand

LINE = [[0.0], [1.0], [3.0], [7.0], [100.0], [102.0], [106.0]]
LINE_DOMAINS = [0, 0, 0, 0, 1, 1, 1]
# Leave-one-out distances, 1 neighbour: 1 1 2 4 | 2 2 4.  Means 2 and 8/3, variances 1.5 and 8/9.
MEANS, DEVIATIONS = (2.0, 8 / 3), (np.sqrt(1.5), np.sqrt(8 / 9))


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


def test_a_clip_is_compared_with_each_domain_under_that_domains_conditions_only():
    # Conditions: 0 and 1 of the source, 2 of the target. The bank holds each clip under its own.
    values = [
        [[0.0], [9.0], [90.0]],
        [[9.0], [2.0], [90.0]],
        [[9.0], [4.0], [90.0]],
        [[50.0], [50.0], [100.0]],
        [[50.0], [50.0], [101.0]],
        [[50.0], [50.0], [104.0]],
    ]
    training = training_of(values, [0, 0, 0, 1, 1, 1], own=[0, 1, 1, 2, 2, 2], condition_domains=[0, 0, 1])
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert bank.whitened.ravel().tolist() == [0, 2, 4, 100, 101, 104]
    # Under its conditions 0 and 1 the clip is 5 and 1 from the source, under condition 2 it is 20 from the target.
    assert bank.distances(np.array([[9.0], [1.0], [80.0]])).tolist() == [1.0, 20.0]
    # Near the target under a source condition, and near the source under the target's: neither counts.
    assert bank.distances(np.array([[100.0], [100.0], [2.0]])).tolist() == [96.0, 98.0]


def test_leave_one_out_takes_the_same_minima_over_conditions_as_a_test_does():
    # Under its own condition 0, clip 0 is 5 from its neighbours; under condition 1 it is 1 from one of them.
    values = [[[0.0], [4.0]], [[5.0], [30.0]], [[40.0], [8.0]], [[60.0], [20.0]]]
    training = training_of(values, [0, 0, 0, 0], own=[0, 0, 1, 1], condition_domains=[0, 0])
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert bank.whitened.ravel().tolist() == [0, 5, 8, 20]
    # clip 0: queries 0 4 against 5 8 20; clip 1: 5 30 against 0 8 20; clip 2: 40 8 against 0 5 20;
    # clip 3: 60 20 against 0 5 8
    assert left_out(bank, training).ravel().tolist() == [1.0, 3.0, 3.0, 12.0]


def test_the_clip_itself_is_left_out_but_its_twin_is_not():
    training = one_condition([[0.0], [0.0], [5.0], [9.0]], [0] * 4)
    bank = MemoryBank.from_training(training, ScorerSettings())
    assert left_out(bank, training).ravel().tolist() == [0.0, 0.0, 4.0, 4.0]


def test_one_condition_counts_for_every_domain():
    bank = MemoryBank.from_training(one_condition(LINE, LINE_DOMAINS), ScorerSettings())
    assert bank.distances(np.array([[50.0]])).tolist() == [43.0, 50.0]


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


# The official baseline's scores


def test_the_mean_scorer_is_the_mean_under_the_condition_that_explains_a_clip_best():
    scorer = MeanScorer.fit(random_training(), ScorerSettings(name="mean"))
    assert scorer.score(np.array([[1.0, 2.0, 6.0], [9.0, 0.0, 0.0], [2.0, 2.0, 2.0]])) == 2.0


def mahalanobis(covariances, condition_domains=(ANY_DOMAIN,)):
    return MahalanobisScorer(np.array(covariances, dtype=np.float64), np.array(condition_domains), np.zeros(0))


def test_the_mahalanobis_norm_is_the_smaller_of_the_domains_by_hand():
    scorer = mahalanobis([np.diag([1.0, 4.0]), np.diag([9.0, 1.0])])
    # 3^2 / 1 + 2^2 / 4 = 10 against 3^2 / 9 + 2^2 / 1 = 5; 1 + 16 / 4 = 5 against 1 / 9 + 16.
    assert scorer.score(np.array([[3.0, 2.0]])) == pytest.approx(5.0)
    assert scorer.score(np.array([[-1.0, 4.0]])) == pytest.approx(5.0)


def test_the_mahalanobis_norm_is_scikit_learns():
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((500, 6)) @ rng.standard_normal((6, 6))
    expected = EmpiricalCovariance(assume_centered=True).fit(frames)
    scorer = mahalanobis([expected.covariance_])
    for query in rng.standard_normal((5, 6)):
        assert scorer.score(query[None]) == pytest.approx(expected.mahalanobis(query[None])[0], rel=1e-9)


def test_each_condition_counts_for_its_own_domain_alone():
    scorer = mahalanobis([np.eye(1), 100 * np.eye(1)], condition_domains=(0, 1))
    assert scorer.score(np.array([[2.0], [50.0]])) == pytest.approx(4.0)  # 2^2 / 1 against 50^2 / 100
    assert scorer.score(np.array([[50.0], [2.0]])) == pytest.approx(0.04)


def test_directions_in_which_frames_do_not_vary_are_noted_and_finite():
    scorer = mahalanobis([np.diag([2.0, 0.0]), np.diag([2.0, 2.0])])
    assert scorer.score(np.array([[0.0, 1.0]])) == pytest.approx(0.5)
    assert sum("do not vary in 1 of 2 directions" in note for note in scorer.notes()) == 1
    assert not [note for note in mahalanobis([np.eye(2)]).notes() if "vary" in note]
    assert np.isfinite(mahalanobis([np.zeros((2, 2))]).score(np.ones((1, 2))))


def test_a_mahalanobis_norm_needs_the_covariance_of_frames():
    training = one_condition([[1.0], [2.0], [3.0]], [0, 0, 0])
    with pytest.raises(SettingsError, match=r"scorer\.name: 'mahalanobis' needs the covariance of single frames"):
        MahalanobisScorer.fit(training, ScorerSettings(name="mahalanobis"))


def test_scores_that_know_the_network_only_say_so():
    for scorer in (MeanScorer(np.zeros(0)), mahalanobis([np.eye(2)])):
        assert any("the network that was trained on them" in note for note in scorer.notes())


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


# What every scorer must do

KNOWS_NO_CLIPS = ("mean", "mahalanobis")  # left out or not, a training clip has the same score
SETTINGS = [
    ScorerSettings(name=name, whitening=whitening, n_neighbors=k)
    for name in SCORERS
    for whitening in ("none", "shrunk")
    for k in (1, 3)
]


@pytest.mark.parametrize("chosen", SETTINGS, ids=lambda s: f"{s.name}-{s.whitening}-{s.n_neighbors}")
class TestEveryScorer:
    def fitted(self, chosen, training):
        return SCORERS[chosen.name].fit(training, chosen)

    def test_a_score_is_a_finite_float_and_leaves_its_input_alone(self, chosen):
        training = random_training()
        before = training.vectors.copy()
        scorer = self.fitted(chosen, training)
        score = scorer.score(training.vectors[0])
        assert type(score) is float
        assert np.isfinite(score)
        assert np.array_equal(training.vectors, before)

    def test_a_scorer_rebuilt_from_its_arrays_gives_the_same_score_to_the_last_bit(self, chosen):
        training = random_training()
        scorer = self.fitted(chosen, training)
        again = SCORERS[chosen.name].from_arrays(scorer.arrays(), chosen)
        queries = random_training((20, 20), seed=4).vectors
        assert [again.score(query) for query in queries] == [scorer.score(query) for query in queries]
        assert again.notes() == scorer.notes()

    def test_a_clip_far_from_all_others_scores_higher(self, chosen):
        training = random_training()
        scorer = self.fitted(chosen, training)
        scores = [scorer.score(training.vectors[0] + shift) for shift in (0, 20, 40, 80)]
        assert scores == sorted(scores)
        assert scores[0] < scores[1] < scores[3]

    def test_the_order_of_the_training_clips_does_not_matter(self, chosen):
        training = random_training()
        order = np.random.default_rng(0).permutation(len(training.vectors))
        shuffled = replace(
            training,
            vectors=training.vectors[order],
            own_conditions=training.own_conditions[order],
            clip_domains=training.clip_domains[order],
        )
        one, other = self.fitted(chosen, training), self.fitted(chosen, shuffled)
        for query in random_training(seed=5).vectors:
            assert one.score(query) == pytest.approx(other.score(query), rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(other.left_out_scores(), one.left_out_scores()[order], rtol=1e-9, atol=1e-9)

    def test_a_training_clip_scores_higher_when_it_is_left_out(self, chosen):
        training = random_training()
        scorer = self.fitted(chosen, training)
        known = np.array([scorer.score(clip) for clip in training.vectors])
        left_out = scorer.left_out_scores()
        assert left_out.shape == (13,)
        assert np.isfinite(left_out).all()
        assert (left_out > known).mean() > 0.5 or chosen.name in KNOWS_NO_CLIPS
        assert (left_out >= known - 1e-9).all()

    def test_one_condition_for_all_domains_is_enough(self, chosen):
        training = random_training(conditions_per_domain=1)
        training = replace(training, vectors=training.vectors[:, :1], own_conditions=np.zeros(13, int))
        training = replace(training, condition_domains=np.array([ANY_DOMAIN]))
        assert np.isfinite(self.fitted(chosen, training).left_out_scores()).all()

    @pytest.mark.parametrize("n_clips", [(3,), (3, 1), (2, 2), (5, 2)])
    def test_few_clips_give_finite_scores(self, chosen, n_clips):
        training = random_training(n_clips)
        scorer = self.fitted(chosen, training)
        assert np.isfinite(scorer.left_out_scores()).all()
        assert np.isfinite(scorer.score(training.vectors[0]))

    def test_the_number_of_neighbours_matters(self, chosen):
        if chosen.name in KNOWS_NO_CLIPS:
            pytest.skip("has no memory bank")
        training = random_training()
        other = chosen.model_copy(update={"n_neighbors": 2})
        query = random_training(seed=6).vectors[0]
        assert self.fitted(chosen, training).score(query) != self.fitted(other, training).score(query)

    def test_the_whitening_matters(self, chosen):
        if chosen.name in KNOWS_NO_CLIPS:
            pytest.skip("has no memory bank")
        training = random_training()
        other = chosen.model_copy(update={"whitening": "none" if chosen.whitening == "shrunk" else "shrunk"})
        query = random_training(seed=6).vectors[0]
        assert self.fitted(chosen, training).score(query) != self.fitted(other, training).score(query)

    def test_a_threshold_from_training_clips_holds_for_new_clips(self, chosen):
        rng = np.random.default_rng(8)
        flagged = []
        for _ in range(20):
            training = replace(
                one_condition(rng.standard_normal((50, 16)), [0] * 50),
                frame_covariances=random_covariances(1, 16),
                view_sizes=(4, 12),
            )
            scorer = self.fitted(chosen, training)
            threshold = Threshold.from_scores({"": scorer.left_out_scores()}, false_alarm_rate=0.1)
            flagged += [scorer.score(clip[None]) > threshold.value for clip in rng.standard_normal((50, 16))]
        assert np.mean(flagged) < 0.14


def test_the_shrinkage_matters():
    training, query = random_training(), random_training(seed=6).vectors[0]
    scores = [
        NearestNeighborScorer.fit(training, ScorerSettings(whitening="shrunk", shrinkage=value)).score(query)
        for value in (0.1, 0.9)
    ]
    assert scores[0] != scores[1]


# Thresholds


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
