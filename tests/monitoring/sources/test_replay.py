"""Recordings that are played as if live: one stream whatever its files, which goes on at any place."""

import threading
import time

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitored import age
from soundness.errors import AudioError, DataError, SettingsError
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.protocol import Block, Lost, SourceSettings, SourceState

OWN = {"name": "a", "channel": 0, "sample_rate": None, "clip_seconds": 1.0}


def source(folder, address, **options):
    return find_source(address, SourceSettings(**{**OWN, "folder": folder, **options}))


def blocks(folder, address, state=None, **options):
    found = source(folder, address, **options).items(SourceState() if state is None else state, threading.Event())
    return [item for item in found if isinstance(item, Block)]


def samples_of(found):
    return np.concatenate([block.samples for block in found])


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Three recordings of odd lengths at 11,025 Hz, each sample another number."""
    folder = tmp_path_factory.mktemp("recordings")
    at = 0
    for index, n in enumerate((11_025 + 7, 2_003, 25_001)):
        values = np.arange(at, at + n) / 2**17
        soundfile.write(folder / f"{index}.wav", values, 11_025, subtype="FLOAT")
        at += n
    return folder


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n_before=st.integers(min_value=0, max_value=38_035))
def test_a_replay_goes_on_at_any_place_with_the_samples_of_one_that_was_not_broken(recordings, n_before) -> None:
    first_us = 1_700_000_000_123_456
    whole = blocks(recordings, "replay:.?speed=0", SourceState(first_us=first_us))
    next_us = first_us + round(1e6 * n_before / 11_025)
    rest = blocks(recordings, "replay:.?speed=0", SourceState(first_us=first_us, next_us=next_us))
    assert np.array_equal(samples_of(rest), samples_of(whole)[n_before:])
    assert rest[0].start_us == pytest.approx(next_us, abs=1)


def test_the_times_of_a_replay_follow_from_the_number_of_samples(recordings) -> None:
    found = blocks(recordings, "replay:.?speed=0", SourceState(first_us=5))
    n_before = np.cumsum([0, *(len(block.samples) for block in found[:-1])])
    assert [block.start_us for block in found] == pytest.approx(5 + 1e6 * n_before / 11_025, abs=1)


def test_a_loop_begins_again_and_goes_on_within_its_second_turn(recordings) -> None:
    n = 38_036
    state = SourceState(first_us=0, next_us=round(1e6 * (n + 100) / 11_025))
    stop = threading.Event()
    found = []
    for item in source(recordings, "replay:.?speed=0&loop=true").items(state, stop):
        found.append(item)
        if sum(len(block.samples) for block in found) > n:
            stop.set()
    assert samples_of(found)[: n - 100][0] == np.float32(100 / 2**17)
    assert samples_of(found)[n - 100] == 0.0


def test_the_speed_is_seconds_of_sound_in_a_second(recordings) -> None:
    began = time.monotonic()
    blocks(recordings, "replay:.?speed=10")
    assert time.monotonic() - began >= 0.3


def test_a_recording_that_cannot_be_read_is_a_break(tmp_path) -> None:
    for name in ("a.wav", "c.wav"):
        soundfile.write(tmp_path / name, np.zeros(100), 1_000)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    found = list(source(tmp_path, "replay:.?speed=0").items(SourceState(), threading.Event()))
    assert [type(item) for item in found] == [Block, Lost, Block]
    assert "b.wav" in found[1].reason


def test_a_file_is_one_stream_at_its_own_time(recordings) -> None:
    path = recordings / "2.wav"
    age(path, 1_000)
    found = blocks(recordings, "file:2.wav")
    assert found[0].start_us == pytest.approx(1e6 * (path.stat().st_mtime - 25_001 / 11_025), abs=2)
    assert len(samples_of(found)) == 25_001
    assert not source(recordings, "file:2.wav").is_live


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("replay:none.wav", AudioError, "none.wav"),
        ("file:none.wav", AudioError, "none.wav"),
        ("replay:empty", DataError, "empty: no recordings in it to replay"),
    ],
)
def test_what_cannot_be_replayed_is_named(tmp_path, address, error, words) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=words):
        list(source(tmp_path, address).items(SourceState(), threading.Event()))
    with pytest.raises(error, match=words):
        source(tmp_path, address).check()


def test_an_option_of_a_file_is_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match="file: unknown option 'speed'; known: none"):
        source(tmp_path, "file:a.wav?speed=2")


def test_a_replay_that_was_held_up_makes_up_for_little_of_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("soundness.monitoring.sources.replay._MOST_LATE_SECONDS", 0.0)
    soundfile.write(tmp_path / "a.wav", np.zeros(80_000), 8_000)
    began, speed, held_seconds = time.monotonic(), 20, 0.4
    items = source(tmp_path, f"replay:a.wav?speed={speed}").items(SourceState(), threading.Event())
    next(items)
    time.sleep(held_seconds)
    assert len(list(items)) == 9
    assert time.monotonic() - began > held_seconds + 9 / speed - 0.01
