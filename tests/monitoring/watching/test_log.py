"""The log of a watch tells what is in its store, however the watch before it ended."""

import contextlib
import csv
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from monitored import record, rule
from soundness.detectors.saving import save_detector
from soundness.errors import OutputError, SettingsError
from soundness.monitoring.watching.watch import watch

SUFFIXES = (".csv", ".sqlite")
OTHER_FILE = b"name,score\nx,1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"log{request.param}"


@pytest.fixture
def look(folder, calibrated, tmp_path):
    """Look at the folder, with a log."""
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "d.soundness")

    def look_at_it(path, **options):
        return watch(folder, detector=tmp_path / "d.soundness", log=path, once=True, poll_seconds=0.02, **options)

    return look_at_it


def write_clips(folder, n, *, anomalous=()):
    for index in range(n):
        record(folder / f"{index}.wav", 60 + index, seconds_ago=100 - index, is_anomalous=index in anomalous)


def cells(path, *names):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [tuple(row[name] for name in names) for row in csv.DictReader(file)]
    with contextlib.closing(sqlite3.connect(path)) as database:
        return [
            tuple(map(str, row))
            for row in database.execute(f"SELECT {','.join(names)} FROM soundness_clips ORDER BY id")
        ]


def test_a_log_can_be_read_by_anybody(folder, look, path):
    write_clips(folder, 3, anomalous=[1])
    look(path)
    assert cells(path, "event", "machine", "file", "anomalous", "alarm") == [
        ("clip", "fan", "0.wav", "0", "0"),
        ("clip", "fan", "1.wav", "1", "1"),
        ("clip", "fan", "2.wav", "0", "0"),
    ]
    times = [time for (time,) in cells(path, "time")]
    assert times == sorted(times)
    assert all(len(time) == len("2026-01-01T00:00:00.000+00:00") and time.endswith("+00:00") for time in times)
    (message,) = [message for alarm, message in cells(path, "alarm", "message") if alarm == "1"]
    assert "above normal" in message


def test_the_recordings_that_were_scored_stay_as_they_are(folder, look, path):
    write_clips(folder, 12, anomalous=range(12))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    for _ in range(2):
        look(path)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("n_bytes", [0, 40, -1, -40, -400, -1_000])
def test_a_text_that_was_cut_off_is_completed_from_the_store(folder, look, tmp_path, n_bytes):
    path = tmp_path / "log.csv"
    write_clips(folder, 8)
    look(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:n_bytes])
    assert look(path).n_scored == 0
    assert path.read_bytes() == whole
    path.unlink()
    assert look(path).n_scored == 0
    assert path.read_bytes() == whole


def test_without_its_store_a_log_tells_which_recordings_are_known(folder, look, tmp_path):
    path = tmp_path / "log.csv"
    write_clips(folder, 4)
    look(path)
    before = path.read_bytes()
    shutil.rmtree(tmp_path / "log.store")
    record(folder / "new.wav", 99, is_anomalous=True)
    assert look(path).n_scored == 1
    assert path.read_bytes().startswith(before)
    assert [file for (file,) in cells(path, "file")] == ["0.wav", "1.wav", "2.wav", "3.wav", "new.wav"]


EARLIER = "time,event,machine,file,size,mtime_ns,score,p_value,odd,alarm,message"


def test_a_text_that_an_earlier_version_began_goes_on(folder, look, tmp_path):
    path = tmp_path / "log.csv"
    write_clips(folder, 3)
    lines = [EARLIER]
    for name, event in (("0", "clip"), ("1", "failed"), ("0", "sent")):
        state = (folder / f"{name}.wav").stat()
        lines.append(f"2026-01-01,{event},fan,{name}.wav,{state.st_size},{state.st_mtime_ns},1.5,0.04,1,1,")
    path.write_text("\n".join(lines) + "\n")
    assert look(path).n_scored == 1
    assert cells(path, "event", "file", "odd")[3:] == [("clip", "2.wav", "0")]
    assert look(path).n_scored == 0
    assert len(cells(path, "file")) == 4


