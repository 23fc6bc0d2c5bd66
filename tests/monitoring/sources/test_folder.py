"""Folders of recordings: each is scored once, whatever else happens to its file."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitored import RATE, age, hum, record
from running_monitors import running
from soundness.detectors.bulk_scoring import score_clip
from soundness.errors import DataError, SettingsError
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.protocol import SourceSettings
from soundness.monitoring.sources.recording_clips import begin_of, part_starts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def options(calibrated):
    return {"source": "folder:in?poll=0.05", "detector": str(calibrated[1]), "clip_seconds": 0.5}


def recordings(monitor):
    table = "select name, n_clips, is_complete, is_scored, note from recordings order by id"
    with monitor.store.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(table)]


def seconds_of(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_recordings_are_scored_as_they_appear_by_their_own_files(tmp_path, folder, calibrated, options):
    first = record(folder / "a.wav", 50, seconds_ago=100)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
        second = record(folder / "2024-03-01" / "b.wav", 51, is_anomalous=True, seconds=0.5)
        monitor.wait(lambda one: len(one.rows()) == 2)
        rows = monitor.rows()
        assert [row.recording for row in rows] == ["a.wav", "2024-03-01/b.wav"]
        assert [row.score for row in rows] == [score_clip(calibrated[0], path) for path in (first, second)]
        assert [row.seconds for row in rows] == [0.4, 0.5]
        assert rows[0].start_us == pytest.approx((first.stat().st_mtime - 0.4) * 1e6, abs=2)
        assert rows[1].is_anomalous
        assert recordings(monitor) == [("a.wav", 1, 1, 1, ""), ("2024-03-01/b.wav", 1, 1, 1, "")]


def test_a_restart_scores_no_recording_again(tmp_path, folder, options):
    record(folder / "a.wav", 50, seconds_ago=100)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
    record(folder / "b.wav", 51, seconds_ago=50)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 2)
        assert [(row.number, row.recording) for row in monitor.rows()] == [(1, "a.wav"), (2, "b.wav")]


def test_a_long_recording_is_cut_into_clips_and_its_end_is_in_one(tmp_path, folder, calibrated, options):
    path = record(folder / "long.wav", 50, seconds=1.9, seconds_ago=100)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 4)
        rows = monitor.rows()
        (state,) = recordings(monitor)
    begin = path.stat().st_mtime - 1.9
    assert [row.start_us / 1e6 - begin for row in rows] == pytest.approx([0.0, 0.5, 1.0, 1.4], abs=1e-5)
    assert {row.seconds for row in rows} == {0.5}
    assert state == ("long.wav", 4, 1, 1, "")
    samples, _ = soundfile.read(path)
    part = tmp_path / "part.wav"
    soundfile.write(part, samples[round(1.4 * RATE) :], RATE)
    assert rows[-1].score == pytest.approx(score_clip(calibrated[0], part), abs=1e-5)


def test_a_restart_within_a_long_recording_goes_on_where_it_was(tmp_path, folder, options):
    record(folder / "long.wav", 50, seconds=8.0, seconds_ago=100)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) >= 3)
    with running(tmp_path, **options) as monitor:
        n_before = len(monitor.rows())
        monitor.wait(lambda one: len(one.rows()) == 16)
        rows = monitor.rows()
        assert recordings(monitor) == [("long.wav", 16, 1, 1, "")]
    assert n_before >= 3
    assert np.diff([row.start_us for row in rows]) == pytest.approx([500_000] * 15, abs=2)
    assert len({row.score for row in rows}) == 16


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from learning_monitors import engine_in, settings
own = settings(source="folder:in?poll=0.05", detector=sys.argv[2], clip_seconds=0.5)
engine, store = engine_in(Path(sys.argv[1]), own)
engine.load_detectors()
engine.run()
"""


def test_every_recording_has_its_rows_once_though_the_monitor_is_killed(tmp_path, folder, calibrated, options):
    for seed in range(25):
        record(folder / f"{seed:02d}.wav", 100 + seed, seconds_ago=100 - seed)
    for seed in (25, 26):
        record(folder / f"long_{seed}.wav", 100 + seed, seconds=10.0, seconds_ago=50 - seed)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(calibrated[1]), str(Path(__file__).parents[2])]
    database = tmp_path / "data" / "soundness.sqlite"
    for n_rows in (4, 30):
        with subprocess.Popen(command) as process:
            until = time.monotonic() + 60
            while count_rows(database) < n_rows and time.monotonic() < until:
                time.sleep(0.002)
            process.kill()
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(recordings(one)) == 27 and all(row[2] for row in recordings(one)))
        rows = monitor.rows()
    assert [row.number for row in rows] == list(range(1, 25 + 2 * 20 + 1))
    assert {row.outcome for row in rows} == {"scored"}
    assert Counter(row.recording for row in rows) == {
        **{f"{seed:02d}.wav": 1 for seed in range(25)},
        "long_25.wav": 20,
        "long_26.wav": 20,
    }
    for name in ("long_25.wav", "long_26.wav"):
        starts = [row.start_us for row in rows if row.recording == name]
        assert np.diff(starts) == pytest.approx([500_000] * 19, abs=2)


