"""A long spectrum is the mean level of fine bins, for each of several parts of a clip."""

import numpy as np
import pytest
import scipy.signal

from soundness.audio.spectra.long_spectrum import LongSpectrum

RATE = 16_000


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def test_it_is_the_mean_of_another_library_s_spectrogram_in_each_part():
    own = LongSpectrum(sample_rate=RATE)
    assert (own.n_fft, own.n_bins, own.bin_hz) == (8192, 4097, RATE / 8192)
    waveform = noise(8192 + 15 * 4096)  # 16 windows, two in each part
    _, _, power = scipy.signal.spectrogram(
        waveform.astype(np.float64), window="hann", nperseg=8192, noverlap=4096, detrend=False, scaling="spectrum"
    )
    expected = 10 * np.log10(power).T
    found = own(waveform)
    assert (found.dtype, found.shape) == (np.float32, (16, 4097))
    np.testing.assert_allclose(found[:, 1:-1], expected[:, 1:-1], atol=2e-3)


def test_a_sine_has_its_mean_square_at_its_bin():
    hz = 200 * RATE / 8192
    waveform = (0.5 * np.sin(2 * np.pi * hz * np.arange(5 * RATE) / RATE)).astype(np.float32)
    found = LongSpectrum(sample_rate=RATE)(waveform)
    assert (found.argmax(axis=1) == 200).all()
    np.testing.assert_allclose(found[:, 200], 10 * np.log10(0.125), atol=1e-3)


@pytest.mark.parametrize(
    ("n_samples", "n_parts"), [(1, 1), (8191, 1), (8192, 1), (8193, 2), (12_288, 2), (20_480, 4), (160_000, 16)]
)
def test_a_clip_has_as_many_parts_as_windows_up_to_sixteen(n_samples, n_parts):
    found = LongSpectrum(sample_rate=RATE)(noise(n_samples))
    assert found.shape == (n_parts, 4097)
    assert np.isfinite(found).all()


def test_the_windows_reach_the_end_of_a_clip():
    waveform = noise(16_000)
    waveform[15_000:] += np.sin(2 * np.pi * 3_000.0 * np.arange(1_000) / RATE).astype(np.float32)
    found = LongSpectrum(sample_rate=RATE)(waveform)
    at = round(3_000.0 * 8192 / RATE)
    assert found[-1, at] > found[0, at] + 10


def test_the_parts_are_of_their_own_time():
    waveform = noise(160_000)
    waveform[:80_000] *= 10
    found = LongSpectrum(sample_rate=RATE)(waveform).mean(axis=1)
    assert found[:6].mean() - found[10:].mean() == pytest.approx(20.0, abs=0.3)


def test_a_gain_adds_a_constant_alone():
    quiet, own = noise(40_000), LongSpectrum(sample_rate=RATE)
    for gain_db in (-80.0, 60.0):
        loud = (quiet * 10.0 ** (gain_db / 20.0)).astype(np.float32)
        np.testing.assert_allclose(own(loud), own(quiet) + gain_db, atol=2e-3)


def test_what_is_far_below_a_tone_is_not_lost_to_rounding():
    tone = np.sin(2 * np.pi * 1_000.0 * np.arange(40_960) / RATE)
    waveform = (tone + noise(40_960) * 1e-3).astype(np.float32)  # a bin of noise lies 111 dB below the tone
    _, _, power = scipy.signal.spectrogram(
        waveform.astype(np.float64), window="hann", nperseg=8192, noverlap=4096, detrend=False, scaling="spectrum"
    )
    floor = 1e-9 * 0.5 * 2 * 1.5 / 8192
    found = LongSpectrum(sample_rate=RATE)(waveform).mean(axis=0)
    expected = np.stack([part.mean(axis=1) for part in np.array_split(10 * np.log10(power + floor), 9, axis=1)])
    assert np.abs(found - expected.mean(axis=0))[1:-1].max() < 0.2


def test_silence_and_the_loudest_samples_have_finite_values():
    own = LongSpectrum(sample_rate=RATE)
    for waveform in (np.zeros(9_000, np.float32), np.full(9_000, 3e38, np.float32), np.full(9_000, 1e-44, np.float32)):
        assert np.isfinite(own(waveform)).all()
    assert np.ptp(own(np.zeros(9_000, np.float32))) == 0.0


@pytest.mark.parametrize(("rate", "n_fft"), [(1, 64), (1_000, 512), (25_600, 16_384), (48_000, 32_768)])
def test_any_rate_has_windows_of_about_half_a_second(rate, n_fft):
    own = LongSpectrum(sample_rate=rate)
    assert own.n_fft == n_fft
    assert own(noise(3_000)).shape[1] == own.n_bins == 1 + n_fft // 2


def test_blocks_change_nothing(monkeypatch):
    own, waveform = LongSpectrum(sample_rate=RATE), noise(160_000)
    whole = own(waveform)
    monkeypatch.setattr("soundness.audio.spectra.long_spectrum._BLOCK_WINDOWS", 3)
    np.testing.assert_allclose(own(waveform), whole, atol=1e-3)
