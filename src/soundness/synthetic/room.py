"""Path from a machine to the microphone: a room and a frequency response, both of one domain."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from soundness.aliases import Array
from soundness.data.clips import Domain
from soundness.synthetic.signals import SAMPLE_RATE, fast_length, response

__all__ = ["Room", "draw_room", "impulse_response", "record"]

_LENGTH_SECONDS = 0.24
_N_REFLECTIONS = 8

# Response of each domain's microphone: dB at Hz.
_MICROPHONES: Mapping[Domain, Mapping[float, float]] = {
    "source": {20.0: -12.0, 60.0: -3.0, 120.0: 0.0, 2000.0: 0.0, 5000.0: 1.5, 8000.0: -1.0},
    "target": {20.0: -18.0, 60.0: -6.0, 150.0: -1.0, 1000.0: 0.0, 3000.0: -1.5, 5500.0: -4.0, 8000.0: -8.0},
}


@dataclass(frozen=True, slots=True)
class Room:
    """Room that a domain's recordings share.

    ``delays`` and ``gains`` are seconds and amplitudes of the early reflections, shape ``(reflection,)``, relative to
    the direct sound; ``tail`` is the reverberation, shape ``(time,)``.
    """

    delays: Array
    gains: Array
    tail: Array


def draw_room(rng: np.random.Generator) -> Room:
    """Draw the room in which all clips of a domain are recorded."""
    seconds = np.arange(int(_LENGTH_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    reverberation_seconds = rng.uniform(0.25, 0.55)
    tail = rng.standard_normal(seconds.size) * 10.0 ** (-3.0 * seconds / reverberation_seconds)
    tail[: int(0.006 * SAMPLE_RATE)] = 0.0
    delays = np.sort(rng.uniform(0.001, 0.025, _N_REFLECTIONS))
    gains = rng.choice([-1.0, 1.0], _N_REFLECTIONS) * rng.uniform(0.1, 0.4, _N_REFLECTIONS)
    return Room(delays, gains, tail * (0.5 / np.linalg.norm(tail)))


def impulse_response(room: Room, rng: np.random.Generator) -> Array:
    """Response of the room in one clip, of unit energy: reflections vary a little, for people move."""
    taps = np.array(room.tail)
    positions = (room.delays * SAMPLE_RATE).astype(np.int64)
    changes = 1.0 + 0.08 * rng.standard_normal(positions.size)
    np.add.at(taps, positions, room.gains * changes)
    taps[0] += 1.0
    return np.asarray(taps / np.linalg.norm(taps))


def record(waveforms: Array, domain: Domain, *, room: Array | None) -> Array:
    """Pass sounds, shape ``(..., time)``, through a room and the microphone of a domain.

    ``room`` is an impulse response, shape ``(tap,)``; ``None`` for sounds that include a room.
    """
    n_samples = waveforms.shape[-1]
    n_fft = fast_length(n_samples + int(_LENGTH_SECONDS * SAMPLE_RATE))
    spectrum = np.fft.rfft(waveforms, n_fft) * _microphone(domain, n_fft)
    if room is not None:
        spectrum *= np.fft.rfft(room, n_fft)
    return np.fft.irfft(spectrum, n_fft)[..., :n_samples]


@lru_cache(maxsize=4)
def _microphone(domain: Domain, n_fft: int) -> Array:
    return response(_MICROPHONES[domain], n_fft)
