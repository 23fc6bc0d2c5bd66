"""Signals that sounds are built from, beside NumPy and worked out by hand."""

import numpy as np
import pytest

from soundness.synthetic.signals import (
    SAMPLE_RATE,
    Mode,
    band_noise,
    convolve,
    generator,
    ring_at,
    shaped_noise,
    tones,
    turning_times,
)
from sounds import N_SAMPLES, share_between, spectrum


def test_generators_of_other_words_are_other_generators() -> None:
    first, same, other = (generator(3, word).random(4) for word in ("fan", "fan", "valve"))
    assert np.array_equal(first, same)
    assert not np.any(first == other)


def test_tones_are_the_sinusoids_of_their_orders() -> None:
    turns = np.arange(SAMPLE_RATE) / SAMPLE_RATE * 10.0
    waveform = tones(turns, {3: 2.0, 7: 1.0}, generator(0))
    amplitudes = np.abs(np.fft.rfft(waveform)) / (SAMPLE_RATE / 2)
    assert amplitudes[30] == pytest.approx(2.0, rel=1e-3)
    assert amplitudes[70] == pytest.approx(1.0, rel=1e-3)
    assert np.delete(amplitudes, [30, 70]).max() < 1e-3


def test_shaped_noise_follows_its_curve() -> None:
    noise = shaped_noise(N_SAMPLES, generator(0), curve={100.0: 0.0, 1000.0: -20.0, 8000.0: -20.0})
    frequencies, power = spectrum(noise)
    low = power[(frequencies > 90) & (frequencies < 110)].mean()
    high = power[(frequencies > 2000) & (frequencies < 6000)].mean()
    assert 10.0 * np.log10(low / high) == pytest.approx(20.0, abs=1.5)


def test_band_noise_stays_in_its_band() -> None:
    assert share_between(band_noise(N_SAMPLES, generator(0), fmin=2000.0, fmax=4000.0), 2000.0, 4000.0) > 0.97


def test_convolution_agrees_with_numpy() -> None:
    rng = generator(0)
    waveform, kernel = rng.standard_normal(1001), rng.standard_normal(37)
    assert np.allclose(convolve(waveform, kernel), np.convolve(waveform, kernel)[:1001])


def test_an_impact_rings_at_its_mode_and_dies_away() -> None:
    mode = Mode(1000.0, 0.01, 3.0)
    sound = ring_at(SAMPLE_RATE, np.array([0.5]), np.array([2.0]), (mode,))
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE - 0.5
    expected = np.where(times >= 0, 6.0 * np.exp(-times / 0.01) * np.sin(2.0 * np.pi * 1000.0 * times), 0.0)
    assert np.allclose(sound, expected, atol=0.01)


def test_events_come_at_their_rate() -> None:
    turns = np.arange(N_SAMPLES) / SAMPLE_RATE * 20.0 + 0.3
    times = turning_times(turns, per_turn=3.5, jitter=0.0, rng=generator(0))
    assert np.diff(times) == pytest.approx(1.0 / 70.0, rel=1e-6)
