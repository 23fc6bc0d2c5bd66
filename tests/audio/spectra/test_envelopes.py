"""Envelopes are the power of groups of bands over time."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.signal

from soundness.audio.spectra.envelopes import N_GROUPS, Envelopes
from soundness.settings.system import LogMelSettings

RATE = 16_000


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def envelopes(**changes):
    return Envelopes(LogMelSettings(**changes), sample_rate=RATE)


def test_they_are_sums_of_another_library_s_spectrogram():
    waveform, own = noise(), envelopes()
    assert (own.n_fft, own.hop_length, own.frame_rate) == (256, 64, 250.0)
    _, _, density = scipy.signal.spectrogram(
        waveform.astype(np.float64), RATE, window="hann", nperseg=256, noverlap=192, detrend=False
    )
    edges = (own.group_hz / (RATE / 256) + 0.5).round().astype(int)
    assert edges[:, 0].tolist() == [2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91]
    assert edges[:, 1].tolist() == [*edges[1:, 0].tolist(), 128]
    expected = 10 * np.log10([density[a:b].sum(axis=0) * RATE / 256 for a, b in edges])
    found = own(waveform)
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_groups_of_noise_add_up_to_its_power():
    total = (10.0 ** (envelopes()(noise(10.0)) / 10.0)).mean(axis=1).sum()
    assert total == pytest.approx(0.01 * 126 / 128, rel=0.02)


def test_a_tone_has_its_mean_square_and_a_modulated_one_its_depth():
    time = np.arange(2 * RATE) / RATE
    depth = 10.0 ** (3.0 * np.sin(2 * np.pi * 5.0 * time) / 20.0)  # 3 dB up and down, five times a second
    own = envelopes()
    found = own((0.5 * depth * np.sin(2 * np.pi * 1_500.0 * time)).astype(np.float32))
    (group,) = np.flatnonzero((own.group_hz[:, 0] < 1_437) & (own.group_hz[:, 1] > 1_562))
    level = found[group]
    assert level.mean() == pytest.approx(10 * np.log10(0.125), abs=0.1)
    assert np.ptp(level) / 2 == pytest.approx(3.0, abs=0.1)


def test_a_gain_adds_a_constant_alone():
    quiet = noise()
    for gain_db in (-80.0, 60.0):
        loud = (quiet * 10.0 ** (gain_db / 20.0)).astype(np.float32)
        np.testing.assert_allclose(envelopes()(loud), envelopes()(quiet) + gain_db, atol=1e-3)


def test_what_is_far_below_a_tone_is_not_lost_to_rounding():
    tone = np.sin(2 * np.pi * 1_000.0 * np.arange(RATE) / RATE)
    faint = noise().astype(np.float64) * 1e-3  # the power of a group lies 70 dB below the tone's
    own = envelopes()
    alone = 10.0 ** (own(faint.astype(np.float32)) / 10.0)
    both = 10.0 ** (own((tone + faint).astype(np.float32)) / 10.0)
    assert (10 * np.log10(both[10:] / alone[10:])).mean() == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("n_samples", [1, 100, 255, 256, 319, 320])
def test_a_clip_has_the_frames_that_lie_within_it_and_at_least_one(n_samples):
    found = envelopes()(noise()[:n_samples])
    assert found.shape == (N_GROUPS, 1 + max(0, n_samples - 256) // 64)
    assert np.isfinite(found).all()


def test_silence_and_the_loudest_samples_have_finite_values():
    for waveform in (np.zeros(1_000, np.float32), np.full(1_000, 3e38, np.float32), np.full(1_000, 1e-44, np.float32)):
        assert np.isfinite(envelopes()(waveform)).all()
    assert np.ptp(envelopes()(np.zeros(1_000, np.float32))) == 0.0


@pytest.mark.parametrize(
    ("rate", "changes", "n_fft"),
    [
        (48_000, {}, 1024),
        (16_000, {"fmin": 2_000.0, "fmax": 4_000.0}, 256),
        (16_000, {"fmax": 200.0}, 256),
        (16_000, {"fmin": 7_900.0}, 256),
        (1, {"fmax": 0.5}, 32),
        (1, {"fmax": 0.001}, 32),
        (51_200, {"fmax": 25_600.0}, 1024),
    ],
)
def test_any_rate_and_any_range_of_frequencies_has_its_groups(rate, changes, n_fft):
    own = Envelopes(LogMelSettings(**changes), sample_rate=rate)
    assert own.n_fft == n_fft
    widths = np.diff(own.group_hz, axis=1)
    assert own.group_hz.shape == (N_GROUPS, 2)
    assert (widths > 0).all()
    assert (np.diff(own.group_hz, axis=0) >= 0).all()
    found = own(noise())
    assert found.shape[0] == N_GROUPS
    assert np.isfinite(found).all()


def test_fmin_and_fmax_bound_the_groups():
    own = envelopes(fmin=2_000.0, fmax=4_000.0)
    assert own.group_hz[0, 0] == pytest.approx(2_000.0, abs=RATE / 256)
    assert own.group_hz[-1, 1] == pytest.approx(4_000.0, abs=RATE / 256)


def test_neither_blocks_nor_threads_change_a_bit(monkeypatch):
    waveform = noise(3.0)
    code = (
        "import hashlib, numpy as np\n"
        "from soundness.audio.spectra.envelopes import Envelopes\n"
        "from soundness.audio.spectra.long_spectrum import LongSpectrum\n"
        "from soundness.settings.system import LogMelSettings\n"
        "waveform = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)\n"
        "found = [Envelopes(LogMelSettings(), sample_rate=16_000), LongSpectrum(sample_rate=16_000)]\n"
        "print(hashlib.sha256(b''.join(own(waveform).tobytes() for own in found)).hexdigest())\n"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | dict.fromkeys(names, str(n)),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 4)
    }
    assert len(prints) == 1
    whole = envelopes()(waveform)
    monkeypatch.setattr("soundness.audio.spectra.envelopes._BLOCK_FRAMES", 100)
    np.testing.assert_allclose(envelopes()(waveform), whole, atol=1e-3)
