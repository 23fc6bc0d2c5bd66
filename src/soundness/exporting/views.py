"""Views of a clip beside the statistics of its log-mel, as operators of a graph: float64."""

import math

import numpy as np

from soundness.aliases import Array
from soundness.audio.log_mel import hann_window
from soundness.audio.spectra.envelopes import N_GROUPS, Envelopes
from soundness.audio.spectra.long_spectrum import MOST_PARTS, LongSpectrum
from soundness.exporting.features import quantile, root_mean_square
from soundness.exporting.graph import Value
from soundness.exporting.spectra import framed, frames_at, power_spectra
from soundness.representations.views.events import EventFilters, window_step
from soundness.representations.views.modulation import SEGMENT_FRAMES, SMALLEST_POWER
from soundness.representations.views.tones import NEIGHBOURHOOD, ToneView
from soundness.settings.system import SystemSettings

__all__ = ["event_outputs", "falls", "modulation", "rises", "tones"]


def event_outputs(filters: EventFilters, log_mel: Value) -> list[Value]:
    """Output of the filters over time for each duration, ``(clip, change, time)``; see `EventFilters.outputs`.

    Parameters
    ----------
    filters
        Filters of the events.
    log_mel
        dB, shape ``(clip, mel, frame)``.
    """
    precise = log_mel.cast(np.float64)
    differences = precise - quantile(precise, 0.5).with_axes(2)
    sums = differences.padded(np.int64(1), np.int64(0), axis=2).op("CumSum", np.int64(2))
    n_frames, found = log_mel.size(2), []
    pairs = zip(filters.durations.tolist(), filters.filters, filters.offsets, strict=True)
    for duration, weights, offsets in pairs:
        frames = n_frames.op("Min", np.int64(duration))
        stop, step = n_frames + np.int64(1), window_step(duration)
        ends = sums.part(frames, stop, axis=2, step=step)
        starts = sums.part(np.int64(0), stop - frames, axis=2, step=step)
        means = (ends - starts) / frames.cast(np.float64)
        found.append(log_mel.graph.op("MatMul", weights, means) - offsets[:, None])
    return found


def rises(outputs: list[Value]) -> Value:
    """Largest output for each duration and change, ``(clip, feature)``."""
    return outputs[0].graph.op("Concat", *(output.max(2) for output in outputs), axis=1)


def falls(outputs: list[Value]) -> Value:
    """Largest fall, as `rises`."""
    return outputs[0].graph.op("Concat", *(output.min(2).op("Neg") for output in outputs), axis=1)


