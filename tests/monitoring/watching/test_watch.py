"""Every recording that appears is scored once, whatever else happens, and alarms are sent."""

import contextlib
import csv
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import watchfiles

from monitored import age, hum, record, rule
from soundness.detectors.bulk_scoring import score_clip
from soundness.detectors.saving import save_detector
from soundness.monitoring.watching.counts import WatchCounts
from soundness.monitoring.watching.watch import watch
from webhook_server import taking_alarms

PROGRAM = "from soundness.cli import main; main()"


class Watched:
    """A folder that is watched again and again for two looks, what that has counted in all, and its alarms."""

    def __init__(self, folder, detectors, log, **options):
        run = log.parent / "run"
        run.mkdir(exist_ok=True)
        for name, detector in detectors.items():
            save_detector(replace(detector, machine_type=name), run / f"{name}.soundness")
        self.folder, self.options = folder, {"detector": run, "log": log, "poll_seconds": 0.05, **options}
        self.alarms = []
        self.counts = WatchCounts()

    def look(self):
        found = watch(self.folder, once=True, on_alarm=lambda row: self.alarms.append(row.file), **self.options)
        for name in ("n_scored", "n_failed", "n_alarms"):
            setattr(found, name, getattr(self.counts, name) + getattr(found, name))
        self.counts = found
        return self


@pytest.fixture
def detector(calibrated):
    return replace(calibrated[0], alarm_rule=rule())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def watched(folder, detector, tmp_path):
    return Watched(folder, {"fan": detector}, tmp_path / "alarms.csv")


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_recording_that_is_unchanged_is_scored_once(folder, watched, detector, tmp_path):
    path = record(folder / "a.wav", 50)
    for _ in range(3):
        watched.look()
    (row,) = rows(tmp_path / "alarms.csv")
    assert (row["event"], row["machine"], row["file"]) == ("clip", "fan", "a.wav")
    assert float(row["score"]) == score_clip(detector, path)
    assert float(row["p_value"]) == detector.p_value(float(row["score"]))


def test_the_rule_is_applied_in_the_order_in_which_recordings_were_finished(folder, calibrated, tmp_path):
    ordered = replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=2))
    found = Watched(folder, {"fan": ordered}, tmp_path / "alarms.sqlite")
    for name, ago, is_anomalous in (
        ("d", 40, True),
        ("a", 30, False),
        ("c", 20, True),
        ("b", 10, True),
        ("e", 5, True),
    ):
        record(folder / f"{name}.wav", 60, seconds_ago=ago, is_anomalous=is_anomalous)
    found.look()
    assert found.alarms == ["b.wav"]  # c and b follow each other; d is alone; with e the alarm goes on
    assert (found.counts.n_scored, found.counts.n_alarms) == (5, 1)


def test_a_window_goes_on_after_a_restart(folder, calibrated, tmp_path):
    ordered = replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=2))
    alarms = []
    for name in ("a", "b", "c"):
        record(folder / f"{name}.wav", 60, is_anomalous=True)
        found = Watched(folder, {"fan": ordered}, tmp_path / "alarms.csv").look()
        alarms.append(found.alarms)
    assert alarms == [[], ["b.wav"], []]


def test_a_recording_that_grows_is_left_alone_until_it_is_whole(folder, watched, tmp_path, caplog):
    whole = record(tmp_path / "whole.wav", 51).read_bytes()
    for length in (0, 20, 44, 5_000, len(whole) - 1):
        (folder / "a.wav").write_bytes(whole[:length])
        watched.look()
    assert watched.counts.n_scored == watched.counts.n_failed == 0
    assert watched.counts.n_waiting == 1
    (folder / "a.wav").write_bytes(whole)
    watched.look()
    assert watched.counts.n_scored == 1
    assert watched.counts.n_waiting == 0
    assert caplog.messages == []


def test_a_half_written_recording_that_nobody_goes_on_with_is_named_once_and_scored_when_it_is_whole(
    folder, watched, tmp_path, caplog
):
    whole = record(tmp_path / "whole.wav", 52).read_bytes()
    (folder / "a.wav").write_bytes(whole[:6_000])
    age(folder / "a.wav", 100)
    record(folder / "b.wav", 53)
    watched.look()
    (said,) = caplog.messages
    assert said.startswith(f"{folder / 'a.wav'}: truncated; its header says")
    assert [(row["event"], row["file"]) for row in rows(tmp_path / "alarms.csv")] == [
        ("failed", "a.wav"),
        ("clip", "b.wav"),
    ]
    (folder / "a.wav").write_bytes(whole)
    watched.look()
    assert rows(tmp_path / "alarms.csv")[-1]["event"] == "clip"


