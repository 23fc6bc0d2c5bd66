"""What a clip becomes behind an autoencoder, by hand on clips of a few frames."""

import numpy as np
import pytest
import torch

from soundness.audio.log_mel import Spectrograms
from soundness.detectors.saving import load_detector
from soundness.errors import SettingsError
from soundness.representations.autoencoder_fitting import check_network
from soundness.representations.autoencoders import AUTOENCODERS, Reconstructor, new_reconstructor
from soundness.representations.reconstruction import ERRORS, Latent, ReconstructionError
from soundness.settings.loading import load_settings
from soundness.training.run import train

SCALE = {"mean": torch.zeros(2, 2), "deviation": torch.ones(2, 2)}
CLIP = torch.tensor([[1.0, -2.0, 3.0, 10.0], [0.0, 0.0, 0.1, -1.0]])
VIEWS = 'poolings=["mean","quantile-0.1","quantile-0.3"]'


class Silent(torch.nn.Module):
    """A network that reconstructs nothing: the residual is the clip. It encodes sum and condition."""

    def forward(self, segments, conditions):  # noqa: ARG002  # as all networks
        return torch.zeros_like(segments)

    def encode(self, segments, conditions):
        return torch.stack([segments.sum(dim=(1, 2)), conditions[:, 0]], dim=1)


class Mute(torch.nn.Module):
    """A network without an encoder."""

    def __init__(self, settings, *, n_mels, n_conditions):  # noqa: ARG002  # as all networks
        super().__init__()

    def forward(self, segments, conditions):  # noqa: ARG002  # as all networks
        return segments


def behind(kind=ReconstructionError, *, conditions=1, segment_frames=2, **options):
    encoded = torch.arange(float(conditions))[:, None]
    return kind(Reconstructor(Silent(), **SCALE), encoded, segment_frames=segment_frames, **options)


def as_it_is(log_mel):
    values = log_mel.numpy()
    return Spectrograms(values, values)


# CLIP squared: [1, 4, 9, 100] and [0, 0, 0.01, 1]; in dB, at least -40: [0, 6.0206, 9.5424, 20] and [-40, -40, -20, 0].
DB = 20 * np.log10([2.0, 3.0])
BY_HAND = {
    ("squared", "mean"): [28.5, 0.2525],
    ("squared", "quantile-0.5"): [6.5, 0.005],
    ("signed", "mean"): [3.0, -0.225],
    ("signed", "quantile-0.5"): [2.0, 0.0],
    ("log", "mean"): [(sum(DB) + 20) / 4, -25.0],
    ("log", "quantile-0.5"): [sum(DB) / 2, -30.0],
}


@pytest.mark.parametrize(("error", "pooling"), BY_HAND)
def test_each_error_is_pooled_over_time_by_hand(error, pooling):
    found = behind(error=error, poolings=(pooling,)).vectors(as_it_is(CLIP))
    np.testing.assert_allclose(found, [BY_HAND[error, pooling]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("is_overlapping", [False, True])
@pytest.mark.parametrize("n_frames", [1, 2, 7, 40])
def test_views_are_finite_and_of_one_size_whatever_the_length(error, is_overlapping, n_frames):
    poolings = ("mean", "quantile-0.1", "quantile-0.3")
    log_mel = torch.randn(2, n_frames, generator=torch.Generator().manual_seed(0))
    found = behind(conditions=3, error=error, poolings=poolings, is_overlapping=is_overlapping)
    assert [view.shape for view in found.views(as_it_is(log_mel))] == [(3, 2)] * 3
    assert np.isfinite(found.vectors(as_it_is(log_mel))).all()


def test_where_segments_overlap_a_frame_counts_once_and_in_the_mean_each_segment():
    clip = as_it_is(torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]))
    found = behind(error="signed", poolings=("mean", "quantile-0.5"), is_overlapping=True)
    # Segments [1, 2] and [2, 6]; [0, 0] and [0, 3].
    np.testing.assert_allclose(found.vectors(clip), [[11 / 4, 3 / 4, 2.0, 0.0]], rtol=1e-6)


def test_the_latent_is_the_mean_over_segments_under_each_condition():
    # Segments [1, -2 | 0, 0] and [3, 10 | 0.1, -1] add up to -1 and 12.1.
    found = behind(Latent, conditions=2).vectors(as_it_is(CLIP))
    np.testing.assert_allclose(found, [[5.55, 0.0], [5.55, 1.0]], rtol=1e-6)
    views = behind(Latent, conditions=2, poolings=("mean", "quantile-0.25")).vectors(as_it_is(CLIP))
    np.testing.assert_allclose(views, [[5.55, 0.0, 2.275, 0.0], [5.55, 1.0, 2.275, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_what_a_network_reconstructs_it_decodes_from_what_it_encodes(name):
    small = [
        "log_mel.n_mels=16",
        "autoencoder.segment_frames=8",
        "autoencoder.channels=[4]",
        f"autoencoder.name={name}",
    ]
    torch.manual_seed(0)
    scale = {"mean": torch.zeros(2, 16), "deviation": torch.ones(2, 16)}
    network = (
        new_reconstructor(load_settings("conditional", overrides=small), n_conditions=2, **scale).eval().autoencoder
    )
    segments, encoded = torch.randn(3, 16, 8), torch.eye(2)[[0, 1, 0]]
    latent = network.encode(segments, encoded)
    assert latent.shape == (3, 8)
    assert not torch.equal(network.encode(segments, encoded.flip(1)), latent)
    before = network(segments, encoded)
    network.encode = lambda segments, encoded: latent.flip(0)  # noqa: ARG005  # as all networks
    torch.testing.assert_close(network(segments, encoded), before.flip(0))


def test_a_network_without_an_encoder_has_no_latent(monkeypatch):
    monkeypatch.setitem(AUTOENCODERS, "mute", Mute)
    check_network(load_settings("conditional", overrides=["autoencoder=mute"]))
    with pytest.raises(
        SettingsError, match=r"autoencoder\.name: mute lacks encode, which representation 'latent' needs"
    ):
        check_network(load_settings("conditional", overrides=["autoencoder=mute", "representation=latent"]))
    path = f"{__name__}:Mute"
    with pytest.raises(
        SettingsError, match=r"autoencoder\.name: .*:Mute lacks encode; its role needs __init__, forward, encode"
    ):
        check_network(load_settings("conditional", overrides=[f"autoencoder={path}", "representation=latent"]))


@pytest.mark.parametrize(
    ("overrides", "sizes"),
    [
        (("autoencoder.error=signed",), [16, 16, 16]),
        (("autoencoder.error=log",), [16] * 3),
        (("representation=latent",), [4] * 3),
    ],
)
def test_views_reach_the_fused_scorer_and_are_read_back(fan, small, tmp_path, waveform, overrides, sizes):
    settings = small("conditional", VIEWS, "scorer=fused", "training.max_steps=10", *overrides)
    (detector,) = train(fan, tmp_path / "run", system=settings)
    assert detector.scorer.sizes.tolist() == sizes
    assert len(detector.scorer.scorers) == 3
    assert detector.error_map(waveform).min() >= 0.0
    again = load_detector(tmp_path / "run" / "fan.soundness")
    assert again.score(waveform) == detector.score(waveform)
