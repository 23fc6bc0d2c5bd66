"""Verdicts are the first word of a line, and lines fit a terminal of 80 columns."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command_line import soundness
from recordings import RATE, write


@pytest.fixture
def today(tmp_path: Path) -> Path:
    folder = tmp_path / "a_folder_of_a_rather_long_name_such_as_sites_have" / "today"
    write(folder / "good.wav", seed=50)
    soundfile.write(folder / "loud.wav", np.random.default_rng(1).uniform(-0.8, 0.8, size=2 * RATE), RATE)
    (folder / "text.wav").write_text("no audio")
    return folder


def test_without_a_folder_each_recording_is_printed_with_its_verdict(
    run: Path, today: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = soundness("score", run, today, "-q")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    starts = [line.split("  ")[0] for line in lines if not line.startswith(" ")]
    assert starts[:3] == ["NORMAL", "ANOMALOUS", "CANNOT TELL"]
    assert all(len(line) <= 80 for line in lines)
    (loud,) = [number for number, line in enumerate(lines) if line.startswith("ANOMALOUS")]
    assert lines[loud].endswith("today/loud.wav")
    assert " > " in lines[loud]
    assert re.search(r"\d+ dB (above|louder)", lines[loud + 1])
    assert "pump: 1 ANOMALOUS, 1 NORMAL, 1 CANNOT TELL, of 3 recordings" in lines


def test_with_a_folder_only_the_anomalous_are_named(tmp_path: Path, run: Path, today: Path) -> None:
    result = soundness("score", run, today, "--out", tmp_path / "scores", "-q")
    assert "good.wav" not in result.stdout
    assert "loud.wav" in result.stdout
    assert str(tmp_path / "scores" / "scores.csv") in result.stdout
