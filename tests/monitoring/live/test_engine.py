"""The engine of a monitor: each clip exactly once, in order, whatever happens around it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import sqlalchemy as sql
from sqlalchemy.exc import OperationalError

import killed_monitor
from delivered import until
from live_monitor import (
    SECONDS,
    open_engine,
    replayed,
    rows_of,
    run_engine,
    save_fan,
    write_configuration,
    write_stream,
)
from monitored import RATE, hum
from soundness.detectors.bulk_scoring import load_any, score_clip
from soundness.errors import DataError, OutputError
from soundness.monitoring.store import tables
from soundness.monitoring.store.database import database_errors
from soundness.monitoring.store.store import Store
from webhook_server import taking_alarms

PROGRAM = "from soundness.cli import main; main()"
ANOMALOUS = {*range(8, 12), *range(30, 35), 50}


@pytest.fixture
def fan(calibrated, tmp_path):
    """Folder with a detector and a recording of 60 clips, some of them anomalous."""
    save_fan(calibrated, tmp_path / "fan.soundness")
    write_stream(tmp_path / "a.flac", 60, anomalous=ANOMALOUS)
    return tmp_path


def told(rows):
    """All that does not depend on when a monitor began."""
    first_us = rows[0].start_us
    places = {number: index for index, number in enumerate(sorted({row.alarm_id or 0 for row in rows}))}
    return [
        (row.number, row.start_us - first_us, row.outcome, row.state, row.score, places[row.alarm_id or 0])
        for row in rows
    ]


def alarms(store):
    """All alarms, and the events that are to be delivered, as they do not depend on when a monitor began."""
    with store.reading() as connection:
        found = connection.execute(sql.select(tables.alarms).order_by(tables.alarms.c.id)).mappings().all()
        sent = connection.execute(sql.select(tables.deliveries).order_by(tables.deliveries.c.id)).mappings().all()
        first_us = connection.execute(sql.select(sql.func.min(tables.clips.c.start_us))).scalar()
    numbers = {row["key"]: index for index, row in enumerate(found)}
    return (
        [(row["kind"], row["raised_us"] - first_us, row["ended_us"] - first_us, row["reason"]) for row in found],
        [(row["sink"], numbers[row["content"]["id"]], row["content"]["event"]) for row in sent],
    )


def undisturbed(fan):
    """Rows, alarms and events of a run that nothing happened to."""
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac")}), sinks=["hook"]) as engine:
        engine.run()
        expected = told(rows_of(engine.store)["fan"]), alarms(engine.store)
    (fan / "data").rename(fan / "undisturbed")
    return expected


def test_every_clip_of_a_recording_is_scored_as_the_same_samples_are_offline(fan, tmp_path):
    (rows,) = run_engine(write_configuration(fan, {"fan": replayed("a.flac")}, store='keep_audio = "all"')).values()
    (detector,) = load_any(fan / "fan.soundness").values()
    samples, _ = soundfile.read(fan / "a.flac", dtype="int16")
    n_clip = round(SECONDS * RATE)
    for row, start in zip(rows, range(0, len(samples), n_clip), strict=True):
        clip = samples[start : start + n_clip]
        soundfile.write(tmp_path / "clip.wav", clip, RATE, subtype="PCM_16")
        assert row.score == score_clip(detector, tmp_path / "clip.wav")
        assert row.p_value == detector.p_value(row.score)
        assert row.level_db == pytest.approx(10 * np.log10(np.mean(np.square(clip / 2**15))), abs=1e-6)
        kept, _ = soundfile.read(fan / "data" / row.audio, dtype="int16")
        assert np.array_equal(kept, clip)
    assert {row.number for row in rows if row.score > 100} == ANOMALOUS


@pytest.mark.parametrize("seed", [1, 2])
def test_a_monitor_that_is_killed_again_and_again_ends_as_if_it_had_not_been(fan, seed):
    expected = undisturbed(fan)
    with taking_alarms() as server:
        hook = f'[[webhook]]\nname = "hook"\nurl = "{server.url}"\n'
        path = write_configuration(fan, {"fan": replayed("a.flac", speed=40)}, before=hook)
        command = [sys.executable, killed_monitor.__file__, str(path), str(seed), "6"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    assert int(done.stdout) >= 3
    n_events = len(expected[1][1])
    assert len({message["id"] for message in server.came}) == n_events
    assert len(server.came) <= n_events + int(done.stdout)  # one that was on its way at a kill may come twice
    store = Store.open(fan / "data")
    assert (told(rows_of(store)["fan"]), alarms(store)) == expected
    kept = {row.audio for row in rows_of(store)["fan"] if row.audio}
    assert {f"{p.relative_to(store.folder)}" for p in store.folder.glob("audio/**/*.flac")} >= kept
    assert all(row.audio for row in rows_of(store)["fan"] if row.alarm_id is not None and row.is_anomalous)
    store.close()


def test_clips_of_a_sensor_are_recorded_in_their_order_by_one_thread_at_a_time(fan):
    sensors = {f"fan {index}": replayed("a.flac") for index in range(5)}
    numbers, locks, overlapping = defaultdict(list), defaultdict(threading.Lock), []
    with open_engine(write_configuration(fan, sensors), n_workers=4) as engine:

        def look(event):
            if event.kind == "clip":
                lock = locks[event.sensor]
                if not lock.acquire(blocking=False):
                    overlapping.append(event)
                    return
                numbers[event.sensor].append(event.content["number"])
                time.sleep(0.0005)
                lock.release()

        engine.events.call(look)
        engine.run()
    assert overlapping == []
    assert numbers == {name: list(range(1, 61)) for name in sensors}


def test_many_sensors_begin_spread_over_a_clip_and_share_the_detector_of_one_file(fan):
    write_stream(fan / "a.flac", 1)
    names = [f"fan {index:02d}" for index in range(10)]
    with open_engine(write_configuration(fan, {name: replayed("a.flac") for name in names})) as engine:
        assert len({id(recorder.detector) for recorder in engine.recorders.values()}) == 1
        engine.run()
        rows = rows_of(engine.store)
    starts = [rows[name][0].start_us for name in names]
    assert all(start >= starts[0] + 0.09 * index * 500_000 for index, start in enumerate(starts))


def test_a_sensor_that_nothing_has_come_from_is_not_said_to_be_normal(fan):
    (fan / "logger").mkdir()
    source = 'source = "folder:logger?poll=0.1"\ndetector = "fan.soundness"'
    with open_engine(write_configuration(fan, {"logger": source})) as engine:
        recorder = engine.recorders["logger"]
        assert engine.store.sensor("logger").state == recorder.standing.state == "waiting"
        running = threading.Thread(target=engine.run)
        running.start()
        soundfile.write(fan / "logger" / "a.wav", hum(1_007, seconds=SECONDS), RATE)
        until(lambda: engine.store.sensor("logger").state == "normal")
        engine.stop.set()
        running.join()


def test_a_sensor_that_is_in_alarm_says_why_after_a_restart(fan):
    write_stream(fan / "b.flac", 12, anomalous=range(6, 13))
    path = write_configuration(fan, {"fan": replayed("b.flac")})
    with open_engine(path) as engine:
        engine.run()
        before = engine.store.sensor("fan")
    assert before.state == "alarm"
    assert before.state_note != ""
    with open_engine(path) as engine:
        after = engine.store.sensor("fan")
        assert (after.state, after.state_note) == ("alarm", before.state_note)


def test_a_bug_in_a_worker_ends_the_monitor_with_its_traceback(fan):
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac", speed=1)})) as engine:

        def fail(event):
            if event.kind == "clip":
                raise ZeroDivisionError("of a listener")

        engine.events.call(fail)
        with pytest.raises(ZeroDivisionError, match="of a listener") as caught:
            engine.run()
    assert "fail" in [entry.name for entry in caught.traceback]


def test_a_bug_in_a_thread_that_captures_ends_the_monitor_too(fan):
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac"), "b": replayed("a.flac", speed=1)})) as engine:
        engine.recorders["fan"].sensor.clock = None
        with pytest.raises(AttributeError):
            engine.run()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_a_monitor_that_is_asked_to_end_does_so_soon_and_goes_on_at_the_next_start(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac", speed=4)})
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "monitor", str(path)], stderr=subprocess.PIPE)
    store = Store.open(fan / "data")
    until(lambda: len(rows_of(store).get("fan", ())) >= 3, 60)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    n_before = len(rows_of(store)["fan"])
    assert 3 <= n_before < 60
    write_configuration(fan, {"fan": replayed("a.flac")})
    rows = run_engine(path)["fan"]
    assert [row.number for row in rows] == list(range(1, 61))
    assert {row.start_us - rows[0].start_us for row in rows} == {500_000 * index for index in range(60)}
    store.close()


def test_a_second_monitor_on_the_same_store_is_refused_with_exit_status_2(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac", speed=1)})
    command = [sys.executable, "-c", PROGRAM, "monitor", str(path)]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    store = Store.open(fan / "data")
    until(lambda: rows_of(store).get("fan"), 60)
    second = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    store.close()
    first.terminate()
    assert first.wait(timeout=10) == 0
    assert second.returncode == 2
    line = second.stderr.splitlines()[-1]
    assert line == f"soundness: {fan / 'data' / 'soundness.sqlite'}: in use by another monitor or watch"


def test_a_sensor_whose_source_cannot_be_opened_is_said_and_the_others_go_on(fan, caplog):
    sensors = {"gone": replayed("gone.flac"), "fan": replayed("a.flac")}
    with open_engine(write_configuration(fan, sensors)) as engine:
        with pytest.raises(DataError, match=r"gone: .*gone\.flac"):
            engine.run()
        rows = rows_of(engine.store)
        assert "gone.flac" in engine.recorders["gone"].sensor.problem
    assert any("gone: " in record.message and "gone.flac" in record.message for record in caplog.records)
    assert (len(rows["fan"]), rows["gone"]) == (60, [])


def test_sound_that_cannot_be_scored_in_time_is_a_gap_that_says_so(fan, monkeypatch):
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader, "rb"))
    path = write_configuration(fan, {"fan": 'source = "pcm:-"\ndetector = "fan.soundness"'})
    samples = (2**15 * hum(1, seconds=6.0)).astype("<i2").tobytes()
    with open_engine(path, n_workers=1) as engine:
        sensor, are_waiting = engine.recorders["fan"].sensor, threading.Event()
        sensor.most_waiting = 2
        engine.events.call(lambda event: event.kind != "clip" or are_waiting.wait(30))
        runs = threading.Thread(target=engine.run)
        runs.start()
        for start in range(0, len(samples), 8_000):
            os.write(writer, samples[start : start + 8_000])
            time.sleep(0.24)
            if start > len(samples) // 2:
                are_waiting.set()
        os.close(writer)
        runs.join(30)
        rows = rows_of(engine.store)["fan"]
    sys.stdin.close()
    gaps = [row for row in rows if row.outcome == "gap"]
    assert len(gaps) == 1
    assert "too slow" in gaps[0].note
    assert gaps[0].seconds >= 1.0
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for before, after in pairwise(rows):
        assert abs(after.start_us - before.end_us) <= 250_000


def test_a_database_that_goes_away_and_comes_back_costs_nothing(fan, postgres):
    expected, url = undisturbed(fan), postgres.new_database()
    path = write_configuration(fan, {"fan": replayed("a.flac", speed=40)})
    with open_engine(path, sinks=["hook"], url=url) as engine:
        runs = threading.Thread(target=engine.run)
        runs.start()
        for n_rows in (10, 40):
            until(lambda n=n_rows: len(rows_of(engine.store)["fan"]) >= n)
            postgres.kill()
            time.sleep(0.3)
            postgres.start()
        runs.join(60)
        assert engine.failure is None
        assert (told(rows_of(engine.store)["fan"]), alarms(engine.store)) == expected


class ForgetfulStore(Store):
    """A store whose database commits, and goes away before it says so: every third time."""

    n_transactions = 0

    def transaction(self):
        self.n_transactions += 1
        return self._forgotten() if self.n_transactions % 3 == 0 else super().transaction()

    def _forgotten(self):
        return _Forgotten(super().transaction(), self.engine)


class _Forgotten:
    def __init__(self, inner, engine):
        self.inner, self.engine = inner, engine

    def __enter__(self):
        return self.inner.__enter__()

    def __exit__(self, *error):
        self.inner.__exit__(*error)
        if error[0] is None:
            with database_errors(self.engine):
                raise OperationalError("COMMIT", {}, Exception("the connection was closed"))


def test_what_was_committed_when_the_database_went_away_is_not_written_twice(fan):
    expected = undisturbed(fan)
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac")}), sinks=["hook"]) as engine:
        for recorder in engine.recorders.values():
            recorder.store = ForgetfulStore(engine.store.engine, engine.store.folder)
        engine.run()
        assert (told(rows_of(engine.store)["fan"]), alarms(engine.store)) == expected


def test_a_store_that_cannot_be_written_any_more_ends_the_monitor_with_its_name(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac", speed=20)})
    with open_engine(path) as engine:
        runs_out = []

        def drop(event):
            if event.kind == "clip" and event.content["number"] == 5:
                with engine.store.engine.begin() as connection:
                    connection.execute(sql.text("DROP TABLE clips"))
                runs_out.append(event)

        engine.events.call(drop)
        with pytest.raises(OutputError, match=r"soundness\.sqlite: "):
            engine.run()
    assert len(runs_out) == 1


def test_a_gap_that_was_not_written_before_a_kill_is_written_at_the_next_start(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac")})
    write_stream(fan / "a.flac", 3)
    run_engine(path)
    ring = fan / "data" / "ring" / "1"
    raw = hum(9, seconds=SECONDS).astype("<f4")
    last = max(ring.iterdir(), key=lambda file: int(file.name.split("-")[0]))
    start_us = int(Path(last).name.split("-")[1]) + 20_000_000  # 4 was a gap, and 5 is the clip after it
    raw.tofile(ring / f"5-{start_us}-{RATE}.raw")
    raw.tofile(ring / f"5-{start_us}-{RATE}.part")
    rows = run_engine(path)["fan"]
    assert [(row.number, row.outcome) for row in rows[3:]] == [(4, "gap"), (5, "scored")]
    assert rows[3].seconds == pytest.approx(19.5)
    assert "ended before it was noted why" in rows[3].note


def test_a_clip_that_was_encoded_when_the_monitor_was_killed_is_scored_once(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac")})
    write_stream(fan / "a.flac", 3)
    run_engine(path)
    ring = fan / "data" / "ring" / "1"
    (last,) = ring.glob("3-*.flac")
    start_us = int(last.name.split("-")[1]) + 500_000
    samples = hum(9, seconds=SECONDS)
    soundfile.write(ring / f"4-{start_us}-{RATE}.flac", samples, RATE, subtype="PCM_24")
    samples.astype("<f4").tofile(ring / f"4-{start_us}-{RATE}.raw")
    assert [row.number for row in run_engine(path)["fan"]] == [1, 2, 3, 4]


def test_clips_before_gaps_leave_the_ring_in_time_although_the_monitor_was_restarted(fan):
    path = write_configuration(fan, {"fan": replayed("a.flac")}, store='before_alarm = "2s"')
    write_stream(fan / "a.flac", 3)
    run_engine(path)
    ring = fan / "data" / "ring" / "1"
    last = max(ring.iterdir(), key=lambda file: int(file.name.split("-")[0]))
    start_us = int(last.name.split("-")[1]) + 1_000_000  # 4 was a gap, and 5 is the clip after it
    hum(9, seconds=SECONDS).astype("<f4").tofile(ring / f"5-{start_us}-{RATE}.raw")
    assert [row.outcome for row in run_engine(path)["fan"]][3:] == ["gap", "scored"]
    write_stream(fan / "a.flac", 30)
    assert run_engine(path)["fan"][-1].number == 30
    assert sorted(int(file.name.split("-")[0]) for file in ring.iterdir()) == [*range(26, 31)]


def test_a_restart_counts_no_clip_of_maintenance_towards_an_alarm(fan):
    write_stream(fan / "a.flac", 3, anomalous={3})
    closed = replayed("a.flac", more='maintenance = ["daily 00:00-24:00"]')
    (row,) = run_engine(write_configuration(fan, {"fan": closed}))["fan"][2:]
    assert (row.is_anomalous, row.note) == (True, "maintenance (daily 00:00-24:00)")
    write_stream(fan / "a.flac", 5, anomalous={4})
    path = write_configuration(fan, {"fan": replayed("a.flac")})
    with open_engine(path) as engine:
        engine.run()
        assert rows_of(engine.store)["fan"][3].is_anomalous
        assert engine.store.last_alarm(1, "anomaly") is None
