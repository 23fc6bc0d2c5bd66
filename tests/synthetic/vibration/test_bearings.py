"""Vibration of bearings: impacts come as often as the geometry of a 6205 bearing says."""

import numpy as np
import pytest
from scipy.signal import hilbert

from soundness.synthetic.vibration.bearings import FAULTS, SAMPLE_RATE, SHAFT_RPM, bearing_vibration


def envelope_spectrum(vibration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spectrum = np.fft.rfft(vibration)
    hz = np.fft.rfftfreq(len(vibration), 1 / SAMPLE_RATE)
    ringing = np.fft.irfft(np.where((hz > 2000) & (hz < 4500), spectrum, 0), len(vibration))
    envelope = np.abs(hilbert(ringing))
    return hz, np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope))))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("load", [0, 3])
def test_the_envelope_of_a_faulty_bearing_shows_its_fault_frequency(fault, load):
    vibration = bearing_vibration(np.random.default_rng(1), load=load, seconds=4, fault=fault)
    assert vibration.shape == (4 * SAMPLE_RATE,)
    hz, envelope = envelope_spectrum(vibration)
    expected = FAULTS[fault] * SHAFT_RPM[load] / 60
    near = (hz > 0.98 * expected) & (hz < 1.02 * expected)
    assert envelope[near].max() > 4 * np.median(envelope[(hz > 20) & (hz < 300)])


def test_a_healthy_bearing_shows_its_shaft_and_no_fault_frequency():
    vibration = bearing_vibration(np.random.default_rng(1), load=0, seconds=4)
    hz, envelope = envelope_spectrum(vibration)
    for ratio in FAULTS.values():
        expected = ratio * SHAFT_RPM[0] / 60
        near = (hz > 0.98 * expected) & (hz < 1.02 * expected)
        assert envelope[near].max() < 4 * np.median(envelope[(hz > 20) & (hz < 300)])
    spectrum = np.abs(np.fft.rfft(vibration * np.hanning(len(vibration))))
    low = (hz > 5) & (hz < 100)
    assert hz[low][spectrum[low].argmax()] == pytest.approx(SHAFT_RPM[0] / 60, rel=0.02)


def test_recordings_differ_by_seed_alone():
    one, same, other = (bearing_vibration(np.random.default_rng(seed), load=1, seconds=1) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
