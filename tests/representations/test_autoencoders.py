"""Every autoencoder reconstructs segments under a condition; error vectors are means over the whole clip."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.audio import log_mel as features
from soundness.errors import SettingsError
from soundness.representations import reconstruction as reconstruction_errors
from soundness.representations.autoencoders import (
    AUTOENCODERS,
    ConvolutionalAutoencoder,
    Reconstructor,
    new_reconstructor,
    overlapping_segments,
    split_into_segments,
)
from soundness.settings.loading import load_settings
from soundness.settings.system import AutoencoderSettings

N_MELS, N_FRAMES = 16, 8


class ReconstructionError(reconstruction_errors.ReconstructionError):
    """Answers in tensors, which are compared with those of networks."""

    def vectors(self, clip):
        return torch.from_numpy(super().vectors(clip))

    def error_maps(self, clip):
        return torch.from_numpy(super().error_maps(clip))


def Spectrograms(read, reference):  # noqa: N802  # as the class that takes arrays
    """Of tensors."""
    return features.Spectrograms(read.numpy(), reference.numpy())


def small_settings(name="convolutional", **changes):
    values = {"segment_frames": N_FRAMES, "channels": (4, 8), "latent_features": 4} | changes
    return AutoencoderSettings(name=name, **values)


def network(name, *, n_conditions=3, seed=0, n_mels=N_MELS, **changes):
    torch.manual_seed(seed)
    return AUTOENCODERS[name](small_settings(name, **changes), n_mels=n_mels, n_conditions=n_conditions).eval()


def segments(n=5, *, n_mels=N_MELS, n_frames=N_FRAMES, seed=1):
    return torch.randn(n, n_mels, n_frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", AUTOENCODERS)
class TestEveryAutoencoder:
    def test_a_reconstruction_has_the_shape_of_its_segment(self, name):
        for n_mels, n_frames in ((16, 8), (32, 8), (16, 16)):
            autoencoder = network(name, n_mels=n_mels, segment_frames=n_frames)
            shaped = segments(5, n_mels=n_mels, n_frames=n_frames)
            assert autoencoder(shaped, torch.zeros(5, 3)).shape == shaped.shape

    def test_the_condition_changes_the_reconstruction(self, name):
        autoencoder, batch = network(name), segments()
        outputs = [autoencoder(batch, torch.eye(3)[index].expand(5, 3)) for index in range(3)]
        assert (outputs[0] - outputs[1]).abs().amax() > 1e-4
        assert (outputs[1] - outputs[2]).abs().amax() > 1e-4

    def test_it_works_without_conditions(self, name):
        assert network(name, n_conditions=0)(segments(), torch.zeros(5, 0)).shape == (5, N_MELS, N_FRAMES)

    def test_the_segment_changes_the_reconstruction(self, name):
        autoencoder = network(name)
        out = autoencoder(segments(), torch.zeros(5, 3))
        assert (out[0] - out[1]).abs().amax() > 1e-4

    def test_a_reconstruction_does_not_depend_on_its_batch(self, name):
        autoencoder, batch, conditions = network(name), segments(7), torch.randn(7, 3)
        together = autoencoder(batch, conditions)
        for index in range(7):
            alone = autoencoder(batch[index : index + 1], conditions[index : index + 1])[0]
            torch.testing.assert_close(together[index], alone, atol=1e-5, rtol=1e-5)

    def test_a_seed_gives_the_same_network_and_another_seed_another(self, name):
        weights = [torch.cat([p.flatten() for p in network(name, seed=seed).parameters()]) for seed in (3, 3, 4)]
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_a_wider_bottleneck_has_more_parameters(self, name):
        counts = [sum(p.numel() for p in network(name, latent_features=n).parameters()) for n in (2, 4)]
        assert counts[0] < counts[1]

    def test_every_parameter_is_trained(self, name):
        autoencoder = network(name).train()
        (autoencoder(segments(), torch.randn(5, 3)) - segments()).square().mean().backward()
        assert all(p.grad is not None for p in autoencoder.parameters())

    def test_its_error_vectors_survive_as_arrays_to_the_last_bit(self, name):
        before = representation(name)
        after = ReconstructionError.from_arrays(before.arrays(), system(name))
        clip = as_it_is(log_mel(21))
        assert torch.equal(before.vectors(clip), after.vectors(clip))
        assert torch.equal(before.error_map(clip), after.error_map(clip))


def test_the_convolutional_network_has_the_number_of_parameters_worked_out_by_hand():
    # encoder 8*8*(1+3)*4 + 2*4 + 3*3*4*8 + 2*8; latent (8*2*1)*4 + 4; back 4*16 + 16;
    # decoder 4*4*8*4 + 2*4 + 3*3*4*16 + 16
    expected = (1024 + 8 + 288 + 16) + (64 + 4) + (64 + 16) + (512 + 8 + 576 + 16)
    assert sum(p.numel() for p in network("convolutional").parameters()) == expected


def test_the_network_over_time_has_the_number_of_parameters_worked_out_by_hand():
    # encoder 4*(16+3)*4 + 2*4 + 4*4*8 + 2*8; latent (8*2)*4 + 4; back 4*16 + 16; decoder 4*8*4 + 2*4 + 4*4*16 + 16
    expected = (304 + 8 + 128 + 16) + (64 + 4) + (64 + 16) + (128 + 8 + 256 + 16)
    assert sum(p.numel() for p in network("time-convolutional").parameters()) == expected


def test_the_network_over_time_has_weights_of_its_own_for_each_band_and_the_other_one_the_same_for_all():
    for name, is_its_own in (("time-convolutional", True), ("convolutional", False)):
        first = network(name, n_conditions=0).encoder[0]
        one, other = torch.zeros(2, 1, N_MELS, N_FRAMES)
        one[0, 4, 3], other[0, 12, 3] = 1.0, 1.0  # the same change, two strides of the first convolution apart
        if is_its_own:
            assert not torch.allclose(first(one), first(other))
        else:
            torch.testing.assert_close(first(one[:, None])[..., 0:2, :], first(other[:, None])[..., 2:4, :])


def test_frames_that_the_network_over_time_cannot_halve_are_refused_by_name():
    with pytest.raises(SettingsError, match=r"autoencoder\.segment_frames is 10; 2 layers need a multiple of 4"):
        network("time-convolutional", segment_frames=10)


def test_the_official_baselines_network_has_the_number_of_parameters_worked_out_by_hand():
    system = load_settings("baseline-mse")
    settings = system.autoencoder
    baseline = AUTOENCODERS[settings.name](settings, n_mels=system.log_mel.n_mels, n_conditions=0)
    linear = (640 * 128 + 128) + 3 * (128 * 128 + 128) + (128 * 8 + 8) + (8 * 128 + 128) + 3 * (128 * 128 + 128)
    expected = linear + (128 * 640 + 640) + 2 * (4 * 128 + 8 + 4 * 128)  # and scale and shift of each normalisation
    assert expected == 267_928
    assert sum(p.numel() for p in baseline.parameters()) == expected
    layers = [*baseline.encoder, *baseline.decoder]
    widths = [(layer.in_features, layer.out_features) for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert [n_out for _, n_out in widths] == [128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    normalisations = [layer for layer in layers if isinstance(layer, torch.nn.BatchNorm1d)]
    assert {(layer.momentum, layer.eps) for layer in normalisations} == {(0.01, 1e-3)}
    assert [type(layer).__name__ for layer in layers] == ["Linear", "BatchNorm1d", "ReLU"] * 9 + ["Linear"]


@pytest.mark.parametrize(
    ("n_mels", "changes", "message"),
    [
        (18, {}, r"log_mel\.n_mels is 18; 2 layers need a multiple of 8"),
        (16, {"segment_frames": 10}, r"autoencoder\.segment_frames is 10; 2 layers need a multiple of 8"),
        (18, {"first_stride": 2}, r"log_mel\.n_mels is 18; 2 layers need a multiple of 4"),
        (16, {"channels": (4,) * 5}, r"log_mel\.n_mels is 16; 5 layers need a multiple of 64"),
    ],
)
def test_sizes_that_cannot_be_halved_are_refused_by_name(n_mels, changes, message):
    with pytest.raises(SettingsError, match=message):
        ConvolutionalAutoencoder(small_settings(**changes), n_mels=n_mels, n_conditions=0)


def system(name="convolutional", *overrides):
    small = ["log_mel.n_mels=16", "autoencoder.segment_frames=8", "autoencoder.channels=[4]"]
    return load_settings("conditional", overrides=[*small, f"autoencoder.name={name}", *overrides])


def reconstructor(name="convolutional", *, n_conditions=3, mean=-50.0, deviation=8.0, seed=0):
    torch.manual_seed(seed)
    scale = {"mean": torch.full((2, N_MELS), mean), "deviation": torch.full((2, N_MELS), deviation)}
    return new_reconstructor(system(name), n_conditions=n_conditions, **scale)


def representation(name="convolutional", *, n_conditions=3):
    conditions = torch.eye(n_conditions) if n_conditions else torch.zeros(1, 0)
    return ReconstructionError(reconstructor(name, n_conditions=n_conditions), conditions, segment_frames=N_FRAMES)


def log_mel(n_frames, *, seed=5):
    return -50 + 8 * torch.randn(N_MELS, n_frames, generator=torch.Generator().manual_seed(seed))


def as_it_is(log_mel):
    """A clip whose log-mel is both read and reconstructed."""
    return Spectrograms(log_mel, log_mel)


def test_an_unknown_network_and_a_system_without_one_are_refused_by_name():
    scale = {"mean": torch.zeros(2, 16), "deviation": torch.ones(2, 16)}
    with pytest.raises(SettingsError, match=r"autoencoder\.name: no 'recurrent'; there are .*convolutional"):
        new_reconstructor(system("recurrent"), n_conditions=0, **scale)
    with pytest.raises(SettingsError, match="needs a network"):
        new_reconstructor(load_settings("log-mel-knn"), n_conditions=0, **scale)


def test_the_residual_is_in_deviations_of_each_band():
    network = reconstructor().eval()
    network.mean[0, 3], network.deviation[0, 3] = -20.0, 2.0
    network.mean[1], network.deviation[1, 5] = -45.0, 4.0
    batch, conditions = torch.stack([log_mel(N_FRAMES, seed=seed) for seed in range(4)]), torch.eye(3)[[0, 1, 2, 0]]
    reference = batch.flip(0)
    read, target = (batch + 50) / 8, (reference + 45) / 8
    read[:, 3] = (batch[:, 3] + 20) / 2
    target[:, 5] = (reference[:, 5] + 45) / 4
    expected = target - network.autoencoder(read, conditions)
    torch.testing.assert_close(network(batch, reference, conditions), expected)


def test_the_scale_is_saved_but_not_trained():
    network = reconstructor()
    assert {"mean", "deviation"} <= network.state_dict().keys()
    assert not {"mean", "deviation"} & {name for name, _ in network.named_parameters()}


def test_a_representation_is_in_evaluation_mode():
    assert not representation().reconstructor.training


@pytest.mark.parametrize("n_frames", [8, 16, 21, 24, 3, 1])
def test_vectors_are_the_errors_of_every_frame_worked_out_segment_by_segment(n_frames):
    found, clip = representation(), log_mel(n_frames)
    starts = {8: [0], 16: [0, 8], 21: [0, 8, 13], 24: [0, 8, 16], 3: [0], 1: [0]}[n_frames]
    frames = torch.cat([clip] * 8, dim=1)[:, :8] if n_frames < 8 else clip
    maps = []
    for condition in torch.eye(3):
        errors = torch.empty(N_MELS, frames.shape[1])
        for start in reversed(starts):  # earlier segments win where two overlap
            with torch.inference_mode():
                segment = frames[None, :, start : start + 8]
                residual = found.reconstructor(segment, segment, condition[None])[0]
            errors[:, start : start + 8] = residual.square()
        maps.append(errors[:, :n_frames])
    expected = torch.stack(maps)
    torch.testing.assert_close(found.error_maps(as_it_is(clip)), expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.vectors(as_it_is(clip)), expected.mean(dim=-1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n_frames", [21, 3])
def test_vectors_describe_the_reconstruction_of_the_reference_from_the_input(n_frames):
    found, read, reference = representation(), log_mel(n_frames), log_mel(n_frames, seed=6)
    parts = [split_into_segments(part, n_frames=N_FRAMES) for part in (read, reference)]
    with torch.inference_mode():
        first = found.reconstructor(parts[0][:1], parts[1][:1], torch.eye(3)[:1])[0].square()
    clip = Spectrograms(read, reference)
    torch.testing.assert_close(found.error_maps(clip)[0, :, :N_FRAMES], first[:, : min(n_frames, N_FRAMES)])
    for other in (as_it_is(read), as_it_is(reference), Spectrograms(reference, read)):
        assert not torch.allclose(found.vectors(other), found.vectors(clip))


def test_the_error_map_is_that_of_the_condition_that_explains_the_clip_best():
    found, clip = representation(), as_it_is(log_mel(21))
    vectors, error_map = found.vectors(clip), found.error_map(clip)
    assert error_map.shape == clip.reference.shape
    best = vectors.mean(dim=1).argmin()
    assert vectors.mean(dim=1).unique().numel() == 3
    torch.testing.assert_close(error_map.mean(dim=1), vectors[best])


def test_without_conditions_a_clip_has_one_vector():
    assert representation(n_conditions=0).vectors(as_it_is(log_mel(21))).shape == (1, N_MELS)


def test_a_long_clip_is_the_same_in_one_piece_and_in_many():
    found, clip = representation(), log_mel(8 * 400)  # 1,200 rows, more than go through the network at a time
    whole = split_into_segments(clip, n_frames=8)
    with torch.inference_mode():
        for index, condition in enumerate(torch.eye(3)):
            errors = found.reconstructor(whole, whole, condition.expand(400, 3)).square()  # (segment, mel, frame)
            expected = errors.mean(dim=(0, 2))
            torch.testing.assert_close(found.vectors(as_it_is(clip))[index], expected, rtol=1e-5, atol=1e-5)


def test_vectors_of_a_clip_are_the_same_before_and_after_another_clip():
    found, clip = representation(), as_it_is(log_mel(30))
    before = found.vectors(clip)
    found.vectors(as_it_is(log_mel(100, seed=9)))
    assert torch.equal(found.vectors(clip), before)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20))
def test_segments_cover_every_frame_and_join_to_the_spectrogram_again(length, n_frames):
    clip = torch.arange(2 * length, dtype=torch.float32).reshape(2, length)
    parts = split_into_segments(clip, n_frames=n_frames)
    assert parts.shape[1:] == (2, n_frames)
    assert len(parts) == max(1, -(-length // n_frames))
    assert set(parts[:, 0].flatten().tolist()) == set(range(length))
    assert torch.equal(parts[-1][:, -1], clip[:, -1] if length >= n_frames else clip[:, (n_frames - 1) % length])


class Echo(torch.nn.Module):
    """A network that reconstructs nothing, so that the error is the input, squared."""

    def forward(self, segments, conditions):
        return torch.zeros_like(segments) + conditions[:, :1, None]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 20), st.integers(1, 3))
def test_the_error_map_of_a_clip_of_any_length_is_in_its_place(length, n_frames, n_conditions):
    scale = {"mean": torch.zeros(2, 2), "deviation": torch.ones(2, 2)}
    conditions = torch.arange(n_conditions, dtype=torch.float32)[:, None]
    found = ReconstructionError(Reconstructor(Echo(), **scale), conditions, segment_frames=n_frames)
    clip = torch.arange(2 * length, dtype=torch.float32).reshape(2, length)
    assert torch.equal(
        found.error_maps(as_it_is(clip)), torch.stack([(clip - c).square() for c in range(n_conditions)])
    )


def test_a_short_clip_is_repeated_to_fill_a_segment():
    clip = torch.tensor([[1.0, 2.0, 3.0]])
    assert split_into_segments(clip, n_frames=8).tolist() == [[[1, 2, 3, 1, 2, 3, 1, 2]]]


def test_the_last_segment_ends_with_the_clip():
    clip = torch.arange(10.0)[None]
    assert split_into_segments(clip, n_frames=4)[:, 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]]


def test_digital_silence_has_finite_vectors():
    silence = as_it_is(torch.full((N_MELS, 20), -90.0))
    assert representation().vectors(silence).isfinite().all()


# Segments that overlap


def echo(kind, *, segment_frames, **options):
    scale = {"mean": torch.zeros(2, 2), "deviation": torch.ones(2, 2)}
    network = Reconstructor(Echo(), **scale)
    return kind(network, torch.zeros(1, 1), segment_frames=segment_frames, is_overlapping=True, **options)


def test_overlapping_segments_begin_at_each_frame():
    clip = torch.arange(6.0)[None]
    assert overlapping_segments(clip, n_frames=4)[:, 0].tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
    assert overlapping_segments(clip[:, :3], n_frames=4)[:, 0].tolist() == [[0, 1, 2, 0]]


def test_a_clips_error_is_the_mean_over_all_overlapping_segments_by_hand():
    # Nothing is reconstructed; segments [1, 2, 3] and [2, 3, 4] leave squares 14 and 29, so 43 / 6 in a band.
    clip = as_it_is(torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 6.0]]))
    torch.testing.assert_close(
        echo(ReconstructionError, segment_frames=3).vectors(clip), torch.tensor([[43 / 6, 36 / 6]])
    )
    torch.testing.assert_close(
        echo(ReconstructionError, segment_frames=3, error="signed").vectors(clip), torch.tensor([[15 / 6, 6 / 6]])
    )


class Place(torch.nn.Module):
    """A network whose error at each frame of a segment is the frame's number, from 0."""

    def forward(self, segments, conditions):  # noqa: ARG002  # as all networks
        return segments - torch.arange(segments.shape[-1])


