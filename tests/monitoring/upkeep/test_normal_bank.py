from dataclasses import replace

import pytest
import soundfile
from sqlalchemy.exc import OperationalError

import soundness
from learning_monitors import CLIP_SECONDS, engine_in, humming, settings, write_stream
from monitored import RATE
from soundness.monitoring.live.renewing import renew
from soundness.monitoring.store.database import database_errors
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store
from soundness.monitoring.upkeep.normal_bank import NormalBank, confirmed

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


def row(start_us, number=1):
    return ClipRow(
        sensor_id=1, number=number, start_us=start_us, seconds=10.0, outcome="scored", state="normal", score=1.0
    )


@pytest.fixture
def bank(tmp_path):
    """A bank that was offered a clip each half hour of four days."""
    (tmp_path / "clip.flac").write_bytes(b"sound")
    found = NormalBank(tmp_path / "bank", renewed_us=0)
    for half in range(4 * 48):
        found.offer(tmp_path / "clip.flac", row(half * HOUR_US // 2, half), p_value=0.5, is_quiet=True)
    return found


def alarm(raised_us, ended_us, **values):
    return Alarm(
        key="k", sensor_id=1, kind="anomaly", raised_us=raised_us, last_us=raised_us, ended_us=ended_us, **values
    )


def test_one_clip_of_each_hour_is_put_aside(bank):
    assert [clip.start_us // HOUR_US for clip in bank.clips()] == list(range(96))
    assert [clip.hour for clip in bank.clips()[:25]] == [*range(24), 0]


def test_clips_that_are_not_normal_are_not(tmp_path):
    (tmp_path / "clip.flac").write_bytes(b"sound")
    bank = NormalBank(tmp_path / "bank", renewed_us=0)
    bank.offer(tmp_path / "clip.flac", row(0), p_value=0.05, is_quiet=True)
    bank.offer(tmp_path / "clip.flac", row(0), p_value=0.5, is_quiet=False)
    assert bank.clips() == []


def test_the_latest_two_of_each_hour_are_kept_once_a_day_has_passed(bank):
    kept = bank.prune([], now_us=4 * DAY_US)
    assert sorted(clip.start_us // HOUR_US for clip in kept) == [*range(25, 73)]
    assert len(bank.clips()) == 48 + 23  # and those that wait for their day


def test_clips_within_a_day_of_an_alarm_are_forgotten_unless_it_was_normal(bank):
    found = alarm(2 * DAY_US, 2 * DAY_US + HOUR_US)
    times = {clip.start_us for clip in confirmed(bank.clips(), [found], now_us=5 * DAY_US)}
    assert not any(DAY_US <= time <= 3 * DAY_US + HOUR_US for time in times)
    assert times
    answered = replace(found, verdict="normal")
    assert len(confirmed(bank.clips(), [answered], now_us=5 * DAY_US)) == 48
    still_on = replace(found, ended_us=None)
    assert max(clip.start_us for clip in confirmed(bank.clips(), [still_on], now_us=5 * DAY_US)) < DAY_US


class AwayStore(Store):
    """A store whose database has gone away."""

    def detectors(self, sensor_id):
        with database_errors(self.engine):
            raise OperationalError(f"SELECT {sensor_id}", {}, Exception("the connection was closed"))


def test_a_detector_takes_the_bank_in_after_a_week(tmp_path, caplog):
    n = round(CLIP_SECONDS * RATE)
    (tmp_path / "data" / "pump" / "train").mkdir(parents=True)
    samples = humming(70 * CLIP_SECONDS, seed=7)
    parts = [samples[index * n : (index + 1) * n] for index in range(70)]
    for index in range(40):
        soundfile.write(tmp_path / "data" / "pump" / "train" / f"{index:02d}.wav", parts[index], RATE, subtype="FLOAT")
    soundness.train(tmp_path / "data", tmp_path / "run")
    own = settings(detector="run/pump.soundness")
    write_stream(tmp_path / "stream.wav", 4, seed=3)
    engine, store = engine_in(tmp_path, own)
    engine.load_detectors()
    recorder = engine.recorders["pump"]
    engine.run()
    assert recorder.bank.renewed_us == store.sensor("pump").details["bank_renewed_us"]
    now_us = recorder.bank.renewed_us
    for index in range(14):  # the week that has passed
        soundfile.write(tmp_path / "clip.flac", parts[40 + index], RATE)
        clip = row(now_us - (30 + 11 * index) * HOUR_US, 1_000 + index)
        bank = NormalBank(recorder.bank.folder, renewed_us=0)
        bank._last_hour = -1
        bank.offer(tmp_path / "clip.flac", clip, p_value=0.5, is_quiet=True)
        (tmp_path / "clip.flac").unlink()
    recorder.set_details(bank_renewed_us=now_us - 8 * DAY_US)
    store.close()
    write_stream(tmp_path / "stream.wav", 8, seed=3)
    engine, store = engine_in(tmp_path, own)
    engine.load_detectors()
    engine.run()
    rows = store.detectors(1)
    assert rows[1].reason == f"takes in {rows[1].details['n_clips']} normal clips of the hours of the day"
    assert 11 <= rows[1].details["n_clips"] <= 14  # of 14: one that is not like the others is left out
    assert rows[1].details["parent"] == rows[0].id
    assert len(engine.recorders["pump"].detector.detector.normal_clips) == 40 + rows[1].details["n_clips"]
    assert store.sensor("pump").details["bank_renewed_us"] > now_us
    recorder = engine.recorders["pump"]
    recorder.store = AwayStore(store.engine, store.folder)
    renew(recorder, now_us)  # which is no reason to end
    assert "the connection was closed" in caplog.text
    store.close()
