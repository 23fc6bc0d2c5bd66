"""Contracts of every scorer, and of every combination of its parts."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from scorer_vectors import WHITENINGS, one_condition, random_covariances, random_training, settings_of, training_of
from soundness.errors import DataError
from soundness.scoring.decisions.calibration import Threshold
from soundness.scoring.distances.names import DISTANCES
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.scoring.scorers import SCORERS
from soundness.settings.scoring import ScorerSettings

NORMALIZATIONS = ("min", "z-score", "quantile")


WITH_WHITENINGS = [(distance, whitening, "z-score") for distance, whitening in product(DISTANCES, WHITENINGS)]


WITH_NORMALIZATIONS = [
    (distance, "shrunk", normalization) for distance, normalization in product(DISTANCES, NORMALIZATIONS)
]


CONTRACT = [
    *(("nearest-neighbors", *parts) for parts in sorted({*WITH_WHITENINGS, *WITH_NORMALIZATIONS})),
    *(("fused", distance, "shrunk", "quantile") for distance in DISTANCES),
]


@pytest.mark.parametrize(
    ("name", "distance", "whitening_name", "normalization"), CONTRACT, ids=["-".join(parts) for parts in CONTRACT]
)
class TestEveryCombination:
    @pytest.fixture
    def chosen(self, name, distance, whitening_name, normalization):
        return settings_of(name, distance, whitening_name, normalization)

    def test_scores_are_finite_rebuilt_to_the_last_bit_and_higher_far_away(self, chosen):
        training = training_of(8, 5)
        scorer = SCORERS[chosen.name].fit(training, chosen)
        left_out = scorer.left_out_scores()
        assert left_out.shape == (13,)
        assert np.isfinite(left_out).all()
        again = SCORERS[chosen.name].from_arrays(scorer.arrays(), chosen)
        assert again.left_out_scores().tolist() == left_out.tolist()
        queries = training_of(3, 3, seed=4).vectors
        assert [again.score(query) for query in queries] == [scorer.score(query) for query in queries]
        assert again.notes() == scorer.notes()
        far = [scorer.score(training.vectors[0] + shift) for shift in (0, 20, 40, 80)]
        assert far[0] < far[1] < far[2] < far[3]
        known = np.array([scorer.score(clip) for clip in training.vectors])
        assert (left_out > known).mean() > 0.5

    def test_the_order_of_the_training_clips_does_not_matter(self, chosen):
        training = training_of(8, 5)
        order = np.random.default_rng(0).permutation(13)
        shuffled = replace(
            training.subset(np.ones(13, bool)),
            vectors=training.vectors[order],
            own_conditions=training.own_conditions[order],
            clip_domains=training.clip_domains[order],
        )
        one, other = (SCORERS[chosen.name].fit(clips, chosen) for clips in (training, shuffled))
        for query in training_of(2, 2, seed=5).vectors:
            assert other.score(query) == pytest.approx(one.score(query), rel=1e-7, abs=1e-7)

    def test_few_clips_many_features_constant_ones_and_lone_clips_give_finite_scores(self, chosen):
        for counts in ((3,), (5, 1), (2, 2), (10, 3)):
            training = training_of(*counts, n_features=24)
            training.vectors[..., 3] = 7.0
            scorer = SCORERS[chosen.name].fit(training, chosen)
            scores = [scorer.score(training.vectors[0] + shift) for shift in (0.0, 0.1, 50.0)]
            assert np.isfinite(scores).all()
            assert np.isfinite(scorer.left_out_scores()).all()
            assert scores[2] > scores[0]

    def test_identical_clips_are_compared_or_refused_by_name(self, chosen):
        training = replace(training_of(4, 3), vectors=np.full((7, 4, 5), 2.0))
        if chosen.whitening != "none":
            with pytest.raises(DataError, match="no two training clips of a domain differ"):
                SCORERS[chosen.name].fit(training, chosen)
            return
        scorer = SCORERS[chosen.name].fit(training, chosen)
        scores = [scorer.score(training.vectors[0] + shift) for shift in (0.0, 0.1, 50.0)]
        assert np.isfinite([*scores, *scorer.left_out_scores()]).all()
        assert scores[0] < scores[1] < scores[2]

    def test_the_nearest_clip_is_the_clip_itself_and_contributions_point_to_what_was_changed(self, chosen):
        training = training_of(8, 5)
        scorer = SCORERS[chosen.name].fit(training, chosen)
        for clip in (0, 6, 10):
            nearest = scorer.nearest(training.vectors[clip], 4)
            assert nearest[0] == clip
            assert len(set(nearest.tolist())) == 4
        anomalous = training.vectors[2].copy()
        anomalous[:, 4] += 60.0
        contributions = scorer.contributions(anomalous)
        assert contributions.shape == (5,)
        assert (contributions >= 0).all()
        assert contributions[4] > 0.9 * contributions.max()  # whitening by few clips mixes features

    def test_enrolled_clips_are_no_longer_anomalous(self, chosen):
        training, new = training_of(8, 5), training_of(6, seed=9)
        shape = (6, 4, 5)
        fresh = TrainingVectors(
            vectors=np.broadcast_to(new.vectors[:, :1] + 30.0, shape).copy(),
            own_conditions=np.zeros(6, int),
            clip_domains=np.full(6, 2),
            condition_domains=training.condition_domains,
            view_sizes=training.view_sizes,
        )
        scorer = SCORERS[chosen.name].fit(training, chosen)
        query = np.broadcast_to(training_of(1, seed=10).vectors[:, :1] + 30.0, (1, 4, 5))[0]
        joined = scorer.enrolled(fresh)
        assert joined.score(query) < scorer.score(query)
        again = SCORERS[chosen.name].from_arrays(joined.arrays(), chosen)
        assert again.score(query) == joined.score(query)
        assert joined.nearest(query, 1)[0] >= 13
        assert np.isfinite(joined.score(training.vectors[0]))


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
