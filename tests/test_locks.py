"""Each function that writes results refuses a place that another process writes to, by name."""

from contextlib import contextmanager

import pytest

import soundness
from monitored import record
from soundness.errors import OutputError
from soundness.files.run_folders import locked_file, locked_folder


@pytest.fixture
def clips(tmp_path):
    for seed in range(3):
        record(tmp_path / "clips" / f"{seed}.wav", 500 + seed)
    return tmp_path / "clips"


@contextmanager
def refused(lock, place):
    with lock(place, kind="thing"), pytest.raises(OutputError, match="in use by a thing, process"):
        yield


def test_scores(calibrated, clips, tmp_path):
    with refused(locked_folder, tmp_path / "out"):
        soundness.score(calibrated[1], [clips], tmp_path / "out", overwrite=True)
    assert list(tmp_path.glob("out/*.csv")) == []


def test_trainings(fan, small, tmp_path):
    with refused(locked_folder, tmp_path / "out"):
        soundness.train(fan, tmp_path / "out", system=small("log-mel-knn"), existing="replace")


def test_benchmarks(fan, tmp_path):
    with refused(locked_folder, tmp_path / "out"):
        soundness.benchmark(fan.parent, tmp_path / "out", overwrite=True)


def test_data_and_their_truth(tmp_path):
    with refused(locked_file, tmp_path / "out"):
        soundness.make_data(tmp_path / "out", machines=("fan",), overwrite=True)


def test_calibrated_detectors(calibrated, clips, tmp_path):
    with refused(locked_file, tmp_path / "a.soundness"):
        soundness.calibrate(calibrated[1], [clips], tmp_path / "a.soundness", overwrite=True)


def test_enrolled_detectors(calibrated, clips, tmp_path):
    with refused(locked_file, tmp_path / "a.soundness"):
        soundness.enroll(calibrated[1], [clips], tmp_path / "a.soundness", condition="b", overwrite=True)


def test_explanations(calibrated, clips, tmp_path):
    with refused(locked_file, tmp_path / "out" / "0.html"):
        soundness.explain(calibrated[1], clips / "0.wav", tmp_path / "out")


def test_exports(calibrated, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with refused(locked_file, tmp_path / "out" / "fan.onnx"):
        soundness.export(calibrated[1], tmp_path / "out", overwrite=True)


def test_separated_recordings(separator_file, clips, tmp_path):
    with refused(locked_folder, tmp_path / "out"):
        soundness.separate(separator_file, [clips], tmp_path / "out", overwrite=True)


def test_separators(hall, small_separator, tmp_path):
    with refused(locked_file, tmp_path / "a.soundness"):
        soundness.train_separator(hall, tmp_path / "a.soundness", settings=small_separator(), existing="replace")
