"""Machines that repeat a movement: slide rail and solenoid valves."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from soundness.aliases import Array
from soundness.synthetic.faults import Anomaly, Fault, graded, interval, lasting, noise_band
from soundness.synthetic.signals import (
    SAMPLE_RATE,
    Mode,
    band_noise,
    convolve,
    detuned,
    ring_at,
    rms,
    shaped_noise,
    tones,
    wander,
    window,
)

__all__ = ["VALVE_PATTERNS", "Slider", "SliderSetting", "Valve", "ValveSetting"]

_Span = tuple[float, float]

# Seconds within a cycle of two seconds at which a valve opens, by the pattern's number.
VALVE_PATTERNS: Mapping[str, tuple[float, ...]] = {"00": (), "04": (0.15, 1.15), "05": (0.40, 0.80, 1.60)}
_CYCLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SliderSetting:
    """Operating point of a slide rail: seconds a stroke (one way), top speed and friction as shares of the usual."""

    stroke_seconds: float
    speed: float
    friction: float


class Slider:
    """Slide rail: each stroke accelerates, runs and brakes; the drive's whine follows the speed.

    Friction noise grows with the speed; both ends of the rail are struck.
    """

    _NOISE: Mapping[float, float] = {60.0: -12.0, 300.0: -3.0, 1100.0: 0.0, 2500.0: -2.0, 5000.0: -9.0, 8000.0: -20.0}
    _STOP = (Mode(240.0, 0.020), Mode(620.0, 0.012, 0.8), Mode(1350.0, 0.007, 0.6), Mode(2500.0, 0.004, 0.4))
    _RATTLE = (Mode(1900.0, 0.006), Mode(2700.0, 0.004, 0.8))

    def __init__(self, setting: SliderSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._n_samples = n_samples
        period = setting.stroke_seconds * rng.normal(1.0, 0.006)
        strokes = rng.random() + np.arange(n_samples) / (SAMPLE_RATE * period)
        ramp = np.minimum(strokes % 1.0, 1.0 - strokes % 1.0)
        self._speed: Array = np.clip(ramp / 0.18, 0.0, 1.0)
        self._drive: Array = np.cumsum(setting.speed * 62.0 * self._speed) / SAMPLE_RATE
        crossings = np.flatnonzero(np.diff(np.floor(strokes)) > 0)
        self._ends = (crossings + 1) / SAMPLE_RATE + 0.002 * rng.standard_normal(crossings.size)
        middles = np.flatnonzero(np.diff(np.floor(strokes + 0.37)) > 0)
        self._joints = (middles + 1) / SAMPLE_RATE
        self._stops = detuned(self._STOP, rng)
        self._rattle = detuned(self._RATTLE, rng)
        self.normal: Array = self._sound(setting, rng)

    def _sound(self, setting: SliderSetting, rng: np.random.Generator) -> Array:
        noise = shaped_noise(self._n_samples, rng, curve=self._NOISE)
        friction = noise * self._speed * wander(self._n_samples, rng, spread=0.06)
        pitch = {8 * k: 0.65**k * rng.uniform(0.85, 1.15) for k in range(1, 7)}
        whine = tones(self._drive, pitch, rng) * np.sqrt(self._speed)
        strength = np.exp(0.12 * rng.standard_normal(self._ends.size))
        struck = ring_at(self._n_samples, self._ends, strength, self._stops)
        raw = setting.friction * friction + whine + 0.2 * struck
        return raw / rms(raw)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        return {
            "squeak": self._squeak,
            "damaged_rail": partial(self._strike, times=self._joints, modes=self._rattle, loud_db=17.0),
            "hard_stop": partial(self._strike, times=self._ends, modes=self._stops, loud_db=16.0),
            "dry_rail": self._dry_rail,
            "loose_drive": self._loose_drive,
        }

    def _squeak(self, severity: float, rng: np.random.Generator) -> Anomaly:
        start, end = interval(self._n_samples, rng)
        hz = rng.uniform(2600.0, 3400.0)
        course = hz * (0.97 + 0.03 * self._speed)
        tone = np.sin(2.0 * np.pi * np.cumsum(course) / SAMPLE_RATE) * self._speed
        audible = tone * window(self._n_samples, start, end)
        return Anomaly(graded(audible, severity, loud_db=6.0), 0.9 * hz, 1.06 * hz, start, end)

    def _strike(
        self, severity: float, rng: np.random.Generator, *, times: Array, modes: tuple[Mode, ...], loud_db: float
    ) -> Anomaly:
        ringing = ring_at(self._n_samples, times, np.exp(0.1 * rng.standard_normal(times.size)), modes)
        return lasting(graded(ringing, severity, loud_db=loud_db), 0.6 * modes[0].hz, 1.3 * modes[-1].hz)

    def _dry_rail(self, severity: float, rng: np.random.Generator) -> Anomaly:
        band = (3200.0, 6800.0)
        scrape = band_noise(self._n_samples, rng, fmin=band[0], fmax=band[1]) * self._speed
        return lasting(graded(scrape, severity, loud_db=4.5), *band)

    def _loose_drive(self, severity: float, rng: np.random.Generator) -> Anomaly:
        hum = tones(self._drive, {k: 0.9**k for k in range(2, 20, 3)}, rng) * self._speed
        top = 20.0 * float(np.max(np.diff(self._drive))) * SAMPLE_RATE
        return lasting(graded(hum, severity, loud_db=9.0), 20.0, top)


@dataclass(frozen=True, slots=True)
class ValveSetting:
    """Patterns of the two valves, keys of `VALVE_PATTERNS`."""

    patterns: tuple[str, str]


class Valve:
    """Two solenoid valves: each opening clicks and releases air, each closing knocks more dully."""

    _CLICK = ((Mode(1700.0, 0.004), Mode(3900.0, 0.003, 0.9)), (Mode(1350.0, 0.005), Mode(3100.0, 0.003, 0.8)))
    _KNOCK = ((Mode(750.0, 0.008), Mode(2100.0, 0.004, 0.5)), (Mode(600.0, 0.009), Mode(1750.0, 0.004, 0.5)))
    _HISS: tuple[_Span, _Span] = ((1500.0, 6000.0), (2200.0, 7200.0))
    _OPEN_SECONDS = 0.22

    def __init__(self, setting: ValveSetting, *, n_samples: int, rng: np.random.Generator) -> None:
        self._n_samples = n_samples
        offset = rng.uniform(0.0, _CYCLE_SECONDS)
        self._openings = tuple(self._schedule(pattern, offset, rng) for pattern in setting.patterns)
        parts = [self._valve(which, times, rng) for which, times in enumerate(self._openings)]
        coil = tones(_mains(n_samples) + rng.random(), {1: 1.0, 2: 0.6, 3: 0.4}, rng)
        raw = parts[0] + parts[1] + 0.02 * coil
        self._scale = 1.0 / rms(raw)
        self._parts = tuple(part * self._scale for part in parts)
        self.normal: Array = raw * self._scale

    def _schedule(self, pattern: str, offset: float, rng: np.random.Generator) -> Array:
        n_cycles = int(self._n_samples / SAMPLE_RATE / _CYCLE_SECONDS) + 2
        starts = np.arange(-1, n_cycles)[:, None] * _CYCLE_SECONDS + offset
        times = (starts + np.array(VALVE_PATTERNS[pattern])[None, :]).ravel()
        return np.asarray(times + 0.004 * rng.standard_normal(times.size))

    def _valve(self, which: int, times: Array, rng: np.random.Generator) -> Array:
        strength = np.exp(0.1 * rng.standard_normal(times.size))
        click = ring_at(self._n_samples, times, strength, detuned(self._CLICK[which], rng))
        closing = times + self._OPEN_SECONDS
        knock = ring_at(self._n_samples, closing, strength, detuned(self._KNOCK[which], rng))
        return click + 0.7 * knock + 0.25 * self._release(which, times, strength, rng)

    def _release(self, which: int, times: Array, gains: Array, rng: np.random.Generator) -> Array:
        """Air that escapes: a rise within 5 ms, a fall within 70 ms, for each opening."""
        seconds = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
        pulse = (1.0 - np.exp(-seconds / 0.005)) * np.exp(-seconds / 0.07)
        envelope = np.zeros(self._n_samples)
        positions = (times * SAMPLE_RATE).astype(np.int64)
        inside = (positions >= 0) & (positions < self._n_samples)
        np.add.at(envelope, positions[inside], gains[inside])
        fmin, fmax = self._HISS[which]
        return band_noise(self._n_samples, rng, fmin=fmin, fmax=fmax) * convolve(envelope, pulse)

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        return {
            "leak": partial(noise_band, self._n_samples, band=(2500.0, 6500.0), loud_db=6.0),
            "weak_stroke": self._weak_stroke,
            "sticking": self._sticking,
            "chatter": self._chatter,
            "contamination": self._contamination,
            "coil_hum": self._coil_hum,
        }

    def _all_openings(self) -> Array:
        return np.sort(np.concatenate(self._openings))

    def _weak_stroke(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """Let the busier valve lose ``severity`` of its sound; the coil buzzes on an armature that hangs."""
        busier = max(range(2), key=lambda which: self._openings[which].size)
        held = np.zeros(self._n_samples)
        for opening in self._openings[busier]:
            first = max(round(opening * SAMPLE_RATE), 0)
            held[first : max(round((opening + self._OPEN_SECONDS) * SAMPLE_RATE), 0)] = 1.0
        buzz = held * tones(_mains(self._n_samples), {k: 0.9**k for k in range(1, 13)}, rng)
        added = graded(buzz, severity, loud_db=9.0) - severity * self._parts[busier]
        return lasting(added, 80.0, 7500.0)

    def _sticking(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """A disc that closes late: air escapes longer after each opening."""
        times = self._all_openings() + self._OPEN_SECONDS
        both = np.concatenate([times, times + 0.1])
        late = self._release(0, both, np.ones(both.size), rng)
        fmin, fmax = self._HISS[0]
        return lasting(graded(late, severity, loud_db=10.0), fmin, fmax)

    def _chatter(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """A disc that bounces: five more clicks after each opening."""
        bounces = 0.03 * np.arange(1, 6)[None, :] * rng.uniform(0.9, 1.1)
        times = (self._all_openings()[:, None] + bounces).ravel()
        ringing = ring_at(self._n_samples, times, np.ones(times.size), self._CLICK[0])
        return lasting(graded(ringing, severity, loud_db=14.0), 1200.0, 5000.0)

    def _contamination(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """Grit that crackles at random."""
        n_grains = int(40 * self._n_samples / SAMPLE_RATE)
        times = rng.uniform(0.0, self._n_samples / SAMPLE_RATE, n_grains)
        grit = ring_at(
            self._n_samples, times, rng.uniform(0.3, 1.0, n_grains), (Mode(4600.0, 0.004), Mode(5600.0, 0.003))
        )
        return lasting(graded(grit, severity, loud_db=3.0), 3900.0, 6500.0)

    def _coil_hum(self, severity: float, rng: np.random.Generator) -> Anomaly:
        """A loose armature that buzzes at twice the mains frequency."""
        buzz = tones(_mains(self._n_samples), {k: 0.8**k for k in range(1, 9)}, rng)
        return lasting(graded(buzz, severity, loud_db=9.0), 80.0, 850.0)


def _mains(n_samples: int) -> Array:
    """Periods of twice the mains frequency at each sample."""
    return np.arange(n_samples, dtype=np.float64) * (100.0 / SAMPLE_RATE)
