"""Rotating machines: fan, gearbox and bearing test rig."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from soundness.aliases import Array
from soundness.synthetic.faults import (
    INNER_RACE,
    OUTER_RACE,
    ROLLING_ELEMENT,
    Fault,
    impacts,
    noise_band,
    orders,
    rubbing,
    whistle,
)
from soundness.synthetic.signals import (
    Mode,
    detuned,
    from_db,
    ring_at,
    rms,
    rotation,
    shaped_noise,
    tones,
    turning_times,
    wander,
)

__all__ = ["Bearing", "BearingSetting", "Fan", "FanSetting", "Gearbox", "GearboxSetting"]

_SPEED_SPREAD = 0.008


@dataclass(frozen=True, slots=True)
class FanSetting:
    """Operating point of a fan: shaft speed in Hz, number of blades, level of the flow noise above the tones in dB."""

    shaft_hz: float
    n_blades: int
    flow_db: float


class Fan:
    """Axial fan: blade-pass tones, weak shaft orders, motor hum, and flow noise that the blades chop.

    The blade-pass tone lies at shaft speed times number of blades.
    """

    _FLOW: Mapping[float, float] = {30.0: -6.0, 120.0: 0.0, 500.0: -3.0, 2000.0: -14.0, 8000.0: -34.0}
    _MODES = (Mode(2300.0, 0.004), Mode(3400.0, 0.003, 0.7))

    def __init__(self, setting: FanSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._turns = rotation(n_samples, rng, hz=setting.shaft_hz * rng.normal(1.0, _SPEED_SPREAD))
        self._n_blades = setting.n_blades
        self._modes = detuned(self._MODES, rng)
        blades = {setting.n_blades * k: 0.62**k * rng.uniform(0.85, 1.15) for k in range(1, 9)}
        shaft = {1: 0.12, 2: 0.07, 3: 0.04}
        passing = tones(self._turns, blades | shaft, rng)
        hum = tones(rotation(n_samples, rng, hz=100.0, spread=1e-4), {1: 0.12, 2: 0.08, 3: 0.04}, rng)
        flow = shaped_noise(n_samples, rng, curve=self._FLOW) * wander(n_samples, rng, spread=0.08)
        chopped = flow * (1.0 + 0.4 * passing / np.max(np.abs(passing)))
        raw = passing / rms(passing) + hum + from_db(setting.flow_db) * chopped
        self.normal: Array = raw / rms(raw)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        turns, n_blades = self._turns, self._n_blades
        cracked = {order: -abs(order - 2.0 * n_blades) / 2.0 for order in range(n_blades + 1, 4 * n_blades)}
        return {
            "imbalance": partial(orders, turns, levels={1: 0.0, 2: -4.0, 3: -6.0}, loud_db=15.0),
            "cracked_blade": partial(orders, turns, levels=cracked, loud_db=10.0),
            "bearing_outer_race": partial(impacts, turns, rates=(OUTER_RACE, 0.0), modes=self._modes, loud_db=4.0),
            "rubbing": partial(rubbing, turns, band=(1500.0, 4500.0), loud_db=3.0),
            "whistle": partial(whistle, turns.size, hz=1700.0, loud_db=10.0),
        }


@dataclass(frozen=True, slots=True)
class GearboxSetting:
    """Operating point of a gearbox: input shaft in Hz, teeth of pinion and wheel, modulation by the load (0 to 1)."""

    shaft_hz: float
    n_teeth: tuple[int, int]
    load: float


class Gearbox:
    """One gear stage: harmonics of the mesh with sidebands at both shafts' rates, over rolling noise.

    The mesh tone lies at input speed times teeth of the pinion.
    """

    _NOISE: Mapping[float, float] = {30.0: -4.0, 300.0: 0.0, 1200.0: 1.0, 3000.0: -8.0, 8000.0: -24.0}
    _MODES = (Mode(1250.0, 0.008), Mode(2150.0, 0.006, 0.8), Mode(3600.0, 0.004, 0.6))

    def __init__(self, setting: GearboxSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        pinion, wheel = setting.n_teeth
        self._turns = rotation(n_samples, rng, hz=setting.shaft_hz * rng.normal(1.0, _SPEED_SPREAD))
        self._pinion, self._ratio = pinion, pinion / wheel
        self._modes = detuned(self._MODES, rng)
        mesh = tones(self._turns, {pinion * k: 0.6**k * rng.uniform(0.8, 1.2) for k in range(1, 8)}, rng)
        once_in = np.cos(2.0 * np.pi * (self._turns + rng.random()))
        once_out = np.cos(2.0 * np.pi * (self._turns * self._ratio + rng.random()))
        loaded = mesh * (1.0 + setting.load * (0.7 * once_in + 0.5 * once_out))
        shaft = tones(self._turns, {1: 0.3, 2: 0.2, 3: 0.1}, rng)
        noise = shaped_noise(n_samples, rng, curve=self._NOISE) * wander(n_samples, rng, spread=0.06)
        raw = loaded / rms(loaded) + 0.5 * shaft + 0.9 * noise
        self.normal: Array = raw / rms(raw)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        turns, pinion = self._turns, self._pinion
        sidebands = {pinion * k + side: -3.0 * abs(side) for k in (1, 2, 3) for side in (-3, -2, -1, 1, 2, 3)}
        halves = {order: -0.8 * order for order in range(1, 14)}
        return {
            "broken_tooth": partial(impacts, turns, rates=(1.0, 0.0), modes=self._modes, loud_db=4.0),
            "worn_teeth": partial(orders, turns, levels=sidebands, loud_db=9.0),
            "looseness": partial(orders, 0.5 * turns, levels=halves, loud_db=14.0),
            "bearing_inner_race": partial(impacts, turns, rates=(INNER_RACE, 0.8), modes=self._modes[1:], loud_db=6.0),
            "dry_running": partial(noise_band, turns.size, band=(2800.0, 6500.0), loud_db=3.0),
        }


@dataclass(frozen=True, slots=True)
class BearingSetting:
    """Operating point of a bearing rig: shaft speed in Hz and level of its motor's whine."""

    shaft_hz: float
    whine: float


