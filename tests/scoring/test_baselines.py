"""Scores of the official baseline: by hand and by scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from scorer_vectors import one_condition, random_training, training_of
from soundness.errors import SettingsError
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.protocol import ANY_DOMAIN
from soundness.scoring.scorers import SCORERS
from soundness.settings.scoring import ScorerSettings


@pytest.mark.parametrize("name", ["mean", "mahalanobis"])
def test_scorers_without_clips_refuse_by_name_what_needs_them(name):
    training = replace(training_of(5), frame_covariances=np.array([np.diag([1.0, 2.0, 3.0, 4.0, 5.0])]))
    scorer = SCORERS[name].fit(training, ScorerSettings(name=name))
    clip = training.vectors[0]
    with pytest.raises(SettingsError, match="Scorer keeps no normal clips, so none of 3 is the nearest"):
        scorer.nearest(clip, 3)
    with pytest.raises(SettingsError, match="Scorer keeps no normal clips that 5 could join"):
        scorer.enrolled(training)
    assert scorer.contributions(clip).sum() == pytest.approx(scorer.score(clip))


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
