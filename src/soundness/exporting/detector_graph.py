"""Detector as one graph: from a waveform to score, p-value and error map."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from soundness.detectors.detector import Detector
from soundness.errors import ExportError
from soundness.exporting.features import deviation_map, log_mel, pooled, quantile, without_mean
from soundness.exporting.graph import Graph, Value
from soundness.exporting.networks import ClipErrors
from soundness.exporting.scorers import anomaly_score, known_part, p_value
from soundness.exporting.separator import separated
from soundness.representations.protocol import Representation
from soundness.representations.reconstruction import ReconstructionError
from soundness.representations.statistics import MeanLogMel, PooledLogMel, QuantileLogMel

__all__ = ["detector_graph"]


def detector_graph(detector: Detector, *, about: str) -> onnx.ModelProto:
    """Build the graph of a detector.

    Its input is ``waveform``, float32 at the detector's sample rate, shape ``(clip, time)``: the channel that the
    detector uses. Its outputs are ``score``, float64, shape ``(clip,)``; ``p_value``, the same, where the
    detector is calibrated; and ``error_map``, float32, shape ``(clip, mel, frame)``.

    Parameters
    ----------
    detector
        Detector to export.
    about
        Fingerprint of the metadata beside the graph.

    Raises
    ------
    ExportError
        If a part of the detector cannot be exported; the message names it.
    """
    if detector.settings.views:
        names = ", ".join(detector.settings.views)
        raise ExportError(f"the views {names} cannot be exported; what can be is a detector that was trained without")
    graph = Graph()
    spectrograms = _spectrograms(detector, graph.input("waveform", np.float32, ["clip", "time"]))
    representation = detector.representation
    export = known_part(_REPRESENTATIONS, representation, what="representation")
    vectors, error_map = export(representation, *spectrograms)
    score = anomaly_score(detector.scorer, vectors)
    graph.output("score", score, np.float64, ["clip"])
    if detector.calibration is not None:
        graph.output("p_value", p_value(detector.calibration, score), np.float64, ["clip"])
    graph.output("error_map", error_map, np.float32, ["clip", detector.settings.log_mel.n_mels, "frame"])
    return graph.model({"soundness": about})


def _spectrograms(detector: Detector, waveform: Value) -> tuple[Value, Value]:
    """Input and reference log-mel; see `soundness.detectors.front_end.FrontEnd`."""
    settings = detector.settings

    def computed(sound: Value) -> Value:
        return log_mel(sound, settings.log_mel, sample_rate=settings.audio.sample_rate)

    if settings.audio.is_dc_removed:
        waveform = without_mean(waveform)
    if detector.separator is None:
        original = computed(waveform)
        return original, original
    reference = computed(separated(detector.separator, waveform))
    return (reference if settings.separation == "denoise" else computed(waveform)), reference


def _mean(representation: MeanLogMel, inputs: Value, reference: Value) -> tuple[Value, Value]:  # noqa: ARG001  # as all
    return pooled(reference, ("mean",)), deviation_map(representation, reference)


def _quantile(representation: QuantileLogMel, inputs: Value, reference: Value) -> tuple[Value, Value]:  # noqa: ARG001  # as all
    low = quantile(reference.cast(np.float64), representation.quantile).with_axes(1)
    return low, deviation_map(representation, reference)


def _views(representation: PooledLogMel, inputs: Value, reference: Value) -> tuple[Value, Value]:  # noqa: ARG001  # as all
    return pooled(reference, representation.poolings), deviation_map(representation, reference)


def _errors(representation: ReconstructionError, inputs: Value, reference: Value) -> tuple[Value, Value]:
    errors = ClipErrors(representation, inputs, reference)
    return errors.vectors(), errors.error_map()


_REPRESENTATIONS: dict[type[Representation], Callable[[Any, Value, Value], tuple[Value, Value]]] = {
    MeanLogMel: _mean,
    QuantileLogMel: _quantile,
    PooledLogMel: _views,
    ReconstructionError: _errors,
}
