"""Every recording that appears is scored once, whatever else happens, and alarms are sent."""

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
from soundness.monitoring.event_log import open_log
from soundness.monitoring.folder_watch import Watch, watch
from soundness.monitoring.recording_files import changes
from soundness.monitoring.webhook import AlarmSender
from webhook_server import taking_alarms

PROGRAM = "from soundness.cli import main; main()"


class Watched:
    """A folder that is watched, and its alarms."""

    def __init__(self, folder, detectors, log, *, longest_seconds=60.0, webhook=None, settled_seconds=0.0, **options):
        self.alarms = []
        self.log = open_log(log)
        self.watch = Watch(
            folder=folder,
            detectors=detectors,
            log=self.log,
            longest_seconds=longest_seconds,
            settled_seconds=settled_seconds,
            on_alarm=lambda row: self.alarms.append(row.file),
            sender=None if webhook is None else AlarmSender(webhook, self.log, **options),
        )

    def look(self, n_times=2):
        for _ in range(n_times):
            self.watch.look()
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
    found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv")
    yield found
    found.log.close()


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_recording_is_scored_at_the_second_look_that_finds_it_unchanged_and_never_again(
    folder, watched, detector, tmp_path
):
    path = record(folder / "a.wav", 50)
    watched.look(1)
    assert rows(tmp_path / "alarms.csv") == []
    watched.look(4)
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
    assert (found.watch.counts.n_scored, found.watch.counts.n_alarms) == (5, 1)
    found.log.close()


def test_a_window_goes_on_after_a_restart(folder, calibrated, tmp_path):
    ordered = replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=2))
    alarms = []
    for name in ("a", "b", "c"):
        record(folder / f"{name}.wav", 60, is_anomalous=True)
        found = Watched(folder, {"fan": ordered}, tmp_path / "alarms.csv").look()
        alarms.append(found.alarms)
        found.log.close()
    assert alarms == [[], ["b.wav"], []]


def test_a_recording_that_grows_is_left_alone_until_it_is_whole(folder, watched, tmp_path, caplog):
    whole = record(tmp_path / "whole.wav", 51).read_bytes()
    for length in (0, 20, 44, 5_000, len(whole) - 1):
        (folder / "a.wav").write_bytes(whole[:length])
        watched.look(3)
    assert watched.watch.counts.n_scored == watched.watch.counts.n_failed == 0
    assert watched.watch.counts.n_waiting == 1
    (folder / "a.wav").write_bytes(whole)
    watched.look()
    assert watched.watch.counts.n_scored == 1
    assert watched.watch.counts.n_waiting == 0
    assert caplog.messages == []


def test_a_half_written_recording_that_nobody_goes_on_with_is_named_once_and_scored_when_it_is_whole(
    folder, watched, tmp_path, caplog
):
    whole = record(tmp_path / "whole.wav", 52).read_bytes()
    (folder / "a.wav").write_bytes(whole[:6_000])
    age(folder / "a.wav", 100)
    record(folder / "b.wav", 53)
    watched.look(5)
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
    watched.look(5)
    assert (watched.watch.counts.n_scored, watched.watch.counts.n_waiting) == (0, 1)
    age(folder / "a.wav", 100)
    watched.look(5)
    assert (watched.watch.counts.n_scored, watched.watch.counts.n_waiting) == (1, 0)


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
    watched.look(4)
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
    watched.look(3)
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
    found.log.close()


def test_of_several_detectors_that_of_the_folder_scores(folder, detector, tmp_path, caplog):
    found = Watched(folder, {"fan": detector, "pump": detector}, tmp_path / "alarms.csv")
    record(folder / "fan" / "a.wav", 59, seconds_ago=50)
    record(folder / "saw" / "b.wav", 60)
    found.look(3)
    assert [(row["file"], row["event"]) for row in rows(tmp_path / "alarms.csv")] == [
        ("fan/a.wav", "clip"),
        ("saw/b.wav", "failed"),
    ]
    assert "no detector for it; there are detectors for fan, pump" in caplog.messages[0]
    found.log.close()


def test_alarms_reach_the_webhook_once_and_in_order(folder, detector, tmp_path):
    with taking_alarms() as server:
        found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url)
        for index, is_anomalous in enumerate((True, False, True)):
            record(folder / f"{index}.wav", 60, seconds_ago=30 - 10 * index, is_anomalous=is_anomalous)
        found.look(4)
        found.log.close()
        again = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url).look(3)
        again.log.close()
    assert [content["file"] for content in server.came] == ["0.wav", "2.wav"]
    assert server.came[0]["machine"] == "fan"
    assert server.came[0]["p_value"] == 1 / 25


