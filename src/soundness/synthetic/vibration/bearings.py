"""Acceleration at the housing of a rolling bearing: healthy, or with a pit in a ring or a ball."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAULTS", "SAMPLE_RATE", "SHAFT_RPM", "BearingFault", "bearing_vibration"]

BearingFault = Literal["outer race", "inner race", "ball"]
"""Place of the pit."""

FAULTS: dict[BearingFault, float] = {"outer race": 3.5848, "inner race": 5.4152, "ball": 4.7135}
"""Impacts in a turn of the shaft for each place of the pit, of a deep groove ball bearing 6205."""

SHAFT_RPM = (1797.0, 1772.0, 1750.0, 1730.0)
"""Speeds of the shaft at a load of 0 to 3 hp."""

SAMPLE_RATE = 12_000
"""Hz."""

_CAGE = 0.3983  # turns of the cage in one of the shaft
_RESONANCES = ((1_150.0, 0.03, 0.5), (2_780.0, 0.035, 1.0), (3_460.0, 0.04, 0.8))  # Hz, damping, weight
_SLIP = 0.01  # deviation of the time between two impacts
_RINGING_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One recording: its shaft, and the moments of its samples in seconds and in turns."""

    hz: float
    seconds: NDArray[np.float64]
    turns: NDArray[np.float64]


def bearing_vibration(
    rng: np.random.Generator,
    *,
    load: int,
    seconds: float,
    fault: BearingFault | None = None,
    severity: float = 1.0,
) -> NDArray[np.float32]:
    """Vibration of a bearing in g, shape ``(time,)``, at `SAMPLE_RATE`.

    A healthy bearing shows harmonics of the shaft and broadband noise. A pit adds an impact whenever a ball or a ring
    passes it, which excites resonances of the housing; where the pit moves through the zone of load, on the inner ring
    with the shaft and on a ball with the cage, its impacts grow and fall.

    Parameters
    ----------
    rng
        Random numbers.
    load
        Index of `SHAFT_RPM`.
    seconds
        Length.
    fault
        Place of the pit; ``None`` for a healthy bearing.
    severity
        Height of the impacts; 1 for a pit of half a millimetre.
    """
    hz = SHAFT_RPM[load] / 60 * (1 + 0.002 * rng.standard_normal())
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    run = _Run(hz=hz, seconds=times, turns=hz * times)
    vibration = _shaft(run, rng, load) + _noise(len(times), rng, load)
    if fault is not None:
        vibration += severity * _impacts(run, rng, fault) * (1 + 0.1 * load)
    return vibration.astype(np.float32)


def _shaft(run: _Run, rng: np.random.Generator, load: int) -> NDArray[np.float64]:
    levels = np.array([0.02, 0.012, 0.006, 0.004, 0.003]) * (1 + 0.1 * load) * np.exp(0.1 * rng.standard_normal(5))
    phases = rng.uniform(0, 2 * np.pi, 5)
    orders = np.arange(1, 6)
    harmonics: NDArray[np.float64] = np.sin(2 * np.pi * orders[:, None] * run.turns + phases[:, None])
    shaft: NDArray[np.float64] = levels @ harmonics
    return shaft


def _noise(n_samples: int, rng: np.random.Generator, load: int) -> NDArray[np.float64]:
    """Noise of the contacts, coloured by the housing."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    hz = np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE)
    response = 0.3 + sum(
        weight / np.hypot(1 - (hz / centre) ** 2, 6 * damping) for centre, damping, weight in _RESONANCES
    )
    noise: NDArray[np.float64] = np.fft.irfft(spectrum * response, n_samples)
    level = 0.05 * (1 + 0.08 * load) * np.exp(0.05 * rng.standard_normal())
    noise *= level / noise.std()
    return noise


def _impacts(run: _Run, rng: np.random.Generator, fault: BearingFault) -> NDArray[np.float64]:
    n_impacts = int(run.turns[-1] * FAULTS[fault]) + 2
    steps = (1 + _SLIP * rng.standard_normal(n_impacts)) / (FAULTS[fault] * run.hz)
    moments = rng.uniform(0, steps[0]) + np.cumsum(steps)
    heights = np.exp(0.2 * rng.standard_normal(n_impacts)) * _load_zone(run, moments, fault)
    train = np.zeros(len(run.seconds))
    at = np.round(moments * SAMPLE_RATE).astype(int)
    np.add.at(train, at[at < len(train)], heights[at < len(train)])
    return np.convolve(train, _ringing())[: len(train)]


def _load_zone(run: _Run, moments: NDArray[np.float64], fault: BearingFault) -> NDArray[np.float64]:
    """Share of the load that the pit carries at some moments: constant where it stands still."""
    turning = {"outer race": 0.0, "inner race": 1.0, "ball": _CAGE}[fault]
    zone: NDArray[np.float64] = np.maximum(0.15, (1 + np.cos(2 * np.pi * turning * run.hz * moments)) / 2)
    return zone


def _ringing() -> NDArray[np.float64]:
    times = np.arange(round(_RINGING_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    modes = [
        weight * np.exp(-2 * np.pi * hz * damping * times) * np.sin(2 * np.pi * hz * times)
        for hz, damping, weight in _RESONANCES
    ]
    ringing: NDArray[np.float64] = 0.35 * np.sum(modes, axis=0)
    return ringing
