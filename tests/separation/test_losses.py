"""SI-SNR is torchmetrics', the loss is worked out by hand, and estimates are brought to the mixture's level."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

from soundness.separation.losses import LogMelDistance, mixture_consistent, separation_loss, si_snr

# Two sounds without a mean, at right angles to each other, of power 1
MACHINE = torch.tensor([1.0, -1.0, 1.0, -1.0])
NOISE = torch.tensor([1.0, 1.0, -1.0, -1.0])


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1000,), (4, 33), (1, 2000), (2, 2, 800), (3, 1, 2, 100)])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_si_snr_is_that_of_torchmetrics(shape, share):
    reference = random(*shape) + 0.3
    estimate = share * 0.7 * reference + random(*shape, seed=1) - 1.2
    expected = scale_invariant_signal_noise_ratio(estimate, reference)
    assert si_snr(estimate, reference).shape == shape[:-1]
    torch.testing.assert_close(si_snr(estimate, reference), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("share", "decibels"), [(0.1, 20.0), (0.5, 6.0206), (1.0, 0.0), (2.0, -6.0206)])
def test_si_snr_is_the_power_of_the_machine_over_that_of_the_rest(share, decibels):
    torch.testing.assert_close(si_snr(MACHINE + share * NOISE, MACHINE), torch.tensor(decibels), atol=1e-4, rtol=0)


@settings(max_examples=50, deadline=None)
@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(-1, 1), st.booleans())
def test_si_snr_does_not_depend_on_gain_sign_and_offset(estimate_db, reference_db, offset, is_inverted):
    reference = random(500).double()
    estimate = reference + random(500, seed=1).double()
    gain = 10 ** (estimate_db / 20) * (-1 if is_inverted else 1)
    found = si_snr(gain * estimate + offset, 10 ** (reference_db / 20) * reference - offset)
    torch.testing.assert_close(found, si_snr(estimate, reference), atol=1e-4, rtol=0)


@pytest.mark.parametrize("silent", ["estimate", "reference", "both"])
def test_si_snr_of_silence_and_its_gradient_are_finite(silent):
    estimate = torch.zeros(2, 100) if silent != "reference" else random(2, 100)
    reference = torch.zeros(2, 100) if silent != "estimate" else random(2, 100, seed=1)
    estimate.requires_grad_()
    ratio = si_snr(estimate, reference)
    ratio.sum().backward()
    assert ratio.isfinite().all()
    assert estimate.grad is not None
    assert estimate.grad.isfinite().all()


def test_si_snr_of_a_perfect_estimate_is_high_and_finite():
    ratio = si_snr(random(1000), random(1000))
    assert 80 < ratio < float("inf")


def pair(*, machine=0.5, noise=0.1):
    """Estimates and references of one mixture: the machine in noise, and the noise with some machine left in it."""
    estimates = torch.stack([MACHINE + machine * NOISE, NOISE + noise * MACHINE])
    return estimates[None], torch.stack([MACHINE, NOISE])[None]


def test_the_loss_of_one_pair_is_the_one_worked_out_by_hand():
    # 20 log10(1 / 0.5) = 6.0206 dB for the machine, 20 log10(1 / 0.1) = 20 dB for the noise
    torch.testing.assert_close(separation_loss(*pair()), torch.tensor(-(6.0206 + 20) / 2), atol=1e-4, rtol=0)


def test_the_order_of_the_outputs_is_fixed():
    estimates, references = pair()
    swapped = separation_loss(estimates.flip(1), references)
    torch.testing.assert_close(swapped, torch.tensor((6.0206 + 20) / 2), atol=1e-4, rtol=0)


def test_the_loss_of_a_batch_is_the_mean_over_its_pairs():
    pairs = [pair(), pair(machine=0.1), pair(noise=2.0)]
    estimates, references = (torch.cat(part) for part in zip(*pairs, strict=True))
    expected = torch.stack([separation_loss(*one) for one in pairs]).mean()
    torch.testing.assert_close(separation_loss(estimates, references), expected)


@pytest.mark.parametrize("silent", [0, 1], ids=["machine", "noise"])
@pytest.mark.parametrize("level", [0.0, 10 ** (-70 / 20)])
def test_a_pair_with_a_silent_reference_is_skipped(silent, level):
    audible, skipped = pair(), pair(machine=0.3, noise=0.7)
    skipped[1][:, silent] *= level
    estimates, references = (torch.cat(part) for part in zip(audible, skipped, strict=True))
    torch.testing.assert_close(separation_loss(estimates, references), separation_loss(*audible))


@pytest.mark.parametrize("gain", [0.01, 1.0, 1000.0])
def test_a_reference_that_is_faint_but_audible_counts_however_faint_the_recording(gain):
    estimates, references = (part.repeat(1, 1, 10_000) for part in pair(machine=0.3, noise=0.7))
    references[:, 0] *= 10 ** (-50 / 20)
    # the level of a reference is nothing to SI-SNR: 20 log10(1 / 0.3) and 20 log10(1 / 0.7)
    assert separation_loss(estimates, gain * references).item() == pytest.approx(-(10.4576 + 3.0980) / 2, abs=0.01)


@pytest.mark.parametrize("silent", [(0,), (1,), (0, 1)])
def test_where_every_pair_is_skipped_the_loss_is_nothing_and_so_is_its_gradient(silent):
    estimates, references = random(3, 2, 50), random(3, 2, 50, seed=1)
    references[:, list(silent)] = 0.0
    estimates.requires_grad_()
    loss = separation_loss(estimates, references)
    loss.backward()
    assert loss == 0.0
    assert estimates.grad is not None
    assert (estimates.grad == 0.0).all()


def test_a_silent_estimate_next_to_a_skipped_pair_has_a_finite_gradient():
    estimates, references = torch.zeros(2, 2, 50), random(2, 2, 50)
    references[0] = 0.0
    estimates.requires_grad_()
    separation_loss(estimates, references).backward()
    assert estimates.grad is not None
    assert estimates.grad.isfinite().all()


def test_what_the_sum_lacks_is_shared_out_evenly():
    estimates, mixture = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[[6.0, 2.0]]])
    assert mixture_consistent(estimates, mixture).tolist() == [[[2.0, 0.0], [4.0, 2.0]]]
    three = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert mixture_consistent(three, torch.tensor([[[9.0]]])).tolist() == [[[2.0], [3.0], [4.0]]]


def test_consistent_estimates_add_up_to_the_mixture_and_are_not_changed_again():
    estimates, mixture = random(4, 2, 300), random(4, 1, 300, seed=1)
    found = mixture_consistent(estimates, mixture)
    torch.testing.assert_close(found.sum(dim=1, keepdim=True), mixture, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(mixture_consistent(found, mixture), found, atol=1e-6, rtol=1e-5)
    assert (found - estimates).abs().amax() > 0.1


# Log-mel distance


def together(machine, noise):
    return torch.stack([machine, noise], dim=1)


def test_the_log_mel_distance_of_a_gain_is_the_gain_in_decibels():
    machine, noise = random(3, 4000), random(3, 4000, seed=1)
    distance = LogMelDistance(sample_rate=16_000)
    assert distance(together(machine, noise), together(machine, noise)) == 0.0
    found = distance(together(10 ** (-6 / 20) * machine, noise), together(machine, noise))
    assert found.item() == pytest.approx(6.0, abs=0.01)


def test_the_log_mel_distance_depends_on_weak_bands_that_si_snr_does_not():
    time = torch.arange(16_000) / 16_000
    loud, weak = (
        torch.sin(2 * torch.pi * 300 * time),
        0.01 * torch.randn(16_000, generator=torch.Generator().manual_seed(0)),
    )
    reference, estimate = (loud + weak)[None], (loud + 0.3 * weak)[None]
    noise = 0.1 * random(1, 16_000)
    assert si_snr(estimate, reference).item() > 35.0
    assert LogMelDistance(sample_rate=16_000)(together(estimate, noise), together(reference, noise)).item() > 3.0


def test_the_log_mel_distance_does_not_depend_on_the_level_of_the_recording_and_has_a_finite_gradient():
    distance = LogMelDistance(sample_rate=16_000)
    machine, noise, estimate = random(2, 4000), random(2, 4000, seed=1), random(2, 4000, seed=2)
    quiet = distance(together(1e-3 * estimate, noise), together(1e-3 * machine, 1e-3 * noise))
    assert quiet.item() == pytest.approx(distance(together(estimate, noise), together(machine, noise)).item(), rel=1e-4)
    silent = torch.zeros(2, 2, 4000, requires_grad=True)
    distance(silent, together(machine, noise)).backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()
