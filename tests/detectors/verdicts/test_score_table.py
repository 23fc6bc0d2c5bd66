"""The table for a person says of each recording what was found, and why."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.detectors.bulk_scoring import score
from soundness.detectors.verdicts.score_table import ScoreRow, machine_verdicts
from soundness.evaluation.score_files import read_scores
from soundness.training.run import train

RATE = 16_000


def write_noise(path, *, seed, hum_hz=0.0):
    """A second and a half of noise, with a hum in it or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.05 * np.random.default_rng(seed).standard_normal(3 * RATE // 2)
    samples += 0.1 * (hum_hz > 0) * np.sin(2 * np.pi * hum_hz * np.arange(len(samples)) / RATE)
    soundfile.write(path, samples, RATE)
    return path


@pytest.fixture(scope="module")
def pump(tmp_path_factory):
    """A detector of the default system, normal recordings, one with a hum and one that is no audio."""
    root = tmp_path_factory.mktemp("pump")
    for seed in range(12):
        write_noise(root / "pump" / "normal" / f"{seed}.wav", seed=seed)
    (made,) = train(root / "pump", root / "run")
    write_noise(root / "today" / "a.wav", seed=20)
    write_noise(root / "today" / "b_hum.wav", seed=21, hum_hz=150.0)
    (root / "today" / "c.wav").write_text("no audio at all, it says of itself")
    return made, root / "today"


def rows_of(folder):
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_recording_has_a_row_with_verdict_reason_time_and_threshold(pump, tmp_path):
    detector, today = pump
    os.utime(today / "a.wav", (1_700_000_000, 1_700_000_000))
    report = score({"pump": detector}, [today], tmp_path / "out")
    normal, hum, failed = rows_of(tmp_path / "out")
    assert [row["verdict"] for row in (normal, hum, failed)] == ["normal", "anomalous", "cannot tell"]
    assert [Path(row["path"]) for row in (normal, hum, failed)] == sorted(today.iterdir())
    assert (normal["reason"], failed["score"], failed["p_value"]) == ("", "", "")
    assert "a hum near 1" in hum["reason"]
    assert "dB above normal, all the time" in hum["reason"]
    assert "not audio" in failed["reason"]
    assert normal["time"].startswith("2023-11-14T") or normal["time"].startswith("2023-11-15T")
    (own,) = read_scores(tmp_path / "out")
    assert [float(row["score"]) for row in (normal, hum)] == own.anomaly_scores.tolist()
    assert float(hum["threshold"]) == detector.threshold.value
    assert [row.verdict for row in report.rows] == ["normal", "anomalous", "cannot tell"]


def test_without_a_folder_nothing_is_written_and_the_verdicts_are_the_same(pump, tmp_path, monkeypatch):
    detector, today = pump
    monkeypatch.chdir(tmp_path)
    report = score({"pump": detector}, [today])
    assert list(tmp_path.iterdir()) == []
    assert report.rows == score({"pump": detector}, [today], tmp_path / "out").rows
    assert (report.n_scored, report.n_flagged, len(report.failures)) == (2, 1, 1)


def test_the_table_of_earlier_scores_is_replaced_or_removed_with_them(pump, tmp_path):
    detector, today = pump
    score({"pump": detector}, [today], tmp_path / "out")
    score({"pump": detector}, [today / "a.wav"], tmp_path / "out", overwrite=True)
    assert len(rows_of(tmp_path / "out")) == 1


def row(machine, verdict, value):
    return ScoreRow(
        path=Path(f"{value}.wav"), machine=machine, time="", anomaly_score=value, p_value=None, threshold=1.0,
        verdict=verdict, reason="",
    )  # fmt: skip


def test_machines_are_summed_up_with_their_most_anomalous_recordings_first():
    rows = [row("fan", "anomalous", 2.0), row("pump", "normal", 0.5), row("fan", "anomalous", 3.0)]
    rows += [row("fan", "normal", 0.1), row("pump", "cannot tell", None)]
    fan, pump = machine_verdicts(rows)
    assert fan.counts == {"anomalous": 2, "normal": 1, "cannot tell": 0}
    assert [one.anomaly_score for one in fan.worst] == [3.0, 2.0]
    assert (pump.machine, pump.counts, pump.worst) == ("pump", {"anomalous": 0, "normal": 1, "cannot tell": 1}, ())
