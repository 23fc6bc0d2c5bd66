"""From a waveform to its log-mel, and what becomes of that without a network, as operators of a graph."""

import math
from collections.abc import Callable

import numpy as np

from soundness.exporting.graphs import Value
from soundness.features import mel_filterbank
from soundness.log_mel_statistics import MeanLogMel
from soundness.settings import LogMelSettings

__all__ = ["deviation_map", "log_mel", "mean_vectors", "quantile", "quantile_vectors"]


def log_mel(waveform: Value, settings: LogMelSettings, *, sample_rate: int) -> Value:
    """Log-mel in dB, float32, shape ``(clip, mel, frame)``, as `soundness.features.LogMel` gives it.

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
    window = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(settings.n_fft) / settings.n_fft)
    padded = waveform.padded(np.int64(before), np.int64(settings.n_fft - before), axis=1)
    spectrum = padded.cast(np.float64).with_axes(2).op("STFT", np.int64(settings.hop_length), window, onesided=1)
    magnitude = spectrum.square().sum(-1).cast(np.float32)  # (clip, frame, bin)
    if settings.power != 2.0:
        magnitude = magnitude.op("Pow", np.float32(settings.power / 2))
    bands = magnitude @ mel_filterbank(settings, sample_rate=sample_rate).T  # (clip, frame, mel)
    floor = np.float32(10 ** (settings.floor_db * settings.power / 20))
    decibels = bands.op("Max", floor).cast(np.float64).op("Log") * np.float64(20 / settings.power / math.log(10))
    return decibels.cast(np.float32).transposed(0, 2, 1)


def mean_vectors(wanted: Value) -> Value:
    """Mean of each band, float64, shape ``(clip, 1, mel)``."""
    return wanted.cast(np.float64).mean(-1).with_axes(1)


def quantile_vectors(wanted: Value, share: float) -> Value:
    """Quantile of each band, float64, shape ``(clip, 1, mel)``."""
    return quantile(wanted.cast(np.float64), share).with_axes(1)


def quantile(values: Value, share: float) -> Value:
    """Quantile over the last of three axes, linear between two values."""
    last = (values.size(2) - np.int64(1)).cast(np.float64)
    position = last * np.float64(share)
    below = position.op("Floor")
    lower = below.cast(np.int64)
    upper = position.op("Ceil").cast(np.int64)
    ordered = values.smallest(upper + np.int64(1), axis=2)
    start, end = ordered.take(lower, axis=2), ordered.take(upper, axis=2)
    return start + (end - start) * (position - below)


def deviation_map(representation: MeanLogMel, wanted: Value) -> Value:
    """Squared distance from the band's mean, in its deviations, shape ``(clip, mel, frame)``."""
    mean, deviation = (array.numpy()[:, None] for array in (representation.mean, representation.deviation))
    return ((wanted - mean) / deviation).square()


