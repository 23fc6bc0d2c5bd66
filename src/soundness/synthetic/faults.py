"""Faults that several machines share, as sound that is added to that of a healthy machine.

Levels are relative to a machine of unit rms. A fault's level falls by `FALL_DB` from severity 1, where it is obvious,
to severity 0, where it is inaudible.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from soundness.aliases import Array
from soundness.synthetic.signals import (
    SAMPLE_RATE,
    Mode,
    band_noise,
    from_db,
    ring_at,
    rms,
    tones,
    turning_times,
    wander,
    window,
)

__all__ = [
    "FALL_DB",
    "INNER_RACE",
    "OUTER_RACE",
    "ROLLING_ELEMENT",
    "Anomaly",
    "Fault",
    "RunningMachine",
    "graded",
    "impacts",
    "interval",
    "lasting",
    "noise_band",
    "orders",
    "rubbing",
    "whistle",
]

FALL_DB = 38.0

# A bearing of 9 balls, ball over pitch diameter 0.23, contact angle 0: impacts a revolution of the shaft.
_N_BALLS, _BALL_RATIO = 9, 0.23
OUTER_RACE = 0.5 * _N_BALLS * (1.0 - _BALL_RATIO)
INNER_RACE = 0.5 * _N_BALLS * (1.0 + _BALL_RATIO)
ROLLING_ELEMENT = (1.0 - _BALL_RATIO**2) / _BALL_RATIO


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Sound that an anomaly adds to the normal waveform, and its band and time.

    ``waveform`` is anomalous less normal machine sound, before the room, shape ``(time,)``. ``fmin`` and ``fmax`` in Hz
    hold most of its energy; it lasts from second ``start`` to ``end``.
    """

    waveform: Array
    fmin: float
    fmax: float
    start: float
    end: float


Fault = Callable[[float, np.random.Generator], Anomaly]


class RunningMachine(Protocol):
    """Healthy machine that runs for the length of one clip, and its possible faults."""

    @property
    def normal(self) -> Array:
        """Its sound, unit rms, shape ``(time,)``."""
        ...

    @property
    def faults(self) -> Mapping[str, Fault]:
        """Each kind of fault, a function of severity and generator."""
        ...


def graded(waveform: Array, severity: float, *, loud_db: float) -> Array:
    """Scale a sound to ``loud_db`` above the machine at severity 1, and `FALL_DB` below that at severity 0.

    Its level is that of the samples within 80 dB of the peak, so that a short event is as loud as a long one.
    """
    magnitudes = np.abs(waveform)
    level = rms(waveform[magnitudes > 1e-4 * np.max(magnitudes)])
    return waveform * (from_db(loud_db - FALL_DB * (1.0 - severity)) / level)


def interval(n_samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Start and end in seconds of a random interval of 35 % to 65 % of a clip."""
    seconds = n_samples / SAMPLE_RATE
    length = seconds * rng.uniform(0.35, 0.65)
    start = rng.uniform(0.0, seconds - length)
    return start, start + length


def orders(
    turns: Array, severity: float, rng: np.random.Generator, *, levels: Mapping[int, float], loud_db: float
) -> Anomaly:
    """Harmonics of a rotation: imbalance (order 1), looseness (many), sidebands of a gear mesh."""
    raised = tones(turns, {order: from_db(level) for order, level in levels.items()}, rng)
    hz = (turns[-1] - turns[0]) * SAMPLE_RATE / (turns.size - 1)
    margin = 0.03 * max(levels) + 0.3
    fmin, fmax = hz * max(min(levels) - margin, 0.0), hz * (max(levels) + margin)
    return lasting(graded(raised, severity, loud_db=loud_db), fmin, fmax)


def impacts(
    turns: Array,
    severity: float,
    rng: np.random.Generator,
    *,
    rates: tuple[float, float],
    modes: Sequence[Mode],
    loud_db: float,
) -> Anomaly:
    """Impacts at a fault's rate that make resonances ring.

    ``rates`` holds the impacts a revolution and the depth (0 to 1) to which the load zone modulates them: 0 for a fixed
    outer race, near 1 for an inner race that turns with the shaft.
    """
    per_turn, depth = rates
    times = turning_times(turns, per_turn=per_turn, jitter=0.01, rng=rng)
    load = np.interp(times, np.arange(turns.size) / SAMPLE_RATE, turns)
    gains = 1.0 + depth * np.cos(2.0 * np.pi * load) + 0.1 * rng.standard_normal(times.size)
    ringing = ring_at(turns.size, times, gains, modes)
    fmin, fmax = min(mode.hz for mode in modes), max(mode.hz for mode in modes)
    return lasting(graded(ringing, severity, loud_db=loud_db), 0.75 * fmin, min(1.3 * fmax, 0.5 * SAMPLE_RATE))


def rubbing(
    turns: Array, severity: float, rng: np.random.Generator, *, band: tuple[float, float], loud_db: float
) -> Anomaly:
    """Noise in a band that swells once a revolution, as where a rotor touches its housing."""
    noise = band_noise(turns.size, rng, fmin=band[0], fmax=band[1])
    touch = 0.15 + (0.5 + 0.5 * np.cos(2.0 * np.pi * (turns + rng.random()))) ** 3
    return lasting(graded(noise * touch, severity, loud_db=loud_db), *band)


def whistle(n_samples: int, severity: float, rng: np.random.Generator, *, hz: float, loud_db: float) -> Anomaly:
    """Unsteady tone near ``hz`` that comes and goes once: a flow edge, a belt, a dry joint."""
    start, end = interval(n_samples, rng)
    centre = hz * rng.uniform(0.9, 1.1)
    course = centre * wander(n_samples, rng, spread=0.015, rate_hz=6.0)
    tone = np.sin(2.0 * np.pi * np.cumsum(course) / SAMPLE_RATE) * wander(n_samples, rng, spread=0.2, rate_hz=8.0)
    audible = graded(tone * window(n_samples, start, end), severity, loud_db=loud_db)
    return Anomaly(audible, 0.93 * centre, 1.07 * centre, start, end)


def noise_band(
    n_samples: int, severity: float, rng: np.random.Generator, *, band: tuple[float, float], loud_db: float
) -> Anomaly:
    """Steady noise in a band during the whole clip: a leak, a dry bearing, a worn brush."""
    hiss = band_noise(n_samples, rng, fmin=band[0], fmax=band[1])
    hiss = hiss * wander(n_samples, rng, spread=0.1, rate_hz=4.0)
    return lasting(graded(hiss, severity, loud_db=loud_db), *band)


def lasting(waveform: Array, fmin: float, fmax: float) -> Anomaly:
    """Anomaly that lasts the whole clip."""
    return Anomaly(waveform, fmin, fmax, 0.0, waveform.size / SAMPLE_RATE)
