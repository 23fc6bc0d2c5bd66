"""A clip among normal ones that is far from all of them does not make near what is like it."""

import dataclasses

import numpy as np
import pytest

from soundness.scoring.clip_weights import reference_excess
from soundness.scoring.memory_bank import MemoryBank
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings


def outlier_settings(**changes):
    own = {"whitening": "scaled", "shrinkage": 0.03, "is_standardised": True, "outlier_exponent": 8.0}
    return ScorerSettings(**{**own, **changes})


def normal_clips(n_clips, seed=0):
    return np.random.default_rng(seed).standard_normal((n_clips, 6))


def test_one_clip_in_seven_has_an_excess_and_the_farthest_the_largest():
    vectors = normal_clips(70)
    vectors[5, 2] += 9.0
    (excess,) = reference_excess([TrainingVectors.from_vectors(vectors, n_bands=vectors.shape[1])], outlier_settings())
    assert np.count_nonzero(excess) == pytest.approx(0.15 * 70, abs=1)
    assert excess.argmax() == 5
    assert excess[5] > 3 * np.sort(excess)[-2]


def test_faulty_clips_that_are_alike_do_not_vouch_for_each_other():
    vectors = normal_clips(200)
    vectors[:2] += [0, 0, 9.0, 0, 0, 0]
    vectors[1] = vectors[0] + 1e-3
    (excess,) = reference_excess([TrainingVectors.from_vectors(vectors, n_bands=vectors.shape[1])], outlier_settings())
    assert set(np.argsort(excess)[-2:]) == {0, 1}


def test_clips_that_share_sound_do_not_vouch_for_each_other():
    vectors = normal_clips(30)
    vectors[0] += [0, 0, 9.0, 0, 0, 0]
    vectors[1] = vectors[0] + 1e-3
    dependent = np.eye(30, dtype=bool)
    alone, together = (
        reference_excess(
            [TrainingVectors.from_vectors(vectors, dependent=own, n_bands=vectors.shape[1])], outlier_settings()
        )[0]
        for own in (None, dependent | (np.arange(30)[:, None] < 2) & (np.arange(30) < 2))
    )
    assert alone[:2].max() == 0.0
    assert set(np.argsort(together)[-2:]) == {0, 1}


def test_all_views_say_together_which_clip_is_unlike_the_others():
    first, second = normal_clips(60), normal_clips(60, seed=1)
    second[7, 1] += 30.0
    views = [TrainingVectors.from_vectors(own, n_bands=own.shape[1]) for own in (first, second)]
    for excess in reference_excess(views, outlier_settings()):
        assert excess.argmax() == 7


@pytest.mark.parametrize("changes", [{"outlier_exponent": 0.0}, {"outlier_exponent": 0.0, "whitening": "none"}])
def test_without_the_setting_all_references_are_as_they_are(changes):
    (excess,) = reference_excess(
        [TrainingVectors.from_vectors(normal_clips(20), n_bands=normal_clips(20).shape[1])], outlier_settings(**changes)
    )
    assert (excess == 0.0).all()


def test_few_clips_of_a_domain_and_clips_that_do_not_differ_have_none():
    vectors = normal_clips(27)
    vectors[25] += 50.0
    domains = np.repeat([0, 1], [20, 7])
    (excess,) = reference_excess(
        [TrainingVectors.from_vectors(vectors, domains, n_bands=vectors.shape[1])], outlier_settings()
    )
    assert (excess[20:] == 0.0).all()
    assert excess[:20].any()
    (none,) = reference_excess([TrainingVectors.from_vectors(np.ones((20, 3)), n_bands=3)], outlier_settings())
    assert (none == 0.0).all()


@pytest.mark.parametrize("distance", ["nearest", "density-ratio"])
def test_what_is_like_a_faulty_training_clip_is_farther_than_any_normal_one(distance):
    vectors = normal_clips(80)
    vectors[0] = [0, 0, 9.0, 0, 0, 0]
    training = TrainingVectors.from_vectors(vectors, n_bands=vectors.shape[1])
    settings = outlier_settings(distance=distance)
    like_it, normal = vectors[0] + 0.01, normal_clips(40, seed=2)
    scorer = NearestNeighborScorer.fit(training, settings)
    plain = MemoryBank.from_training(dataclasses.replace(training, excess=np.zeros(80)), settings)
    assert scorer.score(like_it[None]) > max(scorer.score(clip[None]) for clip in normal)
    assert plain.distances(like_it[None])[0] < min(plain.distances(clip[None])[0] for clip in normal)


def test_the_excess_is_saved_and_a_clip_that_is_enrolled_has_none():
    vectors = normal_clips(40)
    settings = outlier_settings()
    bank = NearestNeighborScorer.fit(TrainingVectors.from_vectors(vectors, n_bands=vectors.shape[1]), settings).bank
    assert bank.excess.any()
    again = MemoryBank.from_arrays(bank.arrays(), settings)
    np.testing.assert_array_equal(again.excess, bank.excess)
    query = normal_clips(1, seed=3)
    assert again.distances(query) == bank.distances(query)
    grown = bank.with_clips(TrainingVectors.from_vectors(normal_clips(3, seed=4), n_bands=normal_clips(3).shape[1]))
    np.testing.assert_array_equal(grown.excess, [*bank.excess, 0.0, 0.0, 0.0])