def test_a_recording_whose_header_is_not_complete_is_given_time(folder, watched, tmp_path):
    content = bytearray(record(tmp_path / "whole.wav", 54).read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = bytes(4)  # as a recorder leaves it until it closes the file
    (folder / "a.wav").write_bytes(content)
    watched.look()
    assert (watched.counts.n_scored, watched.counts.n_waiting) == (0, 1)
    age(folder / "a.wav", 100)
    watched.look()
    assert (watched.counts.n_scored, watched.counts.n_waiting) == (1, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"no sound at all" * 100, "not audio"), (b"", "empty file"), (None, "samples that are no")],
)
def test_a_bad_recording_never_stops_a_watch(folder, watched, tmp_path, caplog, content, message):
    if content is None:
        soundfile.write(folder / "a.wav", np.full(8_000, np.nan, dtype=np.float32), 16_000, subtype="FLOAT")
    else:
        (folder / "a.wav").write_bytes(content)
    age(folder / "a.wav", 60)
    record(folder / "b.wav", 54)
    watched.look()
    assert len(caplog.messages) == 1
    assert message in caplog.messages[0]
    assert [row["event"] for row in rows(tmp_path / "alarms.csv")] == ["failed", "clip"]
    assert message in rows(tmp_path / "alarms.csv")[0]["message"]


def test_a_recording_that_is_deleted_before_it_is_read_is_logged_as_gone(folder, watched, tmp_path, caplog):
    (folder / "a.wav").write_bytes(b"no sound")
    age(folder / "a.wav", 60)
    path = record(folder / "b.wav", 55)

    class Delete(logging.Handler):  # the first recording is logged before the second one is read
        def emit(self, _):
            path.unlink(missing_ok=True)

    logger, handler = logging.getLogger("soundness"), Delete()
    logger.addHandler(handler)
    watched.look()
    logger.removeHandler(handler)
    assert [(row["file"], row["event"]) for row in rows(tmp_path / "alarms.csv")] == [
        ("a.wav", "failed"),
        ("b.wav", "failed"),
    ]
    assert caplog.messages[1] == f"{path}: gone before it could be read"


def test_only_the_allowed_part_of_a_long_recording_is_scored_and_a_note_says_so(folder, detector, tmp_path, caplog):
    found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", longest_seconds=0.5)
    beginning = hum(57, seconds=0.5)
    soundfile.write(folder / "long.wav", np.concatenate([beginning, hum(58, is_anomalous=True, seconds=3.0)]), 16_000)
    soundfile.write(tmp_path / "beginning.wav", beginning, 16_000)
    found.look()
    (row,) = rows(tmp_path / "alarms.csv")
    assert float(row["score"]) == score_clip(detector, tmp_path / "beginning.wav")
    assert row["message"] == "only the first 0.5 s of 4 s were scored"  # 3.5 s, rounded
    assert caplog.messages == [f"{folder / 'long.wav'}: only the first 0.5 s of 4 s were scored"]


def test_of_several_detectors_that_of_the_folder_scores(folder, detector, tmp_path, caplog):
    found = Watched(folder, {"fan": detector, "pump": detector}, tmp_path / "alarms.csv")
    record(folder / "fan" / "a.wav", 59, seconds_ago=50)
    record(folder / "saw" / "b.wav", 60)
    found.look()
    assert sorted((row["file"], row["event"]) for row in rows(tmp_path / "alarms.csv")) == [
        ("fan/a.wav", "clip"),
        ("saw/b.wav", "failed"),
    ]
    assert "no detector for it; there are detectors for fan, pump" in caplog.messages[0]


def test_alarms_reach_the_webhook_once_and_in_order(folder, detector, tmp_path):
    with taking_alarms() as server:
        found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url)
        for index, is_anomalous in enumerate((True, False, True)):
            record(folder / f"{index}.wav", 60, seconds_ago=30 - 10 * index, is_anomalous=is_anomalous)
        found.look()
        found.look()
    assert [content["file"] for content in server.came] == ["0.wav", "2.wav"]
    first = server.came[0]
    assert (first["machine"], first["p_value"]) == ("fan", 1 / 25)
    assert first.keys() == {"id", "time", "machine", "file", "score", "p_value", "raised", "reason"}
    assert "1.2 kHz to 1.7 kHz" in first["reason"]
    assert server.messages[0][0]["Idempotency-Key"] == first["id"]


