"""Tables of a benchmark: means, spreads and published figures, worked out by hand."""

import csv
import json
from pathlib import Path

import pytest

from soundness.benchmarking.results import BenchmarkResult, Measured, Spread
from soundness.errors import OutputError
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import ClipScore, write_scores

MACHINES = ("fan", "valve")


def evaluation(folder: Path, *, n_mistakes: int):
    """Two machines, 4 + 4 normal and 4 anomalous clips; of the first, so many normal clips lie above all others."""
    for machine in MACHINES:
        mistakes = n_mistakes if machine == "fan" else 0
        clips = [
            ClipScore(f"section_00_{domain}_test_normal_{index:04d}_a.wav", 9.0 if index < mistakes else 0.1 * index, 0)
            for domain in ("source", "target")
            for index in range(4)
        ]
        clips += [ClipScore(f"section_00_source_test_anomaly_{index:04d}_a.wav", 1.0 + index, 1) for index in range(4)]
        write_scores(folder, machine, "section_00", clips)
    return evaluate(folder)


@pytest.fixture
def result(tmp_path):
    measured = [
        Measured(
            system="one",
            seed=seed,
            evaluation=evaluation(tmp_path / str(seed), n_mistakes=seed),
            interval=None,
            training_seconds=10.0 + seed,
            scoring_seconds=2.0,
        )
        for seed in (0, 1)
    ]
    return BenchmarkResult(
        data="data", machine_types=MACHINES, separation={"one": "off"}, measured=measured, failures=("two: no",)
    )


def test_a_spread_is_mean_and_sample_deviation():
    spread = Spread.from_values([0.7, 0.8, 0.9])
    assert (spread.mean, spread.deviation, spread.n_values) == (pytest.approx(0.8), pytest.approx(0.1), 3)
    assert str(Spread.from_values([0.7, 0.8, 0.9])) == "80.0 ± 10.0"
    assert str(Spread.from_values([0.5])) == "50.0"


def test_the_table_has_machines_down_and_systems_across(result):
    rows = {tuple(row[:3]): row[3:] for row in result.table_rows()}
    assert rows["machine", "section", "figure"] == ("one",)
    # with one mistake, 3 of 4 normal clips of each domain lie below all anomalies: AUC 1 and 0.75
    assert rows["fan", "section_00", "AUC (source)"] == ("87.5 ± 17.7",)
    assert rows["valve", "section_00", "AUC (source)"] == ("100.0 ± 0.0",)
    # harmonic means over machines: 1, and 2 / (1 / 0.75 + 1) = 0.857
    assert rows["All", "", "AUC (source)"] == ("92.9 ± 10.1",)


def test_the_summary_has_a_row_for_each_system(result):
    heading, row = result.summary_rows()
    cells = dict(zip(heading, row, strict=True))
    assert (cells["system"], cells["separation"], cells["seeds"]) == ("one", "off", "2")
    assert (cells["training s"], cells["scoring s"]) == ("10", "2")
    scores = [100 * one.evaluation.official_score for one in result.measured]
    assert cells["score"].startswith(f"{sum(scores) / 2:.1f} ± ")


def test_published_systems_stand_beside_the_same_machines(result):
    assert result.published == []
    machines = ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve")
    same = result.model_copy(update={"machine_types": machines})
    assert same.table_rows()[0][-1] == "published: report-system"
    assert same.summary_rows()[-1][3] == "61.9"


def test_the_score_of_a_machine_is_the_harmonic_mean_of_its_figures(result):
    assert result.machine_score("one", "valve") == pytest.approx(1.0)
    paucs = [one.evaluation.machines[0].figures.pauc for one in result.measured]
    expected = [3 / (1 / auc + 1 / auc + 1 / pauc) for auc, pauc in zip((1.0, 0.75), paucs, strict=True)]
    assert result.machine_score("one", "fan") == pytest.approx(sum(expected) / 2)
    assert result.machine_score("one", "pump") is None


def test_written_results_can_be_read_back(result, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    files = {file.name: file for file in result.write(out)}
    assert BenchmarkResult.model_validate(json.loads(files["results.json"].read_text())) == result
    rows = list(csv.DictReader(files["results.csv"].read_text().splitlines()))
    assert [(row["seed"], row["machine_type"]) for row in rows] == [(s, m) for s in "01" for m in MACHINES]
    assert float(rows[2]["auc_source"]) == 0.75
    assert "two: no" in files["results.md"].read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        result.write(tmp_path / "file")
