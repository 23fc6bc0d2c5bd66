"""Many recordings are scored one by one: whatever is beside them, in whatever order, and whichever are damaged."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from monitored import rule
from soundness.detectors import bulk_scoring
from soundness.detectors.bulk_scoring import score, score_clip
from soundness.detectors.saving import save_detector
from soundness.errors import AudioError, DataError, OutputError
from soundness.evaluation.score_files import read_scores
from soundness.processes import Processes
from soundness.settings.loading import system_names
from soundness.training.run import train
from work_in_processes import children, is_running

RATE = 16_000
SYSTEMS = system_names()


def noise(n_samples=8_000, *, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(n_samples)


def write_clips(folder, count, *, first_seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:03d}.wav" for index in range(count)]
    for index, path in enumerate(paths):
        soundfile.write(path, noise(6_000 + 500 * index, seed=first_seed + index), RATE)
    return paths


def scores_in(folder):
    """Score by file name, of all machines."""
    return {
        name: score
        for machine in read_scores(folder)
        for name, score in zip(machine.file_names, machine.anomaly_scores.tolist(), strict=True)
    }


def failures_in(folder):
    with (folder / "failed.csv").open(newline="") as file:
        return {row["path"]: row["message"] for row in csv.DictReader(file)}


@pytest.fixture
def detector(detectors):
    return detectors["log-mel-knn"]


@pytest.fixture(scope="module")
def pump(tmp_path_factory, write_machine, small):
    root = tmp_path_factory.mktemp("pump")
    data = write_machine(root, "pump", seed=1, n_test=2)
    (made,) = train(data, root / "run", system=small("log-mel-knn"))
    return data, made


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_score_does_not_depend_on_the_other_clips_their_order_or_the_workers(detectors, tmp_path, system):
    paths = write_clips(tmp_path / "clips", 9)
    one = {system: detectors[system]}
    alone = {path.name: score_clip(detectors[system], path) for path in paths}
    assert len(set(alone.values())) == 9
    score(one, [tmp_path / "clips"], tmp_path / "folder", n_workers=1)
    score(one, paths[::-1], tmp_path / "backwards", n_workers=3)
    score(one, paths[4:6], tmp_path / "two", n_workers=8)
    score(one, paths, tmp_path / "default")
    assert (
        scores_in(tmp_path / "folder") == scores_in(tmp_path / "backwards") == scores_in(tmp_path / "default") == alone
    )
    assert scores_in(tmp_path / "two") == {path.name: alone[path.name] for path in paths[4:6]}


def many_clips(folder, count=104):
    """Clips of few lengths, of which the sixth cannot be read."""
    paths = write_clips(folder, 8)
    paths[5].write_bytes(b"no sound")
    for index in range(8, count):
        shutil.copyfile(paths[index % 8], folder / f"{index:03d}.wav")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("system", ["soundness", "log-mel-whitened"])
def test_processes_give_the_files_that_one_worker_gives(detectors, tmp_path, monkeypatch, system):
    paths = many_clips(tmp_path / "clips")
    one = {system: detectors[system]}
    alone = score(one, paths, tmp_path / "alone", n_workers=1)
    monkeypatch.delattr(bulk_scoring, "map_recordings")  # threads
    beside = score(one, paths, tmp_path / "beside", n_workers=2)
    assert beside == alone
    assert len(alone.failures) == 13
    names = sorted(path.name for path in (tmp_path / "alone").iterdir())
    assert "scores.csv" in names
    assert "failed.csv" in names
    for name in names:
        assert (tmp_path / "beside" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


@pytest.mark.parametrize("system", ["conditional", "log-mel-knn"])
def test_a_network_and_few_clips_are_scored_in_this_process(detectors, tmp_path, monkeypatch, system):
    paths = many_clips(tmp_path / "clips", 101 if system == "conditional" else 99)
    monkeypatch.setattr(Processes, "map", None)
    assert score({system: detectors[system]}, paths, n_workers=2).n_scored == len(paths) - 13 + (len(paths) < 102)


SCRIPT = """
import sys
from soundness import score
from soundness.detectors import bulk_scoring
del bulk_scoring.map_recordings
print(score(*sys.argv[1:], n_workers=2).n_scored)
"""


def test_a_script_needs_no_guard_of_its_main_module(detector, tmp_path):
    many_clips(tmp_path / "clips")
    save_detector(detector, tmp_path / "fan.soundness")
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, tmp_path / "script.py", tmp_path / "fan.soundness", tmp_path / "clips"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "91\n"


@pytest.mark.skipif(sys.platform == "win32" or os.cpu_count() == 1, reason="there is no SIGKILL, or one core")
@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (signal.SIGKILL, 2, r"soundness: a process was killed \(SIGKILL\), .* while it worked on .*\.wav \(8 in all\)"),
        (signal.SIGINT, 130, "soundness: interrupted"),
    ],
)
def test_a_command_whose_processes_are_stopped_ends_with_one_line(detectors, tmp_path, number, status, line):
    many_clips(tmp_path / "clips", 2_000)
    save_detector(detectors["soundness"], tmp_path / "fan.soundness")
    command = [sys.executable, "-m", "soundness", "score", tmp_path / "fan.soundness", tmp_path / "clips"]
    out = tmp_path / "out"
    process = subprocess.Popen([*command, "--out", out, "-q"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    started = []
    while len(started) < min(os.cpu_count(), 40) and time.monotonic() < deadline:
        time.sleep(0.05)
        started = children(process.pid)
    os.kill(started[0] if number == signal.SIGKILL else process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert re.fullmatch(line + "\n", errors)
    assert not any(map(is_running, started))
    assert not (out / "scores.csv").exists()


def test_rows_keep_the_order_of_the_clips_however_many_workers_there_are(detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 20)
    score({"fan": detector}, paths[::-1], tmp_path / "out", n_workers=2)
    (found,) = read_scores(tmp_path / "out")
    assert found.file_names == tuple(path.name for path in paths[::-1])


def test_decisions_are_those_of_the_threshold(fan, detector, tmp_path):
    report = score({"fan": detector}, [fan], tmp_path / "out")
    (found,) = read_scores(tmp_path / "out")
    assert (found.machine_type, found.section) == ("fan", "section_00")
    assert found.decisions.tolist() == [int(score > detector.threshold.value) for score in found.anomaly_scores]
    assert set(found.decisions.tolist()) == {0, 1}
    assert (report.n_scored, report.n_flagged) == (8, found.decisions.sum())
    assert report.failures == report.warnings == report.notes == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "anomaly_score_fan_section_00_test.csv",
        "decision_result_fan_section_00_test.csv",
        "p_value_fan_section_00_test.csv",
        "scores.csv",
    ]


def damaged(folder):
    """Files that cannot be scored, with the reason that each should be given."""
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "truncated.wav", noise(), RATE)
    whole = (folder / "truncated.wav").read_bytes()
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound, it says of itself\n" * 50)
    nan = noise()
    nan[100] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    soundfile.write(folder / "short.wav", noise(100), RATE)
    soundfile.write(folder / "slow.wav", noise(), 8_000)
    return {
        "truncated.wav": "truncated",
        "empty.wav": "empty file",
        "text.wav": "not audio",
        "nan.wav": "no numbers",
        "short.wav": "100 samples",
        "slow.wav": "recorded at 8000 Hz",
    }


def test_a_damaged_file_gets_a_row_in_failed_csv_and_all_others_their_scores(detector, tmp_path):
    clips = tmp_path / "clips"
    good = write_clips(clips, 5)
    reasons = damaged(clips)
    report = score({"fan": detector}, [clips], tmp_path / "out", n_workers=2)
    assert scores_in(tmp_path / "out") == {path.name: score_clip(detector, path) for path in good}
    failures = failures_in(tmp_path / "out")
    assert failures.keys() == {str(clips / name) for name in reasons}
    for name, reason in reasons.items():
        assert reason in failures[str(clips / name)]
        assert not failures[str(clips / name)].startswith(str(clips))
    assert (report.n_scored, len(report.failures)) == (5, 6)
    assert all(line.startswith(f"{clips}/") and line.count(str(clips)) == 1 for line in report.failures)


def test_a_clip_so_loud_that_its_spectrum_overflows_does_not_end_the_scoring_of_the_others(detector, tmp_path):
    good = write_clips(tmp_path / "clips", 3)
    soundfile.write(tmp_path / "clips" / "loud.wav", 1e25 * noise(), RATE, subtype="FLOAT")
    score({"fan": detector}, [tmp_path / "clips"], tmp_path / "out")
    assert scores_in(tmp_path / "out").keys() == {path.name for path in good}
    assert failures_in(tmp_path / "out").keys() == {str(tmp_path / "clips" / "loud.wav")}


def test_a_recording_without_the_channel_is_a_failure(stereo_detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 2)
    soundfile.write(paths[0], np.column_stack([noise(), noise(seed=1)]), RATE)
    score({"fan": stereo_detector}, [tmp_path / "clips"], tmp_path / "out")
    assert scores_in(tmp_path / "out").keys() == {"000.wav"}
    assert "channel 1" in failures_in(tmp_path / "out")[str(paths[1])]


@pytest.fixture
def stereo_detector(tmp_path, small):
    folder = tmp_path / "stereo" / "fan" / "train"
    folder.mkdir(parents=True)
    for index in range(4):
        soundfile.write(folder / f"{index}.wav", np.column_stack([noise(), noise(seed=9 + index)]), RATE)
    settings = small("log-mel-knn", "audio.channel=1")
    (made,) = train(folder.parent, tmp_path / "stereo" / "run", system=settings)
    return made


def test_where_nothing_can_be_scored_every_file_is_a_failure(detector, tmp_path):
    reasons = damaged(tmp_path / "clips")
    report = score({"fan": detector}, [tmp_path / "clips"], tmp_path / "out")
    assert report.n_scored == 0
    assert len(failures_in(tmp_path / "out")) == len(reasons)
    assert not list((tmp_path / "out").glob("anomaly_score*"))


def test_one_file_that_cannot_be_used_is_refused_by_name(detector, tmp_path):
    for name in damaged(tmp_path):
        with pytest.raises(AudioError, match=re.escape(str(tmp_path / name))):
            score_clip(detector, tmp_path / name)


def test_a_path_may_be_text(detector, tmp_path):
    (path,) = write_clips(tmp_path / "clips", 1)
    assert score_clip(detector, str(path)) == score_clip(detector, path)
    score({"fan": detector}, [str(path)], str(tmp_path / "out"))
    assert scores_in(tmp_path / "out") == {"000.wav": score_clip(detector, path)}


# Which detector scores what


def test_one_detector_scores_whatever_it_is_given(pump, detector, tmp_path):
    data, _ = pump
    report = score({"fan": detector}, [data], tmp_path / "out")
    (found,) = read_scores(tmp_path / "out")
    assert found.machine_type == "fan"
    assert report.n_scored == 4
    assert report.notes == ["pump: scored by the detector of fan"]


def test_one_detector_scores_files_beside_a_data_set_of_its_machine(fan, detector, tmp_path):
    write_clips(tmp_path / "clips", 1)
    score({"fan": detector}, [fan, tmp_path / "clips" / "000.wav"], tmp_path / "out")
    assert "000.wav" in scores_in(tmp_path / "out")


def test_several_detectors_score_the_clips_of_their_machines(fan, pump, detector, tmp_path):
    data, other = pump
    report = score({"fan": detector, "pump": other}, [fan, data], tmp_path / "out")
    found = {machine.machine_type: machine for machine in read_scores(tmp_path / "out")}
    assert {name: len(machine.file_names) for name, machine in found.items()} == {"fan": 8, "pump": 4}
    clip = data / "test" / found["pump"].file_names[0]
    assert found["pump"].anomaly_scores[0] == score_clip(other, clip) != score_clip(detector, clip)
    assert report.notes == []


def test_machines_without_a_detector_are_left_out_with_a_note(fan, pump, detector, tmp_path):
    data, _ = pump
    report = score({"fan": detector, "valve": detector}, [fan, data], tmp_path / "out")
    assert report.notes == ["pump: no detector, not scored"]
    assert {machine.machine_type for machine in read_scores(tmp_path / "out")} == {"fan"}


def test_several_detectors_and_recordings_without_a_machine_type_are_refused(pump, detector, tmp_path):
    _, other = pump
    write_clips(tmp_path / "clips", 2)
    with pytest.raises(DataError, match=r"recordings without a machine type; there are detectors for fan, pump"):
        score({"fan": detector, "pump": other}, [tmp_path / "clips"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_recordings_of_one_name_are_two_rows_with_their_paths(detector, tmp_path):
    for day in ("2024-03-01", "2024-03-02"):
        write_clips(tmp_path / "today" / day, 1 if day.endswith("1") else 2)
    assert score({"fan": detector}, [tmp_path / "today"], tmp_path / "out").n_scored == 3
    (scores,) = read_scores(tmp_path / "out")
    assert scores.file_names == ("2024-03-01/000.wav", "2024-03-02/000.wav", "001.wav")


def test_clips_of_two_machines_of_one_name_are_kept_apart_where_one_detector_scores_both(pump, detector, tmp_path):
    data, _ = pump
    root = tmp_path / "data"
    for name in ("valve", "slider"):
        shutil.copytree(data, root / name)
    score({"fan": detector}, [root], tmp_path / "out")
    (scores,) = read_scores(tmp_path / "out")
    assert len(set(scores.file_names)) == 8
    assert all(name.startswith(("valve/test/", "slider/test/")) for name in scores.file_names)


def test_a_file_that_is_given_twice_is_scored_once(detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 2)
    report = score({"fan": detector}, [tmp_path / "clips", paths[0]], tmp_path / "out")
    assert report.n_scored == 2


def test_normal_clips_beside_anomalous_ones_are_left_out_with_a_note_unless_they_are_named(detector, tmp_path):
    write_clips(tmp_path / "held" / "Normal", 2)
    for path in write_clips(tmp_path / "held" / "abnormal", 3, first_seed=10):
        path.rename(path.with_stem(f"odd-{path.stem}"))
    report = score({"fan": detector}, [tmp_path / "held"], tmp_path / "odd")
    assert report.n_scored == 3
    assert any(str(tmp_path / "held" / "Normal") in note and "not scored" in note for note in report.notes)
    both = score({"fan": detector}, [tmp_path / "held", tmp_path / "held" / "Normal"], tmp_path / "both")
    assert both.n_scored == 5
    assert not any("not scored" in note for note in both.notes)


@pytest.mark.parametrize("paths", [["none"], ["folder"]])
def test_nothing_to_score_is_refused(detector, tmp_path, paths):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=re.escape(str(tmp_path / paths[0]))):
        score({"fan": detector}, [tmp_path / path for path in paths], tmp_path / "out")


def test_no_paths_at_all_make_no_scores(detector, tmp_path):
    with pytest.raises(DataError, match="nothing to score"):
        score({"fan": detector}, [], tmp_path / "out")


# Where the scores go


def test_scores_are_not_replaced_unasked(detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 3)
    score({"fan": detector}, paths[:2], tmp_path / "out")
    before = scores_in(tmp_path / "out")
    with pytest.raises(OutputError, match=r"out: holds scores already \(anomaly_score_fan.*\); --overwrite"):
        score({"fan": detector}, paths, tmp_path / "out")
    assert scores_in(tmp_path / "out") == before
    score({"fan": detector}, paths[2:], tmp_path / "out", overwrite=True)
    assert scores_in(tmp_path / "out").keys() == {"002.wav"}


def test_overwriting_removes_the_scores_of_other_machines_and_old_failures_but_nothing_else(pump, detector, tmp_path):
    data, other = pump
    damaged(tmp_path / "clips")
    score({"pump": other}, [data, tmp_path / "clips"], tmp_path / "out")
    (tmp_path / "out" / "evaluation.csv").write_text("mine")
    (path,) = write_clips(tmp_path / "good", 1)
    score({"fan": detector}, [path], tmp_path / "out", overwrite=True)
    assert {machine.machine_type for machine in read_scores(tmp_path / "out")} == {"fan"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "anomaly_score_fan_section_00_test.csv",
        "decision_result_fan_section_00_test.csv",
        "evaluation.csv",
        "p_value_fan_section_00_test.csv",
        "scores.csv",
    ]


def test_a_file_of_a_similar_name_survives_overwriting(detector, tmp_path):
    (path,) = write_clips(tmp_path / "clips", 1)
    mine = ["anomaly_score_fan_section_00_test.csv.bak", "failed.csv.old"]
    score({"fan": detector}, [path], tmp_path / "out")
    for name in mine:
        (tmp_path / "out" / name).write_text("mine")
    score({"fan": detector}, [path], tmp_path / "out", overwrite=True)
    assert all((tmp_path / "out" / name).exists() for name in mine)


def test_rows_of_a_scoring_that_died_are_not_replaced_unasked(detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 1)
    (tmp_path / "out").mkdir()
    left = tmp_path / "out" / "anomaly_score_fan_section_00_test.csv.partial"
    left.write_text("x.wav,1.0\n")
    with pytest.raises(OutputError, match="holds scores already"):
        score({"fan": detector}, paths, tmp_path / "out")
    assert left.read_text() == "x.wav,1.0\n"
    score({"fan": detector}, paths, tmp_path / "out", overwrite=True)
    assert not left.exists()


def test_a_file_in_the_place_of_the_folder_is_refused(detector, tmp_path):
    paths = write_clips(tmp_path / "clips", 1)
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match=r"out: is a file; a folder"):
        score({"fan": detector}, paths, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_text() == "mine"


# What is said


def test_silence_and_short_clips_are_scored_with_a_warning(detectors, tmp_path):
    ordinary, silent, short = write_clips(tmp_path / "clips", 3)
    soundfile.write(silent, np.zeros(8_000), RATE)
    soundfile.write(short, noise(1_000), RATE)
    report = score({"fan": detectors["conditional"]}, [tmp_path / "clips"], tmp_path / "out")
    assert scores_in(tmp_path / "out").keys() == {path.name for path in (ordinary, silent, short)}
    assert report.n_scored == 3
    assert report.failures == []
    assert {
        f"{silent}: digital silence",
        f"{short}: 4 frames, shorter than one segment of 8: repeated to fill it",
    } <= set(report.warnings)


def test_progress_is_told_of_each_recording_damaged_or_not(detector, tmp_path):
    write_clips(tmp_path / "clips", 3)
    (tmp_path / "clips" / "empty.wav").write_bytes(b"")
    told = []
    score({"fan": detector}, [tmp_path / "clips"], tmp_path / "out", progress=lambda *what: told.append(what))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_sections_of_a_machine_have_files_of_their_own(detector, tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for section in (0, 3):
        soundfile.write(folder / f"section_{section:02d}_0000.wav", noise(seed=section), RATE)
    score({"fan": detector}, [folder], tmp_path / "out")
    assert [machine.section for machine in read_scores(tmp_path / "out")] == ["section_00", "section_03"]


def test_recordings_that_the_detector_was_trained_on_are_recognised_under_any_name(fan, detector, tmp_path):
    copies = tmp_path / "copies"
    copies.mkdir()
    for index, path in enumerate(sorted((fan / "train").iterdir())[:3]):
        waveform, rate = soundfile.read(path, dtype="int16")
        soundfile.write(copies / f"new{index}.flac", waveform, rate)  # another container, the same sound
    report = score({"fan": detector}, copies, tmp_path / "out")
    assert (report.n_scored, report.n_known) == (3, 3)
    assert report.notes[0] == (
        "3 of these are clips that the detector was trained on: they look more normal than they are"
    )
    assert {row.verdict for row in report.rows} <= {"cannot tell", "anomalous"}
    write_clips(copies, 2)
    again = score({"fan": detector}, [copies])
    assert (again.n_scored, again.n_known) == (5, 3)
    assert score({"fan": detector}, [fan / "test"]).n_known == 0


def test_the_order_of_recordings_is_said_where_times_give_another(detector, tmp_path):
    ruled = replace(detector, alarm_rule=rule())
    paths = write_clips(tmp_path / "clips", 3)
    for index, path in enumerate(paths):
        os.utime(path, (1.7e9 + index, 1.7e9 + index))
    assert not any("order" in note for note in score({"fan": ruled}, paths, has_alarms=True).notes)
    os.utime(paths[0], (1.8e9, 1.8e9))
    assert any("in the order of their names" in note for note in score({"fan": ruled}, paths, has_alarms=True).notes)
    assert not any("order" in note for note in score({"fan": ruled}, paths).notes)


def test_machines_that_share_a_detector_have_windows_of_their_own(detector, tmp_path):
    ruled = replace(detector, alarm_rule=rule(n_anomalous=2, n_clips=2, p_value=1.0))
    for name in ("p1/a.wav", "p2/a.wav"):
        write_clips((tmp_path / "in" / name).parent, 1)
    assert score({"fan": ruled}, tmp_path / "in", has_alarms=True).alarms == []
    write_clips(tmp_path / "in" / "p1", 2)
    report = score({"fan": ruled}, tmp_path / "in", has_alarms=True)
    assert report.alarms == [tmp_path / "in" / "p1" / "001.wav"]


def test_where_nothing_is_left_to_score_the_folders_that_are_not_read_are_named(detector, tmp_path):
    write_clips(tmp_path / "fan" / "normal", 2)
    write_clips(tmp_path / "fan" / "worn", 2, first_seed=7)
    with pytest.raises(DataError, match=r"has no test clips.*2 recordings in it \(worn\) are not read"):
        score({"fan": detector}, tmp_path / "fan")
