"""What becomes of a band over time, as operators of a graph: float64, one function for each pooling."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from soundness.audio.log_mel import hann_window, mel_filterbank
from soundness.errors import ExportError
from soundness.exporting.graph import Value
from soundness.representations.statistics import EXPONENT, N_OCTAVES, SMALLEST_POWER, MeanLogMel
from soundness.settings.fields import Pooling, quantile_of
from soundness.settings.system import LogMelSettings

__all__ = ["deviation_map", "log_mel", "pooled", "quantile"]


def pooled(values: Value, poolings: Sequence[Pooling]) -> Value:
    """Views of clips, one after the other, shape ``(clip, 1, feature)``.

    Parameters
    ----------
    values
        Shape ``(clip, mel, frame)``.
    poolings
        Keys of `soundness.representations.statistics.POOLINGS`, or quantiles such as ``quantile-0.1``.

    Raises
    ------
    ExportError
        If one of them is none that can be exported.
    """
    precise = values.cast(np.float64)
    views = [_view(precise, name) for name in poolings]
    return values.graph.op("Concat", *views, axis=1).with_axes(1)


def _view(values: Value, name: Pooling) -> Value:
    share = quantile_of(name)
    if share is not None:
        return quantile(values, share)
    if name not in _POOLINGS:
        raise ExportError(f"the pooling {name!r} cannot be exported; what can be is {', '.join(_POOLINGS)}, quantiles")
    return _POOLINGS[name](values)


def _mean(values: Value) -> Value:
    return values.mean(2)


def _deviation(values: Value) -> Value:
    return (values - values.mean(2, keep=True)).square().mean(2).op("Sqrt")


def quantile(values: Value, share: float) -> Value:
    """Linear between the two values beside it: ``(clip, mel, frame)`` to ``(clip, mel)``."""
    last = (values.size(2) - np.int64(1)).cast(np.float64)
    position = last * np.float64(share)
    below = position.op("Floor")
    lower, upper = below.cast(np.int64), position.op("Ceil").cast(np.int64)
    ordered = values.smallest(upper + np.int64(1), axis=2)
    start, end = ordered.take(lower, axis=2), ordered.take(upper, axis=2)
    return start + (end - start) * (position - below)


def _generalised_mean(values: Value) -> Value:
    exponents = values * np.float64(EXPONENT / 10 * math.log(10))
    largest = exponents.max(2, keep=True)
    mean = (exponents - largest).op("Exp").mean(2).op("Log") + largest.sum(2)
    return mean * np.float64(10 / EXPONENT / math.log(10))


def _modulation(values: Value) -> Value:
    n_frames = values.size(2).cast(np.float64)
    centred = (values - values.mean(2, keep=True)).reshaped(-1, values.size(2), 1)
    power = centred.op("DFT", axis=1, onesided=1).square().sum(2)  # (row, rate)
    rates = values.graph.range(power.size(1)).cast(np.float64) / n_frames  # cycles a frame
    compare, levels = values.graph.op, []
    for octave in range(N_OCTAVES):
        is_above = compare("Greater", rates, np.float64(0.5 ** (octave + 2)))
        is_inside = is_above.op("And", compare("LessOrEqual", rates, np.float64(0.5 ** (octave + 1))))
        total = (power * is_inside.cast(np.float64)).sum(1) * np.float64(2) / n_frames.square()
        level = (total + np.float64(SMALLEST_POWER)).op("Log") * np.float64(10 / math.log(10))
        levels.append(level.reshaped(values.size(0), values.size(1)))
    return values.graph.op("Concat", *levels, axis=1)


def _change(values: Value) -> Value:
    """Mean absolute difference from one frame to the next; 0 of a single frame."""
    n_frames = values.size(2)
    after, before = values.part(np.int64(1), n_frames, axis=2), values.part(np.int64(0), n_frames - np.int64(1), axis=2)
    n_steps = (n_frames - np.int64(1)).op("Max", np.int64(1)).cast(np.float64)
    return (after - before).op("Abs").sum(2) / n_steps


_POOLINGS: dict[Pooling, Callable[[Value], Value]] = {
    "mean": _mean,
    "deviation": _deviation,
    "generalised-mean": _generalised_mean,
    "modulation": _modulation,
    "change": _change,
}


def log_mel(waveform: Value, settings: LogMelSettings, *, sample_rate: int) -> Value:
    """Log-mel in dB, float32, shape ``(clip, mel, frame)``, as `soundness.audio.log_mel.LogMel` gives it.

    Parameters
    ----------
    waveform
        float32, shape ``(clip, time)``.
    settings
        Frame, bands and floor.
    sample_rate
        Hz.
    """
    before = settings.n_fft // 2
    padded = waveform.padded(np.int64(before), np.int64(settings.n_fft - before), axis=1)
    window = hann_window(settings.n_fft)
    spectrum = padded.cast(np.float64).with_axes(2).op("STFT", np.int64(settings.hop_length), window, onesided=1)
    magnitude = spectrum.square().sum(-1).cast(np.float32)  # (clip, frame, bin)
    if settings.power != 2.0:
        magnitude = magnitude.op("Pow", np.float32(settings.power / 2))
    bands = magnitude @ mel_filterbank(settings, sample_rate=sample_rate).T  # (clip, frame, mel)
    floor = np.float32(10 ** (settings.floor_db * settings.power / 20))
    decibels = bands.op("Max", floor).cast(np.float64).op("Log") * np.float64(20 / settings.power / math.log(10))
    return decibels.cast(np.float32).transposed(0, 2, 1)


def deviation_map(representation: MeanLogMel, wanted: Value) -> Value:
    """Squared distance from the band's mean, in its deviations, shape ``(clip, mel, frame)``."""
    mean, deviation = (array[:, None] for array in (representation.mean, representation.deviation))
    return ((wanted - mean) / deviation).square()
