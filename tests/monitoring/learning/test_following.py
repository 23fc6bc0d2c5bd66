from dataclasses import replace

import pytest
import soundfile

import soundness
from learning_monitors import CLIP_SECONDS, engine_in, humming, settings, write_stream
from monitored import RATE
from soundness.errors import SettingsError
from soundness.monitoring.learning.feedback import NormalSounds
from soundness.monitoring.learning.following import Following
from soundness.monitoring.learning.trend import BLOCK_US


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A detector of a hum."""
    folder, n = tmp_path_factory.mktemp("detector"), round(CLIP_SECONDS * RATE)
    (folder / "data" / "pump" / "train").mkdir(parents=True)
    samples = humming(40 * CLIP_SECONDS, seed=7)
    for index in range(40):
        part = samples[index * n : (index + 1) * n]
        soundfile.write(folder / "data" / "pump" / "train" / f"{index:02d}.wav", part, RATE, subtype="FLOAT")
    soundness.train(folder / "data", folder / "run")
    return folder / "run" / "pump.soundness"


def run(folder, own):
    engine, store = engine_in(folder, own)
    assert engine.load_detectors() == {}
    engine.run()
    return engine.recorders["pump"], store


def replayed(recorder, rows, *, moves=True):
    """Following of the stored scores from the beginning, and the p-values that it gives them."""
    calibration, rule = recorder.detector.detector.calibration, recorder.detector.rule
    found = Following.of(calibration, rule, detector_id=1, learned={}, kept={}, moves=moves)
    p_values = []
    for row in rows:
        p_values.append(found.p_value(row.score))
        assert row.threshold is not None
        is_above = row.score > row.threshold
        assert is_above == (row.p_value <= rule.p_value)
        found.add_clip(row, is_frozen=False)
    return found, p_values


def test_the_threshold_follows_clip_by_clip_over_a_restart(tmp_path, detector):
    own = settings(detector=str(detector))
    write_stream(tmp_path / "stream.wav", 25, seed=3)
    recorder, store = run(tmp_path, own)
    store.close()
    write_stream(tmp_path / "stream.wav", 50, seed=3)
    recorder, store = run(tmp_path, own)
    rows = store.last_clips(1, 100)
    found, p_values = replayed(recorder, rows)
    assert len(rows) == 50
    assert [row.p_value for row in rows] == pytest.approx(p_values)
    assert found.threshold.offset != 0.0
    assert len({row.threshold for row in rows}) > 10
    kept = store.sensor("pump").details["following"]
    assert kept["threshold"] == pytest.approx(found.threshold.as_details(), abs=1e-4)
    assert kept["shift"] == pytest.approx(found.threshold.middle + found.threshold.tail, abs=1e-3)
    store.close()


def test_a_sensor_that_is_not_to_follow_keeps_its_threshold(tmp_path, detector):
    write_stream(tmp_path / "stream.wav", 30, seed=3)
    recorder, store = run(tmp_path, settings(detector=str(detector), follows_drift=False))
    calibration = recorder.detector.detector.calibration
    rows = store.last_clips(1, 100)
    assert all(row.p_value == calibration.p_value(row.score) for row in rows)
    assert {row.threshold for row in rows} == {calibration.threshold(recorder.detector.rule.p_value)}
    assert store.sensor("pump").details["following"]["shift"] == 0.0
    store.close()


def test_a_trend_is_an_alarm_of_its_own_that_can_be_accepted(tmp_path, detector):
    own = settings(detector=str(detector))
    write_stream(tmp_path / "stream.wav", 3, seed=3)
    recorder, store = run(tmp_path, own)
    trend = recorder.following.trend
    hour = store.last_clips(1, 1)[0].start_us // BLOCK_US
    trend.block, trend.sums, trend.since = hour - 1, (50, 200.0), hour - 30
    trend.wealth, trend.levels, trend.rise = [1e9] * 3, [4.0] * 24, 10.0
    recorder.set_details(following=recorder.following.as_details())
    store.close()
    write_stream(tmp_path / "stream.wav", 6, seed=3)
    recorder, store = run(tmp_path, own)
    alarm = store.last_alarm(1, "drift")
    assert alarm.reason.startswith("drifting since ")
    assert "4.0 deviations above the learning period" in alarm.reason
    assert store.sensor("pump").state == "drifting"
    assert store.sensor("pump").state_note == alarm.reason
    assert store.last_alarm(1, "anomaly") is None
    assert store.sensor("pump").details["following"]["drifting_since_us"] == (hour - 29) * BLOCK_US
    found = recorder.detector
    recorder.install(replace(found, fingerprint="another"), reason="its file was replaced")
    assert recorder.following.trend.is_on  # so that the alarm is not open for ever
    recorder.install(found, reason="its file was replaced")
    recorder.following.trend.levels = [4.0] * 24
    words = NormalSounds({"pump": recorder})(alarm, person="Ada")
    assert words == "the level of the last day, +4.0 deviations, is the normal one from now on"
    assert store.sensor("pump").state == "normal"
    assert store.last_alarm(1, "drift").ended_us is not None
    with pytest.raises(SettingsError, match="the drift is over"):
        NormalSounds({"pump": recorder})(alarm, person="Ada")
    assert store.sensor("pump").details["following"]["drifting_since_us"] is None
    store.close()
