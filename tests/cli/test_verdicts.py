"""Verdicts are the first word of a line, and lines fit a terminal of 80 columns."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from command_line import soundness
from recordings import RATE, write
from soundness.cli.verdicts import _counts
from soundness.detectors.verdicts.score_table import MachineVerdicts, ScoreRow


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


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("3 short events at 2.1, 4.6 and 7.0 s for at most 80 ms each, 1.0 kHz to 2.6 kHz", "short events"),
        ("a short event at 2.1 s for 300 ms, in all bands", "short events"),
        ("an event at 2.1 s for 1.3 s, in all bands", "events"),
        ("10 periodic events every 0.64 s (1.6 a second), from 0.3 s to 6.0 s", "periodic events"),
        ("an event is missing at 4.6 s for 200 ms", "missing events"),
        ("sound drops 3 times at 1.5, 5.1 and 9.4 s", "drops of the sound"),
        ("modulated at 107 Hz, in all bands", "modulation at 107 Hz"),
        ("a tone at 388 Hz is gone, 12 dB below normal", "a tone at 388 Hz that is gone"),
        ("a hum near 70 Hz, 9 dB above normal, all the time", "a hum near 70 Hz"),
    ],
)
def test_recordings_are_counted_by_the_kind_of_their_change(reason: str, kind: str) -> None:
    rows = tuple(
        ScoreRow(
            path=Path(f"{index}.wav"),
            machine="pump",
            time="",
            anomaly_score=2.0,
            p_value=None,
            threshold=1.0,
            verdict="anomalous",
            reason=reason.replace("2.1", f"{index}.1"),
        )
        for index in range(2)
    )
    verdicts = MachineVerdicts(
        machine="pump", counts={"anomalous": 2, "normal": 0, "cannot tell": 0}, worst=rows, undecided=()
    )
    assert _counts(verdicts) == f"pump: 2 ANOMALOUS; 2 with {kind}"
