"""Separator as operators of a graph."""

from collections.abc import Callable
from typing import Any

import numpy as np

from soundness.exporting.graph import Value
from soundness.exporting.networks import array, layers
from soundness.exporting.scorers import known_part
from soundness.separation.conv_tasnet import (
    CAUSAL_FRAMES,
    EPSILON,
    LINE_BINS,
    SOURCES,
    Basis,
    ConvTasNet,
    LearnedBasis,
    Masker,
    Refinement,
    StftBasis,
)
from soundness.separation.separator import CHUNK_SECONDS, OVERLAP_SECONDS, Separator

__all__ = ["separated"]

_ONE = np.int64(1)


def separated(separator: Separator, waveform: Value) -> Value:
    """Machine in recordings of any length, both of shape ``(clip, time)``; see `Separator.separate_blocks`."""
    rate = separator.settings.sample_rate
    chunk, overlap = np.int64(round(CHUNK_SECONDS * rate)), np.int64(round(OVERLAP_SECONDS * rate))
    step, n_samples, graph = chunk - overlap, waveform.size(1), waveform.graph
    length = n_samples.op("Min", chunk)
    last = (n_samples - length + (step - _ONE)) / step  # index of the last chunk
    starts = (graph.range(last + _ONE) * step).op("Min", n_samples - length)
    pieces = waveform.take(starts.with_axes(1) + graph.range(length), axis=1)  # (clip, chunk, time)
    machine = _machine(separator.network, pieces.reshaped(-1, length)).reshaped(waveform.size(0), -1)
    times = graph.range(n_samples)
    own = (times / step).op("Min", last)
    before = (own - _ONE).op("Max", np.int64(0))
    into = times - own * step  # samples since the chunk before began to fade
    fade = (into.cast(np.float32) + np.float32(0.5)) * np.float32(2 / overlap) - np.float32(0.5)
    fade = graph.op("Equal", own, np.int64(0)).cast(np.float32).op("Max", fade.op("Clip", np.float32(0), np.float32(1)))
    current = machine.take(own * length + times - starts.take(own, axis=0), axis=1)
    faded = machine.take(before * length + (times - before * step).op("Min", length - _ONE), axis=1)
    return current * fade + faded * (fade * np.float32(-1) + np.float32(1))


def _machine(network: ConvTasNet, waveform: Value) -> Value:
    """Machine in recordings that the network takes whole, both of shape ``(clip, time)``."""
    n_samples = waveform.size(1)
    mixture = waveform.with_axes(1)  # (clip, 1, time)
    level = None if network.causal else mixture.square().mean(2, keep=True).op("Sqrt") + np.float32(EPSILON)
    scaled = mixture if level is None else mixture / level
    encode, decode = known_part(_BASES, network.basis, what="basis of the separator")
    coefficients, features = encode(network.basis, scaled)  # (clip, part, coefficient, frame)
    masks = _masks(network.masker, features)  # (clip, source, coefficient, frame)
    n_parts = coefficients.size(1)
    masked = masks.with_axes(2) * coefficients.with_axes(1)  # (clip, source, part, coefficient, frame)
    rows = masked.reshaped(-1, n_parts * features.size(1), features.size(2))
    estimates = decode(network.basis, rows, n_samples).reshaped(-1, len(SOURCES), n_samples)
    missing = (scaled - estimates.sum(1, keep=True)) * np.float32(1 / len(SOURCES))
    machine = estimates.part(np.int64(0), _ONE, axis=1) + missing
    return (machine if level is None else machine * level).reshaped(-1, n_samples)


def _rest(n_samples: Value, hop: int) -> Value:
    """Number of samples from the end to the next multiple of a hop."""
    return (n_samples * np.int64(-1)).op("Mod", np.int64(hop))


def _encode_learned(basis: LearnedBasis, waveform: Value) -> tuple[Value, Value]:
    hop = np.int64(basis.hop)
    padded = waveform.padded(hop, _rest(waveform.size(2), basis.hop) + hop, axis=2)
    coefficients = layers(basis.encoder, padded).op("Relu")
    return coefficients.with_axes(1), coefficients


def _decode_learned(basis: LearnedBasis, rows: Value, n_samples: Value) -> Value:
    hop = np.int64(basis.hop)
    return layers(basis.decoder, rows).part(hop, n_samples + hop, axis=2)


