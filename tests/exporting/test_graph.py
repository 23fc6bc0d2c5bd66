"""Operators of a graph do what NumPy does."""

import numpy as np
import pytest

from onnx_graphs import run_graph
from soundness.exporting.graph import Graph, Value

ARRAY = np.arange(24.0).reshape(2, 3, 4) - 7.5

OPERATORS = {
    "sum and product": (lambda value: (value + np.float64(2)) * np.float64(3), lambda array: (array + 2) * 3),
    "difference and quotient": (lambda value: (value - np.float64(1)) / np.float64(4), lambda array: (array - 1) / 4),
    "square": (Value.square, np.square),
    "mean": (lambda value: value.mean(1), lambda array: array.mean(1)),
    "kept axis": (lambda value: value.sum(2, keep=True), lambda array: array.sum(2, keepdims=True)),
    "extremes": (lambda value: value.max(0) - value.min(0), lambda array: array.max(0) - array.min(0)),
    "smallest": (lambda value: value.smallest(np.int64(2), axis=2), lambda array: np.sort(array)[..., :2]),
    "part": (lambda value: value.part(np.int64(1), np.int64(3), axis=1), lambda array: array[:, 1:3]),
    "padded": (
        lambda value: value.padded(np.int64(1), np.int64(2), axis=2),
        lambda array: np.pad(array, ((0, 0), (0, 0), (1, 2))),
    ),
    "transposed": (lambda value: value.transposed(2, 0, 1), lambda array: array.transpose(2, 0, 1)),
    "reshaped": (lambda value: value.reshaped(value.size(0), -1), lambda array: array.reshape(2, -1)),
    "matrix product": (lambda value: value @ np.eye(4)[::-1], lambda array: array[..., ::-1]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_is_numpys(name):
    by_graph, by_numpy = OPERATORS[name]
    graph, expected = Graph(), by_numpy(ARRAY)
    axes = [f"axis_{index}" for index in range(expected.ndim)]
    graph.output("found", by_graph(graph.input("array", np.float64, ["a", "b", "c"])), np.float64, axes)
    (found,) = run_graph(graph, array=ARRAY)
    np.testing.assert_allclose(found, expected)


def test_equal_arrays_are_kept_once():
    graph = Graph()
    value = graph.input("array", np.float64, ["time"])
    graph.output("found", value * np.array([2.0]) + np.array([2.0]), np.float64, ["time"])
    assert len(graph.model({}).graph.initializer) == 1
