"""A steady tone stands out from its neighbourhood."""

import numpy as np
import pytest

from soundness.audio.spectra.long_spectrum import LongSpectrum
from soundness.representations.views.tones import tone_bins, tone_features, tone_hz
from soundness.settings.system import LogMelSettings

RATE = 16_000
SPECTRUM = LongSpectrum(sample_rate=RATE)
BINS = tone_bins(LogMelSettings(), n_bins=SPECTRUM.n_bins, bin_hz=SPECTRUM.bin_hz)


def noise(seconds=10.0, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))


def features(waveform):
    return tone_features(SPECTRUM(waveform.astype(np.float32)), BINS)


def test_they_are_the_level_less_a_running_median():
    spectra = np.random.default_rng(0).normal(-60, 5, (8, 4097)).astype(np.float32)
    level = spectra.astype(np.float64).mean(axis=0)
    filled = np.pad(level, 32, mode="edge")
    expected = level - [np.median(filled[index : index + 65]) for index in range(4097)]
    found = tone_features(spectra, BINS)
    assert (found.dtype, found.shape) == (np.float64, (4089,))
    np.testing.assert_allclose(found, expected[8:], atol=1e-9)


@pytest.mark.parametrize("hz", [388.0, 1_234.0, 6_500.0])
def test_a_tone_has_its_level_above_the_noise_at_its_frequency(hz):
    level = 0.02 * np.sin(2 * np.pi * hz * np.arange(10 * RATE) / RATE)
    found = features(noise() + level)
    strongest = int(found.argmax())
    assert tone_hz(strongest, BINS, bin_hz=SPECTRUM.bin_hz) == pytest.approx(hz, abs=SPECTRUM.bin_hz)
    of_noise = 0.01 / (RATE / 2) * 1.5 * SPECTRUM.bin_hz  # in the noise bandwidth of a window
    above = 10 * np.log10(0.02**2 / 2 / of_noise) + 2.5  # the mean of decibels of noise lies below its power
    assert above - 2.0 < found[strongest] < above + 0.7  # up to 1.4 dB are lost between two bins


def test_a_gain_and_a_slope_of_the_spectrum_change_nothing():
    spectra = np.random.default_rng(0).normal(-60, 5, (4, 4097)).astype(np.float32)
    before = tone_features(spectra, BINS)
    np.testing.assert_allclose(tone_features(spectra + 33.0, BINS), before, atol=1e-4)
    sloping = np.cumsum(np.full(4097, -0.001))
    assert np.abs(tone_features(spectra + sloping, BINS) - before)[32:-32].max() < 0.1


def test_the_bins_lie_within_the_frequencies_of_the_system():
    def bins(**changes):
        found = tone_bins(LogMelSettings(**changes), n_bins=4097, bin_hz=RATE / 8192)
        return found.start, found.stop

    assert bins() == (8, 4097)
    assert bins(fmin=1_000.0, fmax=2_000.0) == (512, 1_025)
    assert bins(fmax=1.0) == (0, 1)
    assert bins(fmin=7_999.9) == (4096, 4097)


def test_what_is_near_unknown_bins_is_not_there():
    spectra = np.random.default_rng(0).normal(-60, 5, (8, 4097)).astype(np.float32)
    before = tone_features(spectra, BINS)
    spectra[:, 2_000:] = np.nan
    found = tone_features(spectra, BINS)
    assert np.isnan(found[2_000 - 32 - 8 :]).all()
    assert np.array_equal(found[: 2_000 - 32 - 8], before[: 2_000 - 32 - 8])
    assert np.isnan(tone_features(np.full((2, 4097), np.nan), BINS)).all()
    assert np.isnan(tone_features(np.r_[np.zeros(5), np.full(4092, np.nan)][None], BINS)).all()


def test_short_clips_and_silence_have_finite_features():
    for waveform in (noise(0.1), np.zeros(100), np.zeros(40_000)):
        assert np.isfinite(features(waveform)).all()


def test_few_bins_have_features():
    own = LongSpectrum(sample_rate=100)
    bins = tone_bins(LogMelSettings(fmax=50.0), n_bins=own.n_bins, bin_hz=own.bin_hz)
    found = tone_features(own(noise(0.1).astype(np.float32)), bins)
    assert found.shape == (own.n_bins - 8,)
    assert np.isfinite(found).all()
