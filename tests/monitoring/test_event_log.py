"""A log holds each row whole or not at all, and gives back what was written, however the process before it ended."""

import contextlib
import csv
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from soundness.errors import OutputError, SettingsError
from soundness.monitoring.event_log import LogRow, file_cell, open_log

SUFFIXES = (".csv", ".sqlite")
ROW = LogRow(
    time="2026-01-01T00:00:00.000+00:00",
    event="clip",
    machine="fan",
    file="a, b.wav",
    size=10,
    mtime_ns=2**60,
    score=1.0 / 3.0,
    p_value=0.05,
    anomalous=1,
)


def rows(n, **changes):
    return [replace(ROW, file=f"{index}.wav", **changes) for index in range(n)]


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"alarms{request.param}"


def test_a_row_is_known_again_and_a_changed_file_is_another(path):
    log = open_log(path)
    assert not log.is_known(ROW.key)
    log.add(ROW)
    log.close()
    again = open_log(path)
    assert again.is_known(ROW.key)
    for other in (replace(ROW, size=11), replace(ROW, mtime_ns=2**60 + 1), replace(ROW, file="A, b.wav")):
        assert not again.is_known(other.key)
    again.close()


def test_a_log_with_the_earlier_name_of_a_column_goes_on(path):
    log = open_log(path)
    log.add(ROW)
    log.close()
    if path.suffix == ".csv":
        lines = path.read_text().replace(",anomalous,", ",odd,", 1).splitlines()
        path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in lines))  # nor was there the content
    else:
        with sqlite3.connect(path) as database:
            database.execute("DROP INDEX soundness_content")
            database.execute("ALTER TABLE soundness_clips DROP COLUMN content")
            database.execute("ALTER TABLE soundness_clips RENAME COLUMN anomalous TO odd")
        database.close()
    again = open_log(path)
    assert again.is_known(ROW.key)
    again.add(replace(ROW, file="next.wav", anomalous=0))
    again.close()
    last = open_log(path)
    assert last.last_anomalous("fan", 3) == [True, False]
    last.close()


def test_recordings_of_the_same_content_are_found_again(path):
    log = open_log(path)
    log.add(replace(ROW, content="c1"))
    log.add(replace(ROW, file="b.wav", content=""))
    log.close()
    again = open_log(path)
    assert again.alike(ROW.size, "c1") == [(ROW.file, ROW.mtime_ns, True)]
    assert again.alike(ROW.size + 1, "c1") == again.alike(ROW.size, "c2") == again.alike(ROW.size, "") == []
    again.close()


def test_the_last_clips_of_each_machine_are_given_in_order_and_failed_ones_do_not_count(path):
    log = open_log(path)
    for index, anomalous in enumerate([1, 0, 0, 1, 1]):
        log.add(replace(ROW, file=f"{index}.wav", anomalous=anomalous))
        log.add(replace(ROW, file=f"pump/{index}.wav", machine="pump", anomalous=1 - anomalous))
        log.add(replace(ROW, file=f"bad {index}.wav", event="failed", score=None, p_value=None, anomalous=0))
    log.close()
    again = open_log(path)
    assert again.last_anomalous("fan", 3) == [False, True, True]
    assert again.last_anomalous("pump", 9) == [False, True, True, False, False]
    assert again.last_anomalous("saw", 3) == []
    again.close()


def test_alarms_are_unsent_in_order_until_they_are_sent(path):
    log = open_log(path)
    for row in rows(4, alarm=1):
        log.add(row)
    log.add(replace(ROW, file="none.wav"))
    log.mark_sent(rows(4, alarm=1)[1])
    assert [row.file for row in log.unsent()] == ["0.wav", "2.wav", "3.wav"]
    log.close()
    again = open_log(path)
    assert [row.file for row in again.unsent()] == ["0.wav", "2.wav", "3.wav"]
    assert again.unsent()[0] == rows(1, alarm=1)[0]  # to the last digit
    again.close()


def test_names_that_are_no_text_or_hold_line_ends_are_told_apart(path):
    names = ["=1+1.wav", "'=1+1.wav", "a\nb", "a\\nb", "a\rb", "a\udcffb", 'a"b', "a,b", " a ", "ä"]
    log = open_log(path)
    for name in names:
        log.add(replace(ROW, file=file_cell(name)))
    log.close()
    again = open_log(path)
    assert len({file_cell(name) for name in names}) == len(names)
    assert all(again.is_known((file_cell(name), ROW.size, ROW.mtime_ns)) for name in names)
    again.close()