def _encode_stft(basis: StftBasis, waveform: Value) -> tuple[Value, Value]:
    half, window = np.int64(basis.n_fft // 2), array(basis.window).astype(np.float64)
    padded = waveform.padded(half, _rest(waveform.size(2), basis.hop) + half, axis=2).cast(np.float64)
    spectrum = padded.transposed(0, 2, 1).op("STFT", np.int64(basis.hop), window / np.sqrt(basis.n_fft), onesided=1)
    parts = spectrum.cast(np.float32).transposed(0, 3, 2, 1)  # (clip, part, bin, frame)
    return parts, (parts.square().sum(1) + np.float32(EPSILON)).op("Pow", np.float32(0.15))


def _decode_stft(basis: StftBasis, rows: Value, n_samples: Value) -> Value:
    """Inverse transform, overlapped and added by one transposed convolution; ``rows`` holds real, then imaginary."""
    n_fft, window = basis.n_fft, array(basis.window).astype(np.float64)
    turns = 2 * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft
    weights = np.full((len(turns), 1), 2 / np.sqrt(n_fft))
    weights[[0, -1]] /= 2  # all other bins stand for two
    kernel = np.concatenate([weights * np.cos(turns), -weights * np.sin(turns)]) * window
    added = rows.op("ConvTranspose", kernel[:, None].astype(np.float32), strides=[basis.hop])
    ones = rows.part(np.int64(0), _ONE, axis=0).part(np.int64(0), _ONE, axis=1) * np.float32(0) + np.float32(1)
    envelope = ones.op("ConvTranspose", np.square(window)[None, None].astype(np.float32), strides=[basis.hop])
    half = np.int64(n_fft // 2)
    return added.part(half, n_samples + half, axis=2) / envelope.part(half, n_samples + half, axis=2)


_BASES: dict[type[Basis], tuple[Callable[[Any, Value], tuple[Value, Value]], Callable[[Any, Value, Value], Value]]] = {
    LearnedBasis: (_encode_learned, _decode_learned),
    StftBasis: (_encode_stft, _decode_stft),
}


def _masks(masker: Masker, features: Value) -> Value:
    """Masks from 0 to 1, shape ``(clip, source, coefficient, frame)``, from features ``(clip, coefficient, frame)``."""
    normalised = layers(masker.norm, features)
    hidden = layers(masker.bottleneck, normalised)
    total: Value | None = None
    for block in masker.blocks:
        hidden, skip = _block(block, hidden)
        total = skip if total is None else total + skip
    assert total is not None
    flat = layers(masker.to_logits, total)
    logits = flat.reshaped(features.size(0), len(SOURCES), features.size(1), features.size(2))
    if masker.refinement is not None:
        logits = logits + _corrections(masker.refinement, logits, normalised)
    return logits.op("Sigmoid")


def _block(block: Any, features: Value) -> tuple[Value, Value]:
    before, after = block.padding
    hidden = layers(block.expand, features).padded(np.int64(before), np.int64(after), axis=2)
    hidden = layers(block.depthwise, hidden)
    passed_on = features if block.residual is None else features + layers(block.residual, hidden)
    return passed_on, layers(block.skip, hidden)


def _corrections(refinement: Refinement, logits: Value, features: Value) -> Value:
    """Corrections of the logits; see `Refinement`."""
    mean, deviation = _over_time(features, is_causal=refinement.causal)  # (clip, bin, frame or 1)
    pooling = {"kernel_shape": [LINE_BINS], "pads": [LINE_BINS // 2] * 2, "count_include_pad": 0}
    lines = mean - mean.transposed(0, 2, 1).op("AveragePool", **pooling).transposed(0, 2, 1)
    whole = features * np.float32(0)
    maps = [logits, *((whole + each).with_axes(1) for each in (features, mean, deviation, lines))]
    hidden = logits.graph.op("Concat", *maps, axis=1)
    for layer in refinement.layers:
        seen = hidden.padded(np.int64(CAUSAL_FRAMES), np.int64(0), axis=3) if refinement.causal else hidden
        hidden = layers(refinement.activation, layers(layer, seen))
    return layers(refinement.to_logits, hidden)


def _over_time(features: Value, *, is_causal: bool) -> tuple[Value, Value]:
    if not is_causal:
        mean = features.mean(2, keep=True)
        variance = (features - mean).square().mean(2, keep=True)
        return mean, (variance + np.float32(EPSILON)).op("Sqrt")
    counts = (features.graph.range(features.size(2)) + _ONE).cast(np.float64)
    precise = features.cast(np.float64)
    mean = precise.op("CumSum", np.int64(2)) / counts
    variance = (precise.square().op("CumSum", np.int64(2)) / counts - mean.square()).op("Max", np.float64(0))
    return mean.cast(np.float32), (variance + np.float64(EPSILON)).op("Sqrt").cast(np.float32)