def test_a_webhook_that_is_down_stops_nothing_and_gets_alarms_later_even_after_a_restart(
    folder, detector, tmp_path, caplog
):
    with taking_alarms() as server:
        port = int(server.url.split(":")[2].split("/")[0])
    found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url)
    for index in range(3):
        record(folder / f"{index}.wav", 60, seconds_ago=30 - 10 * index, is_anomalous=index != 1)
    found.look()
    assert found.counts.n_scored == 3
    assert found.counts.n_unsent == 2
    assert ["events are kept" in line for line in caplog.messages] == [True, True]  # now, and at the end
    with taking_alarms(port) as server:
        server.statuses.append(503)
        assert found.look().counts.n_unsent == 0
    assert [content["file"] for content in server.came] == ["0.wav", "2.wav"]


class StopError(Exception):
    """Ends a watch at its first alarm."""


@pytest.mark.parametrize("is_reported", [True, False])
def test_a_recording_that_appears_is_scored_whether_or_not_the_system_reports_changes(
    calibrated, folder, tmp_path, monkeypatch, is_reported
):
    def refuse(*_, **__):
        raise OSError("no file watches left")

    if not is_reported:
        monkeypatch.setattr(watchfiles, "watch", refuse)
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "d.soundness")
    appear = threading.Timer(0.5, record, (folder / "a.wav", 1), {"is_anomalous": True})
    appear.start()

    def stop(row):
        assert row.file == "a.wav"
        raise StopError

    with pytest.raises(StopError):
        watch(folder, detector=tmp_path / "d.soundness", poll_seconds=0.2, on_alarm=stop)
    appear.join()


@pytest.mark.parametrize("gain", [1e30, np.nan])
def test_a_whole_recording_that_cannot_be_used_is_logged_at_once(folder, watched, tmp_path, gain):
    soundfile.write(folder / "a.wav", (gain * hum(1)).astype(np.float32), 16_000, subtype="FLOAT")
    watched.look()
    (row,) = rows(tmp_path / "alarms.csv")
    assert (row["event"], row["file"]) == ("failed", "a.wav")
    assert watched.counts.n_waiting == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".sqlite"])
def test_a_watch_that_is_killed_again_and_again_scores_every_recording_exactly_once(
    calibrated, folder, tmp_path, suffix
):
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "d.soundness")
    log = tmp_path / f"alarms{suffix}"
    command = [sys.executable, "-c", PROGRAM, "watch", str(folder), "--detector", str(tmp_path / "d.soundness")]
    command += ["--log", str(log), "--poll", "0.05"]
    names = [f"{index:03d}.wav" for index in range(60)]
    written = 0
    for n_scored in (8, 60):  # killed as soon as so many are logged, while others still appear
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(_files(log, suffix)) < n_scored and time.monotonic() < deadline:
            if written < len(names):
                record(folder / names[written], written, is_anomalous=written % 7 == 0)
                written += 1
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert sorted(_files(log, suffix)) == names


def _files(log, suffix):
    """Names in a log that a watch is writing."""
    if not log.exists():
        return []
    if suffix == ".csv":
        return [line.split(",")[3] for line in log.read_text().splitlines(keepends=True)[1:] if line.endswith("\n")]
    with contextlib.closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as database:
        try:
            return [name for (name,) in database.execute("SELECT file FROM soundness_clips")]
        except sqlite3.OperationalError:  # there is no table yet
            return []


LITTLE_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
@pytest.mark.parametrize(("n_bytes", "may_begin"), [(600, False), (400_000, True)])
def test_a_full_disk_ends_a_watch_with_one_line_and_the_same_command_goes_on(
    calibrated, folder, tmp_path, n_bytes, may_begin
):
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "d.soundness")
    names = [f"{index:02d}.wav" for index in range(40)]
    for index, name in enumerate(names):
        record(folder / name, 500 + index, seconds_ago=100 - index)
    arguments = ["watch", str(folder), "--detector", str(tmp_path / "d.soundness"), "--once", "--poll", "0.01"]
    arguments += ["--log", str(tmp_path / "log.csv")]
    before = LITTLE_ROOM.format(n_bytes)
    full, done = (
        subprocess.run(
            [sys.executable, "-c", f"{start}{PROGRAM}", *arguments], capture_output=True, text=True, check=False
        )
        for start in (before, "")
    )
    assert [full.returncode, done.returncode] == [2, 0]
    (line,) = full.stderr.splitlines()
    assert line.startswith(f"soundness: {tmp_path / 'log'}.")
    assert [row["file"] for row in rows(tmp_path / "log.csv")] == names
    assert ("40 recordings scored" in done.stdout) is not may_begin


def events(path):
    return [(row["event"], row["file"]) for row in rows(path)]


