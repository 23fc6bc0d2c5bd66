"""Detector files that are replaced while a monitor runs, and changes of the configuration between two starts."""

import shutil
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sql

from delivered import until
from live_monitor import open_engine, replayed, rows_of, run_engine, save_fan, write_configuration, write_stream
from monitored import age
from soundness.monitoring.live import keeper
from soundness.monitoring.live.detector_files import DetectorFiles
from soundness.monitoring.store import tables
from soundness.monitoring.store.store import Store


@pytest.fixture
def fan(calibrated, tmp_path):
    """Folder with a detector and a recording."""
    save_fan(calibrated, tmp_path / "fan.soundness")
    write_stream(tmp_path / "a.flac", 60)
    return tmp_path


def noted(store):
    with store.reading() as connection:
        query = sql.select(tables.changes.c.what, tables.changes.c.details).where(tables.changes.c.what != "begun")
        return [tuple(row) for row in connection.execute(query.order_by(tables.changes.c.id))]


def reasons(store):
    with store.reading() as connection:
        return connection.execute(sql.select(tables.detectors.c.reason).order_by(tables.detectors.c.id)).scalars().all()


def test_a_file_that_is_replaced_is_taken_into_use_while_clips_are_scored(fan, calibrated, monkeypatch):
    monkeypatch.setattr(keeper, "_LOOK_SECONDS", 0.05)
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac", speed=10)})) as engine:
        runs = threading.Thread(target=engine.run)
        runs.start()
        until(lambda: len(rows_of(engine.store)["fan"]) >= 5)
        save_fan(calibrated, fan / "fan.soundness", n_anomalous=1, n_clips=1)
        until(lambda: len(reasons(engine.store)) == 2)
        until(lambda: len({row.detector_id for row in rows_of(engine.store)["fan"]}) == 2)
        engine.stop.set()
        runs.join(30)
        rows = rows_of(engine.store)["fan"]
        assert engine.failure is None
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    numbers = [row.detector_id for row in rows]
    assert numbers == sorted(numbers)


@pytest.fixture
def looked_at(fan):
    """An engine that has scored its recording, and a look at its files that finds what has settled."""
    write_stream(fan / "a.flac", 3)
    with open_engine(write_configuration(fan, {"fan": replayed("a.flac")})) as engine:
        engine.run()
        files = DetectorFiles(engine.recorders, folder=fan)

        def look():
            files.look()
            files.look()
            return [entry for entry in noted(engine.store) if entry[0] != "configuration"]

        yield engine.recorders["fan"], look, fan / "fan.soundness"


def test_a_file_that_stays_as_it_is_or_is_only_touched_changes_nothing(looked_at):
    recorder, look, file = looked_at
    before = recorder.detector
    assert look() == []
    age(file, -5.0)
    assert look() == []
    assert recorder.detector is before


def test_a_replacement_is_noted(looked_at, calibrated):
    recorder, look, file = looked_at
    save_fan(calibrated, file, n_anomalous=1, n_clips=2)
    ((what, details),) = look()
    assert (what, details["file"], details["fingerprint"]) == (
        "detector replaced",
        str(file),
        recorder.detector.fingerprint,
    )
    assert recorder.life.rule.n_clips == 2
    assert reasons(recorder.store) == ["configured", "its file was replaced"]


@pytest.mark.parametrize("content", [b"", b"no detector at all", None])
def test_a_damaged_or_missing_file_is_refused_once_and_the_detector_goes_on(looked_at, content, caplog):
    recorder, look, file = looked_at
    before = recorder.detector
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    ((what, details),) = look()
    assert what == "detector refused"
    assert str(file) in details["reason"]
    assert len(look()) == 1
    assert recorder.detector is before
    assert any("fan: the detector goes on as it was" in record.message for record in caplog.records)


def test_a_file_that_is_cut_short_while_it_is_copied_is_taken_once_it_is_whole(looked_at, calibrated, tmp_path):
    recorder, look, file = looked_at
    whole = save_fan(calibrated, tmp_path / "whole.soundness", n_anomalous=1, n_clips=1).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert [what for what, _ in look()] == ["detector refused"]
    file.write_bytes(whole)
    assert [what for what, _ in look()] == ["detector refused", "detector replaced"]
    assert recorder.life.rule.n_clips == 1


def test_a_detector_of_another_sample_rate_is_refused(looked_at, calibrated):
    recorder, look, file = looked_at
    detector = calibrated[0]
    settings = detector.settings.model_copy(
        update={"audio": detector.settings.audio.model_copy(update={"sample_rate": 48_000})}
    )
    save_fan((replace(detector, settings=settings),), file)
    ((what, details),) = look()
    assert (what, details["reason"]) == (
        "detector refused",
        f"{file}: for sound at 48,000 Hz; the sensor gives 16,000 Hz",
    )
    assert recorder.detector.rule.n_clips == 3


def test_changes_of_the_configuration_are_noted_at_the_next_start_and_a_sensor_that_is_gone_has_stopped(fan):
    sensors = {"fan": replayed("a.flac"), "other": replayed("a.flac")}
    write_stream(fan / "a.flac", 2)
    run_engine(write_configuration(fan, sensors))
    path = write_configuration(fan, {"fan": replayed("a.flac", more="quiet_clips = 7\n")})
    run_engine(path)
    run_engine(path)
    store = Store.open(fan / "data")
    first, second = (details for what, details in noted(store) if what == "configuration")
    assert first["changed"] == {}
    assert second["changed"]["sensor.fan.quiet_clips"] == [3, 7]
    assert second["changed"]["sensor.other.name"] == ["other", None]
    assert {one.name: one.state for one in store.sensors()} == {"fan": "normal", "other": "stopped"}
    assert store.sensor("other").state_note == "not in the configuration"
    store.close()
    shutil.rmtree(fan / "data")
