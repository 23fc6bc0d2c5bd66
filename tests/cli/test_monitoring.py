"""Commands on detectors in use, and scores with alarms."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import refusal, soundness
from monitored import hum_at, record, rule
from soundness.detectors.saving import load_detector, save_detector


@pytest.fixture
def detector(calibrated, tmp_path: Path) -> Path:
    save_detector(replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=3)), tmp_path / "fan.soundness")
    return tmp_path / "fan.soundness"


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for index in range(6):
        record(
            tmp_path / "clips" / f"{index}.wav", 200 + index, is_anomalous=index in (2, 4, 5), seconds_ago=60 - index
        )
    return tmp_path / "clips"


def rows(path: Path) -> dict[str, str]:
    return dict(line.split(",") for line in path.read_text().splitlines())


def test_alarms_without_a_rule_are_refused_with_the_command_that_makes_one(tmp_path, calibrated, clips):
    message = refusal("score", calibrated[1], clips, "--out", tmp_path / "s", "--alarms", "-q")
    assert "has no alarm rule; soundness alarms DETECTOR" in message


def test_a_detector_is_calibrated_and_given_a_rule_that_a_watch_applies(tmp_path, calibrated, clips):
    for seed in range(40):
        record(tmp_path / "normal" / f"{seed:02d}.wav", 300 + seed)
    done = soundness("calibrate", calibrated[1], tmp_path / "normal", "--out", tmp_path / "c.soundness", "-q")
    assert done.exit_code == 0, done.stderr
    assert "no p-value lies below 1/41: 40 normal clips calibrate them" in done.stderr
    command = ("alarms", tmp_path / "c.soundness", "--false-alarms", "1/h", "--clip-every", "10s", "-q")
    shown = soundness(*command, "--recording", tmp_path / "normal", "--out", tmp_path / "a.soundness")
    assert shown.exit_code == 0
    assert "fan: an alarm at " in shown.stdout
    assert "upper 95 % bound" in shown.stdout
    proposed = load_detector(tmp_path / "a.soundness").alarm_rule
    assert proposed is not None
    assert str(proposed) in shown.stdout
    assert soundness(*command, "--out", tmp_path / "a.soundness").exit_code == 2  # exists already
    watched = soundness("watch", clips, "--detector", tmp_path / "a.soundness", "--once", "--poll", "0.01")
    assert watched.exit_code == 0, watched.stderr
    assert "6 recordings scored" in watched.stdout
    assert (clips / "alarms.csv").read_text().count("\n") == 7


def test_a_rate_that_the_clips_cannot_support_is_refused_with_what_they_can(calibrated):
    command = ("alarms", calibrated[1], "--false-alarms", "1/day", "--clip-every", "10s", "--longest", "1")
    message = refusal(*command)
    assert "24 source clip(s) support no rate below 1/25 a clip, 14.4/hour with one every 10 s" in message
    assert "the nearest rule" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--false-alarms", "often", "--clip-every", "10s"), "'often' is no rate"),
        (("--false-alarms", "1/day", "--clip-every", "soon"), "'soon' is no time"),
    ],
)
def test_what_cannot_be_read_is_refused(calibrated, arguments, message):
    assert message in refusal("alarms", calibrated[1], *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--log", "x.txt"), "a log ends in .csv or .sqlite"),
        (("--webhook", "mailto:me"), "begins with https:// or http://"),
        (("--poll", "0"), "seconds must be above 0"),
    ],
)
def test_a_watch_that_cannot_be_is_refused(clips, detector, arguments, message):
    assert message in refusal("watch", clips, "--detector", detector, "--once", *arguments)


def test_a_watch_without_its_extra_says_how_to_install_it(clips, detector, monkeypatch):
    for package in ("sqlalchemy", "alembic"):
        monkeypatch.setitem(sys.modules, package, None)
    line = refusal("watch", clips, "--detector", detector, "--once")
    assert "this needs sqlalchemy, alembic, not installed here: python -m pip install" in line
    assert not (clips / "alarms.csv").exists()


def test_an_alarm_is_said_with_its_reason(clips, detector):
    result = soundness("watch", clips, "--detector", detector, "--once", "--poll", "0.01")
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("ALARM"))
    assert " fan: 4.wav, score " in line
    assert "above normal" in line
    assert result.stderr == ""


def test_a_folder_that_is_not_there_is_refused(tmp_path, detector):
    assert "no such folder" in refusal("watch", tmp_path / "nowhere", "--detector", detector, "--once")


def test_bad_recordings_make_the_exit_status_1_when_a_watch_looks_once(clips, detector):
    from monitored import age

    (clips / "bad.wav").write_bytes(b"no sound")
    age(clips / "bad.wav", 60)
    result = soundness("watch", clips, "--detector", detector, "--once", "--poll", "0.01")
    assert result.exit_code == 1
    assert "6 recordings scored, 1 alarm(s), 1 failed" in result.stdout
    assert f"{clips / 'bad.wav'}: not audio" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT")
def test_ctrl_c_ends_a_watch_cleanly(clips, detector):
    program = "from soundness.cli import main; main()"
    command = [sys.executable, "-c", program, "watch", str(clips), "--detector", str(detector), "--poll", "0.05"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not ((clips / "alarms.csv").exists() and (clips / "alarms.csv").read_text().count("\n") == 7):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "6 recordings scored, 1 alarm(s), 0 failed"
    assert err.splitlines() == ["stopped; the same command goes on from here"]


def test_scores_come_with_p_values_and_alarms_and_the_official_files_stay_as_they_are(tmp_path, detector, clips):
    plain = soundness("score", detector, clips, "--out", tmp_path / "plain", "-q")
    result = soundness("score", detector, clips, "--out", tmp_path / "scores", "--alarms", "-q")
    assert plain.exit_code == result.exit_code == 0
    name = "fan_section_00_test.csv"
    for prefix in ("anomaly_score", "decision_result", "p_value"):
        ours, theirs = (tmp_path / folder / f"{prefix}_{name}" for folder in ("scores", "plain"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert not (tmp_path / "plain" / f"alarm_{name}").exists()
    known, scores = load_detector(detector), rows(tmp_path / "scores" / f"anomaly_score_{name}")
    p_values = rows(tmp_path / "scores" / f"p_value_{name}")
    assert {file: float(p) for file, p in p_values.items()} == {
        file: known.p_value(float(score)) for file, score in scores.items()
    }
    assert list(rows(tmp_path / "scores" / f"alarm_{name}").values()) == ["0", "0", "0", "0", "1", "0"]
    assert f"ALARM {clips / '4.wav'}" in result.stdout
    assert "ANOMALOUS" in result.stdout
    again = soundness("score", detector, clips, "--out", tmp_path / "scores", "--overwrite", "-q")
    assert again.exit_code == 0
    assert not (tmp_path / "scores" / f"alarm_{name}").exists()


@pytest.fixture
def new_clips(tmp_path):
    """A new condition: a hum of another pitch."""
    return [hum_at(tmp_path / "fresh" / f"{seed}.wav", 900, seed) for seed in range(100, 108)]


def test_an_enrolled_detector_is_read_back(trained, new_clips, tmp_path):
    out = tmp_path / "new.soundness"
    result = soundness("enroll", trained, *new_clips, "--condition", "b", "--domain", "target", "--out", out, "-q")
    assert result.exit_code == 0, result.output
    assert "b, enrolled as target" in result.stdout
    enrolled = load_detector(out)
    assert enrolled.normal_clips.domain_names == ("source", "target")
    line = refusal("enroll", trained, *new_clips[:1], "--condition", "b", "--out", tmp_path / "x.soundness")
    assert "--keep FILE enrolls it all the same" in line
    assert not (tmp_path / "x.soundness").exists()
    assert "exists already" in refusal("enroll", trained, *new_clips, "--condition", "b", "--out", out)


def test_drift_is_reported_in_words(trained, tmp_path):
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
