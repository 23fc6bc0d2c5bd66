"""Matched filters of short changes: by their definition, and what they find."""

import numpy as np
import pytest

from soundness.errors import BundleError
from soundness.representations.views.events import EventFilters, event_changes

N_BANDS = 32


def rises(filters, clip):
    return filters.extremes(clip)[0]


def falls(filters, clip):
    return filters.extremes(clip)[1]


def log_mels(n_clips=12, *, n_frames=200, seed=0):
    """Noise whose bands vary together, and more at the top."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_clips, 1, n_frames))
    own = rng.standard_normal((n_clips, N_BANDS, n_frames)) * np.linspace(1, 3, N_BANDS)[:, None]
    return list((common + own - 50.0).astype(np.float32))


def test_outputs_are_those_of_the_matched_filter_by_its_definition():
    clips = log_mels()
    filters, _ = EventFilters.fit(clips)
    apart = [clip.astype(np.float64) - np.median(clip, axis=1, keepdims=True) for clip in clips]
    windows = [(clip[:, 1:] + clip[:, :-1]) / 2 for clip in apart]  # of two frames
    every = np.concatenate(windows, axis=1)
    covariance = np.cov(every, bias=True)
    shrinkage = max(0.03, 0.8 * N_BANDS / (12 * 100))
    covariance = (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))
    inverse = np.linalg.inv(covariance)
    for place, change in ((0, event_changes(N_BANDS)[0]), (-1, np.ones(N_BANDS))):
        expected = change @ inverse @ (windows[3] - every.mean(axis=1)[:, None]) / np.sqrt(change @ inverse @ change)
        np.testing.assert_allclose(filters.outputs(clips[3])[1][place], expected, rtol=1e-6, atol=1e-6)


def test_normal_outputs_have_a_deviation_of_one():
    filters, _ = EventFilters.fit(log_mels(40))
    outputs = filters.outputs(log_mels(1, n_frames=2_000, seed=5)[0])
    for own in outputs[:4]:
        np.testing.assert_allclose(own.std(axis=1), 1.0, atol=0.15)


@pytest.mark.parametrize(
    ("start", "n_frames", "bands", "rise"), [(50, 2, slice(0, 32), 6.0), (120, 8, slice(4, 10), 5.0)]
)
def test_a_short_rise_is_found_where_and_for_as_long_as_it_is(start, n_frames, bands, rise):
    filters, _ = EventFilters.fit(log_mels(40))
    (normal,) = log_mels(1, seed=7)
    event = normal.copy()
    event[bands, start : start + n_frames] += rise
    assert rises(filters, event).max() > 8.0 > rises(filters, normal).max()
    assert falls(filters, event).max() < 8.0
    duration = list(filters.durations).index(n_frames)
    output = filters.outputs(event)[duration].max(axis=0)
    step = max(1, n_frames // 4)
    assert abs(int(output.argmax()) * step - start) <= step
    dropout = normal.copy()
    dropout[bands, start : start + n_frames] -= rise
    assert falls(filters, dropout).max() > 8.0


def test_a_gain_and_a_steady_change_of_the_spectrum_change_nothing():
    filters, _ = EventFilters.fit(log_mels())
    (clip,) = log_mels(1, seed=3)
    changed = clip + np.linspace(-6, 9, N_BANDS, dtype=np.float32)[:, None]
    np.testing.assert_allclose(rises(filters, changed), rises(filters, clip), atol=1e-4)


def test_a_training_clip_has_filters_that_were_learned_without_it():
    clips = log_mels(20)
    _, without = EventFilters.fit(clips)
    changed = [*clips]
    changed[5] = changed[5] + np.where(np.arange(200) == 20, 40, 0).astype(np.float32)
    _, after = EventFilters.fit(changed)
    np.testing.assert_array_equal(after[5].filters, without[5].filters)
    assert not np.array_equal(after[6].filters, without[6].filters)


def test_clips_that_depend_on_each_other_are_left_out_together_as_far_as_can_be():
    pairs = np.eye(20, dtype=np.bool_)
    for first in range(0, 20, 2):
        pairs[first, first + 1] = pairs[first + 1, first] = True
    _, without = EventFilters.fit(log_mels(20), dependent=pairs)
    assert all(without[first] is without[first + 1] for first in range(0, 20, 2))
    large = np.eye(20, dtype=np.bool_)
    large[:9, :9] = True  # too many for one fold
    _, without = EventFilters.fit(log_mels(20), dependent=large)
    assert len({id(each) for each in without[:9]}) > 2
    _, without = EventFilters.fit(log_mels(20), dependent=np.ones((20, 20), np.bool_))  # parts of the order
    assert without[0] is without[1]
    assert without[0] is not without[-1]


@pytest.mark.parametrize("n_frames", [1, 3, 20])
def test_clips_shorter_than_those_of_the_training_have_all_features(n_frames):
    filters, _ = EventFilters.fit(log_mels())
    for found in filters.extremes(log_mels(1, n_frames=n_frames, seed=2)[0]):
        assert found.shape == (filters.size,)
        assert np.isfinite(found).all()


def test_short_training_clips_have_no_long_durations_and_constant_bands_are_no_news():
    clips = log_mels(6, n_frames=13)
    for clip in clips:
        clip[:4] = -90.0
    filters, _ = EventFilters.fit(clips)
    assert list(filters.durations) == [1, 2, 4]
    assert np.isfinite(rises(filters, clips[0])).all()


def test_filters_are_saved_and_read():
    filters, _ = EventFilters.fit(log_mels())
    again = EventFilters.from_arrays(filters.arrays(), n_bands=N_BANDS)
    (clip,) = log_mels(1, seed=4)
    np.testing.assert_array_equal(rises(again, clip), rises(filters, clip))
    with pytest.raises(BundleError, match=r"events\.filters"):
        EventFilters.from_arrays(filters.arrays(), n_bands=N_BANDS + 1)


def test_the_course_of_a_feature_has_it_as_its_largest_value():
    filters, _ = EventFilters.fit(log_mels(40))
    (clip,) = log_mels(1, seed=9)
    largest, _ = filters.extremes(clip)
    for feature in (0, filters.size // 2, filters.size - 1):
        assert filters.course(clip, feature).max() == largest[feature]
