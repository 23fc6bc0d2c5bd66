"""Log-mel, its views over time and the deviation map, as operators of a graph."""

import math
from collections.abc import Sequence

import numpy as np

from soundness.audio.log_mel import SMALLEST_RMS, hann_window, mel_filterbank
from soundness.exporting.graph import Value
from soundness.exporting.spectra import framed, power_spectra
from soundness.representations.statistics import MeanLogMel
from soundness.settings.fields import Pooling, quantile_of
from soundness.settings.system import LogMelSettings

__all__ = ["deviation_map", "log_mel", "pooled", "quantile", "root_mean_square", "without_mean"]


def pooled(values: Value, poolings: Sequence[Pooling]) -> Value:
    """Views of clips, one after the other, shape ``(clip, 1, feature)``.

    Parameters
    ----------
    values
        Shape ``(clip, mel, frame)``.
    poolings
        ``mean``, or quantiles such as ``quantile-0.1``.
    """
    precise, views = values.cast(np.float64), []
    for name in poolings:
        share = quantile_of(name)
        views.append(precise.mean(2) if share is None else quantile(precise, share))
    return values.graph.op("Concat", *views, axis=1).with_axes(1)


def quantile(values: Value, share: float) -> Value:
    """Quantile over time, ``(clip, mel, frame)`` to ``(clip, mel)``; linear between the two values beside it."""
    last = (values.size(2) - np.int64(1)).cast(np.float64)
    position = last * np.float64(share)
    below = position.op("Floor")
    lower, upper = below.cast(np.int64), position.op("Ceil").cast(np.int64)
    ordered = values.smallest(upper + np.int64(1), axis=2)
    start, end = ordered.take(lower, axis=2), ordered.take(upper, axis=2)
    return start + (end - start) * (position - below)


def without_mean(waveform: Value) -> Value:
    """Waveforms less their means, as of `soundness.audio.log_mel.without_mean`, shape ``(clip, time)``."""
    precise = waveform.cast(np.float64)
    return (precise - precise.mean(1, keep=True)).cast(np.float32)


def log_mel(waveform: Value, settings: LogMelSettings, *, sample_rate: int) -> Value:
    """Log-mel in dB, float32, shape ``(clip, mel, frame)``, as of `soundness.audio.log_mel.LogMel`.

    Parameters
    ----------
    waveform
        float32, shape ``(clip, time)``.
    settings
        Settings of the log-mel.
    sample_rate
        Hz.
    """
    before = settings.n_fft // 2
    padded = waveform.padded(np.int64(before), np.int64(settings.n_fft - before), axis=1)
    window = hann_window(settings.n_fft)
    precise = padded.cast(np.float64)
    scale = None if settings.floor_reference == "full-scale" else root_mean_square(waveform)  # (clip, 1)
    precise = precise if scale is None else precise / scale
    frames = framed(precise, settings.n_fft, settings.hop_length)
    powers = power_spectra(frames, window)
    magnitude = powers.values.cast(np.float32)
    if settings.power != 2.0:
        magnitude = magnitude.op("Pow", np.float32(settings.power / 2))
    bands = powers.changed(magnitude).sums(mel_filterbank(settings, sample_rate=sample_rate))  # (clip, frame, mel)
    floor = np.float32(10 ** (settings.floor_db * settings.power / 20))
    decibels = bands.op("Max", floor).cast(np.float64).op("Log") * np.float64(20 / settings.power / math.log(10))
    if scale is not None:
        level = scale.op("Log").with_axes(2) * np.float64(20 / math.log(10))  # (clip, 1, 1)
        decibels = decibels.cast(np.float32) + level.cast(np.float32)
    return decibels.cast(np.float32).transposed(0, 2, 1)


def root_mean_square(waveform: Value) -> Value:
    """Root mean square of each clip, as of `soundness.audio.log_mel.root_mean_square`, float64, shape ``(clip, 1)``."""
    return waveform.cast(np.float64).square().mean(1, keep=True).op("Sqrt").op("Max", np.float64(SMALLEST_RMS))


def deviation_map(representation: MeanLogMel, reference: Value) -> Value:
    """Squared distance from the band's mean, in its deviations, shape ``(clip, mel, frame)``."""
    mean, deviation = (array[:, None] for array in (representation.mean, representation.deviation))
    return ((reference - mean) / deviation).square()
