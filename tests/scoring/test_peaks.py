"""Score by the largest standardised feature: by its definition, clip by clip."""

import numpy as np
import pytest

from soundness.errors import BundleError
from soundness.scoring.peaks import PeakScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import PeakSettings

ONE_SIDED, TWO_SIDED = PeakSettings(), PeakSettings(is_two_sided=True)


def view_of(n_clips=30, n_features=50, *, n_target=0, seed=0, dependent=None):
    rng = np.random.default_rng(seed)
    vectors = 40.0 + rng.standard_normal((n_clips, n_features)) * np.linspace(1.0, 3.0, n_features)
    domains = np.zeros(n_clips, np.int64)
    domains[:n_target] = 1
    vectors[domains == 1] += 5.0
    return TrainingVectors.from_vectors(vectors, domains, dependent=dependent)


def by_definition(others, domains, features, *, is_two_sided=False):
    """Distance to each domain of the other clips, written out."""
    means = [others[domains == domain].mean(axis=0) for domain in (0, 1) if (domains == domain).any()]
    centred = others - np.stack([means[domain] for domain in domains])
    variances = np.square(centred).sum(axis=0) / (len(others) - len(means))
    deviations = np.sqrt(0.7 * variances + 0.3 * variances.mean())
    found = []
    for domain, mean in enumerate(means):
        standardised = (features - mean) / deviations / np.sqrt(1 + 1 / (domains == domain).sum())
        found.append((np.abs(standardised) if is_two_sided else standardised).max())
    return found


@pytest.mark.parametrize("settings", [ONE_SIDED, TWO_SIDED])
def test_left_out_distances_are_those_of_a_fit_to_the_others(settings):
    view = view_of(n_target=6)
    scorer = PeakScorer.fit(view, settings)
    own = view.own
    for clip in (0, 7, 29):
        others = np.arange(len(own)) != clip
        expected = by_definition(own[others], view.clip_domains[others], own[clip], is_two_sided=settings.is_two_sided)
        np.testing.assert_allclose(scorer.left_out[clip], expected, rtol=1e-9)


def test_clips_that_depend_on_each_other_are_left_out_together():
    dependent = np.eye(30, dtype=np.bool_)
    dependent[3, 4] = dependent[4, 3] = True
    view = view_of(dependent=dependent)
    scorer = PeakScorer.fit(view, ONE_SIDED)
    others = ~np.isin(np.arange(30), (3, 4))
    expected = by_definition(view.own[others], view.clip_domains[others], view.own[3])
    np.testing.assert_allclose(scorer.left_out[3], expected, rtol=1e-9)


def test_one_large_feature_of_many_makes_a_clip_anomalous_and_a_small_one_only_where_both_sides_count():
    view = view_of(60, 2_000)
    normal = view_of(1, 2_000, seed=9).own[0]
    for sign in (1.0, -1.0):
        clip = normal.copy()
        clip[123] += sign * 30.0
        one, two = (PeakScorer.fit(view, settings) for settings in (ONE_SIDED, TWO_SIDED))
        assert two.score(clip[None]) > 5.0 > two.score(normal[None])
        assert (one.score(clip[None]) > 5.0) == (sign > 0)
        assert np.abs(two.standardised(clip)).argmax() == 123


def test_features_that_are_not_known_do_not_count():
    scorer = PeakScorer.fit(view_of(), TWO_SIDED)
    clip = view_of(1, seed=4).own
    expected = scorer.score(clip)
    largest = int(np.abs(scorer.standardised(clip[0])).argmax())
    unknown = clip.copy()
    unknown[0, (largest + 1) % 50] = np.nan
    assert scorer.score(unknown) == expected
    unknown[0, largest] = np.nan
    assert scorer.score(unknown) < expected


def test_a_clip_counts_for_the_domain_that_it_is_nearest_to():
    view = view_of(40, n_target=10)
    scorer = PeakScorer.fit(view, TWO_SIDED)
    target = view_of(1, seed=5).own + 5.0
    assert scorer.score(target) < 3.0
    assert scorer.score(target + 10.0) > 3.0


def test_enrolled_clips_are_normal_and_those_before_stay_as_they_were():
    before = PeakScorer.fit(view_of(), TWO_SIDED)
    new = view_of(8, seed=2)
    moved = TrainingVectors.from_vectors(new.own + 20.0)
    further = TrainingVectors(
        vectors=moved.vectors,
        own_conditions=moved.own_conditions,
        clip_domains=np.ones(8, np.int64),
        condition_domains=moved.condition_domains,
    )
    after = before.enrolled(further)
    clip = view_of(1, seed=3).own + 20.0
    assert before.score(clip) > 4.0 > after.score(clip)
    np.testing.assert_array_equal(after.left_out[:30, 0], before.left_out[:, 0])
    assert np.isinf(after.left_out[:30, 1]).all()


def test_a_scorer_rebuilt_from_its_arrays_gives_the_same_scores():
    scorer = PeakScorer.fit(view_of(n_target=5), ONE_SIDED)
    again = PeakScorer.from_arrays(scorer.arrays(), ONE_SIDED)
    clip = view_of(1, seed=8).own
    assert again.score(clip) == scorer.score(clip)
    np.testing.assert_array_equal(again.left_out_scores(), scorer.left_out_scores())
    with pytest.raises(BundleError, match="counts"):
        PeakScorer.from_arrays(scorer.arrays() | {"counts": np.array([30, 0])}, ONE_SIDED)


def test_features_that_enrolled_clips_lack_stay_as_they_were():
    before = PeakScorer.fit(view_of(), TWO_SIDED)
    new = view_of(8, seed=2)
    new.vectors[:, :, 10:] = np.nan
    after = before.enrolled(new)
    assert np.isfinite(after.statistics.deviations).all()
    clip = view_of(1, seed=3).own
    clip[0, 30] += 30.0
    assert after.score(clip) > 5.0
    assert PeakScorer.from_arrays(after.arrays(), TWO_SIDED).score(clip) == after.score(clip)


def test_shortened_clips_are_compared_with_whole_ones():
    view = view_of()
    short = view.vectors[None] + 3.0
    with_short = TrainingVectors(
        vectors=view.vectors,
        own_conditions=view.own_conditions,
        clip_domains=view.clip_domains,
        condition_domains=view.condition_domains,
        shortened=short,
    )
    scorer = PeakScorer.fit(with_short, ONE_SIDED)
    assert scorer.left_out_short_scores().shape == (1, 30)
    assert (scorer.left_out_short_scores()[0] > scorer.left_out_scores()).all()
    others = np.arange(30) != 2
    expected = by_definition(view.own[others], view.clip_domains[others], view.own[2] + 3.0)
    np.testing.assert_allclose(scorer.short_left_out[0, 2], expected, rtol=1e-9)
