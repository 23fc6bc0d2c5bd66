"""A sound that is modulated has a line in the spectrum of its envelopes."""

import numpy as np
import pytest
import scipy.signal

from soundness.audio.spectra.envelopes import Envelopes
from soundness.representations.views.modulation import (
    BAND_GROUPS,
    N_MODULATION_FEATURES,
    band_group_of,
    modulation_features,
    rate_of,
)
from soundness.settings.system import LogMelSettings

RATE = 16_000


def noise(seconds=10.0, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


def modulated(waveform, *, hz, depth_db, low=0.0, high=RATE / 2):
    """Noise whose level rises and falls by half the depth, within a band."""
    spectrum, at = np.fft.rfft(waveform), np.fft.rfftfreq(len(waveform), 1 / RATE)
    inside = np.fft.irfft(np.where((at >= low) & (at <= high), spectrum, 0), len(waveform))
    course = 10.0 ** (depth_db / 2 * np.sin(2 * np.pi * hz * np.arange(len(waveform)) / RATE) / 20.0)
    return waveform + inside * (course - 1.0)


def features(waveform):
    envelopes = Envelopes(LogMelSettings(), sample_rate=RATE)(waveform.astype(np.float32))
    return modulation_features(envelopes)


def envelopes_of(n_frames, seed=0):
    return np.random.default_rng(seed).normal(-30, 2, (12, n_frames)).astype(np.float32)


@pytest.mark.parametrize("n_frames", [256, 384, 2_497])
def test_they_are_spectra_by_another_library(n_frames):
    envelopes = envelopes_of(n_frames)

    def welch(values):
        _, power = scipy.signal.welch(values, window="hann", nperseg=256, noverlap=128, detrend="constant")
        power[..., -1] *= 2.0  # which it halves at half the rate
        return 10 * np.log10(power[..., 1:] + 2.5e-4)

    each = welch(envelopes.astype(np.float64))
    expected = [welch(envelopes.mean(axis=0, dtype=np.float64)), each.mean(axis=0)]
    expected += [each[part].mean(axis=0) for part in (slice(4), slice(4, 8), slice(8, 12))]
    found = modulation_features(envelopes)
    assert (found.dtype, found.shape) == (np.float64, (N_MODULATION_FEATURES,))
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-9)


def test_they_are_of_640_rates_and_groups():
    assert N_MODULATION_FEATURES == 640
    assert rate_of(0, frame_rate=250.0) == pytest.approx(0.977, abs=0.001)
    assert rate_of(127, frame_rate=250.0) == rate_of(255, frame_rate=250.0) == 125.0
    assert [band_group_of(128 * index) for index in range(5)] == list(BAND_GROUPS)
    assert band_group_of(639) == "high bands"


@pytest.mark.parametrize(("hz", "at_least"), [(5.0, 6.0), (20.0, 6.0), (107.0, 3.0)])
def test_a_modulation_of_2_db_is_the_line_at_its_rate(hz, at_least):
    rise = features(modulated(noise(), hz=hz, depth_db=2.0)) - features(noise())
    strongest = int(rise.argmax())
    assert rise[strongest] > at_least
    assert rate_of(strongest, frame_rate=250.0) == pytest.approx(hz, abs=1.0)
    of_all = rise[:128]
    assert rate_of(int(of_all.argmax()), frame_rate=250.0) == pytest.approx(hz, abs=1.0)


def test_a_line_has_the_power_of_its_modulation():
    time = np.arange(2_497) / 250.0
    course = 1.5 * np.sin(2 * np.pi * 20 * 250 / 256 * time)  # dB, at the centre of a feature
    found = modulation_features(np.tile(course, (12, 1)))
    power = 1.5**2 / 2 * 256 / 1.5  # over the noise bandwidth of a Hann window, 1.5 of 256
    assert found[19] == pytest.approx(10 * np.log10(power), abs=0.01)


def test_a_modulation_of_high_bands_is_one_of_high_bands():
    rise = features(modulated(noise(), hz=40.0, depth_db=6.0, low=3_000.0)) - features(noise())
    at = round(40.0 * 256 / 250.0) - 1
    by_group = dict(zip(BAND_GROUPS, rise.reshape(5, 128)[:, at], strict=True))
    assert by_group["high bands"] > 10.0
    assert abs(by_group["low bands"]) < 2.0


def test_a_gain_changes_nothing():
    np.testing.assert_allclose(features(noise() * 30.0), features(noise()), atol=0.01)
    envelopes = envelopes_of(600)
    np.testing.assert_allclose(modulation_features(envelopes - 40.0), modulation_features(envelopes), atol=1e-3)


@pytest.mark.parametrize("n_frames", [1, 2, 100, 255])
def test_a_short_clip_is_followed_by_its_mean(n_frames):
    envelopes = envelopes_of(n_frames).astype(np.float64)
    followed = np.concatenate([envelopes, np.repeat(envelopes.mean(axis=1, keepdims=True), 256 - n_frames, 1)], axis=1)
    found = modulation_features(envelopes)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, modulation_features(followed), atol=1e-6)


def test_a_steady_sound_has_finite_features():
    assert np.isfinite(modulation_features(np.full((12, 500), -120.0, np.float32))).all()


def test_what_is_of_unknown_bands_is_not_there():
    envelopes = envelopes_of(600)
    known = modulation_features(envelopes).reshape(5, 128)
    envelopes[10:] = np.nan
    found = modulation_features(envelopes).reshape(5, 128)
    assert np.isnan(found[[0, 1, 4]]).all()
    assert np.array_equal(found[2:4], known[2:4])
