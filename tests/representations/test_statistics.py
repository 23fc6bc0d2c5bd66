"""Statistics of log-mels over time, as NumPy computes them."""

import numpy as np
import pytest

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.statistics import (
    MeanLogMel,
    PooledLogMel,
    QuantileLogMel,
    band_statistics,
    pooled,
    quantile_over_time,
)
from soundness.settings.loading import load_settings


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
    read, reference = log_mels(9, 9)
    clip = Spectrograms(read, reference)
    representation = MeanLogMel(mean=np.zeros(5, np.float32), deviation=np.ones(5, np.float32))
    assert representation.vectors(clip).shape == (1, 5)
    np.testing.assert_allclose(representation.vectors(clip)[0], reference.mean(axis=1), rtol=1e-5)


def test_a_clip_becomes_a_low_quantile_that_passing_noise_does_not_reach():
    read, reference = log_mels(9, 40)
    representation = QuantileLogMel(mean=np.zeros(5, np.float32), deviation=np.ones(5, np.float32), quantile=0.2)
    quiet = representation.vectors(Spectrograms(read, reference))
    assert quiet.shape == (1, 5)
    np.testing.assert_allclose(quiet[0], np.quantile(reference, 0.2, axis=1), rtol=1e-5)
    noisy = reference.copy()
    noisy[:, reference.mean(axis=0).argsort()[-4:]] += 60.0
    assert np.abs(representation.vectors(Spectrograms(read, noisy)) - quiet).max() < 3.0


def test_the_quantile_is_that_of_the_settings():
    settings = load_settings("log-mel-quantile", overrides=["quantile=0.25", "log_mel.n_mels=5"])
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
    again = MeanLogMel.from_arrays(
        representation.arrays(), load_settings("log-mel-knn", overrides=["log_mel.n_mels=1"])
    )
    assert (again.mean.item(), again.deviation.item()) == (1.5, 2.5)


@pytest.fixture(scope="module")
def log_mel():
    return np.random.default_rng(0).normal(-60, 6, (5, 40)).astype("float32")


def of(*names, values):
    return pooled(values, names)


def test_mean_and_quantiles_are_numpys(log_mel):
    values = log_mel
    expected = [values.mean(axis=1), np.quantile(values, 0.1, axis=1), np.quantile(values, 0.9, axis=1)]
    found = of("mean", "quantile-0.1", "quantile-0.9", values=log_mel)
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-4)


def test_an_hour_has_the_digits_of_its_type_in_any_order_of_memory():
    levels = np.random.default_rng(0).normal(-60.0, 5.0, (112_500, 4)).astype(np.float32)  # an hour's frames
    (found,) = of("mean", values=levels.T)
    np.testing.assert_allclose(found, levels.astype(np.float64).mean(axis=0), rtol=1.2e-7)


@pytest.mark.parametrize("name", ["mean", "quantile-0.3"])
@pytest.mark.parametrize("n_frames", [1, 2, 300])
def test_every_pooling_is_finite_and_of_one_size_whatever_the_length(name, n_frames, log_mel):
    values = np.tile(log_mel, 8)[:, :n_frames]
    (found,) = of(name, values=values)
    assert found.shape == of(name, values=log_mel)[0].shape
    assert len(found) % 5 == 0
    assert np.isfinite(found).all()
    np.testing.assert_allclose(of(name, values=values[None])[0][0], found, rtol=1e-6)


@pytest.mark.parametrize("name", ["quantile-0.1", "quantile-.25", "quantile-0.999", "mean"])
def test_any_quantile_between_0_and_1_is_a_pooling(name):
    assert load_settings(overrides=[f'poolings=["{name}"]', "scorer.peaks=[]"]).poolings == (name,)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "quantile",
            "high-quantile",
            "median",
            "deviation",
            "quantile-0.0",
            "quantile-1.0",
            "quantile-1.5",
            "quantile-0.99999999999999999",
        ),
        *(
            "quantile--0.1",
            "quantile-nan",
            "quantile-1e-3",
            "quantile- 0.1",
            "quantile-0.1_0",
            "quantile-\u0660.\u0665",
            "",
        ),
    ],
)
def test_other_poolings_are_refused_by_name(name):
    with pytest.raises(
        SettingsError, match=r"poolings\.1: expected mean, or a quantile between 0 and 1, such as"
    ) as caught:
        load_settings(overrides=[f'poolings=["mean","{name}"]'])
    assert repr(name) in str(caught.value)


def test_views_follow_each_other_in_a_vector(log_mel):
    clip, bands = Spectrograms(log_mel, log_mel), {"mean": np.zeros(5, "float32"), "deviation": np.ones(5, "float32")}
    both = PooledLogMel(**bands, poolings=("mean", "quantile-0.2", "quantile-0.9"))
    assert both.view_sizes == (5, 5, 5)
    vector = both.vectors(clip)
    assert vector.shape == (1, 15)
    assert np.array_equal(vector[:, :5], MeanLogMel(**bands).vectors(clip))
    assert np.array_equal(vector[:, 5:10], QuantileLogMel(**bands, quantile=0.2).vectors(clip))
    overrides = ['poolings=["mean","quantile-0.2","quantile-0.9"]', "log_mel.n_mels=5"]
    settings = load_settings("log-mel-knn", overrides=overrides)
    assert np.array_equal(PooledLogMel.from_arrays(both.arrays(), settings).vectors(clip), vector)


def test_views_reach_the_scorer_and_are_read_back(fan, small, tmp_path, waveform):
    from soundness.detectors.saving import load_detector
    from soundness.training.run import train

    members = '[{view=0}, {view=0, distance="density-ratio", normalization="min"}, {view=1, distance="density-ratio"}]'
    whitening = ("scorer.whitening=scaled", "scorer.shrinkage=0.005", "scorer.is_standardised=true")
    settings = small(
        "log-mel-knn",
        "representation=log-mel",
        'poolings=["mean","quantile-0.1"]',
        "scorer=fused",
        f"scorer.members={members}",
        *whitening,
    )
    (detector,) = train(fan, tmp_path / "run", system=settings)
    assert detector.scorer.sizes.tolist() == [16, 16]
    assert len(detector.scorer.scorers) == 3
    assert load_detector(tmp_path / "run" / "fan.soundness").score(waveform) == detector.score(waveform)


@pytest.mark.parametrize("level", [0.0, 0.05, 0.1, 1 / 3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n_frames", [1, 2, 3, 50, 313])
def test_a_quantile_is_numpys_to_the_last_bit(n_frames, level):
    values = np.random.default_rng(n_frames).standard_normal((4, 128, n_frames)).astype(np.float32)
    expected = np.quantile(values, level, axis=-1).astype(np.float32)
    assert np.array_equal(quantile_over_time(values, level), expected)
