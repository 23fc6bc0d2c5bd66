"""The loss is the paper's, by hand and by SciPy; an embedding depends on its clip alone."""

import numpy as np
import pytest
import torch

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.embedding_networks import (
    new_embedding_network,
)
from soundness.representations.embeddings import DiscriminativeEmbedding

N_MELS = 16


@pytest.fixture
def embedding(small):
    def embedding(*overrides):
        settings = small("discriminative", *overrides)
        torch.manual_seed(0)
        bands = torch.ones(N_MELS)
        network = new_embedding_network(settings, mean=-50 * bands, deviation=5 * bands, spread=2 * bands)
        for values in network.buffers():
            if values.shape == (4,):
                values.uniform_(0.5, 1.5)  # batch normalisation that is not the identity
        scale = {"mean": bands.numpy(), "deviation": bands.numpy()}
        return DiscriminativeEmbedding(network, **scale, segment_frames=8), settings

    return embedding


def clip(n_frames=40, seed=0):
    log_mel = np.random.default_rng(seed).normal(-50, 5, (N_MELS, n_frames)).astype(np.float32)
    return Spectrograms(log_mel, log_mel)


def test_an_embedding_has_unit_length(embedding):
    vectors = embedding()[0].vectors(clip())
    assert vectors.shape == (1, 32)
    assert np.linalg.norm(vectors) == pytest.approx(1.0)


def test_no_layer_has_a_bias_but_the_shift_of_batch_normalisation(embedding):
    network = embedding()[0].network
    layers = [m for m in network.modules() if isinstance(m, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear))]
    assert len(layers) == 5
    assert all(layer.bias is None for layer in layers)


def test_an_embedding_does_not_depend_on_its_batch(embedding):
    network = embedding()[0].network
    segments = torch.from_numpy(np.stack([clip(8, seed).input for seed in range(5)]))
    spectra = segments.mean(dim=-1)
    together = network(segments, spectra)
    for index in range(5):
        alone = network(segments[index : index + 1], spectra[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-5, atol=1e-5)


def test_the_level_of_a_band_changes_the_spectrum_alone(embedding):
    network = embedding()[0].network
    quiet = torch.from_numpy(clip(8).input[None])
    louder = quiet + torch.linspace(0, 9, N_MELS)[:, None]
    torch.testing.assert_close(network.embed_change(quiet), network.embed_change(louder), rtol=1e-3, atol=1e-4)
    apart = network.embed_spectra(quiet.mean(dim=-1)) - network.embed_spectra(louder.mean(dim=-1))
    assert apart.abs().max() > 0.01


def test_a_change_over_time_counts_where_the_spectrum_stays(embedding):
    found = embedding()[0]
    steady = np.full((N_MELS, 40), -50.0, np.float32)
    beating = steady + 6 * np.tile(np.float32([1, -1]), 20)
    one, other = (found.vectors(Spectrograms(log_mel, log_mel)) for log_mel in (steady, beating))
    assert np.linalg.norm(one - other) > 0.01


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 700])
def test_clips_of_any_length_have_an_embedding(embedding, n_frames):
    vectors = embedding()[0].vectors(clip(n_frames))
    assert np.isfinite(vectors).all()


def test_silence_has_an_embedding(embedding):
    silence = np.full((N_MELS, 40), -90.0, np.float32)
    assert np.isfinite(embedding()[0].vectors(Spectrograms(silence, silence))).all()


def test_an_embedding_survives_as_arrays_to_the_last_bit(embedding):
    before, settings = embedding()
    after = DiscriminativeEmbedding.from_arrays(before.arrays(), settings)
    assert np.array_equal(before.vectors(clip()), after.vectors(clip()))
    assert np.array_equal(before.error_map(clip()), after.error_map(clip()))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("embedding.segment_frames=6", r"embedding\.segment_frames is 6; 2 layers need a multiple of 4"),
        ("embedding.channels=[4,4,4,4,4]", r"log_mel\.n_mels is 16; 5 layers need a multiple of 32"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(embedding, override, message):
    with pytest.raises(SettingsError, match=message):
        embedding(override)
