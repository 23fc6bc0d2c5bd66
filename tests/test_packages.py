"""What a package offers to users is there, and loads nothing before it is used."""

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = ("audio", "data", "detectors", "evaluation", "representations", "scoring", "separation")
HEAVY = ("torch", "pytorch_lightning", "sklearn", "matplotlib", "onnx", "onnxruntime", "scipy", "pandas")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_name_of_a_package_is_there(name):
    package = import_module(f"soundness.{name}")
    assert package.__all__
    for public in package.__all__:
        assert getattr(package, public) is not None
    with pytest.raises(AttributeError):
        package.nothing_of_this_name  # noqa: B018  # to ask is the test


def test_to_import_the_packages_loads_nothing_heavy():
    imports = "; ".join(f"import soundness.{name}" for name in PACKAGES)
    code = f"import sys, soundness; {imports}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_scores_and_data_sets_are_had_without_torch():
    code = (
        "import sys; from soundness.scoring import SCORERS, Scorer, TrainingVectors; "
        "from soundness.audio import LogMel; "
        "from soundness.data import open_dataset; from soundness.evaluation import roc_auc, evaluate;"
        "from soundness.detectors import ExportedDetector; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