@pytest.mark.parametrize("hours", [1, -1, 5.5, 14])
def test_a_recording_whose_time_has_moved_by_hours_is_known_and_another_content_is_not(
    folder, watched, tmp_path, hours
):
    for name in ("a.wav", "b.wav"):
        record(folder / name, 50 + len(name), seconds_ago=100)
    watched.look()
    record(folder / "b.wav", 99, seconds_ago=100)  # another recording under an old name
    for path in folder.glob("*.wav"):
        age(path, 3600 * hours)
    watched.look()
    assert watched.counts.n_scored == 3
    assert sorted(events(tmp_path / "alarms.csv")[2:]) == [("clip", "b.wav"), ("known", "a.wav")]
    watched.look()
    assert watched.counts.n_waiting == 0
    assert len(rows(tmp_path / "alarms.csv")) == 4


def test_a_recording_that_is_copied_over_itself_is_known_and_silence_is_not(folder, watched, tmp_path):
    record(folder / "a.wav", 50, seconds_ago=5_000)
    soundfile.write(folder / "b.wav", np.zeros(8_000), 16_000)
    age(folder / "b.wav", 5_000)
    watched.look()
    assert watched.counts.n_scored == 2
    for name in ("a.wav", "b.wav"):  # as by a tool that does not keep times, and by a microphone that is dead
        age(folder / name, -3_456)
    watched.look()
    assert sorted(events(tmp_path / "alarms.csv")[2:]) == [("clip", "b.wav"), ("known", "a.wav")]


def test_a_recording_that_is_moved_is_known_and_a_copy_of_it_is_another(folder, watched, tmp_path):
    record(folder / "a.wav", 50, seconds_ago=100)
    watched.look()
    (folder / "done").mkdir()
    (folder / "a.wav").rename(folder / "done" / "a.wav")
    watched.look()
    assert events(tmp_path / "alarms.csv") == [("clip", "a.wav"), ("known", "done/a.wav")]
    shutil.copy2(folder / "done" / "a.wav", folder / "copy.wav")
    watched.look()
    assert watched.counts.n_scored == 2


def test_each_folder_is_a_machine_with_a_window_of_its_own(folder, calibrated, tmp_path):
    ordered = replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=2))
    found = Watched(folder, {"fan": ordered}, tmp_path / "alarms.csv")
    for index, (name, is_anomalous) in enumerate(
        [("p1/2024-03-01/a", True), ("p2/a", False), ("p1/2024-03-02/b", True), ("p2/b", True), ("c", True)]
    ):
        record(folder / f"{name}.wav", 60 + index, seconds_ago=50 - index, is_anomalous=is_anomalous)
    found.look()
    assert found.alarms == ["p1/2024-03-02/b.wav"]
    machines = {
        "p1/2024-03-01/a.wav": "p1",
        "p1/2024-03-02/b.wav": "p1",
        "p2/a.wav": "p2",
        "p2/b.wav": "p2",
        "c.wav": "fan",
    }
    assert {row["file"]: row["machine"] for row in rows(tmp_path / "alarms.csv")} == machines


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")
def test_a_recording_that_somebody_has_open_to_write_is_left_alone(folder, watched, tmp_path):
    whole = record(tmp_path / "whole.wav", 51).read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; f = open(sys.argv[1], 'ab'); print(flush=True); input()", folder / "a.wav"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (folder / "a.wav").write_bytes(whole)
        watched.look()
        assert (watched.counts.n_scored, watched.counts.n_waiting) == (0, 1)
        writer.communicate(b"\n")
    watched.look()
    assert watched.counts.n_scored == 1


@pytest.mark.parametrize("suffix", [".csv", ".sqlite"])
def test_names_of_strangers_are_logged_and_known_again(folder, calibrated, tmp_path, suffix):
    names = ["=1+1.wav", "a\nb.wav", os.fsdecode(b"Stra\xdfe.wav"), "'x.wav", "@x/fan\nx/y.wav"]
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "new.wav", 60 + index).rename(folder / name)
    for _ in range(2):
        found = Watched(folder, {"fan": calibrated[0]}, tmp_path / f"alarms{suffix}").look()
        assert found.counts.n_failed == 0
    assert found.counts.n_scored == 0
    if suffix == ".csv":
        logged = rows(tmp_path / "alarms.csv")
        assert len({row["file"] for row in logged}) == len(logged) == len(names)
        assert not any(cell.startswith(("=", "@")) for row in logged for cell in (row["file"], row["machine"]))


