"""A microphone that has died is an alarm, and not a machine that is well."""

import logging
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from learning_monitors import engine_in, settings
from pulse_daemon import RATE, pulse
from running_monitors import running
from soundness.errors import DataError
from soundness.monitoring.store import tables
from stream_servers import ffmpeg_server, free_port


def everything_in(store):
    """All that stands in the database, as one text."""
    with store.reading() as connection:
        rows = [row for table in tables.metadata.sorted_tables for row in connection.execute(table.select())]
    return "\n".join(str(tuple(row)) for row in rows)


def test_a_stream_that_does_not_come_is_an_alarm_that_ends_when_it_does(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CAMERA", "user:sesame")
    port = free_port()
    options = {
        "source": f"http://{{secret}}@127.0.0.1:{port}/hall.mp3?key={{secret}}",
        "source_secret": {"env": "CAMERA"},
        "fault_after": "1s",
    }
    with caplog.at_level(logging.DEBUG), running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: one.store.open_alarms(1))
        (alarm,) = monitor.store.open_alarms(1)
        assert alarm.kind == "fault"
        assert alarm.reason == f"no sound comes: http://127.0.0.1:{port}: connection refused"
        monitor.wait(lambda one: one.store.sensor("pump").state == "fault")
        with ffmpeg_server(60.0, port):
            monitor.wait(lambda one: not one.store.open_alarms(1))
            rows = monitor.rows()
        assert {row.outcome for row in rows} == {"fault", "learned"}
        assert monitor.store.sensor("pump").state == "learning"
        assert monitor.store.sensor("pump").first_us == next(row.start_us for row in rows if row.outcome == "learned")
        text = everything_in(monitor.store)
    assert "sesame" not in text + caplog.text
    assert all(row.start_us - before.end_us < 50_000 for before, row in pairwise(rows))


def test_rows_of_a_fault_are_written_while_it_lasts_and_the_alarm_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("soundness.monitoring.capture.sensor._FAULT_EVERY_SECONDS", 0.5)
    options = {"source": f"rtsp://127.0.0.1:{free_port()}/hall", "fault_after": "1s"}
    with running(tmp_path, **options) as monitor:
        monitor.wait(lambda one: len(one.rows()) >= 4)
        assert len(monitor.store.open_alarms(1)) == 1
        rows = monitor.rows()
    assert {row.outcome for row in rows} == {"fault"}
    assert all(row.start_us == before.end_us for before, row in pairwise(rows))


def test_a_monitor_all_of_whose_sources_can_never_be_read_ends_with_their_names(tmp_path):
    engine, store = engine_in(tmp_path, settings(source="replay:none.wav"))
    assert engine.load_detectors() == {}
    with pytest.raises(DataError, match=r"pump: .*none\.wav"):
        engine.run()
    store.close()


def test_a_microphone_that_is_unplugged_is_an_alarm_until_it_is_back(tmp_path, monkeypatch):
    with TemporaryDirectory() as folder, pulse(Path(folder)) as daemon:
        for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER"):
            monkeypatch.setenv(name, daemon.environment[name])
        noise = 0.1 * np.random.default_rng(0).standard_normal((RATE, 2))
        options = {"source": f"mic:pulse?rate={RATE}", "sample_rate": 16_000, "fault_after": "1s"}
        with running(tmp_path, **options) as monitor:
            with daemon.playing(noise):
                monitor.wait(lambda one: sum(row.outcome == "learned" for row in one.rows()) >= 2)
                daemon.unplug()
                monitor.wait(lambda one: one.store.open_alarms(1))
            (alarm,) = monitor.store.open_alarms(1)
            n_before = len(monitor.rows())
            daemon.plug_in()
            with daemon.playing(noise):
                monitor.wait(lambda one: not one.store.open_alarms(1))
            rows = monitor.rows()
    assert (alarm.kind, "microphone" in alarm.reason) == ("fault", True)
    assert [row.outcome for row in rows[n_before:]].count("learned") >= 1
    assert {row.outcome for row in rows[:n_before]} <= {"learned", "gap", "fault"}
    assert all(row.start_us - before.end_us < 50_000 for before, row in pairwise(rows))
