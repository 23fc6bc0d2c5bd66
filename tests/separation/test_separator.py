"""A separator takes a recording of any length, in any blocks, and gives two that add up to it."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.separator import Separator, SeparatorSummary
from soundness.settings.separation import SeparatorSettings

RATE = 1000  # Hz; with frames of 32 ms a network reads about as far as at 16 kHz
CHUNK, OVERLAP = 3 * RATE, 2 * RATE
SMALL = SeparatorSettings(sample_rate=RATE, n_fft=32)
SUMMARY = SeparatorSummary(
    seed=0,
    machine_types=("fan",),
    n_clips={"clean": 1, "noise": 1, "noisy": 0},
    n_parameters=1,
    n_steps=1,
    seconds=1.0,
    improvements=(),
    notes=(),
    versions={},
)


def separator(seed=0, *, settings=SMALL):
    torch.manual_seed(seed)
    return Separator(ConvTasNet(settings), settings=settings, summary=SUMMARY)


def recording(n_samples, *, n_channels=1, seed=1):
    """A hum in noise."""
    rng = np.random.default_rng(seed)
    hum = 0.2 * np.sin(2 * np.pi * 50 * np.arange(n_samples) / RATE)
    return (hum + 0.1 * rng.standard_normal((n_channels, n_samples))).astype(np.float32)


def in_blocks(found, waveform, *cuts, chunk_seconds=CHUNK / RATE):
    """The recording separated in chunks; it comes in blocks that end at the cuts."""
    blocks = np.split(waveform, cuts, axis=-1)
    return np.concatenate(list(found.separate_blocks(blocks, chunk_seconds=chunk_seconds)), axis=-1)


class Third(torch.nn.Module):
    """A network that takes a third of the mixture for the machine."""

    def forward(self, mixture):
        return torch.cat([mixture / 3, 2 * mixture / 3], dim=1)


class Level(torch.nn.Module):
    """A network that takes the mean of its whole input for the machine, so that each chunk gives another."""

    def forward(self, mixture):
        machine = mixture.mean(dim=-1, keepdim=True).expand_as(mixture)
        return torch.cat([machine, mixture - machine], dim=1)


def of(network):
    return Separator(network, settings=SMALL, summary=SUMMARY)


@pytest.mark.parametrize("n_channels", [1, 2, 5])
def test_machine_and_noise_add_up_to_the_recording(n_channels):
    waveform = recording(1234, n_channels=n_channels)
    separated = separator().separate(waveform)
    assert separated.shape == (2, n_channels, 1234)
    assert separated.dtype == np.float32
    np.testing.assert_allclose(separated.sum(axis=0), waveform, atol=1e-6)
    assert np.abs(separated[0] - separated[1]).max() > 1e-3


def test_it_separates_as_its_network_does():
    found, waveform = separator(), recording(2000)
    with torch.inference_mode():
        expected = found.network(torch.from_numpy(waveform)[:, None])[0].numpy()
    np.testing.assert_array_equal(found.separate(waveform)[:, 0], expected)


def test_channels_do_not_hear_each_other():
    found, waveform = separator(), recording(2000, n_channels=3)
    waveform[1] *= 0.01
    together = found.separate(waveform)
    for channel in range(3):
        np.testing.assert_array_equal(together[:, channel], found.separate(waveform[channel : channel + 1])[:, 0])


def test_a_recording_is_left_as_it_is():
    waveform = recording(7000)
    before = waveform.copy()
    in_blocks(separator(), waveform, 3500)
    np.testing.assert_array_equal(waveform, before)


def test_a_network_is_put_into_evaluation_mode():
    assert not of(torch.nn.Dropout().train()).network.training


def test_it_survives_as_arrays_to_the_last_bit():
    before, waveform = separator(), recording(1500)
    after = Separator.from_arrays(before.arrays(), settings=SMALL, summary=SUMMARY)
    assert after.arrays().keys() == before.arrays().keys()
    assert after.fingerprint == before.fingerprint
    assert (after.settings, after.summary) == (SMALL, SUMMARY)
    np.testing.assert_array_equal(after.separate(waveform), before.separate(waveform))


@pytest.mark.parametrize("changes", [{"basis": "learned"}, {"causal": True}])
def test_settings_other_than_the_defaults_survive_with_the_arrays(changes):
    settings = SeparatorSettings(**(SMALL.model_dump() | changes))
    before, waveform = separator(settings=settings), recording(1500)
    after = Separator.from_arrays(before.arrays(), settings=settings, summary=SUMMARY)
    np.testing.assert_array_equal(after.separate(waveform), before.separate(waveform))


def test_the_fingerprint_is_of_the_weights():
    found = separator()
    before = found.fingerprint
    assert before == separator().fingerprint
    assert before != separator(seed=1).fingerprint
    with torch.no_grad():
        next(found.network.parameters())[0] += 1e-3
    assert found.fingerprint != before


def test_a_recording_no_longer_than_a_chunk_is_separated_whole():
    found = separator()
    for n_samples in (1, 500, CHUNK):
        waveform = recording(n_samples)
        np.testing.assert_array_equal(in_blocks(found, waveform, n_samples // 2), found.separate(waveform))


def test_a_recording_longer_than_a_chunk_is_not():
    found, waveform = separator(), recording(CHUNK + 1)
    assert not np.array_equal(in_blocks(found, waveform), found.separate(waveform))


def test_a_chunk_is_thirty_seconds_unless_told_otherwise():
    found, waveform = of(Level()), recording(31 * RATE)
    whole, longer = waveform[:, : 30 * RATE], waveform
    assert np.ptp(found.separate(whole)[0]) == 0.0
    assert np.ptp(found.separate(longer)[0]) > 0.0
    np.testing.assert_array_equal(found.separate(longer), in_blocks(found, longer, chunk_seconds=30.0))


@pytest.mark.parametrize("n_samples", [1, 2999, 3000, 3001, 3999, 4000, 4001, 5000, 5001, 6789, 9000, 11_999])
def test_a_recording_of_any_length_keeps_it_and_adds_up(n_samples):
    waveform = recording(n_samples, n_channels=2)
    separated = in_blocks(separator(), waveform)
    assert separated.shape == (2, 2, n_samples)
    np.testing.assert_allclose(separated.sum(axis=0), waveform, atol=1e-6)


@settings(max_examples=80, deadline=None)
@example(n_samples=CHUNK, cuts=[], chunk_seconds=CHUNK / RATE)
@example(n_samples=2 * CHUNK - OVERLAP + 1, cuts=[CHUNK], chunk_seconds=CHUNK / RATE)
@given(
    st.integers(1, 15_000), st.lists(st.integers(0, 15_000), max_size=6).map(sorted), st.sampled_from([2.1, 2.5, 3, 7])
)
def test_every_sample_of_a_recording_is_in_its_place(n_samples, cuts, chunk_seconds):
    waveform = recording(n_samples, n_channels=2)
    separated = in_blocks(of(Third()), waveform, *cuts, chunk_seconds=chunk_seconds)
    np.testing.assert_allclose(separated, np.stack([waveform / 3, 2 * waveform / 3]), atol=1e-6)


@pytest.mark.parametrize("n_block", [1, 7, 500, 999, 1000, 1001, 2999, 3000, 3001, 6500, 7321])
def test_it_does_not_matter_how_a_recording_is_cut_into_blocks(n_block):
    found, waveform = separator(), recording(7321)
    np.testing.assert_array_equal(
        in_blocks(found, waveform, *range(n_block, 7321, n_block)), in_blocks(found, waveform)
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 7321), max_size=10).map(sorted))
def test_blocks_may_be_of_any_length_and_even_empty(cuts):
    found, waveform = of(Level()), recording(7321)
    np.testing.assert_array_equal(in_blocks(found, waveform, *cuts), in_blocks(found, waveform))


def test_estimates_come_while_the_recording_is_still_read():
    found, waveform = of(Third()), recording(20 * RATE)
    n_read = 0

    def blocks():
        nonlocal n_read
        for start in range(0, 20 * RATE, 500):
            n_read = start + 500
            yield waveform[:, start : start + 500]

    n_given = 0
    for part in found.separate_blocks(blocks(), chunk_seconds=3.0):
        assert n_read - n_given <= CHUNK + 500  # no more than a chunk and a block is ever held back
        n_given += part.shape[-1]
    assert n_given == 20 * RATE


def test_no_blocks_give_nothing():
    assert list(separator().separate_blocks([])) == []


def test_the_length_of_a_chunk_changes_the_estimates():
    found, waveform = separator(), recording(9000)
    assert (
        np.abs(in_blocks(found, waveform, chunk_seconds=3) - in_blocks(found, waveform, chunk_seconds=4)).max() > 1e-5
    )


def test_a_chunk_fades_into_the_next_in_the_middle_half_of_the_overlap():
    waveform = np.concatenate([np.zeros(1500), np.ones(4500)]).astype(np.float32)[None]
    machine = in_blocks(of(Level()), waveform, chunk_seconds=4)[0, 0]  # chunks 0-4 s and 2-6 s
    first, second = 2500 / 4000, 4000 / 4000  # share of ones in each
    np.testing.assert_allclose(machine[:2500], first, atol=1e-6)
    np.testing.assert_allclose(machine[3500:], second, atol=1e-6)
    np.testing.assert_allclose(machine[2999:3001].mean(), (first + second) / 2, atol=1e-6)
    np.testing.assert_allclose(np.diff(machine[2500:3500]), (second - first) / 1000, atol=1e-6)


def test_the_last_chunk_is_as_long_as_the_others_and_ends_with_the_recording():
    waveform = np.zeros((1, 3100), np.float32)  # chunks 0-3000 and 100-3100, so that 100-3000 is in both
    waveform[:, 3000:] = 1.0
    machine = in_blocks(of(Level()), waveform)[0, 0]
    assert machine[0] == 0.0
    assert machine[-1] == pytest.approx(100 / 3000)


@pytest.mark.parametrize("chunk_seconds", [3.0, 5.0, 10.0])
def test_there_is_nothing_at_the_seams(chunk_seconds):
    found, waveform = separator(), recording(60 * RATE)
    whole = in_blocks(found, waveform, chunk_seconds=60.0)[0, 0]
    error = in_blocks(found, waveform, chunk_seconds=chunk_seconds)[0, 0] - whole
    step = round(chunk_seconds * RATE) - OVERLAP
    seams = np.arange(step, len(error) - step - OVERLAP, step)
    assert len(seams) >= 6
    # Mean error of the stretches of 0.1 s after the beginning of a chunk, over all chunks but the first and the last
    profile = np.sqrt(
        np.mean([np.square(error[seam : seam + step]) for seam in seams], axis=0).reshape(-1, 100).mean(1)
    )
    assert profile.max() < 1.25 * np.median(profile)
    assert profile.max() < 0.01 * whole.std()