def test_a_recording_that_is_logged_is_counted_and_its_alarm_said_though_ctrl_c_is_pressed_then(
    folder, watched, caplog
):
    caplog.set_level(logging.INFO, "soundness.monitoring.watching")
    record(folder / "a.wav", 50, is_anomalous=True)
    alarms = []

    def interrupt(row):
        signal.raise_signal(signal.SIGINT)
        alarms.append(row.file)

    counts = watch(folder, **watched.options, on_alarm=interrupt)
    assert (counts.n_scored, counts.n_alarms, alarms) == (1, 1, ["a.wav"])
    assert events(watched.options["log"]) == [("clip", "a.wav")]
    assert caplog.messages[-1] == "stopped; the same command goes on from here"


def test_a_machine_that_appears_while_a_watch_runs_has_alarms_of_its_own(folder, watched):
    record(folder / "p1" / "a.wav", 50, is_anomalous=True)
    found = []

    def begin_another(row):
        found.append((row.machine, row.file))
        if row.machine == "p2":
            raise StopError
        record(folder / "p2" / "b.wav", 51, is_anomalous=True)

    with pytest.raises(StopError):
        watch(folder, **watched.options, on_alarm=begin_another)
    assert found == [("p1", "p1/a.wav"), ("p2", "p2/b.wav")]


def test_a_recording_that_changes_between_the_look_and_its_scoring_is_scored_once_as_it_is_then(
    folder, watched, detector
):
    (folder / "a.wav").write_bytes(b"no sound")
    age(folder / "a.wav", 60)
    record(folder / "b.wav", 55, seconds_ago=50)

    class Rewrite(logging.Handler):  # the first recording is logged before the second one is read
        def emit(self, _):
            if not watched.counts.n_scored:
                record(folder / "b.wav", 56)

    logger, handler = logging.getLogger("soundness"), Rewrite()
    logger.addHandler(handler)
    watched.look()
    logger.removeHandler(handler)
    assert events(watched.options["log"]) == [("failed", "a.wav")]
    assert watched.counts.n_waiting == 1
    watched.look()
    _, row = rows(watched.options["log"])
    assert (row["file"], float(row["score"])) == ("b.wav", score_clip(detector, folder / "b.wav"))
    assert watched.counts.n_waiting == 0


def test_files_that_look_like_recordings_and_cannot_be_read_are_named_and_count_as_failed(folder, watched, caplog):
    (folder / "odd.gsm").write_bytes(bytes(100))
    age(folder / "odd.gsm", 100)
    record(folder / "a.wav", 1)
    watched.look()
    assert (watched.counts.n_scored, watched.counts.n_failed) == (1, 1)
    assert any("odd.gsm" in line and "convert them to WAV" in line for line in caplog.messages)


def test_a_detector_without_a_rule_scores_and_raises_no_alarm(folder, calibrated, tmp_path, caplog):
    found = Watched(folder, {"fan": replace(calibrated[0], alarm_rule=None)}, tmp_path / "alarms.csv")
    record(folder / "a.wav", 60, is_anomalous=True)
    assert found.look().counts.n_scored == 1
    (row,) = rows(tmp_path / "alarms.csv")
    assert (row["anomalous"], row["alarm"], row["event"]) == ("0", "0", "clip")
    assert "the detector of fan has no alarm rule" in caplog.messages[0]


def test_a_detector_without_p_values_scores(folder, calibrated, tmp_path):
    found = Watched(folder, {"fan": replace(calibrated[0], calibration=None)}, tmp_path / "alarms.csv")
    path = record(folder / "a.wav", 60, is_anomalous=True)
    assert found.look().counts.n_scored == 1
    (row,) = rows(tmp_path / "alarms.csv")
    assert (float(row["score"]), row["p_value"]) == (score_clip(calibrated[0], path), "")


def test_a_folder_that_goes_away_is_named_and_looked_at_again(folder, watched, tmp_path, caplog):
    record(folder / "a.wav", 50, is_anomalous=True)

    class Back(logging.Handler):
        def emit(self, entry):
            if "no such folder" in entry.getMessage():
                (tmp_path / "away").rename(folder)
                record(folder / "b.wav", 50, is_anomalous=False)
                record(folder / "c.wav", 51, is_anomalous=True, seconds_ago=-1)

    def away(row):
        if row.file == "c.wav":
            raise StopError
        folder.rename(tmp_path / "away")

    logger, handler = logging.getLogger("soundness"), Back()
    logger.addHandler(handler)
    with pytest.raises(StopError):
        watch(folder, **watched.options, on_alarm=away)
    logger.removeHandler(handler)
    assert [line for line in caplog.messages if "looking again" in line] == [
        f"{folder}: no such folder, or it cannot be reached; looking again"
    ]
