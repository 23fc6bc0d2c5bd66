"""Graph of ONNX operators, written like NumPy.

>>> import numpy as np
>>> from soundness.exporting.graph import Graph
>>> graph = Graph()
>>> values = graph.input("values", np.float64, ["clip", "time"])
>>> level = (values * values).mean(-1).op("Sqrt")
>>> [node.op_type for node in graph.nodes]
['Mul', 'ReduceMean', 'Sqrt']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import helper, numpy_helper

from soundness.files.onnx_graphs import OPSET

__all__ = ["Graph", "Operand", "Value"]

_IR_VERSION = 9  # of the file; the current one with that set


@dataclass(frozen=True, slots=True)
class Value:
    """Result of an operator: an array whose values are known when the graph runs.

    Parameters
    ----------
    graph
        Graph of the operator.
    name
        Name of the value in that graph.
    """

    graph: "Graph"
    name: str

    def op(self, kind: str, *others: "Operand | None", **attributes: Any) -> "Value":
        """Apply an operator to this value and others."""
        return self.graph.op(kind, self, *others, **attributes)

    def __add__(self, other: "Operand") -> "Value":
        return self.op("Add", other)

    def __sub__(self, other: "Operand") -> "Value":
        return self.op("Sub", other)

    def __mul__(self, other: "Operand") -> "Value":
        return self.op("Mul", other)

    def __truediv__(self, other: "Operand") -> "Value":
        return self.op("Div", other)

    def __matmul__(self, other: "Operand") -> "Value":
        return self.op("MatMul", other)

    def square(self) -> "Value":
        """Product with itself."""
        return self * self

    def cast(self, kind: DTypeLike) -> "Value":
        """Same values of another type."""
        return self.op("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def sum(self, axis: int, *, keep: bool = False) -> "Value":
        """Sum over an axis."""
        return self._reduced("ReduceSum", axis, keep)

    def mean(self, axis: int, *, keep: bool = False) -> "Value":
        """Mean over an axis."""
        return self._reduced("ReduceMean", axis, keep)

    def min(self, axis: int, *, keep: bool = False) -> "Value":
        """Minimum over an axis."""
        return self._reduced("ReduceMin", axis, keep)

    def max(self, axis: int, *, keep: bool = False) -> "Value":
        """Maximum over an axis."""
        return self._reduced("ReduceMax", axis, keep)

    def smallest(self, n_values: "Operand", *, axis: int, is_sorted: bool = True) -> "Value":
        """Smallest ``n_values`` along an axis, ascending or in any order."""
        return self.op("TopK", self.graph.vector(n_values), axis=axis, largest=0, sorted=int(is_sorted), n_outputs=2)

    def take(self, indices: "Operand", *, axis: int) -> "Value":
        """Values at indices of an axis."""
        return self.op("Gather", indices, axis=axis)

    def part(self, start: "Operand", stop: "Operand", *, axis: int, step: int = 1) -> "Value":
        """Values of an axis from one index to before another, all or each of so many."""
        vector = self.graph.vector
        steps = () if step == 1 else (np.array([step]),)
        return self.op("Slice", vector(start), vector(stop), np.array([axis]), *steps)

    def padded(self, before: "Operand", after: "Operand", *, axis: int) -> "Value":
        """Zeros put before and after an axis."""
        vector = self.graph.vector
        widths = self.graph.op("Concat", vector(before), vector(after), axis=0)
        return self.op("Pad", widths, None, np.array([axis]))

    def transposed(self, *axes: int) -> "Value":
        """Axes in another order."""
        return self.op("Transpose", perm=list(axes))

    def with_axes(self, *axes: int) -> "Value":
        """Further axes of length 1, at these places of the result."""
        return self.op("Unsqueeze", np.array(axes))

    def reshaped(self, *sizes: "Operand | int") -> "Value":
        """Other sizes of the axes; 0 for a size that stays, -1 for the rest."""
        parts = [self.graph.vector(np.int64(size) if isinstance(size, int) else size) for size in sizes]
        return self.op("Reshape", self.graph.op("Concat", *parts, axis=0))

    def size(self, axis: int) -> "Value":
        """Length of an axis from the first, shape ``()``."""
        return self.op("Shape", start=axis, end=axis + 1).op("Squeeze")

    def _reduced(self, kind: str, axis: int, keep: bool) -> "Value":
        return self.op(kind, np.array([axis]), keepdims=int(keep))


Operand = Value | NDArray[Any] | np.generic
"""Operand of an operator: a value of the graph, or a constant array."""


class Graph:
    """Operators in the order in which they run, and their constant arrays."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._arrays: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, kind: DTypeLike, axes: Sequence[str | int]) -> Value:
        """Declare an input of the graph."""
        self._inputs.append(_info(name, kind, axes))
        return Value(self, name)

    def output(self, name: str, value: Value, kind: DTypeLike, axes: Sequence[str | int]) -> None:
        """Declare an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value.name], [name]))
        self._outputs.append(_info(name, kind, axes))

    def op(self, kind: str, *operands: Operand | None, n_outputs: int = 1, **attributes: Any) -> Value:
        """First output of an operator; ``None`` for an optional input that is left out."""
        names = ["" if operand is None else self.value(operand).name for operand in operands]
        outputs = [f"{kind}_{len(self.nodes)}_{index}" for index in range(n_outputs)]
        self.nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return Value(self, outputs[0])

    def value(self, operand: Operand) -> Value:
        """Operand as a value of the graph; equal constant arrays are kept once."""
        if isinstance(operand, Value):
            return operand
        array = np.asarray(operand)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"array_{len(self._constants)}"
            self._arrays.append(numpy_helper.from_array(array.copy(order="C"), self._constants[key]))
        return Value(self, self._constants[key])

    def vector(self, operand: Operand) -> Operand:
        """Number as a vector of one."""
        if isinstance(operand, Value):
            return operand.op("Reshape", np.array([-1]))
        return np.asarray(operand).reshape(-1)

    def range(self, stop: Operand) -> Value:
        """Integers from 0 to before another."""
        return self.op("Range", np.int64(0), stop, np.int64(1))

    def model(self, about: Mapping[str, str]) -> onnx.ModelProto:
        """Build and check the whole graph, with metadata.

        Raises
        ------
        onnx.checker.ValidationError
            If an operator is not valid.
        """
        graph = helper.make_graph(self.nodes, "soundness", self._inputs, self._outputs, self._arrays)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION, producer_name="soundness"
        )
        helper.set_model_props(model, dict(about))
        onnx.checker.check_model(model)
        return model


def _info(name: str, kind: DTypeLike, axes: Sequence[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), list(axes))