def count_rows(database):
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return connection.execute("select count(*) from clips").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_a_recording_that_cannot_be_read_has_a_row_with_its_name_and_reason(tmp_path, folder, options):
    (folder / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    (folder / "odd.gsm").write_bytes(bytes(100))
    for name in ("broken.wav", "odd.gsm"):
        age(folder / name, 100)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 2)
        rows = sorted(monitor.rows(), key=lambda row: row.recording)
        assert [row.outcome for row in rows] == ["failed", "failed"]
        assert rows[0].note.startswith("broken.wav: ")
        assert "convert them to WAV" in rows[1].note
        assert rows[1].note.startswith("odd.gsm: ")
        assert {row[3] for row in recordings(monitor)} == {0}


def test_a_recording_that_is_moved_or_whose_clock_changed_is_not_scored_again_and_a_copy_is(tmp_path, folder, options):
    first = record(folder / "a.wav", 50, seconds_ago=100)
    record(folder / "b.wav", 51, seconds_ago=90)
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 2)
        (folder / "archive").mkdir()
        first.rename(folder / "archive" / "a.wav")
        age(folder / "b.wav", 3600)
        monitor.wait(lambda one: len(recordings(one)) == 4)
        shutil.copy2(folder / "b.wav", folder / "copy.wav")
        monitor.wait(lambda one: len(one.rows()) == 3)
        assert monitor.rows()[-1].recording == "copy.wav"
        notes = {name: note for name, *_, note in recordings(monitor) if note}
    assert notes == {
        "archive/a.wav": "the same recording as a.wav, moved",
        "b.wav": "the same recording; its time has moved",
    }


def test_a_recording_that_is_being_written_is_waited_for(tmp_path, folder, options):
    samples = hum(50, seconds=0.4)
    with running(tmp_path, **options) as monitor:
        with soundfile.SoundFile(folder / "a.wav", "w", RATE, 1) as file:
            for block in np.array_split(samples, 8):
                file.write(block)
                file.flush()
                time.sleep(0.05)
            record(folder / "b.wav", 51)
            monitor.wait(lambda one: len(one.rows()) == 1)
            assert monitor.rows()[0].recording == "b.wav"
        monitor.wait(lambda one: len(one.rows()) == 2)
        assert [row.seconds for row in monitor.rows()] == [0.4, 0.4]


def test_a_folder_that_goes_away_is_a_fault_until_it_is_back(tmp_path, folder, options):
    record(folder / "a.wav", 50, seconds_ago=100)
    with running(tmp_path, **options, fault_after="1s") as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
        folder.rename(tmp_path / "away")
        monitor.wait(lambda one: one.store.open_alarms(1))
        (alarm,) = monitor.store.open_alarms(1)
        assert alarm.kind == "fault"
        assert "no such folder, or it cannot be reached" in alarm.reason
        (tmp_path / "away").rename(folder)
        monitor.wait(lambda one: not one.store.open_alarms(1))
        monitor.wait(lambda one: one.store.sensor("pump").state == "normal")
        record(folder / "b.wav", 51)
        monitor.wait(lambda one: one.rows()[-1].outcome == "scored")
        outcomes = [row.outcome for row in monitor.rows()]
    assert outcomes[0] == outcomes[-1] == "scored"
    assert set(outcomes[1:-1]) == {"fault"}


def test_a_folder_that_came_back_while_the_monitor_did_not_run_is_no_fault_any_more(tmp_path, folder, options):
    record(folder / "a.wav", 50, seconds_ago=100)
    with running(tmp_path, **options, fault_after="1s") as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
        folder.rename(tmp_path / "away")
        monitor.wait(lambda one: one.store.open_alarms(1))
    (tmp_path / "away").rename(folder)
    with running(tmp_path, **options, fault_after="1s") as monitor:
        monitor.wait(lambda one: not one.store.open_alarms(1))
        monitor.wait(lambda one: one.store.sensor("pump").state == "normal")


def test_a_sensor_of_which_no_clip_was_ever_scored_waits_and_is_not_normal(tmp_path, folder, options):
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: one.engine.recorders["pump"].sensor.has_begun)
        assert monitor.store.sensor("pump").state == "waiting"
        (folder / "a.wav").write_bytes(b"no sound")
        age(folder / "a.wav", 100)
        monitor.wait(lambda one: [row.outcome for row in one.rows()] == ["failed"])
        assert monitor.store.sensor("pump").state == "waiting"
        record(folder / "b.wav", 51, seconds_ago=50)
        monitor.wait(lambda one: one.store.sensor("pump").state == "normal")
    with running(tmp_path, **options) as monitor:
        assert monitor.store.sensor("pump").state == "normal"


