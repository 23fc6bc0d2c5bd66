"""What becomes of a band over time: from ``(..., mel, frame)`` to one or more values of each band."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from soundness.settings.fields import Pooling, quantile_of

__all__ = ["EXPONENT", "N_OCTAVES", "POOLINGS", "SMALLEST_POWER", "mean_over_time", "pooled", "quantile_over_time"]

Values = NDArray[np.float32]

EXPONENT = -0.25  # of power: between the mean of decibels (0) and the quietest frame (minus infinity)
N_OCTAVES = 5
SMALLEST_POWER = 1e-6  # dB squared: a band that does not move at all


def mean_over_time(values: Values) -> Values:
    """Mean over time, shape ``(..., mel)``; of an hour, and of any order in memory, to the digits of its type."""
    found: Values = values.mean(axis=-1, dtype=np.float64).astype(values.dtype)
    return found


def _generalised_mean(values: Values) -> Values:
    """Level of the generalised mean of power, dB, which loud events hardly reach."""
    powers = values.astype(np.float64) * (EXPONENT / 10 * np.log(10.0))
    largest = powers.max(axis=-1, keepdims=True)
    mean = np.log(np.exp(powers - largest).mean(axis=-1)) + largest[..., 0]
    level: Values = (10 / EXPONENT * mean / np.log(10.0)).astype(values.dtype)
    return level


def _modulation(values: Values) -> Values:
    """Level of each band's fluctuation in octaves below half the frame rate, dB re 1 dB squared, octave by octave."""
    n_frames = values.shape[-1]
    precise = values.astype(np.float64)
    spectrum = np.square(np.abs(np.fft.rfft(precise - precise.mean(axis=-1, keepdims=True))))
    rates = np.arange(spectrum.shape[-1]) / n_frames  # cycles a frame
    levels = []
    for octave in range(N_OCTAVES):
        inside = (rates > 0.5 ** (octave + 2)) & (rates <= 0.5 ** (octave + 1))
        power = 2 * spectrum[..., inside].sum(axis=-1) / n_frames**2
        levels.append(10 * np.log10(power + SMALLEST_POWER))
    return np.concatenate(levels, axis=-1).astype(values.dtype)


def _change(values: Values) -> Values:
    """Mean absolute difference from one frame to the next; 0 of a single frame."""
    if values.shape[-1] == 1:
        return np.zeros_like(values[..., 0])
    return mean_over_time(np.abs(np.diff(values, axis=-1)))


POOLINGS: dict[str, Callable[[Values], Values]] = {
    "mean": mean_over_time,
    "deviation": lambda values: values.std(axis=-1, dtype=np.float64).astype(values.dtype),
    "generalised-mean": _generalised_mean,
    "modulation": _modulation,
    "change": _change,
}
"""Functions of values, shape ``(..., mel, frame)``; quantiles beside them, see `pooled`."""


def pooled(values: Values, poolings: Sequence[Pooling]) -> list[Values]:
    """One view for each pooling, shape ``(..., feature)``: bands in order, once or, octave by octave, more often.

    Parameters
    ----------
    values
        Shape ``(..., mel, frame)``.
    poolings
        Keys of `POOLINGS`, or quantiles such as ``quantile-0.1``.
    """
    return [_pooled(values, name) for name in poolings]


def quantile_over_time(values: Values, level: float) -> Values:
    """A quantile over time, shape ``(..., mel)``, between neighbouring values where it falls between two."""
    found: Values = np.quantile(values, level, axis=-1).astype(values.dtype)
    return found


def _pooled(values: Values, pooling: Pooling) -> Values:
    level = quantile_of(pooling)
    return POOLINGS[pooling](values) if level is None else quantile_over_time(values, level)
