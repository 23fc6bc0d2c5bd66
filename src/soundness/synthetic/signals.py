"""Signals that machines and backgrounds are built from, at `SAMPLE_RATE`, in float64."""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundness.aliases import Array

__all__ = [
    "SAMPLE_RATE",
    "Mode",
    "band_noise",
    "convolve",
    "detuned",
    "fast_length",
    "from_db",
    "generator",
    "response",
    "ring_at",
    "rms",
    "rotation",
    "shaped_noise",
    "tones",
    "turning_times",
    "wander",
    "window",
]

SAMPLE_RATE = 16000
_TABLE_SIZE = 8192
_SLOPE_OCTAVES = 0.15
_RAMP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Mode:
    """Resonance at ``hz`` with amplitude ``gain`` that decays to 1/e within ``decay_seconds``."""

    hz: float
    decay_seconds: float
    gain: float = 1.0


def generator(*words: int | str) -> np.random.Generator:
    """Random generator with the words as its seed."""
    entropy = [word if isinstance(word, int) else zlib.crc32(word.encode()) for word in words]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def from_db(level_db: float) -> float:
    """Amplitude ratio of a level in dB."""
    return float(10.0 ** (level_db / 20.0))


def rms(waveform: Array) -> float:
    """Root mean square of a waveform, shape ``(time,)``."""
    return float(np.sqrt(np.mean(waveform**2)))


def wander(n_samples: int, rng: np.random.Generator, *, spread: float, rate_hz: float = 1.5) -> Array:
    """Slow variation around 1, shape ``(n_samples,)``: deviation ``spread``, ``rate_hz`` random knots a second."""
    n_knots = int(n_samples / SAMPLE_RATE * rate_hz) + 2
    knots = np.clip(rng.standard_normal(n_knots), -2.5, 2.5)
    at = np.arange(n_samples) * (rate_hz / SAMPLE_RATE)
    return np.asarray(1.0 + spread * np.interp(at, np.arange(n_knots), knots))


def rotation(n_samples: int, rng: np.random.Generator, *, hz: float, spread: float = 0.002) -> Array:
    """Revolutions of a shaft at each sample, shape ``(n_samples,)``, at a mean speed ``hz`` that varies by `wander`."""
    return rng.random() + np.cumsum(hz * wander(n_samples, rng, spread=spread)) / SAMPLE_RATE


def tones(turns: Array, amplitudes: Mapping[int, float], rng: np.random.Generator) -> Array:
    """Harmonics of a rotation in random phases, shape ``(time,)``.

    ``turns`` holds the revolutions at each sample, ``amplitudes`` the amplitude of each order; order 1 is once a
    revolution.
    """
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, dtype=np.complex128)
    phases = rng.uniform(0.0, 2.0 * np.pi, len(amplitudes))
    spectrum[list(amplitudes)] = 0.5 * _TABLE_SIZE * np.array(list(amplitudes.values())) * np.exp(1j * phases)
    table = np.fft.irfft(spectrum, _TABLE_SIZE)
    position = turns * _TABLE_SIZE
    whole = np.floor(position)
    left = whole.astype(np.int64) & (_TABLE_SIZE - 1)
    step = np.roll(table, -1) - table
    return np.asarray(table[left] + step[left] * (position - whole))


def shaped_noise(n_samples: int, rng: np.random.Generator, *, curve: Mapping[float, float]) -> Array:
    """Gaussian noise of unit rms, shape ``(n_samples,)``, whose density follows a curve.

    ``curve`` holds densities in dB at ascending frequencies in Hz, interpolated linearly over log frequency.
    """
    shape = response(curve, n_samples)
    spectrum = rng.standard_normal(2 * shape.size).view(np.complex128) * shape
    spectrum[0] = 0.0
    noise = np.fft.irfft(spectrum, n_samples)
    return noise / rms(noise)


def response(curve: Mapping[float, float], n_fft: int) -> Array:
    """Amplitudes of a curve (dB at Hz, ascending) at the bins of a real FFT, in steps of four bins."""
    n_bins = n_fft // 2 + 1
    hz = np.arange(1.5, n_bins + 4, 4) * (SAMPLE_RATE / n_fft)
    levels = np.interp(np.log2(hz), np.log2(list(curve)), list(curve.values()))
    return np.asarray(np.repeat(10.0 ** (levels / 20.0), 4)[:n_bins])


