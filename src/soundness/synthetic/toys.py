"""Toy vehicles: a car on rollers and a train on a small oval of rails."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from soundness.aliases import Array
from soundness.synthetic.faults import Anomaly, Fault, graded, impacts, lasting, noise_band, orders, whistle
from soundness.synthetic.signals import (
    Mode,
    detuned,
    ring_at,
    rms,
    rotation,
    shaped_noise,
    tones,
    turning_times,
    wander,
)

__all__ = ["ToyCar", "ToyCarSetting", "ToyTrain", "ToyTrainSetting"]

_N_SEGMENTS = 3  # segments of a small motor's commutator; brushes spark at twice that a revolution
_WHEEL_RATIO = 1.0 / 6.0


@dataclass(frozen=True, slots=True)
class ToyCarSetting:
    """Operating point of a toy car: supply in volts, teeth of the motor's pinion, level of its tyres' noise."""

    volts: float
    n_teeth: int
    tyres: float


class ToyCar:
    """Toy car on rollers: commutator whine, gear mesh, brush noise, and tyres six times slower.

    The mesh tone lies at the motor's speed, 3.2 Hz a volt, times the pinion's teeth.
    """

    _BRUSH: Mapping[float, float] = {80.0: -14.0, 700.0: -4.0, 2200.0: 0.0, 4500.0: -2.0, 8000.0: -10.0}
    _TYRES: Mapping[float, float] = {40.0: 0.0, 250.0: 0.0, 700.0: -12.0, 3000.0: -35.0}
    _MODES = (Mode(900.0, 0.007), Mode(1750.0, 0.005, 0.9), Mode(3050.0, 0.004, 0.7))
    _HZ_PER_VOLT = 3.2

    def __init__(self, setting: ToyCarSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._setting, self._n_samples = setting, n_samples
        self._modes = detuned(self._MODES, rng)
        self._key = int(rng.integers(2**62))
        self._turns, raw = self._run(1.0)
        self._scale = 1.0 / rms(raw)
        self.normal: Array = raw * self._scale

    def _run(self, speed: float) -> tuple[Array, Array]:
        """Revolutions of the motor and its sound at a share of the usual speed, all else equal."""
        rng, setting = np.random.Generator(np.random.PCG64(self._key)), self._setting
        hz = speed * self._HZ_PER_VOLT * setting.volts * rng.normal(1.0, 0.008)
        turns = rotation(self._n_samples, rng, hz=hz, spread=0.003)
        whine = {2 * _N_SEGMENTS * k: 0.5 * 0.7**k for k in range(1, 5)}
        mesh = {setting.n_teeth * k: 0.7**k * rng.uniform(0.85, 1.15) for k in range(1, 5)}
        tonal = tones(turns, {1: 0.3, 2: 0.2} | whine | mesh, rng)
        wheel = np.cos(2.0 * np.pi * (turns * _WHEEL_RATIO + rng.random()))
        sparks = 1.0 + 0.5 * np.cos(2.0 * np.pi * 2 * _N_SEGMENTS * turns)
        brush = shaped_noise(self._n_samples, rng, curve=self._BRUSH) * sparks
        tyres = shaped_noise(self._n_samples, rng, curve=self._TYRES) * (1.0 + 0.3 * wheel)
        level = wander(self._n_samples, rng, spread=0.05)
        return turns, level * (tonal * (1.0 + 0.15 * wheel) + 0.35 * brush + 0.4 * setting.tyres * tyres)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        wheel = self._turns * _WHEEL_RATIO
        teeth = self._setting.n_teeth
        uneven = {teeth * k + side: -2.0 * abs(side) for k in (1, 2) for side in (-2, -1, 1, 2)}
        return {
            "bent_shaft": partial(orders, self._turns, levels={1: 0.0, 2: -2.0, 3: -5.0}, loud_db=10.0),
            "chipped_gear": partial(impacts, self._turns, rates=(1.0, 0.0), modes=self._modes, loud_db=6.0),
            "uneven_gear": partial(orders, self._turns, levels=uneven, loud_db=8.0),
            "damaged_tyre": partial(impacts, wheel, rates=(1.0, 0.0), modes=self._modes[:1], loud_db=13.0),
            "worn_brushes": partial(noise_band, self._n_samples, band=(3500.0, 7200.0), loud_db=4.0),
            "overvoltage": self._overvoltage,
        }

    def _overvoltage(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """Run up to 25 % too fast."""
        change = 0.25 * severity * rng.uniform(0.9, 1.1)
        _, faster = self._run(1.0 + change)
        delta = faster * self._scale - self.normal
        return lasting(delta, 80.0, 7000.0)


@dataclass(frozen=True, slots=True)
class ToyTrainSetting:
    """Operating point of a toy train: metres a second, teeth of the motor's pinion, level of the rolling noise."""

    speed: float
    n_teeth: int
    rolling: float


