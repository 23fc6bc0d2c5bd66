"""The score of several scorers is the mean of theirs, each of its view."""

from dataclasses import replace

import numpy as np
import pytest

from scorer_vectors import training_of
from soundness.errors import DataError, SettingsError
from soundness.scoring.joining.fused import FusedScorer
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.loading import load_settings
from soundness.settings.scoring import MemberSettings, ScorerSettings


def test_one_clip_alone_is_refused():
    with pytest.raises(DataError, match="1 training clip; to compare normal clips with each other takes 2"):
        NearestNeighborScorer.fit(TrainingVectors.from_vectors(np.ones((1, 3))), ScorerSettings())


def test_fused_scores_are_the_mean_of_the_views():
    training = training_of(10, 6)
    query = training_of(1, 1, seed=7).vectors[0]
    views = []
    for part in (slice(0, 2), slice(2, 5)):
        view = replace(training, vectors=training.vectors[..., part], view_sizes=())
        scorer = NearestNeighborScorer.fit(view, ScorerSettings())
        left_out = scorer.left_out_scores()
        views.append((scorer.score(query[:, part]) - left_out.mean()) / left_out.std())
    fused = FusedScorer.fit(training, ScorerSettings(name="fused"))
    assert fused.score(query) == pytest.approx(np.mean(views), rel=1e-12)


MEMBERS = (
    MemberSettings(view=0, distance="nearest", normalization="z-score"),
    MemberSettings(view=0, distance="density-ratio", normalization="min"),
    MemberSettings(view=1, distance="density-ratio", normalization="min"),
)


def test_members_look_at_their_view_in_their_way():
    training = training_of(10, 6)
    query = training_of(1, 1, seed=7).vectors[0]
    chosen = ScorerSettings(name="fused", whitening="shrunk", members=MEMBERS)
    found = []
    for member in MEMBERS:
        part = (slice(0, 2), slice(2, 5))[member.view]
        view = replace(training, vectors=training.vectors[..., part], view_sizes=())
        own = ScorerSettings(whitening="shrunk", distance=member.distance, normalization=member.normalization)
        scorer = NearestNeighborScorer.fit(view, own)
        left_out = scorer.left_out_scores()
        found.append((scorer.score(query[:, part]) - left_out.mean()) / left_out.std())
    fused = FusedScorer.fit(training, chosen)
    assert fused.score(query) == pytest.approx(np.mean(found), rel=1e-12)
    assert FusedScorer.from_arrays(fused.arrays(), chosen).score(query) == fused.score(query)


def test_where_there_are_no_views_members_see_all_and_twins_count_once():
    training = replace(training_of(10, 6), view_sizes=())
    fused = FusedScorer.fit(training, ScorerSettings(name="fused", members=MEMBERS))
    assert [scorer.settings.distance for scorer in fused.scorers] == ["nearest", "density-ratio"]
    assert fused.sizes.tolist() == [5]


def test_a_member_whose_view_is_not_there_is_refused():
    chosen = ScorerSettings(name="fused", members=(MemberSettings(view=2),))
    with pytest.raises(SettingsError, match=r"scorer\.members: view 2 \(counted from 0\) of 2 views"):
        FusedScorer.fit(training_of(5, 5), chosen)


def test_a_view_that_is_the_same_in_all_clips_but_for_their_level_is_left_out_and_said_to_be():
    training = training_of(10, 6)
    level = np.linspace(-30.0, -20.0, len(training.vectors))[:, None, None]
    flat = np.broadcast_to(level - 90.0, (*training.vectors.shape[:2], 3))
    both = replace(training, vectors=np.concatenate([training.vectors[..., :2], flat], axis=-1))
    chosen = ScorerSettings(name="fused", whitening="shrunk", members=MEMBERS)
    fused = FusedScorer.fit(both, chosen)
    assert [view for view, _ in fused.pairs()] == [0, 0]
    assert "view 2 of 2 of the clips is mostly the same in all training clips" in fused.notes()[0]
    query = training_of(1, 1, seed=7).vectors[0]
    again = FusedScorer.from_arrays(fused.arrays(), chosen)
    assert again.score(query) == fused.score(query)
    assert FusedScorer.fit(training, chosen).notes() == []


def spectra(n_clips, seed=0):
    """Mean and low quantile of spectra in dB that differ in shape and level."""
    rng = np.random.default_rng(seed)
    shape = 0.3 * rng.standard_normal((n_clips, 24)) + 0.3 * rng.standard_normal((n_clips, 1))
    return np.concatenate([shape - 50, shape - 53], axis=1)


def level_scorer(level):
    chosen = load_settings("soundness", overrides=[f"scorer.level={level}"]).scorer
    training = TrainingVectors.from_vectors(spectra(60), view_sizes=(24, 24), n_bands=24)
    return FusedScorer.fit(training, chosen), chosen


def test_a_level_that_is_ignored_changes_no_score():
    (keeping, _), (ignoring, _) = level_scorer("keep"), level_scorer("ignore")
    for query in spectra(3, seed=1):
        assert keeping.score(query[None] + 6.0) > keeping.score(query[None]) + 1.0
        assert ignoring.score(query[None] + 6.0) == pytest.approx(ignoring.score(query[None]), abs=0.05)
        fault = query.copy()
        fault[5:9] += 6.0
        assert ignoring.score(fault[None]) > ignoring.score(query[None]) + 1.0


def test_a_level_of_its_own_raises_the_score_and_is_named():
    both, chosen = level_scorer("both")
    (query,) = spectra(1, seed=1)
    assert both.is_level_change(query[None] + 6.0)
    threshold = np.quantile(both.left_out_scores(), 0.9)
    new = np.array([both.score(one[None]) for one in spectra(200, seed=2)])
    assert (new > threshold).mean() < 0.2  # the two share the false alarms
    assert both.score(query[None] + 6.0) > threshold
    again = FusedScorer.from_arrays(both.arrays(), chosen)
    assert again.score(query[None] + 6.0) == both.score(query[None] + 6.0)
    assert np.array_equal(again.left_out_scores(), both.left_out_scores())
