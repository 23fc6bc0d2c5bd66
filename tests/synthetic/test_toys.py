"""Toy vehicles sound at the rates of their gears."""

import pytest

from soundness.synthetic.signals import (
    generator,
)
from soundness.synthetic.toys import ToyCar, ToyCarSetting, ToyTrain, ToyTrainSetting
from sounds import N_SAMPLES, peak_hz


def test_a_toy_car_whines_at_its_gear_mesh() -> None:
    car = ToyCar(ToyCarSetting(34.0, 10, 1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(car.normal, 700.0, 1600.0) == pytest.approx(3.2 * 34.0 * 10, rel=0.03)


def test_more_volts_turn_a_toy_car_faster() -> None:
    peaks = [
        peak_hz(ToyCar(ToyCarSetting(volts, 10, 1.0), n_samples=N_SAMPLES, rng=generator(1)).normal, 700.0, 1600.0)
        for volts in (28.0, 40.0)
    ]
    assert peaks[1] / peaks[0] == pytest.approx(40.0 / 28.0, rel=0.01)


def test_a_toy_train_whines_at_its_gear_mesh() -> None:
    train = ToyTrain(ToyTrainSetting(0.5, 8, 0.5), n_samples=N_SAMPLES, rng=generator(1))
    wheel_hz = 0.5 / 0.05
    assert peak_hz(train.normal, 350.0, 700.0) == pytest.approx(wheel_hz * 6 * 8, rel=0.04)