def test_a_folder_in_which_nothing_new_appears_for_too_long_is_a_fault(tmp_path, folder, options):
    record(folder / "a.wav", 50, seconds_ago=100)
    options = {**options, "source": "folder:in?poll=0.05&expect=1s", "fault_after": "1s"}
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: one.store.open_alarms(1))
        assert "no new recording for" in monitor.store.open_alarms(1)[0].reason
    options["source"] = "folder:in?poll=0.05&expect=1h"
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: one.engine.recorders["pump"].sensor.has_begun)
        assert monitor.store.open_alarms(1)  # nothing has come since
        record(folder / "b.wav", 51)
        monitor.wait(lambda one: not one.store.open_alarms(1))
        assert monitor.rows()[-1].outcome == "scored"


def test_a_channel_of_a_recording_is_kept_and_learned_from(tmp_path, folder):
    left, right = hum(50, seconds=0.5), hum(51, is_anomalous=True, seconds=0.5)
    soundfile.write(folder / "a.wav", np.stack([left, right], axis=1), RATE)
    age(folder / "a.wav", 100)
    with running(tmp_path, source="folder:in?poll=0.05", channel=1) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
        (path,) = (tmp_path / "data" / "ring" / "1").glob("*.flac")
        assert soundfile.read(path)[0] == pytest.approx(right, abs=1e-4)
        assert monitor.rows()[0].outcome == "learned"


def test_a_channel_that_a_recording_lacks_is_told_of_it(tmp_path, folder):
    record(folder / "a.wav", 50, seconds_ago=100)
    with running(tmp_path, source="folder:in?poll=0.05", channel=1) as monitor:
        monitor.wait(lambda one: len(one.rows()) == 1)
        assert monitor.rows()[0].note == "a.wav: 1 channel(s); channel 1 (counted from 0) is needed"


def test_audio_of_an_alarm_is_kept_and_the_recordings_stay(tmp_path, folder, options):
    for seed in range(3):
        record(folder / f"{seed}.wav", 60 + seed, is_anomalous=True, seconds_ago=100 - seed)
    with running(tmp_path, **options, false_alarms="1000/hour") as monitor:
        monitor.wait(lambda one: len(one.rows()) == 3 and all(row.audio for row in one.rows()))
        kept = [tmp_path / "data" / row.audio for row in monitor.rows()]
    assert all(soundfile.info(path).duration == 0.4 for path in kept)
    assert len(list(folder.iterdir())) == 3


def test_the_parts_of_a_recording_cover_it() -> None:
    assert part_starts(100, n_clip=10, n_hop=10) == list(range(0, 100, 10))
    assert part_starts(105, n_clip=10, n_hop=10) == [*range(0, 100, 10), 95]
    assert part_starts(101, n_clip=10, n_hop=10) == list(range(0, 100, 10))  # a rest too short to tell anything
    assert part_starts(25, n_clip=10, n_hop=5) == [0, 5, 10, 15]


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("pump.wav", "2024-03-01T05:59:50"),
        ("pump_20240301_060000Z.wav", "2024-03-01T06:00:00"),
        ("pump-2024-03-01T05-59-51.wav", "2024-03-01T05:59:51"),
        ("2024.03.01 08:59:51.250.wav", "2024-03-01T05:59:51"),  # three hours ahead of UTC
        ("20240301_060000_20240301_061000.wav", "2024-03-01T05:59:50"),  # two times: neither is taken
        ("20241340_060000.wav", "2024-03-01T05:59:50"),
        ("section_00_0000_20240301.wav", "2024-03-01T05:59:50"),
        ("120240301_0600001.wav", "2024-03-01T05:59:50"),
    ],
)
def test_the_beginning_of_a_recording_is_the_time_in_its_name_or_that_of_its_file(name, begin) -> None:
    changed_us = round(1e6 * seconds_of("2024-03-01T06:00:00"))
    assert begin_of(name, changed_us=changed_us, seconds=10.0) == round(1e6 * seconds_of(begin))


def test_a_time_in_a_name_far_from_that_of_its_file_is_one_of_this_computer(monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        changed_us = round(1e6 * seconds_of("2025-01-01T12:34:56"))
        found = begin_of("20240701_060000.wav", changed_us=changed_us, seconds=10.0)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == round(1e6 * seconds_of("2024-07-01T04:00:00"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("folder:in?pol=1", "folder: unknown option 'pol'; known: poll, expect"),
        ("folder:in?poll=0", "folder: poll=0; expected a number of 0.01 or more"),
        ("folder:in?expect=soon", "soon"),
    ],
)
def test_options_of_a_folder_that_cannot_be_used_are_named(tmp_path, address, words) -> None:
    own = SourceSettings(name="a", folder=tmp_path, channel=0, sample_rate=None, clip_seconds=1.0)
    with pytest.raises(SettingsError, match=words.replace("?", r"\?")):
        find_source(address, own)


def test_a_folder_that_is_not_there_is_named_by_the_check(tmp_path) -> None:
    own = SourceSettings(name="a", folder=tmp_path, channel=0, sample_rate=None, clip_seconds=1.0)
    with pytest.raises(DataError, match=r"in: no such folder; expected one that recordings appear in"):
        find_source("folder:in", own).check()
    (tmp_path / "in").mkdir()
    record(tmp_path / "in" / "a.wav", 1)
    assert find_source("folder:in", own).check() == f"{tmp_path / 'in'}: 1 recording"