def test_a_database_that_an_earlier_version_began_goes_on(folder, look, tmp_path):
    path = tmp_path / "log.sqlite"
    names = ["=0.wav", "'1.wav", "2.wav"]
    for index, name in enumerate(names):
        record(folder / name, 60 + index)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE soundness_clips (id INTEGER PRIMARY KEY, event TEXT, machine TEXT, file TEXT, size INTEGER, "
            "mtime_ns INTEGER, content TEXT)"
        )
        for name in names[:2]:
            state = (folder / name).stat()
            row = ("clip", "fan", f"'{name}", state.st_size, state.st_mtime_ns, "")
            database.execute(
                "INSERT INTO soundness_clips (event, machine, file, size, mtime_ns, content) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
    assert look(path).n_scored == 1
    assert [file for (file,) in cells(path, "file")] == names
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM soundness_clips_before").fetchone() == (2,)


def test_names_in_a_text_are_no_formulas_and_stay_different(folder, look, tmp_path):
    path = tmp_path / "log.csv"
    for index, name in enumerate(["=1+1.wav", "'=1+1.wav", "@x/fan\nx/y.wav"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        record(tmp_path / "new.wav", index).rename(folder / name)
    look(path)
    found = cells(path, "machine", "file")
    assert len(set(found)) == 3
    assert not any(cell.startswith(("=", "@")) for row in found for cell in row)


PROGRAM = "from soundness.cli import main; main()"


def test_a_log_is_used_by_one_watch_at_a_time(folder, look, path, tmp_path):
    write_clips(folder, 1, anomalous=[0])
    command = [sys.executable, "-c", PROGRAM, "watch", folder, "--detector", tmp_path / "d.soundness", "--log", path]
    others = []

    def begin_another(_row):
        others.append(subprocess.run([*command, "--once"], capture_output=True, text=True, check=False))

    look(path, on_alarm=begin_another)
    (other,) = others
    assert other.returncode == 2
    (line,) = other.stderr.splitlines()
    assert "in use by another monitor or watch" in line


@pytest.mark.parametrize("content", [OTHER_FILE, b"\x00\x01\x02\n" * 50])
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(look, path, content):
    path.write_bytes(content)
    with pytest.raises(OutputError, match=rf"{path.name}: (not a log of soundness watch|file is not a database)"):
        look(path)
    assert path.read_bytes() == content


def test_a_text_of_another_store_is_refused(folder, look, tmp_path):
    write_clips(folder, 2)
    look(tmp_path / "log.csv")
    text = (tmp_path / "log.csv").read_text().replace("1.wav", "other.wav")
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(OutputError, match=r"log\.csv: not the log of .*log\.store/soundness\.sqlite"):
        look(tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text() == text


def test_a_damaged_row_is_named_by_its_line(folder, look, tmp_path):
    write_clips(folder, 1)
    look(tmp_path / "log.csv")
    with (tmp_path / "log.csv").open("a") as file:
        file.write("1,2,3\n")
    with pytest.raises(OutputError, match=r"log\.csv:3: not a row"):
        look(tmp_path / "log.csv")


def test_a_log_of_another_kind_is_refused(look, tmp_path):
    with pytest.raises(SettingsError, match=r"ends in \.csv or \.sqlite"):
        look(tmp_path / "alarms.xlsx")


def test_a_database_that_holds_other_tables_gets_those_of_the_log(folder, look, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("CREATE TABLE machines (name TEXT)")
    write_clips(folder, 1)
    assert look(tmp_path / "log.sqlite").n_scored == 1
    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM machines").fetchone() == (0,)


def test_a_file_of_a_far_future_is_logged_and_known(folder, look, path):
    record(folder / "a.wav", 1)
    os.utime(folder / "a.wav", ns=(2**62, 2**62))
    assert look(path).n_scored == 1
    assert look(path).n_scored == 0
