"""Poolings over time, by hand and by NumPy, and the views that they make of a clip."""

import numpy as np
import pytest
import torch

from soundness.features import Spectrograms
from soundness.log_mel_statistics import MeanLogMel, PooledLogMel, QuantileLogMel
from soundness.poolings import POOLINGS, pooled
from soundness.settings import load_settings


@pytest.fixture(scope="module")
def log_mel():
    return torch.from_numpy(np.random.default_rng(0).normal(-60, 6, (5, 40)).astype("float32"))


def of(*names, values, quantile=0.1):
    return pooled(values, names, quantile=quantile)


def test_mean_deviation_quantiles_and_change_are_numpys(log_mel):
    values = log_mel.numpy()
    expected = [
        values.mean(axis=1),
        values.std(axis=1),
        np.quantile(values, 0.1, axis=1),
        np.quantile(values, 0.9, axis=1),
        np.abs(np.diff(values, axis=1)).mean(axis=1),
    ]
    found = of("mean", "deviation", "quantile", "high-quantile", "change", values=log_mel)
    np.testing.assert_allclose(torch.stack(found).numpy(), expected, rtol=1e-4)


def test_the_generalised_mean_is_that_of_powers(log_mel):
    (found,) = of("generalised-mean", values=log_mel)
    powers = 10 ** (log_mel.double().numpy() / 10)
    np.testing.assert_allclose(found.numpy(), 10 * np.log10((powers**-0.25).mean(axis=1) ** -4), rtol=1e-5)
    assert (found < log_mel.mean(dim=1)).all()


def test_a_band_that_swells_regularly_is_seen_in_the_octave_of_its_rate():
    frames = torch.arange(320)
    # 1/16 of a cycle a frame lies in the third octave (1/16 to 1/8 excluded), 3/8 in the first.
    slow, fast = (2.0 * torch.sin(2 * torch.pi * rate * frames) for rate in (1 / 16, 3 / 8))
    (found,) = of("modulation", values=torch.stack([slow, fast, torch.zeros(320)]))
    levels = found.reshape(5, 3)  # (octave, band)
    assert levels.argmax(dim=0)[:2].tolist() == [3, 0]
    torch.testing.assert_close(levels.max(dim=0).values[:2], torch.full((2,), 10 * np.log10(2.0)), atol=0.01, rtol=0)
    assert (levels[:, 2] == -60.0).all()


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("n_frames", [1, 2, 300])
def test_every_pooling_is_finite_and_of_one_size_whatever_the_length(name, n_frames, log_mel):
    values = log_mel.repeat(1, 8)[:, :n_frames]
    (found,) = of(name, values=values)
    assert found.shape == of(name, values=log_mel)[0].shape
    assert len(found) % 5 == 0
    assert torch.isfinite(found).all()
    torch.testing.assert_close(of(name, values=values[None])[0][0], found)


def test_views_follow_each_other_in_a_vector(log_mel):
    clip, bands = Spectrograms(log_mel, log_mel), {"mean": torch.zeros(5), "deviation": torch.ones(5)}
    both = PooledLogMel(**bands, poolings=("mean", "quantile", "modulation"), quantile=0.2)
    assert both.view_sizes == (5, 5, 25)
    vector = both.vectors(clip)
    assert vector.shape == (1, 35)
    assert torch.equal(vector[:, :5], MeanLogMel(**bands).vectors(clip))
    assert torch.equal(vector[:, 5:10], QuantileLogMel(**bands, quantile=0.2).vectors(clip))
    settings = load_settings("log-mel-knn", overrides=['poolings=["mean","quantile","modulation"]', "quantile=0.2"])
    assert torch.equal(PooledLogMel.from_arrays(both.arrays(), settings).vectors(clip), vector)


def test_views_reach_the_scorer_and_are_read_back(fan, small, tmp_path, waveform):
    from soundness.bundle import load_detector
    from soundness.training import train

    members = '[{view=0}, {view=0, comparison="density-ratio", balance="min"}, {view=1, comparison="density-ratio"}]'
    whitening = ("scorer.whitening=scaled", "scorer.shrinkage=0.005", "scorer.is_standardised=true")
    settings = small(
        "log-mel-knn", "representation=log-mel", "quantile=0.1", "scorer=fused", f"scorer.members={members}", *whitening
    )
    (detector,) = train(fan, tmp_path / "run", system="log-mel-knn", settings=settings)
    assert detector.scorer.sizes.tolist() == [16, 16]
    assert len(detector.scorer.scorers) == 3
    assert load_detector(tmp_path / "run" / "fan.soundness").score(waveform) == detector.score(waveform)
