"""Detector as one graph: from a waveform to score, p-value and error map."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from soundness.detectors.detector import Detector
from soundness.exporting.features import deviation_map, log_mel, pooled, quantile, without_mean
from soundness.exporting.graph import Graph, Value
from soundness.exporting.networks import ClipErrors
from soundness.exporting.scorers import anomaly_score, known_part, p_value
from soundness.exporting.separator import separated
from soundness.exporting.views import event_outputs, falls, modulation, rises, tones
from soundness.representations.protocol import Representation
from soundness.representations.reconstruction import ReconstructionError
from soundness.representations.statistics import MeanLogMel, PooledLogMel, QuantileLogMel
from soundness.representations.views.tones import ToneView
from soundness.settings.fields import ViewName
from soundness.settings.system import SystemSettings

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
    graph = Graph()
    clip = _clip(detector, graph.input("waveform", np.float32, ["clip", "time"]))
    representation = detector.representation
    export = known_part(_REPRESENTATIONS, representation, what="representation")
    vectors, error_map = export(representation, clip)
    score = anomaly_score(detector.scorer, vectors)
    graph.output("score", score, np.float64, ["clip"])
    if detector.calibration is not None:
        graph.output("p_value", p_value(detector.calibration, score), np.float64, ["clip"])
    graph.output("error_map", error_map, np.float32, ["clip", detector.settings.log_mel.n_mels, "frame"])
    return graph.model({"soundness": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class _ClipValues:
    """Input of a representation; see `soundness.audio.log_mel.Spectrograms`.

    Parameters
    ----------
    input, reference
        Log-mels, shape ``(clip, mel, frame)``.
    sound
        Sound of the reference, shape ``(clip, time)``.
    settings
        Settings of the system.
    """

    input: Value
    reference: Value
    sound: Value
    settings: SystemSettings


def _clip(detector: Detector, waveform: Value) -> _ClipValues:
    """Log-mels and sound; see `soundness.detectors.front_end.FrontEnd`."""
    settings = detector.settings

    def computed(sound: Value) -> Value:
        return log_mel(sound, settings.log_mel, sample_rate=settings.audio.sample_rate)

    if settings.audio.is_dc_removed:
        waveform = without_mean(waveform)
    if detector.separator is None:
        original = computed(waveform)
        return _ClipValues(input=original, reference=original, sound=waveform, settings=settings)
    sound = separated(detector.separator, waveform)
    reference = computed(sound)
    original = reference if settings.separation == "denoise" else computed(waveform)
    return _ClipValues(input=original, reference=reference, sound=sound, settings=settings)


def _mean(representation: MeanLogMel, clip: _ClipValues) -> tuple[Value, Value]:
    return pooled(clip.reference, ("mean",)), deviation_map(representation, clip.reference)


def _quantile(representation: QuantileLogMel, clip: _ClipValues) -> tuple[Value, Value]:
    low = quantile(clip.reference.cast(np.float64), representation.quantile).with_axes(1)
    return low, deviation_map(representation, clip.reference)


def _views(representation: PooledLogMel, clip: _ClipValues) -> tuple[Value, Value]:
    views = [pooled(clip.reference, representation.poolings)]
    outputs = None if representation.events is None else event_outputs(representation.events, clip.reference)
    for name in representation.views:
        found = _view(name, representation, clip, outputs)
        views.append(found.cast(np.float32).cast(np.float64).with_axes(1))
    vectors = views[0] if len(views) == 1 else clip.reference.graph.op("Concat", *views, axis=2)
    return vectors, deviation_map(representation, clip.reference)


def _view(name: ViewName, representation: PooledLogMel, clip: _ClipValues, outputs: list[Value] | None) -> Value:
    if name == "modulation":
        return modulation(clip.sound, clip.settings)
    if name == "tones":
        view = representation.detailed["tones"]
        assert isinstance(view, ToneView)
        return tones(clip.sound, clip.settings, view)
    assert outputs is not None
    return rises(outputs) if name == "events" else falls(outputs)


def _errors(representation: ReconstructionError, clip: _ClipValues) -> tuple[Value, Value]:
    errors = ClipErrors(representation, clip.input, clip.reference)
    return errors.vectors(), errors.error_map()


_REPRESENTATIONS: dict[type[Representation], Callable[[Any, _ClipValues], tuple[Value, Value]]] = {
    MeanLogMel: _mean,
    QuantileLogMel: _quantile,
    PooledLogMel: _views,
    ReconstructionError: _errors,
}
