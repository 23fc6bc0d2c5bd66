"""An export is written if it agrees with its detector, and only then."""

import subprocess
import sys
from dataclasses import replace

import pytest

from soundness.detectors.saving import save_detector
from soundness.errors import DataError, ExportError, OutputError
from soundness.exporting.write import export, export_detector


def test_a_graph_that_says_something_else_is_not_written(detectors, tmp_path):
    detector = detectors["log-mel-knn"]
    changed = replace(detector, settings=detector.settings.model_copy(update={"log_mel": _wider(detector)}))
    vars(changed)["front_end"] = detector.front_end  # the original still computes the bands that it did before
    with pytest.raises(ExportError, match=r"noise: the detector's score is .*, its export's .* nothing is written"):
        export_detector(changed, tmp_path)
    assert not list(tmp_path.iterdir())


def _wider(detector):
    return detector.settings.log_mel.model_copy(update={"fmin": 300.0})


def test_an_export_that_is_there_is_kept(detectors, exported, tmp_path):
    before = (exported / "fan.onnx").read_bytes()
    with pytest.raises(OutputError, match=r"fan\.onnx: exists already"):
        export_detector(detectors["log-mel-knn"], exported)
    assert (exported / "fan.onnx").read_bytes() == before
    with pytest.raises(DataError, match="holds no recordings"):
        export_detector(detectors["log-mel-knn"], tmp_path / "new", check=[tmp_path])
    with pytest.raises(DataError, match="mistyped: no such file or folder"):
        export_detector(detectors["log-mel-knn"], tmp_path / "new", check=[tmp_path / "mistyped"])


def test_exports_of_a_run_go_by_the_names_of_its_machines(detectors, tmp_path):
    save_detector(detectors["log-mel-quantile"], tmp_path / "run" / "fan.soundness")
    (made,) = export(tmp_path / "run", tmp_path / "out")
    assert [made.graph.name, made.about.name] == ["fan.onnx", "fan.json"]


def test_without_the_extra_it_is_said_how_to_install_it():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import soundness\n"
        "try: soundness.export('run', 'out')\n"
        "except soundness.SoundnessError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith('MissingExtraError this needs onnx, not installed here: python -m pip install "onnx')


def test_recordings_are_listed_once_for_all_machines_and_one_that_cannot_be_used_is_noted(detectors, fan, tmp_path):
    for name in ("fan", "pump"):
        save_detector(replace(detectors["log-mel-knn"], machine_type=name), tmp_path / "run" / f"{name}.soundness")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    made = export(tmp_path / "run", tmp_path / "out", check=iter([fan / "test", broken]))
    assert [each.n_clips for each in made] == [len(list((fan / "test").iterdir()))] * 2
    assert all(f"not checked with {broken}: " in each.notes[0] for each in made)