def test_a_frame_of_the_error_map_is_the_mean_over_the_segments_that_hold_it():
    scale = {"mean": torch.zeros(2, 1), "deviation": torch.ones(2, 1)}
    found = ReconstructionError(
        Reconstructor(Place(), **scale), torch.zeros(1, 0), segment_frames=3, is_overlapping=True
    )
    # Frame 0 is only ever first, frame 1 first or second (squares 0 and 1), frame 4 only ever third.
    expected = [0, (0 + 1) / 2, (0 + 1 + 4) / 3, (1 + 4) / 2, 4]
    torch.testing.assert_close(found.error_map(as_it_is(torch.zeros(1, 5)))[0], torch.tensor(expected))
    assert found.error_map(as_it_is(torch.zeros(1, 2))).shape == (1, 2)


@pytest.mark.parametrize("is_overlapping", [False, True])
def test_the_mean_residual_keeps_its_sign(is_overlapping):
    network = reconstructor().eval()
    options = {"segment_frames": N_FRAMES, "is_overlapping": is_overlapping, "error": "signed"}
    found = ReconstructionError(network, torch.eye(3), **options)
    clip, split = log_mel(2 * N_FRAMES), overlapping_segments if is_overlapping else split_into_segments
    batch = split(clip, n_frames=N_FRAMES)
    with torch.inference_mode():
        for index, condition in enumerate(torch.eye(3)):
            expected = network(batch, batch, condition.expand(len(batch), 3)).mean(dim=(0, 2))
            torch.testing.assert_close(found.vectors(as_it_is(clip))[index], expected, rtol=1e-4, atol=1e-5)
    assert (found.vectors(as_it_is(clip)) < 0).any()


def test_an_hour_of_overlapping_segments_is_not_copied():
    clip = log_mel(100)
    assert overlapping_segments(clip, n_frames=5).data_ptr() == clip.data_ptr()
