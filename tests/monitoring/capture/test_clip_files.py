"""Clips on disk, and the audio that is kept of them."""

import numpy as np
import pytest
import soundfile

from soundness.errors import OutputError
from soundness.monitoring.capture.clip_cutter import CapturedClip
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder, level_of
from soundness.monitoring.capture.kept_audio import KeptAudio

RATE, SECOND = 8_000, 1_000_000


def captured(files: ClipFolder, number: int, samples: np.ndarray | None = None) -> ClipFile:
    values = np.random.default_rng(number).normal(0, 0.1, RATE) if samples is None else samples
    file = files.ring / f"{number}.part"
    file.write_bytes(values.astype("<f4").tobytes())
    start_us = 10 * SECOND * number
    clip = CapturedClip(start_us=start_us, n_samples=len(values), sample_rate=RATE, file=file)
    return files.take(clip, number)


def kept(files: ClipFolder, keeps: str, *, least_free_bytes: float = 0.0) -> KeptAudio:
    return KeptAudio(files, keeps, 20 * SECOND, least_free_bytes)


def test_a_clip_is_encoded_to_24_bits_of_its_samples(tmp_path):
    files = ClipFolder(tmp_path, "1")
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, RATE).astype(np.float32)
    clip = files.encoded(captured(files, 1, samples))
    read, rate = soundfile.read(clip.path, dtype="float64")
    assert rate == RATE
    assert np.abs(read - samples).max() <= 2.0**-23
    assert [path.name for path in files.ring.iterdir()] == [clip.path.name]
    assert files.encoded(clip) == clip


def test_what_is_left_after_a_crash_is_found_by_number_and_what_is_incomplete_is_removed(tmp_path):
    files = ClipFolder(tmp_path, "1")
    for number in (10, 9):
        captured(files, number)
    files.encoded(captured(files, 2))
    (files.ring / "3.part").write_bytes(b"half")
    left = ClipFolder(tmp_path, "1").left()
    assert [(one.number, one.path.suffix, one.start_us) for one in left] == [
        (2, ".flac", 20 * SECOND),
        (9, ".raw", 90 * SECOND),
        (10, ".raw", 100 * SECOND),
    ]
    assert not (files.ring / "3.part").exists()


def test_a_clip_of_a_recording_without_a_row_is_removed_since_the_recording_is_read_again(tmp_path):
    files = ClipFolder(tmp_path, "1")
    for number in (1, 2, 3):
        files.add(np.zeros(100, dtype=np.float32), number=number, start_us=number, sample_rate=RATE)
    captured(files, 4)
    assert [clip.number for clip in files.left(last_number=2)] == [1, 2, 4]
    assert len(list(files.ring.iterdir())) == 3


def test_a_clip_that_cannot_be_encoded_is_said_and_its_samples_stay(tmp_path):
    files = ClipFolder(tmp_path, "1")
    clip = captured(files, 1)
    clip.path.with_suffix(".part").mkdir()
    with pytest.raises(OutputError, match=r"1-10000000-8000\.flac"):
        files.encoded(clip)
    assert clip.path.exists()


@pytest.mark.parametrize(("amplitude", "expected"), [(1.0, -3.0103), (0.1, -23.0103)])
def test_the_level_of_a_sine_is_3_db_below_its_amplitude(tmp_path, amplitude, expected):
    files = ClipFolder(tmp_path, "1")
    sine = amplitude * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert level_of(captured(files, 1, sine).path) == pytest.approx(expected, abs=1e-3)
    assert level_of(captured(files, 2, np.zeros(RATE)).path) is None


def test_the_audio_of_an_alarm_is_kept_with_the_time_before_it_and_the_rest_is_forgotten(tmp_path):
    files = ClipFolder(tmp_path, "1")
    audio, places = kept(files, "alarms"), {}
    for number in range(1, 8):
        clip = files.encoded(captured(files, number))
        places |= audio.add(clip, row_id=100 + number, is_alarm=number == 5)
    # Two clips before the fifth begin within 20 s before it.
    assert places == {100 + number: f"audio/1/1970-01-01/{number}.flac" for number in (3, 4, 5)}
    for place in places.values():
        assert len(soundfile.read(tmp_path / place)[0]) == RATE
    assert [one.number for one in files.left()] == [5, 6, 7]


@pytest.mark.parametrize(("keeps", "n_kept"), [("all", 4), ("none", 0)])
def test_all_or_no_audio_is_kept(tmp_path, keeps, n_kept):
    files = ClipFolder(tmp_path, "1")
    audio, places = kept(files, keeps), {}
    for number in range(1, 5):
        places |= audio.add(files.encoded(captured(files, number)), row_id=number, is_alarm=number == 2)
    assert len(places) == n_kept


@pytest.mark.parametrize("numbers", [range(20, 0, -1), [90, *range(1, 20)]])
def test_clips_whose_times_go_backward_are_forgotten_too(tmp_path, numbers):
    files = ClipFolder(tmp_path, "1")
    audio = kept(files, "alarms")
    for number in numbers:
        audio.add(files.encoded(captured(files, number)), number, is_alarm=False)
    assert len(list(files.ring.iterdir())) <= 3


def test_no_more_clips_are_held_than_there_can_be_before_an_alarm(tmp_path):
    files = ClipFolder(tmp_path, "1")
    audio = KeptAudio(files, "alarms", 1_000 * SECOND, 0.0, most_clips=5)
    for number in range(1, 20):
        audio.add(files.encoded(captured(files, number)), number, is_alarm=False)
    assert sorted(int(path.name.partition("-")[0]) for path in files.ring.iterdir()) == [15, 16, 17, 18, 19]


def test_nothing_is_kept_where_the_disk_is_too_full(tmp_path, caplog):
    files = ClipFolder(tmp_path, "1")
    audio = kept(files, "all", least_free_bytes=1e18)
    assert audio.add(files.encoded(captured(files, 1)), row_id=1, is_alarm=True) == {}
    assert "too little free space" in caplog.text


def test_a_clip_that_could_not_be_encoded_is_encoded_when_it_is_kept(tmp_path):
    files = ClipFolder(tmp_path, "1")
    ring = kept(files, "all")
    place = ring.add(captured(files, 1), 7, is_alarm=False)[7]
    assert soundfile.info(tmp_path / place).frames == RATE