class Bearing:
    """Rolling bearing on a motor: rolling noise through the housing's resonances, and a motor's whine.

    Healthy rolling elements knock a little too, weakly and without a rate.
    """

    _NOISE: Mapping[float, float] = {30.0: -10.0, 200.0: -4.0, 900.0: 0.0, 2600.0: 2.0, 4500.0: -6.0, 8000.0: -18.0}
    _MODES = (Mode(1450.0, 0.006), Mode(2900.0, 0.004, 0.9), Mode(4300.0, 0.003, 0.6))

    def __init__(self, setting: BearingSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._turns = rotation(n_samples, rng, hz=setting.shaft_hz * rng.normal(1.0, _SPEED_SPREAD))
        self._modes = detuned(self._MODES, rng)
        motor = {1: 0.5, 2: 0.35, 3: 0.2, 12: setting.whine, 24: 0.6 * setting.whine, 36: 0.3 * setting.whine}
        whine = tones(self._turns, motor, rng)
        noise = shaped_noise(n_samples, rng, curve=self._NOISE) * wander(n_samples, rng, spread=0.06)
        times = turning_times(self._turns, per_turn=OUTER_RACE, jitter=0.4, rng=rng)
        knocks = ring_at(n_samples, times, rng.exponential(1.0, times.size), self._modes)
        raw = 0.7 * whine + noise + 0.5 * knocks / rms(knocks)
        self.normal: Array = raw / rms(raw)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        turns, modes = self._turns, self._modes
        loose = {order: -0.7 * order for order in range(1, 16)}
        return {
            "outer_race": partial(impacts, turns, rates=(OUTER_RACE, 0.0), modes=modes[:2], loud_db=6.0),
            "inner_race": partial(impacts, turns, rates=(INNER_RACE, 0.85), modes=modes[1:], loud_db=6.0),
            "rolling_element": partial(impacts, turns, rates=(ROLLING_ELEMENT, 0.5), modes=modes, loud_db=5.0),
            "looseness": partial(orders, turns, levels=loose, loud_db=16.0),
            "dry_running": partial(noise_band, turns.size, band=(3500.0, 7000.0), loud_db=1.0),
        }