def test_a_log_is_used_by_one_watch_at_a_time(path):
    log = open_log(path)
    log.add(ROW)
    program = (
        f"from soundness.monitoring.event_log import open_log; from pathlib import Path; open_log(Path({str(path)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "OutputError" in done.stderr
    assert "in use by another watch" in done.stderr
    log.close()
    again = open_log(path)
    assert again.is_known(ROW.key)
    again.close()


def test_a_torn_last_line_is_cut_wherever_it_was_torn(tmp_path):
    path = tmp_path / "alarms.csv"
    log = open_log(path)
    for row in rows(2):
        log.add(row)
    log.close()
    whole = path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        log = open_log(path)
        known = [log.is_known(row.key) for row in rows(2)]
        assert known == [length >= ends[1], length >= ends[2]]
        log.close()
        assert path.read_bytes() == whole[: max(end for end in ends if end <= max(length, ends[0]))]


def test_a_csv_log_can_be_read_by_anybody(tmp_path):
    log = open_log(tmp_path / "alarms.csv")
    log.add(ROW)
    log.mark_sent(ROW)
    log.close()
    with (tmp_path / "alarms.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["event"] for row in found] == ["clip", "sent"]
    assert (found[0]["file"], float(found[0]["score"]), found[0]["anomalous"]) == ("a, b.wav", 1 / 3, "1")


def test_a_sqlite_log_can_be_read_by_anybody(tmp_path):
    log = open_log(tmp_path / "alarms.sqlite")
    log.add(ROW)
    log.close()
    database = sqlite3.connect(tmp_path / "alarms.sqlite")
    assert database.execute("SELECT file, score FROM soundness_clips").fetchall() == [("a, b.wav", 1 / 3)]
    database.close()


@pytest.mark.parametrize("content", [b"name,score\nx,1\n", b"\x00\x01\x02\n" * 50])
def test_a_file_that_is_no_log_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(OutputError, match=f"{path.name}.*not a log of soundness watch"):
        open_log(path)
    assert path.read_bytes() == content


def test_a_damaged_row_is_named_by_its_line(tmp_path):
    path = tmp_path / "alarms.csv"
    log = open_log(path)
    log.add(ROW)
    log.close()
    path.write_bytes(path.read_bytes() + b"1,2,3\n")
    with pytest.raises(OutputError, match=r"alarms\.csv:3: not a row"):
        open_log(path)


def test_a_log_of_another_kind_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"ends in \.csv or \.sqlite"):
        open_log(tmp_path / "alarms.xlsx")


FULL_DISK = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from soundness.monitoring.event_log import LogRow, open_log
from soundness.errors import OutputError
clip = {"time": "t", "event": "clip", "machine": "fan", "file": "", "score": 0.5, "p_value": 0.5}
row = LogRow(**clip, size=1, mtime_ns=1, message="x" * 500)
log = open_log(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
for index in range(200):
    try:
        log.add(replace(row, file=f"{index}.wav"))
    except OutputError as error:
        print(index, error)
        break
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
def test_a_full_disk_leaves_whole_rows_alone_and_the_log_goes_on_later(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True, env=os.environ
    )
    index, message = done.stdout.strip().split(" ", 1)
    assert str(path) in message
    assert "cannot be written" in message
    log = open_log(path)
    assert [log.is_known((f"{number}.wav", 1, 1)) for number in (0, int(index) - 1, int(index))] == [True, True, False]
    log.add(replace(ROW, file="later.wav"))
    assert log.is_known(("later.wav", ROW.size, ROW.mtime_ns))
    log.close()


@pytest.mark.parametrize("suffix", ["csv", "sqlite"])
def test_a_file_of_a_far_future_is_logged_and_known(tmp_path, suffix):
    row = LogRow(time="t", event="clip", machine="fan", file="a.wav", size=1, mtime_ns=2**70, score=1.0, p_value=0.5)
    log = open_log(tmp_path / f"log.{suffix}")
    log.add(row)
    assert log.is_known(row.key)
    log.close()
    log = open_log(tmp_path / f"log.{suffix}")
    assert log.is_known(row.key)
    log.close()


def test_an_alarm_of_another_type_is_no_row_of_a_log(tmp_path):
    log = open_log(tmp_path / "log.sqlite")
    log.add(LogRow(time="t", event="clip", machine="fan", file="a.wav", size=1, mtime_ns=1, score=1.0, alarm=1))
    log.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "log.sqlite")) as database, database:
        database.execute("UPDATE soundness_clips SET score = 'high'")
    log = open_log(tmp_path / "log.sqlite")
    with pytest.raises(OutputError, match=r"log\.sqlite: not a log of soundness watch: alarm\.score"):
        log.unsent()
    log.close()
