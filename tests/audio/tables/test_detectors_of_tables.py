"""Detectors learn from tables of numbers and find faults in them, by the columns and the rate that they keep."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

import soundness
from command_line import soundness as run
from soundness.detectors.exported import ExportedDetector
from soundness.detectors.saving import load
from soundness.errors import DataError
from soundness.exporting.write import TOLERANCE, export_detector
from soundness.synthetic.vibration.bearings import FAULTS, SAMPLE_RATE, bearing_vibration


def write_mat(path: Path, vibration: np.ndarray) -> None:
    other = 0.01 * np.random.default_rng(0).standard_normal(len(vibration))
    scipy.io.savemat(path, {f"X{path.stem}_FE_time": other[:, None], f"X{path.stem}_DE_time": vibration[:, None]})


def write_csv(path: Path, vibration: np.ndarray) -> None:
    rows = np.c_[np.arange(len(vibration)) / SAMPLE_RATE, vibration]
    np.savetxt(path, rows, delimiter=";", header="t;a", comments="", fmt="%.6g")


def bearings(root: Path, suffix: str) -> Path:
    rng = np.random.default_rng(3)
    write = {".mat": write_mat, ".csv": write_csv}[suffix]
    for folder in ("bearing/normal", "bearing/abnormal", "healthy"):
        (root / folder).mkdir(parents=True)
    for index in range(24):
        write(root / f"bearing/normal/n{index:02d}{suffix}", bearing_vibration(rng, load=index % 4, seconds=1))
    for index in range(8):
        write(root / f"healthy/h{index}{suffix}", bearing_vibration(rng, load=index % 4, seconds=1))
    for fault in FAULTS:
        for load_ in range(4):
            vibration = bearing_vibration(rng, load=load_, seconds=1, fault=fault)
            write(root / f"bearing/abnormal/{fault[:5]}{load_}{suffix}", vibration)
    return root


@pytest.mark.parametrize(("suffix", "options"), [(".mat", ["--rate", "12000", "--columns", "*_DE_time"]), (".csv", [])])
def test_faulty_bearings_are_found_in_tables(tmp_path: Path, suffix: str, options: list[str]) -> None:
    root = bearings(tmp_path, suffix)
    run("train", root / "bearing/normal", "--out", tmp_path / "run", "--native", *options, "-q")
    detector = load(tmp_path / "run")
    (own,) = detector.values() if isinstance(detector, dict) else [detector]
    assert (own.settings.audio.sample_rate, own.settings.log_mel.fmax) == (SAMPLE_RATE, SAMPLE_RATE / 2)
    healthy, faulty = (
        np.array([own.score_recording(path).anomaly_score for path in sorted((root / folder).iterdir())])
        for folder in ("healthy", "bearing/abnormal")
    )
    assert (faulty[:, None] > healthy).mean() >= 0.98


def test_an_export_reads_the_same_columns_on_a_logarithmic_scale(tmp_path: Path) -> None:
    root = bearings(tmp_path, ".mat")
    changes = ["audio.rate=12000", 'audio.columns=["*_DE_time"]', "audio.sample_rate=12000", "log_mel.fmax=6000"]
    changes += ["log_mel.frequency_scale=log", "log_mel.fmin=1", "log_mel.n_mels=48"]
    (detector,) = soundness.train(
        root / "bearing/normal", tmp_path / "run", system=soundness.load_settings(overrides=changes)
    )
    made = export_detector(detector, tmp_path / "export", check=[root / "healthy"])
    assert made.largest_difference <= TOLERANCE
    path = next((root / "bearing/abnormal").iterdir())
    exported = ExportedDetector.load(made.graph).score_recording(path)
    assert exported.anomaly_score == pytest.approx(detector.score_recording(path).anomaly_score, rel=1e-4)
    assert exported.verdict == "anomalous"


def test_recordings_of_several_rates_have_none_to_keep(tmp_path: Path) -> None:
    from soundness.data.sample_rates import native_overrides

    (tmp_path / "normal").mkdir()
    for index in range(4):
        scipy.io.savemat(tmp_path / f"normal/{index}.mat", {"x": np.ones(2000), "fs": 1000 + index % 2})
    with pytest.raises(DataError, match="1000 Hz and 1001 Hz; expected one sample rate to keep"):
        native_overrides(tmp_path)


def test_inspect_takes_rate_and_columns(tmp_path: Path) -> None:
    root = bearings(tmp_path, ".mat")
    shown = run("inspect", root / "bearing/normal", "--rate", "12000", "--columns", "*_DE_time", "-q")
    assert "12000" in shown.output
    options = ["--rate", "12000", "--columns", "*_DE_time", "--native", "--screen", "-q"]
    shown = run("inspect", root / "bearing/normal", *options)
    assert "of 24 training clips stand apart" in shown.output
