import threading
import time

import pytest
import soundfile

from learning_monitors import CLIP_SECONDS, engine_in, run_in, settings, write_stream
from soundness.detectors.saving import load_detector
from soundness.errors import SettingsError
from soundness.monitoring.configuration.monitor_settings import load_configuration

N_PERIOD = 40


def learning_of(store):
    return store.sensor("pump").details["learning"]


def outcomes(store):
    return [(row.number, row.outcome) for row in store.last_clips(1, 1_000)]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder in which a sensor has learned from a stream with two clips that do not belong."""
    folder = tmp_path_factory.mktemp("learned")
    write_stream(folder / "stream.wav", N_PERIOD + 20, anomalous=(3, 20))
    run_in(folder, settings()).close()
    return folder


def test_a_sensor_without_a_detector_learns_one_and_begins(learned):
    engine, store = engine_in(learned, settings())
    detector = load_detector(learned / "data" / "detectors" / "1" / "0001.soundness")
    assert store.sensor("pump").state == "normal"
    assert detector.machine_type == "pump"
    assert detector.alarm_rule is not None
    assert detector.lengths.clip_seconds == CLIP_SECONDS
    assert learning_of(store)["n_trained"] + learning_of(store)["n_calibrated"] == N_PERIOD - 2
    assert len(detector.normal_clips) == N_PERIOD - 2  # they are few: those that were held back are known in the end
    assert detector.calibration.origin == "fresh"
    assert len(detector.calibration.scores[""]) == learning_of(store)["n_calibrated"]
    assert engine.load_detectors() == {}
    assert engine.recorders["pump"].detector_id == 1  # the same one, and not installed again
    assert len(store.detectors(1)) == 1
    store.close()


def test_clips_that_do_not_belong_are_set_aside_and_can_be_listened_to(learned):
    _, store = engine_in(learned, settings())
    found = learning_of(store)["set_aside"]
    assert sorted(int(each["clip"].partition("_")[2][:6]) for each in found) == [3, 20]
    assert all(soundfile.info(learned / "data" / each["audio"]).duration == CLIP_SECONDS for each in found)
    assert all("Hz" in each["finding"] for each in found)
    store.close()


def test_a_crash_before_the_end_was_noted_leaves_nothing_behind(learned):
    engine, store = engine_in(learned, settings())
    with store.transaction() as transaction:
        transaction.set_details(1, learning={**learning_of(store), "stage": "calibrating"})
    left = learned / "data" / "learning" / "1" / "train" / "block-0000"
    left.mkdir(parents=True)
    assert engine.load_detectors() == {}
    assert learning_of(store)["stage"] == "done"
    assert not left.exists()
    store.close()


def test_every_clip_is_accounted_for_and_those_of_a_source_that_can_wait_are_scored_by_what_is_learned(learned):
    _, store = engine_in(learned, settings())
    found = outcomes(store)
    assert [number for number, _ in found] == list(range(1, N_PERIOD + 21))
    assert [outcome for _, outcome in found] == ["learned"] * N_PERIOD + ["scored"] * 20
    store.close()


def test_a_restart_goes_on_with_the_recording(tmp_path):
    write_stream(tmp_path / "stream.wav", N_PERIOD // 2)
    run_in(tmp_path, settings()).close()
    write_stream(tmp_path / "stream.wav", N_PERIOD - 1)
    store = run_in(tmp_path, settings())
    assert store.sensor("pump").state == "learning"
    assert "records normal sound: 20 s of 20 s" in store.sensor("pump").state_note
    kept = [path.stem.rpartition("_")[2] for path in (tmp_path / "data" / "learning" / "1").glob("*/*/*.flac")]
    assert sorted(kept) == [f"{index:06d}" for index in range(N_PERIOD - 1)]
    store.close()


def test_a_stage_that_was_broken_off_is_begun_again(tmp_path):
    write_stream(tmp_path / "stream.wav", N_PERIOD)
    engine, store = engine_in(tmp_path, settings())
    assert engine.load_detectors() == {}
    learning = engine.recorders["pump"].learning
    running = threading.Thread(target=engine.run)
    running.start()
    while learning.details["stage"] != "training":
        time.sleep(0.01)
    engine.stop.set()
    running.join()
    assert learning_of(store)["stage"] == "training"
    assert store.detectors(1) == []
    store.close()
    store = run_in(tmp_path, settings())
    assert learning_of(store)["stage"] == "done"
    assert len(store.detectors(1)) == 1
    store.close()


def test_what_cannot_be_learned_from_is_said_and_recorded_again(tmp_path):
    soundfile.write(tmp_path / "stream.wav", [0.0] * round(N_PERIOD * CLIP_SECONDS * 16_000), 16_000)
    store = run_in(tmp_path, settings(fault_after="1h"))
    assert "cannot learn from what was recorded: 0 of 40 clips hold sound" in store.sensor("pump").state_note
    assert learning_of(store)["stage"] == "recording"
    store.close()


def test_clips_of_a_maintenance_window_are_not_learned_from(tmp_path):
    write_stream(tmp_path / "stream.wav", N_PERIOD)
    store = run_in(tmp_path, settings(maintenance=("daily 00:00-24:00",)))
    assert {row.note for row in store.last_clips(1, 100)} == {"maintenance (daily 00:00-24:00): not learned from"}
    assert learning_of(store)["stage"] == "recording"
    store.close()


def test_a_period_that_is_too_short_is_refused_with_the_configuration(tmp_path):
    file = tmp_path / "m.toml"
    file.write_text('[[sensor]]\nname = "pump"\nsource = "pcm:-"\nlearn = "1min"\n')
    with pytest.raises(SettingsError, match="60 s hold 6 clips"):
        load_configuration(file)


def test_a_period_that_was_complete_when_the_monitor_ended_is_learned_from_although_no_clip_comes_any_more(tmp_path):
    write_stream(tmp_path / "stream.wav", 40)
    own = settings()
    engine, store = engine_in(tmp_path, own)
    recorder = engine.recorders["pump"]
    engine.load_detectors()
    recorder.learned = lambda _: None
    engine.run()
    recorder.set_details(learning={**recorder.learning.details, "stage": "recording"})  # as before it was noted
    store.close()
    store = run_in(tmp_path, own)
    assert store.last_detector(1) is not None
    store.close()
