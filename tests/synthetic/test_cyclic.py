"""Slide rail and valves repeat their movements."""

import numpy as np
import pytest

from soundness.synthetic.cyclic import Slider, SliderSetting, Valve, ValveSetting
from soundness.synthetic.signals import (
    SAMPLE_RATE,
    generator,
)
from sounds import N_SAMPLES, envelope, peak_hz


def test_a_slider_repeats_itself_every_stroke() -> None:
    slider = Slider(SliderSetting(0.9, 1.0, 1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(envelope(slider.normal), 0.5, 1.8) == pytest.approx(1.0 / 0.9, rel=0.1)


def test_a_valve_opens_as_often_as_its_pattern_says() -> None:
    valve = Valve(ValveSetting(("00", "05")), n_samples=N_SAMPLES, rng=generator(3))
    hiss = np.abs(valve.normal)
    blocks = hiss.reshape(-1, SAMPLE_RATE // 20).mean(axis=1)
    is_open = blocks > 2.0 * np.median(blocks)
    n_openings = int(np.sum(is_open[1:] & ~is_open[:-1]))
    assert 13 <= n_openings <= 31  # three openings and as many closings in each of five cycles
