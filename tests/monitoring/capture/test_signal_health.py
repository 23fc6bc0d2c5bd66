"""Signals that no machine makes."""

import numpy as np
import pytest

from soundness.monitoring.capture.signal_health import SignalHealth

RATE = 1_000


def after(*parts):
    """Fault after some parts, each samples that are repeated for so many seconds."""
    health = SignalHealth(60.0)
    for samples, seconds in parts:
        for _ in range(round(seconds * RATE / len(samples))):
            health.add(samples, sample_rate=RATE)
    return health.fault


def sound(n=250, gain=0.1):
    return (gain * np.random.default_rng(0).standard_normal(n)).astype(np.float32)


SILENCE = np.zeros(250, dtype=np.float32)
CONSTANT = np.full(250, 0.3, dtype=np.float32)
CLIPPED = np.clip(sound(gain=3.0), -1.0, 1.0)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (SILENCE, "digital silence"),
        (CONSTANT, "a constant signal"),
        (CLIPPED, "a clipped signal"),
        (np.full(250, np.nan, dtype=np.float32), "samples that are no numbers"),
    ],
)
def test_a_defect_that_lasts_a_minute_is_a_fault_and_a_shorter_one_is_not(samples, words) -> None:
    assert after((sound(), 60), (samples, 60)) == words
    assert after((sound(), 60), (samples, 59.5)) == ""


def test_sound_ends_a_fault_and_the_minute_begins_anew() -> None:
    assert after((SILENCE, 100), (sound(), 0.25)) == ""
    assert after((SILENCE, 59), (sound(), 0.25), (SILENCE, 59)) == ""
    assert after((SILENCE, 59), (CONSTANT, 59)) == ""
    assert after((SILENCE, 59), (CONSTANT, 60)) == "a constant signal"


def test_loud_sound_that_touches_full_scale_now_and_then_is_no_fault() -> None:
    loud = sound(gain=0.2)
    loud[::50] = 1.0
    assert after((loud, 120)) == ""


def test_faint_noise_of_a_converter_is_sound() -> None:
    faint = (np.random.default_rng(0).integers(-1, 2, 250) / 2**15).astype(np.float32)
    assert after((faint, 120)) == ""
