"""Sound of the factory around a machine: ventilation, mains hum, clanking parts, people."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from soundness.aliases import Array
from soundness.data.clips import Domain
from soundness.synthetic.signals import SAMPLE_RATE, Mode, from_db, ring_at, rms, rotation, shaped_noise, tones, wander

__all__ = ["Hall", "background", "draw_hall"]

_VOICES: Mapping[float, float] = {90.0: -30.0, 200.0: 0.0, 600.0: 0.0, 1100.0: -6.0, 2400.0: -12.0, 5000.0: -35.0}
_SYLLABLES_A_SECOND = 4.0


@dataclass(frozen=True, slots=True)
class Hall:
    """Properties of the noise that a domain's recordings share.

    ``spectrum`` is the density of the steady noise in dB at frequencies in Hz, ``hum_hz`` the mains frequency,
    ``neighbour_hz`` the speed of a neighbouring machine with five audible orders. ``tonal_db`` and ``voices_db`` are
    levels relative to the steady noise, ``clanks`` resonances of clanking parts.
    """

    spectrum: Mapping[float, float]
    hum_hz: float
    neighbour_hz: float
    tonal_db: float
    voices_db: float
    clanks: tuple[Mode, ...]
    clanks_a_second: float


def draw_hall(domain: Domain, rng: np.random.Generator) -> Hall:
    """Draw the hall in which all clips of a domain are recorded; the target's is brighter and busier."""
    slope, busy = (-4.5, 0.2) if domain == "source" else (-3.5, 1.2)
    knots = (40.0, 100.0, 250.0, 600.0, 1500.0, 3500.0, 8000.0)
    spectrum = {hz: slope * float(np.log2(hz / 40.0)) + rng.uniform(-3.0, 3.0) for hz in knots}
    pitches = rng.uniform(500.0, 1200.0) * np.array([1.0, 1.58, 2.24, 3.46])
    return Hall(
        spectrum=spectrum,
        hum_hz=50.0 if domain == "source" else 60.0,
        neighbour_hz=rng.uniform(70.0, 180.0),
        tonal_db=rng.uniform(-16.0, -10.0),
        voices_db=rng.uniform(-16.0, -10.0),
        clanks=tuple(Mode(float(hz), 0.03, 0.7**k) for k, hz in enumerate(pitches)),
        clanks_a_second=busy,
    )


def background(hall: Hall, n_samples: int, rng: np.random.Generator) -> Array:
    """Noise of a hall during one clip, unit rms, shape ``(n_samples,)``."""
    curve = {hz: level + 0.8 * rng.standard_normal() for hz, level in hall.spectrum.items()}
    steady = shaped_noise(n_samples, rng, curve=curve) * wander(n_samples, rng, spread=0.08, rate_hz=0.7)
    parts = steady + _tonal(hall, n_samples, rng) + _voices(hall, n_samples, rng) + _clanking(hall, n_samples, rng)
    return parts / rms(parts)


def _tonal(hall: Hall, n_samples: int, rng: np.random.Generator) -> Array:
    hum = tones(rotation(n_samples, rng, hz=hall.hum_hz, spread=1e-4), {2: 1.0, 4: 0.5, 6: 0.3}, rng)
    speed = hall.neighbour_hz * rng.normal(1.0, 0.01)
    neighbour = tones(rotation(n_samples, rng, hz=speed), {k: 0.8**k for k in range(1, 6)}, rng)
    levels = hall.tonal_db + 1.5 * rng.standard_normal(2)
    return from_db(levels[0]) * hum + from_db(levels[1]) * neighbour


def _voices(hall: Hall, n_samples: int, rng: np.random.Generator) -> Array:
    """Noise with the spectrum and the syllables of speech, in phrases that come and go."""
    syllables = np.clip(wander(n_samples, rng, spread=0.8, rate_hz=2.0 * _SYLLABLES_A_SECOND), 0.0, None)
    phrases = np.clip(wander(n_samples, rng, spread=1.5, rate_hz=0.5) - 0.7, 0.0, None)
    level = from_db(hall.voices_db + 2.0 * rng.standard_normal())
    return level * shaped_noise(n_samples, rng, curve=_VOICES) * syllables * phrases


def _clanking(hall: Hall, n_samples: int, rng: np.random.Generator) -> Array:
    seconds = n_samples / SAMPLE_RATE
    n_clanks = int(rng.poisson(hall.clanks_a_second * seconds))
    times = rng.uniform(0.0, seconds, n_clanks)
    return ring_at(n_samples, times, 1.2 * rng.exponential(1.0, n_clanks), hall.clanks)
