"""Graphs of strangers are refused before they are run, if they hold what no export has."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper

from soundness.errors import BundleError
from soundness.files.onnx_graphs import OPSET, check_graph, new_session, run_session


def model(nodes, *, initializers=(), functions=(), opsets=(("", OPSET),)):
    waveform = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["clip", "time"])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [waveform], [score], initializer=initializers)
    operators = [helper.make_opsetid(*each) for each in opsets]
    return helper.make_model(graph, opset_imports=operators, ir_version=9, functions=functions)


def identity():
    return helper.make_node("Identity", ["waveform"], ["score"])


def elsewhere():
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def branch():
    inner = helper.make_graph(
        [helper.make_node("Identity", ["waveform"], ["o"])], "b", [], [helper.make_empty_tensor_value_info("o")]
    )
    true = helper.make_tensor("t", TensorProto.BOOL, [], [True])
    condition = helper.make_node("Constant", [], ["condition"], value=true)
    return [condition, helper.make_node("If", ["condition"], ["score"], then_branch=inner, else_branch=inner)]


def test_a_plain_graph_is_run():
    content = model([identity()]).SerializeToString()
    check_graph(content)
    found = run_session(new_session(content), np.ones((1, 3), np.float32))
    assert found["score"].tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: model([identity()], initializers=[elsewhere()]), "weights in another file"),
        (lambda: model([helper.make_node("Constant", [], ["score"], value=elsewhere())]), "weights in another file"),
        (lambda: model(branch()), "loops or branches"),
        (
            lambda: model([helper.make_node("Evil", ["waveform"], ["score"], domain="com.x")]),
            "operators of somebody else",
        ),
        (lambda: model([identity()], opsets=[("", OPSET - 1)]), "one graph of the operators"),
        (lambda: model([identity()], opsets=[("", OPSET), ("com.x", 1)]), "one graph of the operators"),
        (
            lambda: model(
                [identity()],
                functions=[helper.make_function("d", "F", ["a"], ["a"], [], [helper.make_opsetid("", OPSET)])],
            ),
            "functions or a training",
        ),
    ],
)
def test_what_no_export_has_is_refused(make, message):
    with pytest.raises(BundleError, match=message):
        check_graph(make().SerializeToString())


@pytest.mark.parametrize(
    "content", [b"", b"\x3a", b"\x3a\xff\xff\xff\xff\x7f", b"\xff" * 20, b"\x0b\x0c", b"\x3a\x02\x08"]
)
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(BundleError):
        check_graph(content)


def test_a_graph_that_cannot_be_run_or_computed_is_refused_in_one_line():
    unknown = model([helper.make_node("NoSuchOperator", ["waveform"], ["score"])]).SerializeToString()
    with pytest.raises(BundleError, match="no graph that onnxruntime can run") as caught:
        new_session(unknown)
    assert "\n" not in str(caught.value)
    three = numpy_helper.from_array(np.ones((3, 3), np.float32), "three")
    product = model([helper.make_node("MatMul", ["waveform", "three"], ["score"])], initializers=[three])
    session = new_session(product.SerializeToString())
    with pytest.raises(BundleError, match="its graph cannot be computed") as caught:
        run_session(session, np.ones((1, 4), np.float32))
    assert "\n" not in str(caught.value)


PROGRAM = """
import os, sys, numpy as np
from soundness.files.onnx_graphs import new_session, run_session
session = new_session(open(sys.argv[1], "rb").read())
run_session(session, np.ones((1, 3), np.float32))
print(os.environ["ORT_DISABLE_TELEMETRY"])
"""


def test_onnxruntime_tells_nobody_that_it_runs(tmp_path):
    (tmp_path / "a.onnx").write_bytes(model([identity()]).SerializeToString())
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    assert done.stdout.strip() == "1"
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_metadata_that_are_no_text_are_one_line():
    made = model([identity()])
    helper.set_model_props(made, {"soundness": "abcdefgh"})
    content = made.SerializeToString().replace(b"abcdefgh", b"abc\xff\xfe\xfdgh")
    with pytest.raises(BundleError, match=r"^no graph that onnxruntime can run"):
        new_session(content)
