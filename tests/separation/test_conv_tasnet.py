"""The network is the paper's: its parts against numpy and librosa, its size by hand, and how far it looks."""

from functools import cache
from typing import get_args

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from soundness.separation.conv_tasnet import (
    BASES,
    SOURCES,
    ConvTasNet,
    CumulativeLayerNorm,
    GlobalLayerNorm,
    LearnedBasis,
    Masker,
    Refinement,
    StftBasis,
)
from soundness.separation.losses import separation_loss
from soundness.settings.separation import SEPARATOR_SIZES, SeparatorSettings

N_FFT = 64
VARIANTS = [(basis, causal) for basis in BASES for causal in (False, True)]


@cache
def network(basis="stft", causal=False, *, size="cpu", n_fft=N_FFT, refinement_channels=8, seed=0):
    torch.manual_seed(seed)
    settings = SeparatorSettings(
        size=size, basis=basis, causal=causal, n_fft=n_fft, refinement_channels=refinement_channels
    )
    return ConvTasNet(settings).eval()


def sound(*shape, seed=1, level=0.1):
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def separated(mixture, *args, **kwargs):
    with torch.inference_mode():
        return network(*args, **kwargs)(mixture)


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_basis_and_every_size_that_may_be_chosen_is_there():
    assert get_args(SeparatorSettings.model_fields["basis"].annotation) == tuple(BASES)
    assert get_args(SeparatorSettings.model_fields["size"].annotation) == tuple(SEPARATOR_SIZES)
    assert SOURCES == ("machine", "noise")


def test_the_papers_network_has_the_number_of_parameters_worked_out_by_hand():
    # N=512 L=16 B=128 H=512 Sc=128 P=3 X=8 R=3
    expected = (
        2 * 512 * 16  # encoder and decoder: N L each, no bias
        + 2 * 512  # gLN: 2 N
        + 512 * 128 + 128  # bottleneck: N B + B
        + 24 * (  # X R blocks
            128 * 512 + 512  # expand: B H + H
            + 1 + 2 * 512  # PReLU and gLN: 1 + 2 H
            + 3 * 512 + 512  # depthwise: P H + H
            + 1 + 2 * 512  # PReLU and gLN: 1 + 2 H
            + 512 * 128 + 128  # skip: H Sc + Sc
        )
        + 23 * (512 * 128 + 128)  # residual: H B + B, but for the last block, whose goes nowhere
        + 1 + 128 * 1024 + 1024  # masks: PReLU and Sc 2N + 2N
    )  # fmt: skip
    assert expected == 4_984_881  # the paper says 5.1 million
    assert n_parameters(ConvTasNet(SeparatorSettings(size="paper", basis="learned"))) == expected


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize(
    ("size", "n", "l", "b", "h", "x", "r"), [("cpu", 256, 64, 64, 128, 6, 2), ("cpu-quality", 256, 64, 128, 256, 8, 3)]
)
def test_the_cpu_sizes_have_the_number_of_parameters_worked_out_by_hand(size, n, l, b, h, x, r, basis, causal):  # noqa: E741  (the paper's letter)
    outside = 2 * n * l
    if basis == "stft":  # nothing to learn outside the masker, and 2048 / 2 + 1 coefficients
        outside, n = 0, 1025
    block = (b * h + h) + (1 + 2 * h) + (3 * h + h) + (1 + 2 * h) + (h * b + b)
    masker = 2 * n + (n * b + b) + x * r * block + (x * r - 1) * (h * b + b) + 1 + (b * 2 * n + 2 * n)
    refinement = 0
    if basis == "stft":  # 6 maps, three layers of 3 x 3
        refinement = (6 * 9 * 8 + 8) + 2 * (8 * 9 * 8 + 8) + (8 * 2 + 2)
    found = ConvTasNet(SeparatorSettings(size=size, basis=basis, causal=causal))
    assert n_parameters(found) == outside + masker + refinement
    bare = ConvTasNet(SeparatorSettings(size=size, basis=basis, causal=causal, refinement_channels=0))
    assert n_parameters(bare) == outside + masker