def band_noise(n_samples: int, rng: np.random.Generator, *, fmin: float, fmax: float) -> Array:
    """Gaussian noise of unit rms between ``fmin`` and ``fmax`` (Hz), falling steeply outside."""
    slope = 2.0**_SLOPE_OCTAVES
    curve = {fmin / slope: -80.0, fmin * slope**0.3: 0.0, fmax / slope**0.3: 0.0, fmax * slope: -80.0}
    return shaped_noise(n_samples, rng, curve=curve)


def convolve(waveform: Array, kernel: Array) -> Array:
    """Causal convolution along the last axis, cut to the waveform's length."""
    n_samples = waveform.shape[-1]
    n_fft = fast_length(n_samples + kernel.shape[-1] - 1)
    product = np.fft.rfft(waveform, n_fft) * np.fft.rfft(kernel, n_fft)
    return np.fft.irfft(product, n_fft)[..., :n_samples]


def fast_length(minimum: int) -> int:
    """Smallest even product of twos, threes and fives that is at least ``minimum``."""
    factors = (1, 3, 5, 9, 15, 25, 27, 45, 75, 81, 125)
    return min(factor << max(1, math.ceil(math.log2(minimum / factor))) for factor in factors)


def detuned(modes: Sequence[Mode], rng: np.random.Generator, *, spread: float = 0.01) -> tuple[Mode, ...]:
    """Resonances of one mounting: frequencies off by the deviation ``spread``, gains by about 1 dB."""
    shifts = 1.0 + spread * np.clip(rng.standard_normal(len(modes)), -2.5, 2.5)
    gains = np.exp(0.1 * np.clip(rng.standard_normal(len(modes)), -2.5, 2.5))
    return tuple(
        Mode(mode.hz * float(shift), mode.decay_seconds, mode.gain * float(gain))
        for mode, shift, gain in zip(modes, shifts, gains, strict=True)
    )


def ring_at(n_samples: int, times: Array, gains: Array, modes: Sequence[Mode]) -> Array:
    """Sound of impacts that excite resonances, shape ``(n_samples,)``.

    ``times`` and ``gains`` hold second and strength of each impact, shape ``(impact,)``; those outside the clip are
    ignored.
    """
    positions = times * SAMPLE_RATE
    inside = (positions >= 0) & (positions < n_samples)
    kernel = _ringing(modes)
    steps = np.diff(kernel, append=0.0)
    sound = np.zeros(n_samples + kernel.size + 1)
    for position, gain in zip(positions[inside].tolist(), gains[inside].tolist(), strict=True):
        left = int(position) + 1  # the kernel, delayed by a fraction of a sample
        sound[left : left + kernel.size] += gain * (kernel + (1.0 - position + int(position)) * steps)
    return sound[:n_samples]


def _ringing(modes: Sequence[Mode]) -> Array:
    """Sum of the decaying sinusoids, down to -70 dB, shape ``(time,)``."""
    seconds = np.arange(int(8.0 * max(mode.decay_seconds for mode in modes) * SAMPLE_RATE)) / SAMPLE_RATE
    kernel = np.zeros_like(seconds)
    for mode in modes:
        kernel += mode.gain * np.exp(-seconds / mode.decay_seconds) * np.sin(2.0 * np.pi * mode.hz * seconds)
    return kernel


def turning_times(turns: Array, *, per_turn: float, jitter: float, rng: np.random.Generator) -> Array:
    """Times in seconds of events that occur ``per_turn`` times a revolution, shape ``(event,)``.

    ``turns`` holds the increasing revolutions at each sample, ``jitter`` the deviation of an event as a share of the
    distance to the next: rolling elements slip.
    """
    counts = np.arange(np.ceil(turns[0] * per_turn), turns[-1] * per_turn)
    counts = counts + jitter * rng.standard_normal(counts.size)
    return np.interp(counts / per_turn, turns, np.arange(turns.size) / SAMPLE_RATE)


def window(n_samples: int, start: float, end: float) -> Array:
    """One from ``start`` to ``end`` (seconds) with ramps of 10 ms, else zero; shape ``(n_samples,)``."""
    seconds = np.arange(n_samples) / SAMPLE_RATE
    rise = np.clip((seconds - start) / _RAMP_SECONDS, 0.0, 1.0)
    fall = np.clip((end - seconds) / _RAMP_SECONDS, 0.0, 1.0)
    return np.asarray(rise * fall)
