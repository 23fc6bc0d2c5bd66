"""A long recording is read in windows of its own samples, whatever its rate, length and channels."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from soundness.audio.reading import read_channel, read_waveform
from soundness.audio.windows import ClipLength, n_consecutive, read_windows
from soundness.errors import AudioError
from soundness.settings.system import AudioSettings

RATE = 8_000


def written(path, n_samples, *, n_channels=1, rate=RATE):
    samples = 0.1 * np.random.default_rng(0).standard_normal((n_samples, n_channels))
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def windows(path, n_samples, *, is_overlapping=True, channel=0, **options):
    audio = AudioSettings(channel=channel)
    clip = ClipLength(n_samples=n_samples, is_overlapping=is_overlapping)
    return list(read_windows(path, sample_rate=RATE, fmax=3_000.0, clip=clip, audio=audio, **options))


@pytest.mark.parametrize(
    ("n_samples", "starts"),
    [
        (1_000, [0]),
        (1_500, [0]),  # not more than 1.5 windows
        (1_501, [0, 500, 501]),
        (2_000, [0, 500, 1_000]),
        (2_100, [0, 500, 1_000, 1_100]),  # the last one ends with the recording
        (300, [0]),
    ],
)
def test_windows_overlap_by_half_and_the_last_one_ends_with_the_recording(tmp_path, n_samples, starts):
    path = written(tmp_path / "a.wav", n_samples)
    whole = soundfile.read(path, dtype="float32")[0]
    found = windows(path, 1_000)
    assert [window.start for window in found] == starts
    assert [window.is_whole for window in found] == [len(starts) == 1] * len(starts)
    for window in found:
        length = n_samples if len(starts) == 1 else 1_000
        assert np.array_equal(window.waveform, whole[None, window.start : window.start + length])


@given(st.integers(1_501, 6_000), st.integers(1_000, 1_003))
def test_every_sample_lies_in_a_window(tmp_path_factory, n_samples, n_window):
    path = written(tmp_path_factory.mktemp("any") / "a.wav", n_samples)
    seen = np.zeros(n_samples, np.int64)
    for window in windows(path, n_window):
        seen[window.start : window.start + window.waveform.shape[1]] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize(("n_samples", "n_clips"), [(1_600, 1), (1_899, 1), (1_900, 2), (3_000, 3), (3_899, 3)])
def test_clips_one_after_the_other_leave_out_a_rest_that_is_no_clip(tmp_path, n_samples, n_clips):
    found = windows(written(tmp_path / "a.wav", n_samples), 1_000, is_overlapping=False)
    assert [window.start for window in found] == [1_000 * index for index in range(n_clips)]
    assert n_consecutive(n_samples / RATE, 1_000 / RATE) == n_clips


@pytest.mark.parametrize("rate", [RATE, 11_025, 48_000])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_one_channel_has_the_samples_of_the_whole_waveform_to_the_last_bit(tmp_path, rate, n_channels):
    path = written(tmp_path / "a.wav", 3 * rate + 17, n_channels=n_channels, rate=rate)
    whole = read_waveform(path, sample_rate=RATE, fmax=3_000.0)
    for channel in range(n_channels):
        blocks = read_channel(path, sample_rate=RATE, fmax=3_000.0, channel=channel)
        assert np.array_equal(np.concatenate(list(blocks)), whole[channel])
        for window in windows(path, RATE, channel=channel):
            stop = window.start + window.waveform.shape[1]
            assert np.array_equal(window.waveform[0], whole[channel, window.start : stop])


def test_the_beginning_of_a_recording_has_the_windows_of_a_file_that_ends_there(tmp_path):
    long, short = written(tmp_path / "long.wav", 9_000), tmp_path / "short.wav"
    soundfile.write(short, soundfile.read(long, dtype="float32")[0][:3_300], RATE, subtype="FLOAT")
    for found, expected in zip(windows(long, 1_000, samples=slice(3_300)), windows(short, 1_000), strict=True):
        assert found.start == expected.start
        assert np.array_equal(found.waveform, expected.waveform)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel": 1}, r"a\.wav: 1 channel\(s\); channel 1 \(counted from 0\) is needed"),
        ({"min_samples": 200}, r"a\.wav: 100 samples at 8000 Hz; a clip needs at least 200"),
    ],
)
def test_every_problem_names_the_recording(tmp_path, options, message):
    with pytest.raises(AudioError, match=message):
        windows(written(tmp_path / "a.wav", 100), 1_000, **options)


def test_memory_grows_with_neither_length_nor_channels(tmp_path):
    peaks = {}
    for seconds, n_channels in ((20, 1), (200, 1), (20, 32)):
        path = written(tmp_path / f"{seconds}_{n_channels}.wav", seconds * RATE, n_channels=n_channels)
        tracemalloc.start()
        for _ in read_windows(
            path, sample_rate=RATE, fmax=3_000.0, clip=ClipLength(n_samples=RATE, is_overlapping=True)
        ):
            pass
        peaks[seconds, n_channels] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[200, 1] < 3 * peaks[20, 1]  # a block of 33 s is longer than the short one
    assert peaks[20, 32] < 3 * peaks[20, 1]
