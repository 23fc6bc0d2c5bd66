"""Poolings over time, by hand and by NumPy, and the views that they make of a clip."""

import numpy as np
import pytest

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.statistics import POOLINGS, MeanLogMel, PooledLogMel, QuantileLogMel, pooled
from soundness.settings.fields import POOLING_NAMES
from soundness.settings.loading import load_settings

TWO_VIEWS = 'poolings=["mean","quantile-0.1"]'


@pytest.fixture(scope="module")
def log_mel():
    return np.random.default_rng(0).normal(-60, 6, (5, 40)).astype("float32")


def of(*names, values):
    return pooled(values, names)


def test_mean_deviation_quantiles_and_change_are_numpys(log_mel):
    values = log_mel
    expected = [
        values.mean(axis=1),
        values.std(axis=1),
        np.quantile(values, 0.1, axis=1),
        np.quantile(values, 0.9, axis=1),
        np.abs(np.diff(values, axis=1)).mean(axis=1),
    ]
    found = of("mean", "deviation", "quantile-0.1", "quantile-0.9", "change", values=log_mel)
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-4)


def test_an_hour_has_the_digits_of_its_type_in_any_order_of_memory():
    levels = np.random.default_rng(0).normal(-60.0, 5.0, (112_500, 4)).astype(np.float32)  # an hour's frames
    found = of("mean", "deviation", "change", values=levels.T)
    precise = levels.astype(np.float64).T
    expected = [precise.mean(axis=1), precise.std(axis=1), np.abs(np.diff(precise, axis=1)).mean(axis=1)]
    np.testing.assert_allclose(np.stack(found), expected, rtol=1.2e-7)


def test_the_generalised_mean_is_that_of_powers(log_mel):
    (found,) = of("generalised-mean", values=log_mel)
    powers = 10 ** (log_mel.astype(np.float64) / 10)
    np.testing.assert_allclose(found, 10 * np.log10((powers**-0.25).mean(axis=1) ** -4), rtol=1e-5)
    assert (found < log_mel.mean(axis=1)).all()


def test_a_band_that_swells_regularly_is_seen_in_the_octave_of_its_rate():
    frames = np.arange(320)
    # 1/16 of a cycle a frame lies in the third octave (1/16 to 1/8 excluded), 3/8 in the first.
    slow, fast = (2.0 * np.sin(2 * np.pi * rate * frames) for rate in (1 / 16, 3 / 8))
    (found,) = of("modulation", values=np.stack([slow, fast, np.zeros(320)]))
    levels = found.reshape(5, 3)  # (octave, band)
    assert levels.argmax(axis=0)[:2].tolist() == [3, 0]
    np.testing.assert_allclose(levels.max(axis=0)[:2], 10 * np.log10(2.0), atol=0.01)
    assert (levels[:, 2] == -60.0).all()


@pytest.mark.parametrize("name", [*POOLINGS, "quantile-0.3"])
@pytest.mark.parametrize("n_frames", [1, 2, 300])
def test_every_pooling_is_finite_and_of_one_size_whatever_the_length(name, n_frames, log_mel):
    values = np.tile(log_mel, 8)[:, :n_frames]
    (found,) = of(name, values=values)
    assert found.shape == of(name, values=log_mel)[0].shape
    assert len(found) % 5 == 0
    assert np.isfinite(found).all()
    np.testing.assert_allclose(of(name, values=values[None])[0][0], found, rtol=1e-6)


def test_the_names_that_settings_know_are_those_of_the_functions():
    assert POOLINGS.keys() == set(POOLING_NAMES)


@pytest.mark.parametrize("name", ["quantile-0.1", "quantile-.25", "quantile-0.999", *POOLINGS])
def test_any_quantile_between_0_and_1_is_a_pooling(name):
    assert load_settings(overrides=[f'poolings=["{name}"]']).poolings == (name,)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "quantile",
            "high-quantile",
            "median",
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
        SettingsError, match=r"poolings\.1: expected mean, .*, or a quantile between 0 and 1, such as"
    ) as caught:
        load_settings(overrides=[f'poolings=["mean","{name}"]'])
    assert repr(name) in str(caught.value)


def test_views_follow_each_other_in_a_vector(log_mel):
    clip, bands = Spectrograms(log_mel, log_mel), {"mean": np.zeros(5, "float32"), "deviation": np.ones(5, "float32")}
    both = PooledLogMel(**bands, poolings=("mean", "quantile-0.2", "modulation"))
    assert both.view_sizes == (5, 5, 25)
    vector = both.vectors(clip)
    assert vector.shape == (1, 35)
    assert np.array_equal(vector[:, :5], MeanLogMel(**bands).vectors(clip))
    assert np.array_equal(vector[:, 5:10], QuantileLogMel(**bands, quantile=0.2).vectors(clip))
    settings = load_settings("log-mel-knn", overrides=['poolings=["mean","quantile-0.2","modulation"]'])
    assert np.array_equal(PooledLogMel.from_arrays(both.arrays(), settings).vectors(clip), vector)


def test_views_reach_the_scorer_and_are_read_back(fan, small, tmp_path, waveform):
    from soundness.detectors.saving import load_detector
    from soundness.training.run import train

    members = '[{view=0}, {view=0, distance="density-ratio", normalization="min"}, {view=1, distance="density-ratio"}]'
    whitening = ("scorer.whitening=scaled", "scorer.shrinkage=0.005", "scorer.is_standardised=true")
    settings = small(
        "log-mel-knn", "representation=log-mel", TWO_VIEWS, "scorer=fused", f"scorer.members={members}", *whitening
    )
    (detector,) = train(fan, tmp_path / "run", system="log-mel-knn", settings=settings)
    assert detector.scorer.sizes.tolist() == [16, 16]
    assert len(detector.scorer.scorers) == 3
    assert load_detector(tmp_path / "run" / "fan.soundness").score(waveform) == detector.score(waveform)