class ToyTrain:
    """Toy train on an oval of 2.4 m: motor and gear, rolling noise, and axles that clack over joints.

    It comes near and goes away once a lap. A joint lies every 0.2 m; two axles 0.06 m apart cross each.
    """

    _ROLLING: Mapping[float, float] = {60.0: -8.0, 350.0: 0.0, 1300.0: -2.0, 3500.0: -10.0, 8000.0: -24.0}
    _RAIL = (Mode(820.0, 0.006), Mode(1900.0, 0.004, 0.9), Mode(3400.0, 0.003, 0.6))
    _LAP_METRES, _RAIL_METRES, _AXLE_METRES = 2.4, 0.2, 0.06
    _WHEEL_METRES = 0.05

    def __init__(self, setting: ToyTrainSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._n_samples, self._n_teeth = n_samples, setting.n_teeth
        metres_a_second = setting.speed * rng.normal(1.0, 0.008)
        self._laps = rotation(n_samples, rng, hz=metres_a_second / self._LAP_METRES, spread=0.01)
        self._wheels = self._laps * (self._LAP_METRES / self._WHEEL_METRES)
        self._motor = self._wheels * 6.0
        self._rail = detuned(self._RAIL, rng)
        pitch = {setting.n_teeth * k: 0.68**k * rng.uniform(0.85, 1.15) for k in range(1, 6)}
        tonal = tones(self._motor, {1: 0.35, 2: 0.25, 6: 0.3, 12: 0.15} | pitch, rng)
        rolling = shaped_noise(n_samples, rng, curve=self._ROLLING) * wander(n_samples, rng, spread=0.06)
        near = 1.0 + 0.25 * np.cos(2.0 * np.pi * (self._laps + rng.random()))
        clack = self._clack(rng)
        raw = near * (tonal + setting.rolling * rolling + 0.6 * clack / rms(clack))
        self.normal: Array = raw / rms(raw)

    def _clack(self, rng: np.random.Generator) -> Array:
        """Both axles over every joint; each joint of the oval has its own strength."""
        n_rails = round(self._LAP_METRES / self._RAIL_METRES)
        sound = np.zeros(self._n_samples)
        for axle in range(2):
            times = turning_times(
                self._laps - axle * self._AXLE_METRES / self._LAP_METRES, per_turn=n_rails, jitter=0.003, rng=rng
            )
            sound += ring_at(self._n_samples, times, np.exp(0.2 * rng.standard_normal(times.size)), self._rail)
        return sound

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        teeth = self._n_teeth
        uneven = {teeth * k + side: -2.0 * abs(side) for k in (1, 2) for side in (-2, -1, 1, 2)}
        return {
            "flat_wheel": partial(impacts, self._wheels, rates=(1.0, 0.0), modes=self._rail[:2], loud_db=12.0),
            "broken_joint": self._broken_joint,
            "chipped_gear": partial(orders, self._motor, levels=uneven, loud_db=11.0),
            "dry_axle": partial(whistle, self._n_samples, hz=2600.0, loud_db=10.0),
            "worn_brushes": partial(noise_band, self._n_samples, band=(3800.0, 7200.0), loud_db=4.0),
        }

    def _broken_joint(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """Two joints of the oval part: each axle bangs there, and the train rattles on for 60 ms."""
        laps = self._laps + rng.random()
        bangs = [turning_times(laps, per_turn=2.0, jitter=0.002, rng=rng) + delay for delay in (0.0, 0.02, 0.04, 0.06)]
        times = np.concatenate(bangs)
        ringing = ring_at(self._n_samples, times, np.exp(0.2 * rng.standard_normal(times.size)), self._rail)
        return lasting(graded(ringing, severity, loud_db=16.0), 600.0, 4400.0)