def modulation(sound: Value, settings: SystemSettings) -> Value:
    """Spectra of the envelopes of groups of bands, ``(clip, feature)``.

    Parameters
    ----------
    sound
        float32, shape ``(clip, time)``.
    settings
        Settings of the system.
    """
    envelopes = _envelopes(sound, Envelopes(settings.log_mel, sample_rate=settings.audio.sample_rate))
    together = sound.graph.op("Concat", envelopes.mean(1, keep=True), envelopes, axis=1)  # (clip, 1 + group, frame)
    together = together - together.mean(2, keep=True)
    missing = (together.size(2) * np.int64(-1) + np.int64(SEGMENT_FRAMES)).op("Max", np.int64(0))
    n_rows, n_frames = together.size(1), together.size(2) + missing
    rows = together.padded(np.int64(0), missing, axis=2).reshaped(-1, n_frames)
    segments = framed(rows, SEGMENT_FRAMES, SEGMENT_FRAMES // 2)  # (clip and group, segment, frame)
    segments = segments - segments.mean(2, keep=True)
    window = hann_window(SEGMENT_FRAMES)
    spectra = power_spectra(segments, window)
    powers = spectra.values.mean(1).take(spectra.places[1:], axis=1)
    powers = powers * np.float64(2.0 / np.square(window).sum()) + np.float64(SMALLEST_POWER)
    levels = _decibels(powers).reshaped(-1, n_rows, SEGMENT_FRAMES // 2)  # (clip, 1 + group, frequency)
    means = levels.graph.op("MatMul", _group_means(), levels)
    return means.reshaped(0, -1)


def tones(sound: Value, settings: SystemSettings, view: ToneView) -> Value:
    """Levels of the bins of a long spectrum above their neighbourhood, ``(clip, feature)``; see `modulation`."""
    level = _long_spectrum(sound, LongSpectrum(sample_rate=settings.audio.sample_rate))
    first, stop = int(view.bins.start), int(view.bins.stop)
    half = NEIGHBOURHOOD // 2
    graph, last = sound.graph, level.size(1) - np.int64(1)
    bins = graph.range(np.int64(stop - first)).with_axes(1) + graph.range(np.int64(NEIGHBOURHOOD))
    bins = (bins + np.int64(first - half)).op("Max", np.int64(0)).op("Min", last)
    around = level.cast(np.float32).take(bins, axis=1)  # single precision takes half of the time
    median = around.smallest(np.int64(half + 1), axis=2, is_sorted=False).max(2)
    return level.part(np.int64(first), np.int64(stop), axis=1) - median.cast(np.float64)


def _envelopes(sound: Value, envelopes: Envelopes) -> Value:
    """Level of each group of bands, ``(clip, group, frame)``, without what a gain adds."""
    frames = framed(_filled(_scaled(sound), envelopes.n_fft), envelopes.n_fft, envelopes.hop_length)
    sums = power_spectra(frames, envelopes.window).sums(envelopes.group_weights)
    return _decibels(sums.cast(np.float32) + np.float32(envelopes.floor)).transposed(0, 2, 1)  # (clip, group, frame)


def _long_spectrum(sound: Value, spectrum: LongSpectrum) -> Value:
    """Mean level of each bin, ``(clip, bin)``, of parts that count alike, without what a gain adds."""
    samples = _filled(_scaled(sound), spectrum.n_fft)
    last = (samples.size(1) - np.int64(spectrum.n_fft)).cast(np.float64)  # place of the last window
    n_windows = (last / np.float64(spectrum.n_fft // 2)).op("Ceil").cast(np.int64) + np.int64(1)
    step = last / (n_windows - np.int64(1)).op("Max", np.int64(1)).cast(np.float64)
    windows = sound.graph.range(n_windows)
    starts = (windows.cast(np.float64) * step).op("Round").op("Min", last).cast(np.int64)
    frames = frames_at(samples, starts, spectrum.n_fft)
    powers = power_spectra(frames, spectrum.window)
    levels = _decibels(powers.values.cast(np.float32) + np.float32(spectrum.floor))  # (clip, window, place)
    n_parts = n_windows.op("Min", np.int64(MOST_PARTS))
    smaller = n_windows.op("Div", n_parts)
    n_larger = n_windows - smaller * n_parts
    is_in_larger = windows.op("Less", n_larger * (smaller + np.int64(1))).cast(np.int64)
    weights = ((smaller + is_in_larger) * n_parts).cast(np.float64).op("Reciprocal")
    return (levels * weights.with_axes(1)).sum(1).take(powers.places, axis=1)


def _scaled(sound: Value) -> Value:
    """Samples whose root mean square is 1, float32."""
    return sound / root_mean_square(sound).cast(np.float32)


def _filled(samples: Value, size: int) -> Value:
    missing = (samples.size(1) * np.int64(-1) + np.int64(size)).op("Max", np.int64(0))
    return samples.padded(np.int64(0), missing, axis=1)


def _decibels(powers: Value) -> Value:
    """Decibels in double precision, of powers of the precision that their logarithm is to have."""
    return powers.op("Log").cast(np.float64) * np.float64(10.0 / math.log(10.0))


def _group_means() -> Array:
    """Weights of the levels of each envelope in the features, shape ``(feature group, 1 + group)``."""
    each = np.arange(N_GROUPS)
    parts = [np.isin(each, own) / len(own) for own in (each, *np.array_split(each, 3))]
    weights = np.zeros((1 + len(parts), 1 + N_GROUPS))
    weights[0, 0] = 1.0
    weights[1:, 1:] = parts
    return weights
