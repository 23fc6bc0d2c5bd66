"""Evaluation by year, comparison and submission on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import refusal, soundness
from soundness.evaluation.score_files import ClipScore, write_scores


@pytest.fixture
def systems(tmp_path: Path) -> tuple[Path, Path]:
    """Scores of a better and a worse system, of names as in 2021."""
    rng = np.random.default_rng(0)
    names = [
        f"section_00_{domain}_test_{label}_{number:04}.wav"
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for number in range(20)
    ]
    noise = dict(zip(names, rng.normal(size=len(names)), strict=True))
    for folder, gain in (("better", 3.0), ("worse", 0.5)):
        rows = [ClipScore(name, float(noise[name] + gain * ("anomaly" in name)), 0) for name in names]
        write_scores(tmp_path / folder, "fan", "section_00", rows)
    return tmp_path / "better", tmp_path / "worse"


def test_the_year_is_told_and_can_be_chosen(systems: tuple[Path, Path], tmp_path: Path) -> None:
    recognised = soundness("evaluate", systems[0], "--json", tmp_path / "a.json")
    assert recognised.exit_code == 0
    assert "as in DCASE 2021" in recognised.stdout
    assert "pAUC source" in recognised.stdout
    assert "--metric 2022 selects that of later years" in recognised.stderr
    assert json.loads((tmp_path / "a.json").read_text())["metric"] == "2021"
    chosen = soundness("evaluate", systems[0], "--metric", "2024")
    assert "as in DCASE 2022 and later" in chosen.stdout
    assert "pAUC source" not in chosen.stdout
    assert "no metric '2001'; there are 2020, 2021, and 2022" in refusal("evaluate", systems[0], "--metric", "2001")


def test_with_the_metric_of_2020_the_mean_of_auc_and_pauc_is_told(systems: tuple[Path, Path]) -> None:
    result = soundness("evaluate", systems[0], "--metric", "2020", "-q")
    assert "official score" not in result.stdout
    assert "mean of AUC and pAUC over all machines" in result.stdout


def test_two_systems_are_compared(systems: tuple[Path, Path], tmp_path: Path) -> None:
    better, worse = systems
    result = soundness("evaluate", better, "--against", worse, "--json", tmp_path / "c.json")
    assert result.exit_code == 0
    score = json.loads((tmp_path / "c.json").read_text())["score"]
    assert score["p_value"] < 0.01
    assert score["difference"]["low"] > 0
    shown = f"{100 * score['difference']['value']:+.2f} [{100 * score['difference']['low']:+.2f}, "
    assert shown in result.stdout
    again = soundness("evaluate", better, "--against", worse)
    assert again.stdout == result.stdout
    assert soundness("evaluate", better, "--against", worse, "--seed", 1).stdout != result.stdout
    quiet = soundness("evaluate", better, "--against", worse, "-q").stdout
    assert quiet.count("\n") == 1
    assert "no such folder" in refusal("evaluate", better, "--against", tmp_path / "nowhere")


def test_a_submission_is_written_and_evaluates_as_its_scores_do(systems: tuple[Path, Path], tmp_path: Path) -> None:
    result = soundness("submission", systems[0], "--out", tmp_path / "out", "--team", "demo")
    assert result.exit_code == 0
    folder = tmp_path / "out" / "task2" / "demo_task2_1"
    assert f"1 machines, 80 clips in {folder}" in result.stdout
    assert "no authors" in result.stderr
    assert soundness("evaluate", folder, "-q").stdout == soundness("evaluate", systems[0], "-q").stdout
    assert "exists already" in refusal("submission", systems[0], "--out", tmp_path / "out", "--team", "demo")


def test_a_submission_without_decisions_is_refused(systems: tuple[Path, Path], tmp_path: Path) -> None:
    (systems[0] / "decision_result_fan_section_00_test.csv").unlink()
    line = refusal("submission", systems[0], "--out", tmp_path / "out", "--team", "demo")
    assert "no decisions of fan section_00" in line
