"""Mixtures add powers and share labels; noise changes no label; batches follow from seed and epoch alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from soundness.representations.embedding_batches import (
    TRANSFORMATIONS,
    EmbeddingBatches,
    EmbeddingClips,
    mixed,
    transformed,
)

N_MELS = 16


def level(value, n_frames=20):
    return torch.full((N_MELS, n_frames), float(value))


@pytest.fixture
def batches(small):
    def batches(*overrides, log_mels=None, classes=(0, 0, 0, 1), noise=(), seed=0):
        log_mels = [level(-30), level(-30), level(-30), level(-50)] if log_mels is None else log_mels
        clips = EmbeddingClips([*map(Tensor.numpy, log_mels)], np.array(classes), [*map(Tensor.numpy, noise)])
        settings = small("discriminative", "embedding.is_transformed=false", *overrides).embedding
        return EmbeddingBatches(clips, settings, seed=seed)

    return batches


def test_two_equal_sounds_are_three_decibels_louder():
    found = mixed(level(-20)[None], level(-20)[None], torch.ones(1))
    torch.testing.assert_close(found, torch.full_like(found, -20 + 3.0103))


def test_shares_are_factors_of_the_waveform():
    # Half of the amplitude of -20 dB is -26.02 dB: 0.0025 and 0.0025 of power make 0.005.
    half = torch.tensor([0.5])
    found = mixed(level(-20)[None], level(-20)[None], half, half)
    torch.testing.assert_close(found, torch.full_like(found, 10 * np.log10(0.005)))


def test_a_mixture_of_waveforms_that_have_nothing_to_do_with_each_other_sounds_as_predicted():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal(1_000_000), 3 * rng.standard_normal(1_000_000)
    power_db = [torch.tensor([[10 * np.log10(np.mean(wave**2))]]) for wave in (one, other)]
    expected = 10 * np.log10(np.mean((0.3 * one + 0.7 * other) ** 2))
    assert mixed(*power_db, torch.tensor([0.3]), torch.tensor([0.7])).item() == pytest.approx(expected, abs=0.02)


def test_labels_are_mixed_by_the_shares_that_sounds_are(batches):
    (batch, *_) = batches("embedding.mixup_share=1").epoch(0)
    torch.testing.assert_close(batch.labels.sum(dim=1), torch.ones(16))
    is_mixed = (batch.labels > 0).all(dim=1)
    assert 0 < is_mixed.sum() < 16  # some have a partner of their own class
    share = batch.labels[is_mixed, 0]
    expected = 10 * (share.square() * 1e-3 + (1 - share).square() * 1e-5).log10()
    torch.testing.assert_close(batch.segments[is_mixed, 0, 0], expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(batch.spectra[is_mixed, 0], expected, rtol=1e-4, atol=1e-3)


def test_without_mixup_a_segment_is_its_clips_and_its_label_is_one_class(batches):
    for batch in batches("embedding.mixup_share=0").epoch(0):
        expected = torch.where(batch.labels[:, 0] == 1, -30.0, -50.0)
        assert torch.equal(batch.segments[:, 0, 0], expected)
        assert torch.equal(batch.labels.sort(dim=1).values, torch.tensor([[0.0, 1.0]]).expand(16, -1))


def test_each_class_is_drawn_as_often_however_few_its_clips_are(batches):
    drawn = torch.cat([b.labels for b in batches("embedding.mixup_share=0", "embedding.max_steps=60").epoch(0)])
    drawn = torch.cat([drawn, *(b.labels for b in batches("embedding.mixup_share=0", seed=1).epoch(0))])
    assert drawn[:, 1].mean().item() == pytest.approx(0.5, abs=0.1)


def test_noise_is_added_at_the_ratio_asked_for_and_changes_no_label(batches):
    options = ("embedding.mixup_share=0", "embedding.noise_share=1", "embedding.noise_snr_db=[10, 10]")
    (quiet, *_), (loud, *_) = (
        batches(*options, noise=[level(noise_db, 9)]).epoch(0) for noise_db in (-80, -10)
    )  # the level of the noise does not matter, its ratio does
    own = torch.where(quiet.labels[:, 0] == 1, -30.0, -50.0)
    for batch in (quiet, loud):
        torch.testing.assert_close(batch.segments[:, 3, 2], own + 10 * np.log10(1.1), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(batch.spectra[:, 3], own + 10 * np.log10(1.1), rtol=1e-5, atol=1e-4)
        assert ((batch.labels == 0) | (batch.labels == 1)).all()


@pytest.mark.parametrize("override", ["embedding.noise_share=0", "embedding.noise_snr_db=[5, 5]"])
def test_noise_settings_change_the_batches(batches, override):
    noise = [level(-40)]
    (one, *_), (other, *_) = batches(noise=noise).epoch(0), batches(override, noise=noise).epoch(0)
    assert not torch.equal(one.segments, other.segments)


def test_a_transformation_moves_bands_or_tilts_them():
    log_mel = torch.zeros(1, N_MELS, 3)
    log_mel[0, 7] = 10.0
    found = [transformed(log_mel, np.array([way]))[0] for way in range(len(TRANSFORMATIONS))]
    assert torch.equal(found[0], log_mel[0])
    assert [int(rows[:, 0].argmax()) for rows in found] == [7, 9, 5, 7, 7]
    tilts = [(rows - log_mel[0])[[0, -1], 0].tolist() for rows in found[3:]]
    assert tilts == [pytest.approx([3, -3]), pytest.approx([-3, 3])]


def test_transformations_multiply_the_classes(batches):
    transforming = batches("embedding.mixup_share=0", "embedding.is_transformed=true")
    assert transforming.n_classes == 2 * len(TRANSFORMATIONS)
    labels = torch.cat([batch.labels for batch in transforming.epoch(0)])
    assert labels.shape[1] == 10
    assert (labels.sum(dim=0) > 0).all()


def test_an_epochs_batches_follow_from_seed_and_number_alone(batches):
    def epoch(index, seed=0):
        return torch.stack([batch.segments for batch in batches(log_mels=varied(), seed=seed).epoch(index)])

    def varied():
        rng = torch.Generator().manual_seed(0)
        return [torch.randn(N_MELS, 20, generator=rng) for _ in range(4)]

    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(0), epoch(1))
    assert not torch.equal(epoch(0), epoch(0, seed=1))


def test_a_clip_shorter_than_a_segment_is_repeated(batches):
    short = [level(-30, 3), level(-50, 1)]
    (batch, *_) = batches(log_mels=short, classes=(0, 1)).epoch(0)
    assert batch.segments.shape == (16, N_MELS, 8)
