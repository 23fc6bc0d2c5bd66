"""Rotating machines sound at the rates of their parts."""

import numpy as np
import pytest

from soundness.synthetic.faults import INNER_RACE, OUTER_RACE
from soundness.synthetic.rotating import Bearing, BearingSetting, Fan, FanSetting, Gearbox, GearboxSetting
from soundness.synthetic.signals import (
    generator,
)
from sounds import N_SAMPLES, envelope, peak_hz, spectrum


def test_a_fan_is_loudest_at_its_blade_pass_tone() -> None:
    fan = Fan(FanSetting(46.0, 5, -1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(fan.normal, 20.0, 8000.0) == pytest.approx(46.0 * 5, rel=0.03)


def test_a_gear_mesh_has_sidebands_at_both_shafts_rates() -> None:
    gearbox = Gearbox(GearboxSetting(20.0, (23, 51), 0.5), n_samples=N_SAMPLES, rng=generator(1))
    mesh = peak_hz(gearbox.normal, 400.0, 520.0)
    assert mesh == pytest.approx(20.0 * 23, rel=0.03)
    frequencies, power = spectrum(gearbox.normal)
    for rate in (mesh / 23, mesh / 51):
        beside = power[np.abs(frequencies - mesh - rate) < 0.15 * rate].max()
        between = np.median(power[np.abs(frequencies - mesh - 1.5 * mesh / 23) < 4.0])
        assert beside > 20.0 * between


@pytest.mark.parametrize(("kind", "per_turn"), [("outer_race", 3.465), ("inner_race", 5.535)])
def test_a_bearing_fault_knocks_at_the_rate_of_its_race(kind: str, per_turn: float) -> None:
    # n/2 (1 -+ d/D) for 9 balls of 0.23 pitch diameters
    bearing = Bearing(BearingSetting(20.0, 0.7), n_samples=N_SAMPLES, rng=generator(1))
    anomaly = bearing.faults[kind](1.0, generator(2))
    expected = 20.0 * per_turn
    assert peak_hz(envelope(anomaly.waveform), 0.8 * expected, 1.2 * expected) == pytest.approx(expected, rel=0.03)
    assert {"outer_race": OUTER_RACE, "inner_race": INNER_RACE}[kind] == pytest.approx(per_turn)
