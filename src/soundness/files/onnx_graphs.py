"""Graphs of ONNX in files: what no export of a detector has is refused before onnxruntime sees it.

A graph may name other files as its weights, call libraries, and loop for ever. An ONNX file is a message of Protocol
Buffers; of it only the few fields that say so are read here, by their numbers in ``onnx.proto``.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from soundness.errors import BundleError

if TYPE_CHECKING:  # it is loaded when the first graph is
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # it ships no types

__all__ = ["OPSET", "check_graph", "new_session", "run_session"]

OPSET = 18
"""Version of the operators of an export: the first in which every reduction takes its axes as an input."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 10  # bytes

Field = tuple[int, int | memoryview]
"""Number of a field and its value: a number, or the bytes of a text or another message."""


def check_graph(content: bytes) -> None:
    """Refuse a graph of other operators than an export's, with loops, functions, or weights in other files.

    Raises
    ------
    BundleError
        If it is one, or no graph at all.
    """
    operators, n_graphs = [], 0
    for number, value in _fields(memoryview(content)):
        if number == 8:
            operators.append(_operator_set(_message(value)))
        elif number == 25 or number == 20:
            raise BundleError("its graph has functions or a training of its own; an export has none")
        elif number == 7:
            n_graphs += 1
            _check_nodes(_message(value))
    if n_graphs != 1 or operators != [("", OPSET)]:
        raise BundleError(f"not the graph of an export: one graph of the operators {OPSET} is expected")


def _operator_set(message: memoryview) -> tuple[str, int]:
    found = dict(_fields(message))
    domain, version = found.get(1, memoryview(b"")), found.get(2, 0)
    return _message(domain).tobytes().decode("utf-8", "replace"), version if isinstance(version, int) else 0


def _check_nodes(graph: memoryview) -> None:
    for number, value in _fields(graph):
        if number == 1:
            _check_node(_message(value))
        elif number == 5:
            _check_tensor(_message(value))
        elif number == 15:
            raise BundleError("its graph has sparse weights; an export has none")


def _check_node(node: memoryview) -> None:
    for number, value in _fields(node):
        if number == 7 and len(_message(value)) > 0:
            raise BundleError("its graph calls operators of somebody else; an export does not")
        if number == 5:
            for part, inner in _fields(_message(value)):
                if part in (6, 11):
                    raise BundleError("its graph has loops or branches; an export has none")
                if part in (5, 10):
                    _check_tensor(_message(inner))


def _check_tensor(tensor: memoryview) -> None:
    if any(number == 13 or (number == 14 and value != 0) for number, value in _fields(tensor)):
        raise BundleError("its graph has weights in another file; an export has none")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise BundleError("not a graph of ONNX")
    return value


def _fields(message: memoryview) -> Iterator[Field]:
    """Fields of a message of Protocol Buffers, in their order."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_FIXED_32, _FIXED_64):
            size = 4 if kind == _FIXED_32 else 8
        else:
            raise BundleError("not a graph of ONNX")
        if size > len(message) - place:
            raise BundleError("not a graph of ONNX: a part is longer than the file")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Number that begins at a place, and the place after it."""
    value = 0
    for index, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise BundleError("not a graph of ONNX")


def new_session(graph: bytes) -> "InferenceSession":
    """Session of onnxruntime with one thread, which tells nobody that it runs.

    Raises
    ------
    BundleError
        If it cannot run the graph.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors  # type: ignore[import-untyped]  # likewise

    onnxruntime.disable_telemetry_events()  # where somebody else had imported it
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # recordings are scored side by side
    options.log_severity_level = 3
    known = (errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        _ = session.get_modelmeta().custom_metadata_map  # whose texts are decoded when they are asked for
        _ = [(value.name, value.type, value.shape) for value in (*session.get_inputs(), *session.get_outputs())]
    except (*known, errors.RuntimeException, UnicodeDecodeError) as error:
        raise BundleError(f"no graph that onnxruntime can run: {_line(error)}") from None
    return session


def run_session(session: "InferenceSession", waveforms: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Outputs of a session by name.

    Raises
    ------
    BundleError
        If onnxruntime cannot compute them.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {"waveform": waveforms}), strict=True))
    except (errors.Fail, errors.InvalidArgument, errors.NotImplemented, errors.RuntimeException) as error:
        raise BundleError(f"its graph cannot be computed: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
