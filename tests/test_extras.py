"""A base install works, and what needs an extra says which."""

import re
import subprocess
import sys

import pytest

from soundness.errors import MissingExtraError
from soundness.extras import check_extra, missing_extra

PROGRAM = """
import sys
packages = "torch safetensors pytorch_lightning matplotlib yaml jinja2 markupsafe sklearn PIL onnx onnxruntime"
sys.modules.update(dict.fromkeys(packages.split()))
import soundness
for name in soundness.__all__:
    try:
        getattr(soundness, name)
    except soundness.SoundnessError as error:
        print(name, "needs", str(error))
"""
BASE = {"SoundnessError", "compare", "download", "evaluate", "inspect", "load_settings", "make_data", "open_dataset"}


def test_without_extras_public_names_load_or_name_their_extra():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    needs = dict(line.split(" needs ", 1) for line in done.stdout.splitlines())
    assert all('not installed here: python -m pip install "' in words for words in needs.values())
    assert '"jinja2' in needs["report"]
    assert not BASE & needs.keys()


def test_a_missing_package_is_named_with_its_extra():
    error = missing_extra(ModuleNotFoundError("No module named 'onnx.helper'", name="onnx.helper"))
    expected = r'this needs onnx, not installed here: python -m pip install "onnx(>=[\d.]+)?"'
    assert re.fullmatch(expected, str(error))
    other = ModuleNotFoundError("No module named 'tifffile'", name="tifffile")
    assert missing_extra(other) is other


def test_an_extra_that_is_installed_passes_and_another_is_refused(monkeypatch):
    check_extra("train")
    for package in ("PIL", "jinja2"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r'needs jinja2, pillow, .*pip install "jinja2.*" "pillow.*"'):
        check_extra("pages")


def test_an_export_without_torch_names_torch_and_an_export_in_use_does_not(monkeypatch):
    for package in ("torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"needs torch, onnxruntime, "):
        check_extra("export")
    error = missing_extra(ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime"))
    assert str(error).startswith("this needs onnxruntime, not")
