"""Defects of a recording, named by kind and in words."""

import numpy as np
import pytest

from soundness.audio.defects import find_defects
from soundness.audio.measures import Measurement

RATE = 16_000
NOISE = 0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE))


def gated():
    sound = NOISE[0].copy()
    sound[20_000:28_000] = 0.0
    return sound


def defects(*channels, used=0):
    measurement = Measurement(RATE)
    measurement.add(np.stack(channels, axis=1).astype(np.float32))
    return find_defects(measurement.result(), channel=used)


@pytest.mark.parametrize(
    ("sound", "kind", "text"),
    [
        (np.zeros(RATE), "silent", "digital silence: all samples are zero"),
        (np.full(RATE, 0.1), "constant", "constant: all samples are equal, though not zero"),
        (gated(), "gap", "zeros for 0.5 s at 1.25 s; gaps are 25 % of it: a gate, a pause or lost data"),
        (np.clip(NOISE[0], -1, 0.15), "clipped", "samples in a row at the largest value"),
        (np.round(NOISE[0] * 10) / 32_768, "few values", "too quiet for its format: only few values occur"),
        (NOISE[0] + 0.2, "offset", "an offset of 0.2 (6 dB above the sound)"),
    ],
)
def test_each_kind_of_defect_is_named_alone(sound, kind, text):
    (found,) = defects(sound)
    assert (found.kind, found.is_deaf) == (kind, kind in ("silent", "constant"))
    assert text in found.text


def test_a_sound_recording_has_none():
    assert defects(NOISE[0]) == []
    assert defects(NOISE[0], NOISE[1], used=1) == []


def test_a_channel_that_is_used_and_much_quieter_than_another_is_named_with_the_setting():
    (found,) = defects(1e-3 * NOISE[0], NOISE[1])
    assert (
        found.text == "channel 0, which is used, is 60 dB quieter than channel 1; --set audio.channel=1 uses channel 1"
    )
    assert defects(1e-3 * NOISE[0], NOISE[1], used=1) == []
    assert defects(0.1 * NOISE[0], NOISE[1]) == []


@pytest.mark.parametrize(("value", "word"), [(0.0, "digital silence"), (0.2, "samples that are all equal")])
def test_a_dead_channel_that_is_used_makes_the_detector_deaf(value, word):
    (found,) = defects(np.full(2 * RATE, value), NOISE[1])
    assert found.is_deaf
    assert found.text.startswith(f"{word} in channel 0, which is used, of 0 to 1; --set audio.channel=1")
