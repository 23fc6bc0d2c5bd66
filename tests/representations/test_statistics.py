"""Statistics of log-mels over time, as NumPy computes them."""

import numpy as np

from soundness.audio.log_mel import Spectrograms
from soundness.representations.statistics import MeanLogMel, QuantileLogMel, band_statistics
from soundness.settings.loading import load_settings
from soundness.settings.system import SystemSettings


def floats(values):
    return np.array(values, np.float32)


def log_mels(*lengths, n_mels=5, seed=0, offset=-60.0, deviation=6.0):
    rng = np.random.default_rng(seed)
    return [(offset + deviation * rng.standard_normal((n_mels, n))).astype("float32") for n in lengths]


def test_mean_and_deviation_are_those_of_all_frames_of_all_clips():
    clips = log_mels(3, 50, 17)
    frames = np.concatenate([clip.astype(np.float64) for clip in clips], axis=1)
    mean, deviation = band_statistics(clips)
    np.testing.assert_allclose(mean, frames.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(deviation, frames.std(axis=1), rtol=1e-6)
    assert mean.dtype == deviation.dtype == np.float32


def test_statistics_worked_out_by_hand():
    mean, deviation = band_statistics([floats([[0.0, 4.0], [5.0, 5.0]]), floats([[8.0], [5.0]])])
    np.testing.assert_allclose(mean, [4.0, 5.0])
    np.testing.assert_allclose(deviation, [np.sqrt(32 / 3), 1.0], rtol=1e-6)


def test_a_band_in_which_nothing_happens_has_a_deviation_of_one_decibel():
    _, deviation = band_statistics([np.full((2, 10), -90.0, np.float32)])
    assert deviation.tolist() == [1.0, 1.0]
    _, deviation = band_statistics(log_mels(4_000, deviation=0.5))
    assert deviation.tolist() == [1.0] * 5


def test_many_frames_lose_no_digits():
    _, deviation = band_statistics([np.tile(floats([[10_000.0, 10_004.0]]), 50_000)])
    np.testing.assert_allclose(deviation, [2.0], rtol=1e-6)


def test_statistics_of_one_frame_are_finite():
    mean, deviation = band_statistics([floats([[-3.0]])])
    assert (mean.item(), deviation.item()) == (-3.0, 1.0)


def test_a_clip_becomes_its_mean_log_mel():
    given, wanted = log_mels(9, 9)
    clip = Spectrograms(given, wanted)
    representation = MeanLogMel(mean=np.zeros(5, np.float32), deviation=np.ones(5, np.float32))
    assert representation.vectors(clip).shape == (1, 5)
    np.testing.assert_allclose(representation.vectors(clip)[0], wanted.mean(axis=1), rtol=1e-5)


def test_a_clip_becomes_a_low_quantile_that_passing_noise_does_not_reach():
    given, wanted = log_mels(9, 40)
    representation = QuantileLogMel(mean=np.zeros(5, np.float32), deviation=np.ones(5, np.float32), quantile=0.2)
    quiet = representation.vectors(Spectrograms(given, wanted))
    assert quiet.shape == (1, 5)
    np.testing.assert_allclose(quiet[0], np.quantile(wanted, 0.2, axis=1), rtol=1e-5)
    noisy = wanted.copy()
    noisy[:, wanted.mean(axis=0).argsort()[-4:]] += 60.0
    assert np.abs(representation.vectors(Spectrograms(given, noisy)) - quiet).max() < 3.0


def test_the_quantile_is_that_of_the_settings():
    settings = load_settings("log-mel-quantile", overrides=["quantile=0.25"])
    (clip,) = log_mels(21)
    before = QuantileLogMel(mean=np.zeros(5, np.float32), deviation=np.ones(5, np.float32), quantile=0.25)
    after = QuantileLogMel.from_arrays(before.arrays(), settings)
    assert np.array_equal(before.vectors(Spectrograms(clip, clip)), after.vectors(Spectrograms(clip, clip)))


def test_the_error_map_is_the_squared_distance_in_deviations():
    representation = MeanLogMel(mean=floats([1.0, 2.0]), deviation=floats([2.0, 4.0]))
    log_mel = floats([[1.0, 5.0, -1.0], [2.0, 2.0, 10.0]])
    error_map = representation.error_map(Spectrograms(np.zeros((2, 3), np.float32), log_mel))
    assert error_map.tolist() == [[0.0, 4.0, 1.0], [0.0, 0.0, 4.0]]


def test_what_was_learned_survives_as_arrays():
    representation = MeanLogMel(mean=floats([1.5]), deviation=floats([2.5]))
    again = MeanLogMel.from_arrays(representation.arrays(), SystemSettings())
    assert (again.mean.item(), again.deviation.item()) == (1.5, 2.5)
