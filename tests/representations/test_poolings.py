"""Poolings over time, by hand and by NumPy, and the views that they make of a clip."""

import numpy as np
import pytest

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.statistics import MeanLogMel, PooledLogMel, QuantileLogMel, pooled
from soundness.settings.loading import load_settings

TWO_VIEWS = 'poolings=["mean","quantile-0.1"]'


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
    assert load_settings(overrides=[f'poolings=["{name}"]']).poolings == (name,)


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
    settings = load_settings("log-mel-knn", overrides=['poolings=["mean","quantile-0.2","quantile-0.9"]'])
    assert np.array_equal(PooledLogMel.from_arrays(both.arrays(), settings).vectors(clip), vector)


def test_views_reach_the_scorer_and_are_read_back(fan, small, tmp_path, waveform):
    from soundness.detectors.saving import load_detector
    from soundness.training.run import train

    members = '[{view=0}, {view=0, distance="density-ratio", normalization="min"}, {view=1, distance="density-ratio"}]'
    whitening = ("scorer.whitening=scaled", "scorer.shrinkage=0.005", "scorer.is_standardised=true")
    settings = small(
        "log-mel-knn", "representation=log-mel", TWO_VIEWS, "scorer=fused", f"scorer.members={members}", *whitening
    )
    (detector,) = train(fan, tmp_path / "run", system=settings)
    assert detector.scorer.sizes.tolist() == [16, 16]
    assert len(detector.scorer.scorers) == 3
    assert load_detector(tmp_path / "run" / "fan.soundness").score(waveform) == detector.score(waveform)