def test_a_webhook_that_is_down_stops_nothing_and_gets_alarms_later_even_after_a_restart(
    folder, detector, tmp_path, caplog
):
    with taking_alarms() as server:
        port = int(server.url.split(":")[2].split("/")[0])
    found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url)
    for index in range(3):
        record(folder / f"{index}.wav", 60, seconds_ago=30 - 10 * index, is_anomalous=index != 1)
    found.look(3)
    assert found.watch.counts.n_scored == 3
    assert found.watch.counts.n_unsent == 2
    assert [line for line in caplog.messages if "alarms are kept, and sent later" in line] == caplog.messages
    assert len(caplog.messages) == 1
    found.log.close()
    with taking_alarms(port) as server:
        server.statuses.append(503)
        again = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url, first_seconds=0.02)
        again.watch.insist()
        again.log.close()
    assert [content["file"] for content in server.came] == ["0.wav", "2.wav"]


def test_a_webhook_that_is_down_is_asked_ever_more_rarely(folder, detector, tmp_path):
    with taking_alarms() as server:
        server.statuses.extend([500] * 100)
        found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", webhook=server.url, first_seconds=60.0)
        record(folder / "a.wav", 60, is_anomalous=True)
        found.look(6)
        found.log.close()
    assert len(server.statuses) == 99


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


def test_a_change_is_noticed_before_the_next_look_is_due(folder):
    found = changes(folder, poll_seconds=60.0)
    appear = threading.Timer(0.5, record, (folder / "a.wav", 1))
    appear.start()
    started = time.monotonic()
    next(found)
    assert time.monotonic() - started < 30.0
    appear.join()


