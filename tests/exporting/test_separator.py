"""A separator in a graph separates as the one in PyTorch."""

import numpy as np
import pytest
import torch

from onnx_graphs import run_graph
from soundness.exporting.graph import Graph
from soundness.exporting.separator import separated
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.separator import Separator


@pytest.mark.parametrize("basis", ["stft", "learned"])
@pytest.mark.parametrize("is_causal", [False, True], ids=["looking-ahead", "causal"])
def test_separators_are_exact_on_recordings_of_a_chunk_and_longer(basis, is_causal, small_separator):
    torch.manual_seed(0)
    settings = small_separator(f"basis={basis}", f"causal={str(is_causal).lower()}", "sample_rate=1000")
    separator = Separator(ConvTasNet(settings), settings=settings, summary=None)
    graph = Graph()
    graph.output(
        "machine", separated(separator, graph.input("waveform", np.float32, ["c", "t"])), np.float32, ["c", "t"]
    )
    for n_samples in (1_024, 61_003):  # a chunk is 30 s
        sound = np.random.default_rng(n_samples).normal(scale=0.1, size=(1, n_samples)).astype(np.float32)
        (found,) = run_graph(graph, waveform=sound)
        np.testing.assert_allclose(found, separator.separate(sound)[0], atol=1e-5)
