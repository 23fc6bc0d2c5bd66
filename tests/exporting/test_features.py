"""Log-mel and its views in a graph are those of NumPy."""

import numpy as np
import pytest

from onnx_graphs import run_graph
from soundness.audio.log_mel import LogMel
from soundness.audio.log_mel import without_mean as without_mean_by_numpy
from soundness.exporting.features import deviation_map, log_mel, pooled, without_mean
from soundness.exporting.graph import Graph
from soundness.representations.statistics import MeanLogMel
from soundness.representations.statistics import pooled as pooled_by_numpy
from soundness.settings.system import LogMelSettings


@pytest.mark.parametrize("pooling", ["mean", "quantile-0.3", "quantile-0.95"])
@pytest.mark.parametrize("n_frames", [1, 2, 11, 100])
def test_every_pooling_is_exact_in_a_graph(pooling, n_frames):
    graph = Graph()
    values = graph.input("values", np.float32, ["clip", "mel", "frame"])
    graph.output("view", pooled(values, (pooling,)), np.float64, ["clip", 1, "feature"])
    sound = np.random.default_rng(1).normal(-50, 5, (2, 3, n_frames)).astype(np.float32)
    (found,) = run_graph(graph, values=sound)
    np.testing.assert_allclose(found[:, 0], pooled_by_numpy(sound, [pooling])[0], atol=2e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"power": 1.0}, {"n_mels": 16, "fmin": 300.0, "hop_length": 100}, {"floor_reference": "recording"}]
)
@pytest.mark.parametrize("n_samples", [1_024, 5_001])
def test_the_log_mel_is_exact_in_a_graph(changes, n_samples):
    settings = LogMelSettings(**changes)
    graph = Graph()
    computed = log_mel(graph.input("waveform", np.float32, ["clip", "time"]), settings, sample_rate=16_000)
    graph.output("log_mel", computed, np.float32, ["clip", "mel", "frame"])
    sound = np.random.default_rng(0).normal(scale=0.1, size=(2, n_samples)).astype(np.float32)
    (found,) = run_graph(graph, waveform=sound)
    expected = [LogMel(settings, sample_rate=16_000)(each) for each in sound]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_floor_relative_to_the_recording_is_that_of_each_clip_in_a_graph():
    settings = LogMelSettings(floor_reference="recording")
    graph = Graph()
    computed = log_mel(graph.input("waveform", np.float32, ["clip", "time"]), settings, sample_rate=16_000)
    graph.output("log_mel", computed, np.float32, ["clip", "mel", "frame"])
    noise = np.random.default_rng(0).normal(scale=0.1, size=5_001)
    sounds = np.stack([noise, 1e-6 * noise, np.zeros(5_001)]).astype(np.float32)
    sounds[:, 1_000:3_500] = 0.0
    (found,) = run_graph(graph, waveform=sounds)
    expected = [LogMel(settings, sample_rate=16_000)(each) for each in sounds]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_mean_of_each_clip_is_taken_off_in_a_graph():
    graph = Graph()
    graph.output("sound", without_mean(graph.input("waveform", np.float32, ["clip", "time"])), np.float32, ["c", "t"])
    sounds = np.random.default_rng(0).normal(0.3, 0.01, (2, 5_001)).astype(np.float32)
    (found,) = run_graph(graph, waveform=sounds)
    np.testing.assert_allclose(found, without_mean_by_numpy(sounds), atol=1e-8)


def test_the_deviation_map_is_the_square_of_the_distance_in_deviations():
    bands = {"mean": np.float32([-10.0, 20.0]), "deviation": np.float32([2.0, 4.0])}
    graph = Graph()
    found = deviation_map(MeanLogMel(**bands), graph.input("log_mel", np.float32, ["clip", "mel", "frame"]))
    graph.output("map", found, np.float32, ["clip", "mel", "frame"])
    (squares,) = run_graph(graph, log_mel=np.float32([[[-8.0, -14.0], [20.0, 32.0]]]))
    assert squares.tolist() == [[[1.0, 4.0], [0.0, 9.0]]]