FEW_FILES = """
import os, resource, sys
from pathlib import Path
from soundness.monitoring.recording_files import changes
import watchfiles
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
next(changes(Path(sys.argv[1]), poll_seconds=0.05))
print("looked")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts its open files in /proc")
def test_without_a_free_file_descriptor_a_watch_looks_again_and_again(folder):
    done = subprocess.run([sys.executable, "-c", FEW_FILES, folder], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("looked\n", "")


@pytest.mark.parametrize("gain", [1e30, np.nan])
def test_a_whole_recording_that_cannot_be_used_is_logged_at_once(folder, watched, tmp_path, gain):
    soundfile.write(folder / "a.wav", (gain * hum(1)).astype(np.float32), 16_000, subtype="FLOAT")
    watched.look()
    (row,) = rows(tmp_path / "alarms.csv")
    assert (row["event"], row["file"]) == ("failed", "a.wav")
    assert watched.watch.counts.n_waiting == 0


def test_a_recording_settles_before_it_is_scored(folder, detector, tmp_path):
    found = Watched(folder, {"fan": detector}, tmp_path / "alarms.csv", settled_seconds=0.3)
    record(folder / "a.wav", 60)
    found.look(5)
    assert found.watch.counts.n_scored == 0
    time.sleep(0.3)
    assert found.look(1).watch.counts.n_scored == 1
    found.log.close()


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
        while _count(log, suffix) < n_scored and time.monotonic() < deadline:
            if written < len(names):
                record(folder / names[written], written, is_anomalous=written % 7 == 0)
                written += 1
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = open_log(log)
    known = [done.is_known((name, *_stamp(folder / name))) for name in names]
    done.close()
    assert all(known)
    assert _count(log, suffix) == len(names)


def _stamp(path):
    return path.stat().st_size, path.stat().st_mtime_ns


def _count(log, suffix):
    if not log.exists():
        return 0
    if suffix == ".csv":
        return max(0, log.read_bytes().count(b"\n") - 1)
    journal = log.with_name(f"{log.name}-journal")
    database = sqlite3.connect(f"file:{log}?immutable=1", uri=True)  # the watch has it to itself
    try:
        is_settled = not _is_hot(journal)
        count = database.execute("SELECT count(*) FROM soundness_clips").fetchone()[0]
        return count if is_settled and not _is_hot(journal) else 0  # a row that is not committed goes with its watch
    except sqlite3.DatabaseError:
        return 0  # it was written to while it was read
    finally:
        database.close()


def _is_hot(journal):
    return journal.exists() and any(journal.read_bytes()[:8])


LITTLE_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)); "


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
def test_a_full_disk_ends_a_watch_with_one_line_and_the_same_command_goes_on(calibrated, folder, tmp_path):
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "d.soundness")
    for index in range(8):
        record(folder / f"{index}.wav", 500 + index)
    arguments = ["watch", str(folder), "--detector", str(tmp_path / "d.soundness"), "--once", "--poll", "0.01"]
    done = [
        subprocess.run(
            [sys.executable, "-c", before + PROGRAM, *arguments], capture_output=True, text=True, check=False
        )
        for before in (LITTLE_ROOM, "")
    ]
    assert [one.returncode for one in done] == [2, 0]
    assert done[0].stderr.splitlines() == [f"soundness: {folder / 'alarms.csv'}: cannot be written: File too large"]
    assert sorted(row["file"] for row in rows(folder / "alarms.csv")) == [f"{index}.wav" for index in range(8)]


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
    assert watched.watch.counts.n_scored == 3
    assert sorted(events(tmp_path / "alarms.csv")[2:]) == [("clip", "b.wav"), ("known", "a.wav")]
    watched.look()
    assert watched.watch.counts.n_waiting == 0
    assert len(rows(tmp_path / "alarms.csv")) == 4


def test_a_recording_that_is_copied_over_itself_is_known_and_silence_is_not(folder, watched, tmp_path):
    record(folder / "a.wav", 50, seconds_ago=5_000)
    soundfile.write(folder / "b.wav", np.zeros(8_000), 16_000)
    age(folder / "b.wav", 5_000)
    watched.look()
    assert watched.watch.counts.n_scored == 2
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
    assert watched.watch.counts.n_scored == 2


def test_each_folder_is_a_machine_with_a_window_of_its_own(folder, calibrated, tmp_path):
    ordered = replace(calibrated[0], alarm_rule=rule(n_anomalous=2, n_clips=2))
    found = Watched(folder, {"fan": ordered}, tmp_path / "alarms.csv")
    for index, (name, is_anomalous) in enumerate(
        [("p1/2024-03-01/a", True), ("p2/a", False), ("p1/2024-03-02/b", True), ("p2/b", True), ("c", True)]
    ):
        record(folder / f"{name}.wav", 60 + index, seconds_ago=50 - index, is_anomalous=is_anomalous)
    found.look()
    assert found.alarms == ["p1/2024-03-02/b.wav"]
    assert [row["machine"] for row in rows(tmp_path / "alarms.csv")] == ["p1", "p2", "p1", "p2", "fan"]
    found.log.close()


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
        watched.look(3)
        assert (watched.watch.counts.n_scored, watched.watch.counts.n_waiting) == (0, 1)
        writer.communicate(b"\n")
    watched.look()
    assert watched.watch.counts.n_scored == 1


@pytest.mark.parametrize("suffix", [".csv", ".sqlite"])
def test_names_of_strangers_are_logged_and_known_again(folder, calibrated, tmp_path, suffix):
    names = ["=1+1.wav", "a\nb.wav", os.fsdecode(b"Stra\xdfe.wav"), "'x.wav", "@x/fan\nx/y.wav"]
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "new.wav", 60 + index).rename(folder / name)
    for _ in range(2):
        found = Watched(folder, {"fan": calibrated[0]}, tmp_path / f"alarms{suffix}").look()
        assert found.watch.counts.n_failed == 0
        found.log.close()
    assert found.watch.counts.n_scored == 0
    if suffix == ".csv":
        logged = rows(tmp_path / "alarms.csv")
        assert len({row["file"] for row in logged}) == len(logged) == len(names)
        assert not any(cell.startswith(("=", "@")) for row in logged for cell in (row["file"], row["machine"]))


class InterruptedLog:
    """A log during whose first row Ctrl-C is pressed."""

    def __init__(self, path):
        self.log = open_log(path)
        self.is_new = True

    def __getattr__(self, name):
        return getattr(self.log, name)

    def add(self, row):
        self.log.add(row)
        if self.is_new:
            self.is_new = False
            signal.raise_signal(signal.SIGINT)


def test_a_recording_that_is_logged_is_counted_and_its_alarm_said_though_ctrl_c_is_pressed_then(
    folder, watched, tmp_path
):
    record(folder / "a.wav", 50, is_anomalous=True)
    watched.watch.log = InterruptedLog(tmp_path / "other.csv")
    watched.look(1)
    with pytest.raises(KeyboardInterrupt):
        watched.look(1)
    assert (watched.watch.counts.n_scored, watched.watch.counts.n_alarms, watched.alarms) == (1, 1, ["a.wav"])
    watched.watch.log.close()
