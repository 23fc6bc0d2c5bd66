"""Layers and reconstruction errors in a graph are those of PyTorch."""

import numpy as np
import pytest
import torch
from torch import nn

from onnx_graphs import run_graph
from soundness.errors import ExportError
from soundness.exporting.graph import Graph
from soundness.exporting.networks import _ERRORS, layers
from soundness.representations.reconstruction import ERRORS
from soundness.separation.conv_tasnet import CumulativeLayerNorm, GlobalLayerNorm

MAPS = {
    "convolution": nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "transposed convolution": nn.ConvTranspose2d(3, 2, 3, padding=1),
    "batch normalization": nn.BatchNorm2d(3),
    "rectifiers": nn.Sequential(nn.PReLU(3), nn.LeakyReLU(0.2), nn.ReLU()),
    "linear": nn.Linear(6, 5),
}
ROWS = {
    "convolution in time": nn.Conv1d(3, 6, 3, dilation=2, padding=2, groups=3),
    "transposed convolution in time": nn.ConvTranspose1d(3, 2, 4, stride=2),
    "global normalization": GlobalLayerNorm(3),
    "cumulative normalization": CumulativeLayerNorm(3),
}


@pytest.mark.parametrize("name", [*MAPS, *ROWS])
def test_a_layer_is_exact_in_a_graph(name):
    torch.manual_seed(0)
    layer, shape = (MAPS[name], (2, 3, 8, 6)) if name in MAPS else (ROWS[name], (2, 3, 20))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    layer.eval()
    values = torch.randn(shape)
    with torch.inference_mode():
        expected = layer(values).numpy()
    graph, axes = Graph(), [f"axis_{index}" for index in range(len(shape))]
    graph.output("found", layers(layer, graph.input("values", np.float32, axes)), np.float32, axes)
    (found,) = run_graph(graph, values=values.numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_layer_that_cannot_be_exported_is_named():
    graph = Graph()
    with pytest.raises(ExportError, match=r"the layer torch\.nn\..*:GELU cannot be exported; what can be is Linear"):
        layers(nn.GELU(), graph.input("values", np.float32, ["clip", "feature"]))


def test_every_error_of_a_reconstruction_can_be_exported():
    assert _ERRORS.keys() == ERRORS.keys()
