"""Commands of research."""

from pathlib import Path

import pytest

from command_line import refusal, soundness
from soundness.benchmarking.results import BenchmarkResult
from soundness.cli.tables import show_benchmark


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


def test_a_benchmark_names_the_system_whose_setting_is_wrong(tmp_path: Path) -> None:
    command = ("benchmark", tmp_path, "--out", tmp_path / "out", "--systems", "conditional,log-mel-knn")
    line = refusal(*command, "--set", "training.max_steps=3")
    assert "systems: log-mel-knn: unknown setting 'max_steps'" in line
    assert "'zero' is no whole number" in refusal(*command, "--seeds", "zero")
    assert "systems: none is named" in refusal("benchmark", tmp_path, "--out", tmp_path / "out", "--systems", ",")


@pytest.mark.slow
def test_a_benchmark_prints_its_tables_and_logs_its_systems_unless_quiet(tmp_path: Path, fan: Path) -> None:
    command = ("benchmark", fan, "--out", tmp_path / "out", "--systems", "log-mel-knn", "--seeds", "0")
    result = soundness(*command, "--jobs", "1")
    assert result.exit_code == 0, result.output
    assert "deviation over seeds" in result.stdout
    assert "log-mel-knn: score" in result.stderr
    assert "log-mel-knn" not in soundness(*command, "-q").stderr


def test_a_benchmark_or_demonstration_of_which_every_job_failed_ends_with_status_2() -> None:
    result = BenchmarkResult(data="", machine_types=("fan",), separation={}, measured=(), failures=("fan: broken",))
    assert show_benchmark(result, title="built-in data") == 2
