"""Spectra by products of matrices are those of NumPy's transform, whatever the length."""

import numpy as np
import pytest

from onnx_graphs import run_graph
from soundness.audio.log_mel import hann_window
from soundness.exporting.graph import Graph
from soundness.exporting.spectra import framed, power_spectra


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100, 256, 1_000, 1_021, 3_072, 8_192])
def test_powers_are_those_of_numpy(size):
    window = np.ones(1) if size == 1 else hann_window(size)
    graph = Graph()
    powers = power_spectra(graph.input("frames", np.float64, ["clip", "frame", size]), window)
    graph.output("powers", powers.values.take(powers.places, axis=2), np.float64, ["clip", "frame", "bin"])
    weights = np.random.default_rng(1).random((3, 1 + size // 2))
    graph.output("sums", powers.sums(weights), np.float64, ["clip", "frame", 3])
    frames = np.random.default_rng(0).standard_normal((2, 5, size))
    found, sums = run_graph(graph, frames=frames)
    expected = np.square(np.abs(np.fft.rfft(frames * window)))
    np.testing.assert_allclose(found, expected, atol=1e-11 * max(1.0, expected.max()))
    np.testing.assert_allclose(sums, expected @ weights.T, atol=1e-11 * max(1.0, expected.max()) * size)


@pytest.mark.parametrize(("size", "hop"), [(8, 2), (8, 8), (9, 4), (5, 3)])
@pytest.mark.parametrize("n_samples", [9, 20, 31])
def test_frames_begin_each_hop(size, hop, n_samples):
    graph = Graph()
    frames = framed(graph.input("samples", np.float64, ["clip", "time"]), size, hop)
    graph.output("frames", frames, np.float64, ["clip", "frame", size])
    samples = np.random.default_rng(0).standard_normal((2, n_samples))
    (found,) = run_graph(graph, samples=samples)
    np.testing.assert_array_equal(found, np.lib.stride_tricks.sliding_window_view(samples, size, axis=1)[:, ::hop])
