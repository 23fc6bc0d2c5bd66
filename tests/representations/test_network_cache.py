"""A network that was kept is the one that a training would give again, and stands for no other."""

import numpy as np
import pytest
import torch

from conftest import SMALL_NETWORK
from soundness.audio.log_mel import Spectrograms
from soundness.representations.autoencoder_fitting import TrainingClips, fit_reconstructor
from soundness.representations.network_cache import NetworkCache
from soundness.representations.protocol import FitContext
from soundness.settings.loading import load_settings

SETTINGS = load_settings("conditional", overrides=SMALL_NETWORK)


def clips(seed=0):
    generator = torch.Generator().manual_seed(seed)
    log_mels = [torch.randn(SETTINGS.log_mel.n_mels, 40, generator=generator).numpy() for _ in range(6)]
    spectrograms = [Spectrograms(one, one) for one in log_mels]
    return TrainingClips(spectrograms, np.zeros((6, 0), np.float32), ["fan"] * 6, range(6))


def weights(fit):
    return torch.cat([value.flatten() for value in fit.reconstructor.state_dict().values()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def kept(folder):
    return NetworkCache(folder / "kept").fit(clips(), SETTINGS, FitContext(seed=0, folder=folder / "first"))


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_what_was_kept_is_what_a_training_gives(folder):
    store = NetworkCache(folder / "kept")
    again = store.fit(clips(), SETTINGS, FitContext(seed=0, folder=folder / "again"))
    trained = fit_reconstructor(clips(), SETTINGS, FitContext(seed=0, folder=folder / "trained"))
    assert torch.equal(weights(again), weights(trained))
    assert (again.n_steps, again.train_loss, again.held_out_loss) == (
        trained.n_steps,
        trained.train_loss,
        trained.held_out_loss,
    )
    assert not (folder / "again").exists()  # nothing was trained
    assert store.seconds_spared > 0.0


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("other_clips", "settings", "seed"),
    [
        (clips(1), SETTINGS, 0),
        (clips(), SETTINGS, 1),
        (clips(), load_settings("conditional", overrides=[*SMALL_NETWORK, "training.learning_rate=0.01"]), 0),
        (clips(), load_settings("conditional", overrides=[*SMALL_NETWORK, "autoencoder.latent_features=3"]), 0),
    ],
    ids=["clips", "seed", "training", "network"],
)
def test_another_training_is_not_spared(folder, tmp_path, other_clips, settings, seed):
    store = NetworkCache(folder / "kept")
    store.fit(other_clips, settings, FitContext(seed=seed, folder=tmp_path / "training"))
    assert (tmp_path / "training").exists()
    assert store.seconds_spared == 0.0


@pytest.mark.slow
@pytest.mark.usefixtures("kept")
def test_how_a_system_scores_is_no_matter_to_its_network(folder, tmp_path):
    store = NetworkCache(folder / "kept")
    scored_otherwise = ["autoencoder.error=signed", "autoencoder.is_overlapping=true", 'poolings=["quantile-0.5"]']
    other = load_settings("report-literal", overrides=[*SMALL_NETWORK, *scored_otherwise])
    store.fit(clips(), other, FitContext(seed=0, folder=tmp_path / "training"))
    assert not (tmp_path / "training").exists()
