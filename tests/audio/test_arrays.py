"""Samples of every usual kind are understood as what they are; others are refused by name."""

import numpy as np
import pytest

from soundness.audio.arrays import as_waveform
from soundness.errors import AudioError

RATE = 16_000


def wave(samples, **changes):
    known = {"sample_rate": None, "target_rate": RATE, "fmax": 8_000.0, "min_samples": 100}
    return as_waveform(samples, **known | changes)


@pytest.fixture
def sound():
    return 0.5 * np.sin(np.arange(1_000) / 7)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"])
def test_numbers_of_every_type_have_the_scale_of_their_type(sound, kind):
    if kind == "uint8":
        samples = np.round(sound * 128 + 128)
    else:
        samples = sound if kind.startswith("f") else np.round(sound * (float(np.iinfo(kind).max) + 1))
    found = wave(samples.astype(kind))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], sound, atol=0.005 if kind in ("int8", "uint8") else 5e-4)


def test_the_longer_side_is_time(sound):
    pair = np.stack([sound, -sound])
    expected = pair.astype(np.float32)
    assert np.array_equal(wave(pair), expected)
    assert np.array_equal(wave(pair.T), expected)
    assert np.array_equal(wave(sound), expected[:1])
    assert np.array_equal(wave(sound.tolist()), expected[:1])
    assert np.array_equal(wave(sound[:, None]), expected[:1])


def test_another_rate_is_resampled():
    times = np.arange(48_000) / 48_000
    found = wave(np.sin(2 * np.pi * 440 * times), sample_rate=48_000)
    expected = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert found.shape == (1, RATE)
    np.testing.assert_allclose(found[0, 500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize(
    ("samples", "changes", "words"),
    [
        (np.zeros((2, 3, 1_000)), {}, r"shape \(2, 3, 1000\); expected \(time,\)"),
        (np.zeros((500, 500)), {}, r"which side is time cannot be told"),
        (np.zeros((200, 1_000)), {}, r"64 at the most"),
        (np.zeros(1_000, complex), {}, "samples of type complex128"),
        (np.zeros(1_000, bool), {}, "samples of type bool"),
        (np.zeros(1_000, np.uint16), {}, "samples of type uint16"),
        (np.array(["a"] * 1_000), {}, "samples of type <U1"),
        (np.float64(1.0), {}, r"shape \(\)"),
        (np.full(1_000, np.nan), {}, "no numbers"),
        (np.full(1_000, 1e300), {}, "no numbers"),
        (np.zeros(0), {}, "0 samples"),
        (np.zeros(99), {}, "99 samples at 16000 Hz; a clip needs at least 100"),
        (np.zeros(1_000), {"sample_rate": 8_000}, "recorded at 8000 Hz"),
        (np.zeros(1_000), {"sample_rate": 0}, "sample rate 0"),
        (np.zeros(1_000), {"sample_rate": -16_000}, "sample rate -16000"),
        (np.zeros(1_000), {"sample_rate": 16_000.5}, r"sample rate 16000\.5"),
        (np.zeros(1_000), {"sample_rate": "16k"}, "sample rate '16k'"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(samples, changes, words):
    with np.errstate(over="ignore"), pytest.raises(AudioError, match=words):
        wave(samples, **changes)
