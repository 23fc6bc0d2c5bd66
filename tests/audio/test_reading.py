"""Recordings read exactly, at the right rate, or refused in one line."""

import math
import os
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from permissions import unprivileged
from soundness.audio.measures import measure_clip
from soundness.audio.reading import (
    AudioInfo,
    read_blocks,
    read_blocks_at,
    read_info,
    read_pieces,
    read_waveform,
)
from soundness.errors import AudioError

RATE = 16_000


def sine(hz: float, seconds: float, rate: int) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * math.pi * hz * np.arange(round(seconds * rate)) / rate)


def wav(path: Path, samples: NDArray[np.generic], rate: int = RATE, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def with_data_size(path: Path, size: int) -> Path:
    """The WAV file with another number in its header for the bytes of sound that follow."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    return path


@given(arrays.arrays(np.int16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40)))
@settings(max_examples=30, deadline=None)
def test_sixteen_bit_samples_come_back_exactly(samples: NDArray[np.int16]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = wav(Path(folder) / "a.wav", samples)
        waveform = read_waveform(path, sample_rate=RATE, fmax=8000)
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, samples.T / 32768)


def test_the_channels_come_first_and_keep_their_order(tmp_path: Path) -> None:
    samples = np.array([[0.5, -0.25], [0.5, -0.25], [0.5, -0.25]])
    waveform = read_waveform(wav(tmp_path / "a.wav", samples), sample_rate=RATE, fmax=8000)
    assert waveform.shape == (2, 3)
    assert waveform.flags.c_contiguous
    np.testing.assert_array_equal(waveform, [[0.5] * 3, [-0.25] * 3])


@pytest.mark.parametrize("suffix", [".flac", ".aiff", ".au", ".caf", ".w64"])
def test_lossless_formats_agree_with_wav(tmp_path: Path, suffix: str) -> None:
    samples = np.arange(-1000, 1000, dtype=np.int16)
    soundfile.write(tmp_path / f"a{suffix}", samples, RATE, subtype="PCM_16")
    waveform = read_waveform(tmp_path / f"a{suffix}", sample_rate=RATE, fmax=8000)
    np.testing.assert_array_equal(waveform, samples[None] / 32768)


@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_lossy_formats_give_about_what_was_recorded(tmp_path: Path, suffix: str) -> None:
    samples = sine(440, 1, RATE)
    soundfile.write(tmp_path / f"a{suffix}", samples, RATE)
    waveform = read_waveform(tmp_path / f"a{suffix}", sample_rate=RATE, fmax=8000)
    assert waveform.shape == (1, RATE)
    assert np.abs(waveform[0] - samples)[2000:-2000].max() < 0.05


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_resampled_sine_is_the_sine_sampled_at_the_new_rate(tmp_path: Path, rate: int) -> None:
    path = wav(tmp_path / "a.wav", sine(1000, 2, rate), rate, "FLOAT")
    waveform = read_waveform(path, sample_rate=RATE, fmax=4000)
    expected = sine(1000, 2, RATE)
    assert waveform.shape == (1, len(expected))
    middle = slice(1000, -1000)
    np.testing.assert_allclose(waveform[0, middle], expected[middle], atol=1e-4)


def test_resampling_in_blocks_equals_resampling_at_once(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (700_001, 2)).astype(np.float32)
    path = wav(tmp_path / "a.wav", samples, 44_100, "FLOAT")
    waveform = read_waveform(path, sample_rate=RATE, fmax=8000)
    np.testing.assert_allclose(waveform, soxr.resample(samples, 44_100, RATE).T, atol=1e-6)


def test_a_long_recording_is_never_held_at_its_own_rate(tmp_path: Path) -> None:
    n_samples = 6_000_000
    path = wav(tmp_path / "a.wav", np.ones(n_samples, dtype=np.int16), 96_000)
    tracemalloc.start()
    waveform = read_waveform(path, sample_rate=8_000, fmax=4000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert waveform.shape == (1, 500_000)
    assert peak < n_samples * 4 / 2


def test_blocks_follow_each_other_without_gap(tmp_path: Path) -> None:
    samples = np.arange(10, dtype=np.int16)
    blocks = list(read_blocks(wav(tmp_path / "a.wav", samples), block_samples=4))
    assert [block.shape for block in blocks] == [(4, 1), (4, 1), (2, 1)]
    np.testing.assert_array_equal(np.concatenate(blocks)[:, 0] * 32768, samples)


def test_the_header_tells_rate_channels_and_length(tmp_path: Path) -> None:
    info = read_info(wav(tmp_path / "a.wav", np.zeros((22_050, 3)), 44_100))
    assert info == AudioInfo(sample_rate=44_100, n_channels=3, n_samples=22_050)
    assert info.seconds == 0.5


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"a\.wav: no such file; expected an audio file"):
        read_info(tmp_path / "a.wav")


READERS = {
    "header": read_info,
    "blocks": lambda path: list(read_blocks(path)),
    "blocks at a rate": lambda path: list(read_blocks_at(path, sample_rate=8000)),
    "waveform": lambda path: read_waveform(path, sample_rate=RATE, fmax=8000),
    "pieces": lambda path: list(read_pieces(path, sample_rate=RATE, fmax=8000, n_samples=100)),
    "measures": measure_clip,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_error_of_every_reader_knows_the_file_and_the_reason_apart(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(AudioError) as missing:
        read(path)
    path.write_bytes(b"no sound")
    with pytest.raises(AudioError) as damaged:
        read(path)
    for error, reason in [
        (missing.value, "no such file; expected an audio file"),
        (damaged.value, "not audio, or damaged; expected a format that libsndfile reads"),
    ]:
        assert (error.path, error.reason, str(error)) == (path, reason, f"{path}: {reason}")
        assert isinstance(error.__cause__, OSError | soundfile.SoundFileError)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="expected an audio file, found a folder"):
        read_info(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="found a named pipe"):
        read_info(tmp_path / "a.wav")


def test_a_file_that_may_not_be_read_is_refused(open_folder: Path) -> None:
    path = wav(open_folder / "a.wav", np.zeros(10))
    path.chmod(0)
    with unprivileged(path), pytest.raises(AudioError, match=r"a\.wav: no permission to read it"):
        read_info(path)


def test_an_unreachable_file_is_refused(open_folder: Path) -> None:
    path = wav(open_folder / "closed" / "a.wav", np.zeros(10))
    path.parent.chmod(0)
    with unprivileged(path), pytest.raises(AudioError, match=r"a\.wav: no permission to read it"):
        read_info(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"a\.wav: empty file \(0 bytes\); expected audio"):
        read_info(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a"])
def test_text_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no sound at all\n" * 100)
    with pytest.raises(AudioError, match=f"{name}: not audio, or damaged"):
        read_info(tmp_path / name)


def test_header_less_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(100))
    with pytest.raises(AudioError, match=r"a\.raw: header-less audio"):
        read_info(tmp_path / "a.raw")


@pytest.mark.parametrize("n_bytes", [20, 43])
def test_a_header_cut_short_is_refused(tmp_path: Path, n_bytes: int) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(100))
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(AudioError, match=r"a\.wav: "):
        read_waveform(path, sample_rate=RATE, fmax=8000)


def test_a_truncated_wav_is_refused_although_libsndfile_would_shorten_it(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(1000))
    path.write_bytes(path.read_bytes()[:-500])
    message = r"a\.wav: truncated; its header says 2,000 bytes of sound, it holds 1,500"
    with pytest.raises(AudioError, match=message):
        read_info(path)


def test_a_chunk_before_the_sound_does_not_hide_its_size(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(1000))
    content = path.read_bytes()
    at = content.index(b"data")
    odd_chunk = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    path.write_bytes(content[:at] + odd_chunk + content[at:])
    assert read_info(path).n_samples == 1000
    path.write_bytes((content[:at] + odd_chunk + content[at:])[:-2])
    with pytest.raises(AudioError, match="says 2,000 bytes of sound, it holds 1,998"):
        read_info(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_a_wav_that_was_streamed_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    samples = np.arange(1000, dtype=np.int16)
    path = with_data_size(wav(tmp_path / "a.wav", samples), size)
    waveform = read_waveform(path, sample_rate=RATE, fmax=8000)
    np.testing.assert_array_equal(waveform, samples[None] / 32768)


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 5 * RATE), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="truncated"):
        read_waveform(path, sample_rate=RATE, fmax=8000)


def test_a_recording_without_samples_is_refused(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(0))
    with pytest.raises(AudioError, match=r"a\.wav: 0 samples; a clip needs at least 1"):
        read_waveform(path, sample_rate=8_000, fmax=4000)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_samples_that_are_no_numbers_are_refused_with_their_place(tmp_path: Path, value: float) -> None:
    samples = np.zeros((400_000, 2), dtype=np.float32)
    samples[360_000, 1] = value
    path = wav(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: holds samples that are no numbers.* at 22\.500 s"):
        read_waveform(path, sample_rate=RATE, fmax=8000)


def test_a_clip_may_be_as_short_as_the_least_and_no_shorter(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(300))
    assert read_waveform(path, sample_rate=RATE, fmax=8000, min_samples=300).shape == (1, 300)
    message = r"a\.wav: 300 samples at 16000 Hz; a clip needs at least 1,024"
    with pytest.raises(AudioError, match=message):
        read_waveform(path, sample_rate=RATE, fmax=8000, min_samples=1024)


def test_the_least_length_counts_samples_after_resampling(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(2400), 48_000)
    assert read_waveform(path, sample_rate=RATE, fmax=8000, min_samples=800).shape == (1, 800)
    with pytest.raises(AudioError, match="800 samples at 16000 Hz; a clip needs at least 801"):
        read_waveform(path, sample_rate=RATE, fmax=8000, min_samples=801)


def test_a_recording_must_reach_the_highest_frequency_that_is_used(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(8000), 8_000)
    assert read_waveform(path, sample_rate=RATE, fmax=4000).shape == (1, 16_000)
    message = r"a\.wav: recorded at 8000 Hz, so nothing above 4000 Hz; the detector uses frequencies up to 8000 Hz"
    with pytest.raises(AudioError, match=message):
        read_waveform(path, sample_rate=RATE, fmax=8000)


def test_every_channel_of_a_real_recording_is_read_as_soundfile_reads_it(real_data: Path) -> None:
    path = real_data / "mimii_fan_8ch" / "normal" / "00000000.wav"
    waveform = read_waveform(path, sample_rate=RATE, fmax=8000)
    assert waveform.shape == (8, 160_000)
    np.testing.assert_array_equal(waveform * 32768, soundfile.read(path, dtype="int16")[0].T)


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("n_samples", [1, 1_000, 300_000, 10**9])
def test_the_beginning_of_a_recording_is_read_and_no_more(tmp_path: Path, rate: int, n_samples: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, size=(rate * 20, 2))
    path = wav(tmp_path / "a.wav", noise, rate)
    whole = read_waveform(path, sample_rate=RATE, fmax=8_000)
    beginning = read_waveform(path, sample_rate=RATE, fmax=8_000, max_samples=n_samples)
    assert np.array_equal(beginning, whole[:, :n_samples])


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("n_samples", [7_000, 300_000, 10**9])
def test_the_pieces_of_a_recording_are_the_recording_but_for_what_is_left_over(
    tmp_path: Path, rate: int, n_samples: int
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, size=(rate * 20 + 1, 2))
    path = wav(tmp_path / "a.wav", noise, rate)
    whole = read_waveform(path, sample_rate=RATE, fmax=8_000)
    pieces = list(read_pieces(path, sample_rate=RATE, fmax=8_000, n_samples=n_samples))
    n_pieces = whole.shape[1] // n_samples
    assert len(pieces) == n_pieces
    if n_pieces > 0:
        assert np.array_equal(np.concatenate(pieces, axis=1), whole[:, : n_pieces * n_samples])


def test_pieces_of_a_recording_that_lacks_high_frequencies_are_refused(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(9_000), 8_000)
    with pytest.raises(AudioError, match="recorded at 8000 Hz, so nothing above 4000 Hz"):
        list(read_pieces(path, sample_rate=RATE, fmax=8_000, n_samples=1_000))


def test_a_recording_that_is_too_slow_to_be_resampled_is_refused(tmp_path: Path) -> None:
    soundfile.write(path := tmp_path / "a.wav", np.zeros(200_000), 100)
    with pytest.raises(AudioError, match=r"a\.wav: recorded at 100 Hz, too slow to be resampled to 16,000 Hz"):
        read_waveform(path, sample_rate=16_000, fmax=0.0)
    with pytest.raises(AudioError, match="too slow to be resampled"):
        list(read_blocks_at(path, sample_rate=16_000))