@pytest.mark.parametrize(("basis", "causal"), VARIANTS)
class TestEveryNetwork:
    @pytest.mark.parametrize("n_samples", [1, 2, 31, 32, 33, 63, 64, 65, 777, 1009])
    def test_estimates_are_as_long_as_the_mixture_and_add_up_to_it(self, basis, causal, n_samples):
        mixture = sound(2, 1, n_samples)
        estimates = separated(mixture, basis, causal)
        assert estimates.shape == (2, 2, n_samples)
        torch.testing.assert_close(estimates.sum(dim=1, keepdim=True), mixture, atol=1e-6, rtol=1e-5)

    def test_estimates_do_not_depend_on_their_batch(self, basis, causal):
        levels = torch.tensor([0.1, 1e-3, 0.5, 0.0, 0.02])[:, None, None]
        mixtures = sound(5, 1, 700, level=1.0) * levels
        together = separated(mixtures, basis, causal)
        for index, mixture in enumerate(mixtures):
            alone = separated(mixture[None], basis, causal)[0]
            torch.testing.assert_close(together[index], alone, atol=2e-6 * levels[index].item(), rtol=1e-5)

    def test_silence_gives_finite_silence(self, basis, causal):
        estimates = separated(torch.zeros(1, 1, 500), basis, causal)
        assert estimates.isfinite().all()
        assert estimates.abs().amax() < 1e-6

    def test_the_gradient_on_silence_is_finite(self, basis, causal):
        model = ConvTasNet(SeparatorSettings(basis=basis, causal=causal, n_fft=N_FFT))
        mixture = torch.cat([torch.zeros(1, 1, 500), sound(1, 1, 500)])
        model(mixture).square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    def test_the_gradient_reaches_every_parameter(self, basis, causal):
        torch.manual_seed(0)
        model = ConvTasNet(SeparatorSettings(basis=basis, causal=causal, n_fft=N_FFT))
        references = sound(2, 2, 1500)
        separation_loss(model(references.sum(dim=1, keepdim=True)), references).backward()
        unreached = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().amax() > 0.0]
        assert unreached == []

    def test_masks_lie_between_0_and_1_and_differ_from_source_to_source(self, basis, causal):
        model = network(basis, causal)
        with torch.inference_mode():
            _, features = model.basis.encode(sound(2, 1, 1000))
            masks = model.masker(100 * features)
        assert masks.shape == (2, 2, *features.shape[1:])
        assert masks.min() >= 0.0
        assert masks.max() <= 1.0
        assert (masks[:, 0] - masks[:, 1]).abs().amax() > 0.01

    def test_the_mixture_and_the_weights_change_the_share_of_the_machine(self, basis, causal):
        mixture, other = sound(1, 1, 500), sound(1, 1, 500, seed=2)
        shares = [
            separated(mixture, basis, causal)[:, 0] - mixture[:, 0] / 2,
            separated(other, basis, causal)[:, 0] - other[:, 0] / 2,
            separated(mixture, basis, causal, seed=1)[:, 0] - mixture[:, 0] / 2,
        ]
        assert shares[0].abs().amax() > 1e-4
        assert (shares[0] - shares[1]).abs().amax() > 1e-4
        assert (shares[0] - shares[2]).abs().amax() > 1e-4

    @pytest.mark.parametrize("changed", [2048, 2049, 1983])
    def test_only_a_network_that_is_not_causal_reads_the_future(self, basis, causal, changed):
        mixture, other = sound(1, 1, 4000), sound(1, 1, 4000)
        other[..., changed:] = 3 * sound(1, 1, 4000 - changed, seed=2)
        difference = (separated(other, basis, causal) - separated(mixture, basis, causal)).abs()
        frame = 64  # samples, of the cpu size's filters and of the spectrum alike
        before = difference[..., : changed - frame].amax()
        assert difference[..., changed:].amax() > 0.01
        assert before < 1e-7 if causal else before > 1e-4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 1500), st.sampled_from(VARIANTS))
