"""The commands for normal sounds that change: enroll and drift."""

import json

import pytest

from command_line import refusal, soundness
from monitored import hum_at, record
from soundness.detectors.saving import load_detector


@pytest.fixture
def fresh(tmp_path):
    """A new condition: a hum of another pitch."""
    return [hum_at(tmp_path / "fresh" / f"{seed}.wav", 900, seed) for seed in range(100, 108)]


def test_the_command_writes_a_detector_that_is_read_back(trained, fresh, tmp_path):
    out = tmp_path / "new.soundness"
    result = soundness("enroll", trained, *fresh, "--condition", "b", "--domain", "target", "--out", out, "-q")
    assert result.exit_code == 0, result.output
    assert "b, enrolled as target" in result.stdout
    enrolled = load_detector(out)
    assert enrolled.normal_clips.domain_names == ("source", "target")
    line = refusal("enroll", trained, *fresh[:1], "--condition", "b", "--out", tmp_path / "x.soundness")
    assert "--force enrolls it all the same" in line
    assert not (tmp_path / "x.soundness").exists()
    assert "exists already" in refusal("enroll", trained, *fresh, "--condition", "b", "--out", out)


def test_the_command_drift_answers_in_words(trained, tmp_path):
    same = [record(tmp_path / "same" / f"{seed}.wav", seed) for seed in range(308, 316)]
    result = soundness("drift", trained, *same, "-q")
    assert result.exit_code == 0, result.output
    assert "nothing (p-value" in result.stdout
    louder = [hum_at(tmp_path / "louder" / f"{seed}.wav", 400, seed, gain=2.0) for seed in range(300, 308)]
    result = soundness("drift", trained, tmp_path / "louder", "--json", tmp_path / "drift.json", "-q")
    assert result.exit_code == 0, result.output
    assert "microphone gain changed" in result.stdout
    assert "set its gain back by -6." in result.stdout
    assert len(louder) == json.loads((tmp_path / "drift.json").read_text())["n_clips"]
