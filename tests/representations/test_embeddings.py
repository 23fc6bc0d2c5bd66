"""The loss is the paper's, by hand and by SciPy; an embedding depends on its clip alone."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.embeddings import (
    DiscriminativeEmbedding,
    SubClusterCentres,
    adapted_scale,
    new_embedding_network,
    sub_cluster_loss,
)

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


def random_cosines(n_rows=6, n_classes=3, n_sub_clusters=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.dirichlet(np.ones(n_classes), size=n_rows)
    return rng.uniform(-1, 1, (n_rows, n_classes, n_sub_clusters)), labels


# The loss


def test_the_loss_is_scipys_cross_entropy_of_sub_cluster_likelihoods_added_up():
    cosines, labels = random_cosines()
    likelihoods = softmax(7.5 * cosines.reshape(6, 12), axis=1).reshape(cosines.shape).sum(axis=2)
    expected = -(labels * np.log(likelihoods)).sum(axis=1).mean()
    found = sub_cluster_loss(torch.from_numpy(cosines), torch.from_numpy(labels), scale=torch.tensor(7.5))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_one_clip_by_hand():
    # Two classes of one centre each, cosines 1 and 0, scale log 3: likelihoods 3/4 and 1/4.
    cosines, scale = torch.tensor([[[1.0], [0.0]]]), torch.tensor(math.log(3))
    assert sub_cluster_loss(cosines, torch.tensor([[1.0, 0.0]]), scale=scale).item() == pytest.approx(math.log(4 / 3))
    mixture = sub_cluster_loss(cosines, torch.tensor([[0.5, 0.5]]), scale=scale).item()
    assert mixture == pytest.approx(0.5 * math.log(4 / 3) + 0.5 * math.log(4))


def test_the_loss_stays_finite_at_a_large_scale():
    cosines = torch.tensor([[[1.0], [-1.0]]])
    found = sub_cluster_loss(cosines, torch.tensor([[0.0, 1.0]]), scale=torch.tensor(1e4))
    assert found.item() == pytest.approx(2e4)


def test_the_first_scale_is_the_papers():
    centres = SubClusterCentres(n_classes=5, n_sub_clusters=16, n_features=8)
    assert centres.scale.item() == pytest.approx(math.sqrt(2) * math.log(5 * 16 - 1))


def test_an_adapted_scale_by_hand():
    # One clip, two classes, cosines cos(pi/6) and 0, its class the first: its angle, pi/6, is below pi/4.
    cosines, labels = torch.tensor([[[math.sqrt(3) / 2], [0.0]]]), torch.tensor([[1.0, 0.0]])
    expected = math.log(math.exp(2 * math.sqrt(3) / 2) + 1) / (math.sqrt(3) / 2)
    assert adapted_scale(cosines, labels, scale=torch.tensor(2.0)).item() == pytest.approx(expected)
    # Of the other class, its angle is pi/2, for which pi/4 is taken.
    expected = math.log(math.exp(2 * math.sqrt(3) / 2) + 1) / math.sqrt(0.5)
    assert adapted_scale(cosines, labels.flip(1), scale=torch.tensor(2.0)).item() == pytest.approx(expected)


def test_an_adapted_scale_is_numpys_of_the_equation():
    cosines, labels = random_cosines(n_rows=7)
    cosines = 0.9 + 0.1 * cosines  # angles below pi/4, so that their median counts
    angles = (labels * np.arccos(cosines.max(axis=2))).sum(axis=1)
    assert np.median(angles) < math.pi / 4
    mean_log = logsumexp(12 * cosines, axis=(0, 1, 2)) - math.log(7)
    found = adapted_scale(torch.from_numpy(cosines), torch.from_numpy(labels), scale=torch.tensor(12.0))
    assert found.item() == pytest.approx(mean_log / math.cos(np.median(angles)), rel=1e-6)


def test_centres_are_of_unit_length_and_not_trained():
    centres = SubClusterCentres(n_classes=3, n_sub_clusters=2, n_features=5)
    torch.testing.assert_close(centres.directions.norm(dim=-1), torch.ones(3, 2))
    assert list(centres.parameters()) == []
    embeddings = torch.randn(4, 5)
    expected = torch.nn.functional.cosine_similarity(embeddings[:, None, None], centres.directions[None], dim=-1)
    torch.testing.assert_close(centres(embeddings), expected)


# The network


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