def test_a_mixture_of_any_length_keeps_it(n_samples, variant):
    mixture = sound(1, 1, n_samples)
    estimates = separated(mixture, *variant)
    torch.testing.assert_close(estimates.sum(dim=1, keepdim=True), mixture, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("gain", [1000.0, 1e-3])
def test_a_louder_mixture_gives_the_same_estimates_as_much_louder(basis, gain):
    mixture = sound(2, 1, 1000)
    found = separated(gain * mixture, basis) / gain
    torch.testing.assert_close(found, separated(mixture, basis), atol=2e-5, rtol=0)


@pytest.mark.parametrize("basis", BASES)
def test_a_causal_network_reads_a_recording_at_its_own_level(basis):
    mixture = sound(1, 1, 1000)
    model, features = network(basis, causal=True), []
    with model.masker.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0])), torch.inference_mode():
        model(mixture)
    torch.testing.assert_close(features[0], model.basis.encode(mixture)[1])


@pytest.mark.parametrize("name", ["size", "basis", "n_fft", "causal", "refinement_channels"])
def test_each_setting_of_the_network_changes_the_estimates(name):
    changes = {"size": "cpu-quality", "basis": "learned", "n_fft": 128, "causal": True, "refinement_channels": 4}
    mixture = sound(1, 1, 1000)
    assert (separated(mixture) - separated(mixture, **{name: changes[name]})).abs().amax() > 1e-4


