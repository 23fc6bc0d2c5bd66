import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import soundness
from learning_monitors import CLIP_SECONDS, engine_in, humming, settings, write_stream
from monitored import RATE
from soundness.errors import DataError, SettingsError
from soundness.monitoring.learning.feedback import NormalSounds
from soundness.monitoring.store import tables

ANOMALOUS = tuple(range(30, 43))


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector of a hum."""
    folder = tmp_path_factory.mktemp("detector")
    (folder / "data" / "pump" / "train").mkdir(parents=True)
    samples, n = humming(40 * CLIP_SECONDS, seed=7), round(CLIP_SECONDS * RATE)
    for index in range(40):
        part = samples[index * n : (index + 1) * n]
        soundfile.write(folder / "data" / "pump" / "train" / f"{index:02d}.wav", part, RATE, subtype="FLOAT")
    soundness.train(folder / "data", folder / "run")
    return folder / "run" / "pump.soundness"


@pytest.fixture
def alarmed(tmp_path, detector):
    """An engine that has raised an alarm, its store, and the alarm."""
    write_stream(tmp_path / "stream.wav", 45, anomalous=ANOMALOUS)
    engine, store = engine_in(tmp_path, settings(detector=str(detector)))
    assert engine.load_detectors() == {}
    engine.run()
    alarm = store.last_alarm(1, "anomaly")
    assert alarm is not None
    yield engine, store, alarm
    store.close()


def test_the_sound_of_an_alarm_becomes_normal_and_that_can_be_undone(alarmed, detector, tmp_path):
    engine, store, alarm = alarmed
    recorder, sounds = engine.recorders["pump"], NormalSounds(engine.recorders)
    words = sounds(alarm, person="Ada")
    assert "normal from now on" in words
    assert "would be now" in words
    assert "False alarms: at most" in words
    assert recorder.detector.file == tmp_path / "data" / "detectors" / "1" / "0001.soundness"
    assert len(recorder.detector.detector.normal_clips) > 40
    assert "anomaly" not in recorder.book.open
    assert store.last_alarm(1, "anomaly").ended_us is not None
    rows = store.detectors(1)
    assert [row.details.get("person") for row in rows] == [None, "Ada"]
    again, other = engine_in(tmp_path, settings(detector=str(detector)))
    assert again.load_detectors() == {}
    assert again.recorders["pump"].detector_id == rows[1].id  # a restart goes on with what was learned
    other.close()
    shutil.copytree(tmp_path / "data", tmp_path / "moved" / "data")
    moved, other = engine_in(tmp_path / "moved", settings(detector=str(detector)))
    assert moved.load_detectors() == {}
    assert moved.recorders["pump"].detector.file == tmp_path / "moved" / "data" / "detectors" / "1" / "0001.soundness"
    assert moved.recorders["pump"].detector_id == rows[1].id  # as does one whose store was moved
    other.close()
    with store.transaction() as transaction:
        transaction.update_alarm(alarm.id, verdict="normal", closed_us=1, closed_by="Ada")
    words = sounds.undo("pump", person="Bob")
    assert "is in use again" in words
    assert "The alarm has no answer now." in words
    assert (store.last_alarm(1, "anomaly").verdict, store.last_alarm(1, "anomaly").closed_us) == ("", None)
    assert store.last_detector(1).reason.startswith("undone: ")
    assert recorder.detector.file == detector
    with store.reading() as connection:
        changes = connection.execute(tables.changes.select()).mappings().all()
    assert [row["person"] for row in changes if row["what"].startswith("detector: ")] == ["Ada", "Bob"]
    with pytest.raises(SettingsError, match="pump: its detector has learned from no answer"):
        sounds.undo("pump", person="Bob")


def test_an_alarm_without_audio_cannot_be_learned(alarmed):
    engine, store, alarm = alarmed
    with store.transaction() as transaction:
        for row in store.last_clips(1, 100):
            transaction.set_clip(row.id, audio="")
    with pytest.raises(DataError, match="no audio of the alarm's clips is kept"):
        NormalSounds(engine.recorders)(alarm, person="")


def test_a_version_that_is_not_kept_any_more_cannot_be_undone_to(alarmed):
    engine, store, alarm = alarmed
    sounds = NormalSounds(engine.recorders)
    sounds(alarm, person="Ada")
    with store.transaction() as transaction:
        table = tables.detectors
        transaction.connection.execute(table.update().where(table.c.id == 1).values(file="/gone/pump.soundness"))
    with pytest.raises(SettingsError, match="pump: no more than 5 versions before the one in use are kept"):
        sounds.undo("pump", person="Bob")


def test_an_alarm_that_is_over_and_was_normal_does_not_go_on_with_the_next(alarmed):
    engine, store, alarm = alarmed
    recorder = engine.recorders["pump"]
    recorder.book.open.pop("anomaly", None)
    recorder.book.last["anomaly"] = ended = replace(alarm, ended_us=alarm.last_us)
    recorder.end_alarm(ended)
    assert "anomaly" not in recorder.book.last
    with store.transaction() as transaction:
        transaction.update_alarm(alarm.id, ended_us=alarm.last_us, verdict="normal")
    again, other = engine_in(recorder.store.folder.parent, engine.settings)
    assert "anomaly" not in again.recorders["pump"].book.last
    other.close()


def test_a_sensor_fault_is_no_sound_to_learn(alarmed):
    engine, _, alarm = alarmed
    with pytest.raises(SettingsError, match="no sound to learn"):
        NormalSounds(engine.recorders)(replace(alarm, kind="fault"), person="")


def test_alarms_that_are_ignored_are_not_raised(tmp_path, detector):
    write_stream(tmp_path / "stream.wav", 45, anomalous=ANOMALOUS)
    engine, store = engine_in(tmp_path, settings(detector=str(detector)))
    engine.load_detectors()
    with store.transaction() as transaction:
        transaction.update_sensor(1, ignored_until_us=2**60)
    engine.run()
    assert store.last_alarm(1, "anomaly") is None
    assert all(row.note.endswith("ignored") for row in store.last_clips(1, 100))
    assert np.sum([row.is_anomalous for row in store.last_clips(1, 100)]) >= len(ANOMALOUS)
    store.close()
