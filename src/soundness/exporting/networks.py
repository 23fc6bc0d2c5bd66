"""Networks as operators of a graph: layers, autoencoders, and their reconstruction errors."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from soundness.exporting.features import pooled
from soundness.exporting.graph import Operand, Value
from soundness.exporting.scorers import known_part
from soundness.representations.autoencoders import (
    ConvolutionalAutoencoder,
    FullyConnectedAutoencoder,
    TimeConvolutionalAutoencoder,
)
from soundness.representations.reconstruction import SMALLEST_SQUARE, ReconstructionError
from soundness.separation.conv_tasnet import EPSILON, CumulativeLayerNorm, GlobalLayerNorm

__all__ = ["ClipErrors", "array", "convolved", "layers"]


def array(tensor: Tensor) -> NDArray[Any]:
    """Tensor as a NumPy array."""
    found: NDArray[Any] = tensor.detach().cpu().numpy()
    return found


def layers(sequence: nn.Module, values: Value) -> Value:
    """Apply the layers of a network, one after the other.

    Raises
    ------
    ExportError
        If one cannot be exported.
    """
    for layer in sequence if isinstance(sequence, nn.Sequential) else [sequence]:
        values = known_part(_LAYERS, layer, what="layer")(layer, values)
    return values


def _linear(layer: nn.Linear, values: Value) -> Value:
    return values @ array(layer.weight).T + array(layer.bias)


def convolved(layer: nn.Conv1d | nn.Conv2d, values: Value) -> Value:
    """Convolution in one or two dimensions, padded with zeros as in the layer."""
    assert not isinstance(layer.padding, str)
    return values.op(
        "Conv",
        array(layer.weight),
        *_bias(layer.bias),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _transposed(layer: nn.ConvTranspose2d | nn.ConvTranspose1d, values: Value) -> Value:
    assert not isinstance(layer.padding, str)
    return values.op(
        "ConvTranspose",
        array(layer.weight),
        *_bias(layer.bias),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
    )


def _bias(bias: Tensor | None) -> list[NDArray[Any]]:
    return [] if bias is None else [array(bias)]


def _normalised(layer: nn.BatchNorm1d | nn.BatchNorm2d, values: Value) -> Value:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    learned = [array(each) for each in (layer.weight, layer.bias, layer.running_mean, layer.running_var)]
    return values.op("BatchNormalization", *learned, epsilon=layer.eps)


def _rectified(layer: nn.ReLU, values: Value) -> Value:  # noqa: ARG001  # as all layers
    return values.op("Relu")


def _leaking(layer: nn.LeakyReLU, values: Value) -> Value:
    return values.op("LeakyRelu", alpha=layer.negative_slope)


def _shuffled(layer: nn.PixelShuffle, values: Value) -> Value:
    return values.op("DepthToSpace", blocksize=layer.upscale_factor, mode="CRD")


def _with_slope(layer: nn.PReLU, values: Value) -> Value:
    slope = array(layer.weight)
    return values.op("PRelu", slope if len(slope) == 1 else slope[:, None, None])  # one, or one for each map


def _normalised_globally(layer: GlobalLayerNorm, values: Value) -> Value:
    centred = values - values.mean(2, keep=True).mean(1, keep=True)  # frames, then channels: sums keep their digits
    variance = centred.square().mean(2, keep=True).mean(1, keep=True)
    scale = values.graph.value(array(layer.weight)[:, None]) / (variance + np.float32(EPSILON)).op("Sqrt")
    return centred * scale + array(layer.bias)[:, None]


def _normalised_so_far(layer: CumulativeLayerNorm, values: Value) -> Value:
    n_values = (values.graph.range(values.size(2)) + np.int64(1)) * values.size(1)
    counts, precise = n_values.cast(np.float64), values.cast(np.float64)
    mean = precise.sum(1, keep=True).op("CumSum", np.int64(2)) / counts
    power = precise.square().sum(1, keep=True).op("CumSum", np.int64(2)) / counts
    deviation = ((power - mean.square()).op("Max", np.float64(0)) + np.float64(EPSILON)).op("Sqrt")
    normalised = (values - mean.cast(np.float32)) / deviation.cast(np.float32)
    return normalised * array(layer.weight)[:, None] + array(layer.bias)[:, None]


_LAYERS: dict[type[nn.Module], Callable[[Any, Value], Value]] = {
    nn.Linear: _linear,
    nn.Conv1d: convolved,
    nn.Conv2d: convolved,
    nn.ConvTranspose1d: _transposed,
    nn.ConvTranspose2d: _transposed,
    nn.BatchNorm1d: _normalised,
    nn.BatchNorm2d: _normalised,
    nn.ReLU: _rectified,
    nn.LeakyReLU: _leaking,
    nn.PixelShuffle: _shuffled,
    nn.PReLU: _with_slope,
    GlobalLayerNorm: _normalised_globally,
    CumulativeLayerNorm: _normalised_so_far,
}


def _convolutional(network: ConvolutionalAutoencoder, segments: Value, conditions: Value) -> Value:
    mels, frames = segments.size(1), segments.size(2)
    values = segments.with_axes(1)
    n_features = network.encoder[0].in_channels - 1  # type: ignore[operator]  # a convolution comes first
    if n_features > 0:
        vector = segments.graph.vector
        sizes = segments.graph.op("Concat", np.array([1, 1]), vector(mels), vector(frames), axis=0)
        maps = conditions.with_axes(2, 3).op("Tile", sizes)
        values = segments.graph.op("Concat", values, maps, axis=1)
    latent = layers(network.to_latent, layers(network.encoder, values).op("Flatten"))
    hidden = layers(network.from_latent, latent).reshaped(-1, *network.inner)
    return layers(network.decoder, hidden).op("Squeeze", np.array([1]))


def _time_convolutional(network: TimeConvolutionalAutoencoder, segments: Value, conditions: Value) -> Value:
    values = segments
    n_inputs = network.encoder[0].in_channels  # a convolution comes first
    n_bands = network.decoder[-1].out_channels  # and last
    if n_inputs > n_bands:  # type: ignore[operator]  # both are numbers
        sizes = segments.graph.op("Concat", np.array([1, 1]), segments.graph.vector(segments.size(2)), axis=0)
        values = segments.graph.op("Concat", segments, conditions.with_axes(2).op("Tile", sizes), axis=1)
    latent = layers(network.to_latent, layers(network.encoder, values).op("Flatten"))
    return layers(network.decoder, layers(network.from_latent, latent).reshaped(-1, *network.inner))


def _fully_connected(network: FullyConnectedAutoencoder, segments: Value, conditions: Value) -> Value:
    stacked = segments.op("Flatten")
    first = network.encoder[0]
    assert isinstance(first, nn.Linear)
    last = network.decoder[-1]
    assert isinstance(last, nn.Linear)
    if first.in_features > last.out_features:  # conditions are concatenated
        stacked = segments.graph.op("Concat", stacked, conditions, axis=1)
    return layers(network.decoder, layers(network.encoder, stacked)).reshaped(-1, segments.size(1), segments.size(2))


_AUTOENCODERS: dict[type[nn.Module], Callable[[Any, Value, Value], Value]] = {
    ConvolutionalAutoencoder: _convolutional,
    TimeConvolutionalAutoencoder: _time_convolutional,
    FullyConnectedAutoencoder: _fully_connected,
}


def _log(residuals: Value) -> Value:
    squares = residuals.square().op("Max", np.float32(SMALLEST_SQUARE))
    return squares.op("Log") * np.float32(10 / math.log(10))


_ERRORS: dict[str, Callable[[Value], Value]] = {
    "squared": lambda residuals: residuals.square(),
    "signed": lambda residuals: residuals,
    "log": _log,
}
"""Counterparts of `soundness.representations.reconstruction.ERRORS`."""


class ClipErrors:
    """Reconstruction errors of clips under each condition; see `soundness.representations.reconstruction`.

    Parameters
    ----------
    representation
        Network with its conditions.
    inputs, reference
        Log-mels in dB, shape ``(clip, mel, frame)``.

    Raises
    ------
    ExportError
        If the network cannot be exported.
    """

    def __init__(self, representation: ReconstructionError, inputs: Value, reference: Value) -> None:
        self._representation = representation
        self._graph = inputs.graph
        self._length = representation.segment_frames
        self._n_frames = reference.size(2)
        self._starts = self._segment_starts()
        sizes = (inputs.size(0), len(representation.conditions), self._starts.size(0), inputs.size(1), self._length)
        self._residuals = self._residual(inputs, reference).reshaped(*sizes)  # (clip, condition, segment, mel, frame)

    def vectors(self) -> Value:
        """One vector for each condition, float64, shape ``(clip, condition, feature)``."""
        representation = self._representation
        errors = _ERRORS[representation.error](self._residuals)
        views = [self._pooled(errors, pooling) for pooling in representation.poolings]
        return views[0] if len(views) == 1 else self._graph.op("Concat", *views, axis=2)

    def _pooled(self, errors: Value, pooling: str) -> Value:
        """One view, float64; in the mean, each segment counts once where segments overlap."""
        is_overlapping = self._representation.is_overlapping
        if is_overlapping and pooling == "mean":
            return errors.cast(np.float64).mean(4).mean(2)
        maps = self._averaged(errors) if is_overlapping else self._concatenated(errors)  # (clip, condition, mel, frame)
        rows = maps.reshaped(-1, maps.size(2), maps.size(3))
        return pooled(rows, (pooling,)).reshaped(maps.size(0), maps.size(1), -1)

    def error_map(self) -> Value:
        """Squared error under the condition that explains the clip best, shape ``(clip, mel, frame)``."""
        squares = self._residuals.square()
        is_overlapping = self._representation.is_overlapping
        maps = (
            self._averaged(squares) if is_overlapping else self._concatenated(squares)
        )  # (clip, condition, mel, frame)
        means = maps.cast(np.float64).mean(3).mean(2)
        best = means.op("ArgMin", axis=1, keepdims=1)  # (clip, 1)
        return maps.op("GatherND", best, batch_dims=1)

    def _segment_starts(self) -> Value:
        length = np.int64(self._length)
        last = self._n_frames.op("Max", length) - length
        if self._representation.is_overlapping:
            return self._graph.range(last + np.int64(1))
        n_before = (last + (length - np.int64(1))) / length
        return (self._graph.range(n_before + np.int64(1)) * length).op("Min", last)

    def _segments(self, log_mel: Value) -> Value:
        """Shape ``(clip, segment, mel, frame)``; a spectrogram shorter than a segment is repeated."""
        frames = self._starts.with_axes(1) + np.arange(self._length)
        return log_mel.take(frames.op("Mod", self._n_frames), axis=2).transposed(0, 2, 1, 3)

    def _residual(self, inputs: Value, reference: Value) -> Value:
        """Residual of each segment of each clip under each condition, shape ``(row, mel, frame)``."""
        reconstructor = self._representation.reconstructor
        mean, deviation = array(reconstructor.mean)[:, :, None], array(reconstructor.deviation)[:, :, None]
        conditions = array(self._representation.conditions)
        rows = []
        for index, log_mel in enumerate((inputs, reference)):
            segments = ((self._segments(log_mel) - mean[index]) / deviation[index]).with_axes(1)
            repeated = segments.op("Tile", np.array([1, len(conditions), 1, 1, 1]))
            rows.append(repeated.reshaped(-1, inputs.size(1), self._length))
        n_clips, n_segments = inputs.size(0), self._starts.size(0)
        repeated_conditions = self._graph.op("Tile", conditions[None, :, None], self._repeats(n_clips, n_segments))
        if conditions.shape[1] > 0:
            repeated_conditions = repeated_conditions.reshaped(-1, conditions.shape[1])
        network = reconstructor.autoencoder
        reconstruct = known_part(_AUTOENCODERS, network, what="autoencoder")
        residual: Value = rows[1] - reconstruct(network, rows[0], repeated_conditions)
        return residual

    def _repeats(self, n_clips: Value, n_segments: Value) -> Value:
        one = np.array([1])
        parts: list[Operand] = [self._graph.vector(n_clips), one, self._graph.vector(n_segments), one]
        return self._graph.op("Concat", *parts, axis=0)

    def _concatenated(self, values: Value) -> Value:
        """Segments that follow each other as one spectrogram, shape ``(clip, condition, mel, frame)``."""
        length = np.int64(self._length)
        n_before = (self._starts.size(0) - np.int64(1)) * length  # frames of all segments but the last
        frames = self._graph.range(self._n_frames)
        overlap = n_before - (self._n_frames.op("Max", length) - length)
        is_last = self._graph.op("GreaterOrEqual", frames, n_before).cast(np.int64)
        flat = values.transposed(0, 1, 3, 2, 4)  # (clip, condition, mel, segment, frame)
        return flat.reshaped(0, 0, 0, -1).take(frames + is_last * overlap, axis=3)

    def _averaged(self, values: Value) -> Value:
        """Mean of each frame over the segments that hold it, shape ``(clip, condition, mel, frame)``."""
        by_offset = values.transposed(4, 0, 1, 3, 2)  # (frame, clip, condition, mel, segment)
        ones = self._starts.cast(np.float32) * np.float32(0) + np.float32(1)
        last = self._length - 1
        total = count = None
        for offset in range(self._length):
            around = (np.int64(offset), np.int64(last - offset))
            part = by_offset.take(np.int64(offset), axis=0).padded(*around, axis=3)
            here = ones.padded(*around, axis=0)
            total = part if total is None else total + part
            count = here if count is None else count + here
        assert total is not None
        assert count is not None
        return (total / count).part(np.int64(0), self._n_frames, axis=3)