@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_one_value_give_the_shares_worked_out_by_hand(causal):
    torch.manual_seed(0)
    model = ConvTasNet(SeparatorSettings(n_fft=N_FFT, causal=causal, refinement_channels=0)).eval()
    last = model.masker.to_logits[1]
    nn.init.zeros_(last.weight)
    with torch.no_grad():  # masks of 0.9 for the machine and 0.5 for the noise: together 0.4 too much, 0.2 from each
        last.bias[:33], last.bias[33:] = np.log(0.9 / 0.1), 0.0
    mixture = sound(2, 1, 777)
    with torch.inference_mode():
        machine, noise = model(mixture).unbind(dim=1)
    torch.testing.assert_close(machine, 0.7 * mixture[:, 0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(noise, 0.3 * mixture[:, 0], atol=1e-6, rtol=1e-5)


def reached_frames(masker, *, n_frames, of):
    """Frames of the input on which a frame of the masks depends, when no norm lets it read all of them."""
    masker.norm = nn.Identity()
    for block in masker.blocks:
        for name, part in block.named_children():
            if isinstance(part, nn.Sequential):
                kept = [nn.Identity() if isinstance(p, GlobalLayerNorm | CumulativeLayerNorm) else p for p in part]
                setattr(block, name, nn.Sequential(*kept))
    features = sound(1, 5, n_frames, level=1.0).double().requires_grad_()
    masker.double()(features)[..., of].sum().backward()
    assert features.grad is not None
    return features.grad.abs().sum(dim=(0, 1)).nonzero().flatten().tolist()


@pytest.mark.parametrize(("size", "n_blocks", "n_repeats"), [("cpu", 6, 2), ("cpu-quality", 8, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_convolutions_reach_as_far_as_their_dilations_add_up_to(size, n_blocks, n_repeats, causal):
    torch.manual_seed(0)
    masker = Masker(SeparatorSettings(size=size, causal=causal, refinement_channels=0), n_coefficients=5)
    reach = n_repeats * sum(2**block for block in range(n_blocks))  # frames to each side: 126 and 765
    past, future = (2 * reach, 0) if causal else (reach, reach)
    of, n_frames = past + 10, past + future + 20
    assert reached_frames(masker, n_frames=n_frames, of=of) == list(range(10, of + future + 1))


def corrections(features, *, causal=False, logits=None, seed=0):
    torch.manual_seed(seed)
    refinement = Refinement(SeparatorSettings(causal=causal))
    logits = torch.zeros(len(features), 2, *features.shape[1:]) if logits is None else logits
    with torch.inference_mode():
        return refinement(logits, features)


def test_what_is_corrected_at_one_frequency_is_corrected_so_at_another():
    features = torch.zeros(1, 200, 40)
    features[0, 80:84] = 1 + sound(4, 40, level=1.0)
    found, moved = corrections(features), corrections(features.roll(30, dims=1))
    torch.testing.assert_close(found[:, :, 40:124], moved[:, :, 70:154])
    assert (found[:, :, 80:84] - found[:, :, 20:24]).abs().amax() > 0.01


@pytest.mark.parametrize(("causal", "past", "future"), [(False, 3, 3), (True, 6, 0)])
def test_masks_change_the_corrections_of_the_bins_and_frames_around_them(causal, past, future):
    features, logits = sound(1, 50, 60, level=1.0), torch.zeros(1, 2, 50, 60)
    logits[0, :, 25, 30] = 5.0
    difference = corrections(features, causal=causal, logits=logits) - corrections(features, causal=causal)
    changed = difference.abs().amax(dim=(0, 1)) > 1e-6
    bins, frames = (changed.any(dim=dim).nonzero().flatten().tolist() for dim in (1, 0))
    assert (bins[0], bins[-1]) == (22, 28)
    assert (frames[0], frames[-1]) == (30 - future, 30 + past)


@pytest.mark.parametrize("causal", [False, True])
def test_corrections_know_mean_and_deviation_of_a_bin_over_time(causal):
    steady = torch.full((1, 40, 100), 0.5)
    late = steady.clone()
    late[..., :20] += 1.0  # more than the convolutions reach before the end
    last = [corrections(features, causal=causal)[..., -1] for features in (steady, late)]
    assert (last[0] - last[1]).abs().amax() > 1e-3


def test_the_statistics_of_a_causal_refinement_are_those_of_the_frames_so_far():
    features = 3 * sound(2, 5, 30, level=1.0) + 10
    mean, deviation = Refinement(SeparatorSettings(causal=True))._over_time(features)
    for frame in (0, 7, 29):
        past = features[..., : frame + 1].numpy()
        np.testing.assert_allclose(mean[..., frame], past.mean(axis=-1), rtol=1e-5)
        np.testing.assert_allclose(deviation[..., frame], np.sqrt(past.var(axis=-1) + 1e-8), atol=1e-3)
    mean, deviation = Refinement(SeparatorSettings())._over_time(features)
    np.testing.assert_allclose(mean[..., 0], features.mean(dim=-1), rtol=1e-5)
    np.testing.assert_allclose(deviation[..., 0], features.numpy().std(axis=-1), rtol=1e-4)


def with_random_scale(norm):
    with torch.no_grad():
        norm.weight.copy_(1 + sound(len(norm.weight), seed=5, level=0.5))
        norm.bias.copy_(sound(len(norm.bias), seed=6, level=0.5))
    return norm, norm.weight.detach().numpy()[:, None], norm.bias.detach().numpy()[:, None]


def test_the_global_norm_is_over_channels_and_frames_of_each_mixture():
    norm, weight, bias = with_random_scale(GlobalLayerNorm(6))
    features = (3 * sound(4, 6, 50, level=1.0) + 2).numpy()
    for index, found in enumerate(norm(torch.from_numpy(features)).detach().numpy()):
        expected = (features[index] - features[index].mean()) / np.sqrt(features[index].var() + 1e-8) * weight + bias
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 2.0, 30.0])
def test_the_cumulative_norm_is_over_channels_and_all_frames_so_far(offset):
    norm, weight, bias = with_random_scale(CumulativeLayerNorm(6))
    features = (3 * sound(4, 6, 50, level=1.0) + offset).numpy()
    found = norm(torch.from_numpy(features)).detach().numpy()
    assert found.dtype == np.float32
    for index, frame in np.ndindex(4, 50):
        past = features[index, :, : frame + 1].astype(np.float64)
        now = (features[index, :, frame] - past.mean()) / np.sqrt(past.var() + 1e-8) * weight[:, 0] + bias[:, 0]
        np.testing.assert_allclose(found[index, :, frame], now, atol=1e-4)


def test_the_cumulative_norm_is_as_exact_after_a_long_past():
    features = torch.cat([sound(1, 4, 200_000, level=1.0) + 300, torch.full((1, 4, 1), 301.0)], dim=-1)
    past = features.double().numpy()
    expected = (301.0 - past.mean()) / past.std()
    assert CumulativeLayerNorm(4)(features)[0, 0, -1].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("norm", [GlobalLayerNorm, CumulativeLayerNorm])
def test_a_norm_of_silence_is_finite(norm):
    assert norm(3)(torch.zeros(1, 3, 20)).isfinite().all()
    assert norm(3)(torch.full((1, 3, 20), 0.7)).isfinite().all()


@pytest.mark.parametrize("n_fft", [32, 512, 100])
@pytest.mark.parametrize("n_samples", [1, 2, 777, 1024, 1025])
def test_a_spectrum_that_is_not_masked_is_the_waveform_again(n_fft, n_samples):
    basis, waveform = StftBasis(SeparatorSettings(n_fft=n_fft)), sound(3, 1, n_samples)
    coefficients, features = basis.encode(waveform)
    assert coefficients.shape == features.shape
    assert coefficients.shape[1] == basis.n_coefficients == n_fft // 2 + 1
    torch.testing.assert_close(basis.decode(coefficients, n_samples=n_samples), waveform[:, 0], atol=1e-6, rtol=1e-5)


def test_the_masker_sees_librosas_magnitudes_to_the_power_of_three_tenths():
    basis, waveform = StftBasis(SeparatorSettings(n_fft=128)), sound(1, 1, 640, level=1.0)
    window = np.sqrt(np.hanning(129)[:-1])  # periodic
    expected = librosa.stft(waveform[0, 0].numpy(), n_fft=128, hop_length=32, window=window, pad_mode="constant")
    coefficients, features = basis.encode(waveform)
    np.testing.assert_allclose(coefficients[0].numpy(), expected / np.sqrt(128), atol=1e-5)
    np.testing.assert_allclose(features[0].numpy(), np.abs(expected / np.sqrt(128)) ** 0.3, atol=5e-3)


@pytest.mark.parametrize("n_samples", [1, 31, 32, 33, 64, 777])
def test_every_sample_is_in_two_frames_of_the_learned_basis(n_samples):
    basis = LearnedBasis(SeparatorSettings(basis="learned"))  # 256 filters of 64 samples
    picking = torch.cat([torch.eye(64), torch.zeros(192, 64)])[:, None]  # each filter picks one sample
    with torch.no_grad():
        basis.encoder.weight.copy_(picking)
        basis.decoder.weight.copy_(picking)
    waveform = sound(2, 1, n_samples).abs()
    with torch.inference_mode():
        coefficients, features = basis.encode(waveform)
        decoded = basis.decode(coefficients, n_samples=n_samples)
    assert torch.equal(coefficients, features)
    torch.testing.assert_close(decoded, 2 * waveform[:, 0])


def test_coefficients_of_the_learned_basis_are_never_negative():
    coefficients, _ = LearnedBasis(SeparatorSettings(basis="learned")).encode(sound(1, 1, 1000))
    assert coefficients.min() == 0.0
    assert coefficients.max() > 0.0
