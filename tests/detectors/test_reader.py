"""Recordings are read at their system's rate, and their log-mels are kept where there is a cache."""

import numpy as np
import pytest
import soundfile

from soundness.audio.log_mel import LogMel
from soundness.audio.log_mel_cache import LogMelCache
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader, read_recording
from soundness.errors import AudioError
from soundness.settings.loading import load_settings

RATE = 16_000


def noise(n_samples, *, n_channels=1, seed=0):
    samples = 0.1 * np.random.default_rng(seed).standard_normal((n_samples, n_channels))
    return samples.astype(np.float32)


def test_a_recording_is_read_at_the_systems_rate_with_all_its_channels(tmp_path, small):
    for rate, n_channels in ((16_000, 1), (16_000, 2), (48_000, 2)):
        path = tmp_path / f"{rate}_{n_channels}.wav"
        soundfile.write(path, noise(rate, n_channels=n_channels), rate, subtype="FLOAT")
        waveform = read_recording(path, small())
        assert waveform.shape == (n_channels, 16_000)
        if rate == 16_000:
            assert np.array_equal(waveform, noise(rate, n_channels=n_channels).T)


def test_a_recording_needs_a_frame(tmp_path, small):
    for n_samples in (511, 512):
        soundfile.write(tmp_path / f"{n_samples}.wav", noise(n_samples), RATE)
    assert read_recording(tmp_path / "512.wav", small()).shape == (1, 512)
    with pytest.raises(AudioError, match=r"511\.wav: 511 samples .*at least 512"):
        read_recording(tmp_path / "511.wav", small())


def test_a_recording_that_lacks_the_highest_band_is_refused_and_one_that_has_it_is_not(tmp_path, small):
    soundfile.write(tmp_path / "slow.wav", noise(8_000), 8_000)
    with pytest.raises(AudioError, match=r"slow\.wav: recorded at 8000 Hz, so nothing above 4000 Hz; .*8000 Hz"):
        read_recording(tmp_path / "slow.wav", small())
    assert read_recording(tmp_path / "slow.wav", small("conditional", "log_mel.fmax=4000")).shape == (1, 16_000)


def test_the_default_system_needs_1024_samples(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(1_023), RATE)
    with pytest.raises(AudioError, match="at least 1,024"):
        read_recording(tmp_path / "x.wav", load_settings())


def test_a_readers_log_mel_is_that_of_the_channel_with_and_without_a_cache(tmp_path, small):
    soundfile.write(tmp_path / "a.wav", noise(8_000, n_channels=2), RATE, subtype="FLOAT")
    settings = small("log-mel-knn", "audio.channel=1")
    expected = LogMel(settings.log_mel, sample_rate=RATE)(noise(8_000, n_channels=2)[:, 1].copy())
    for reader in (
        RecordingReader(FrontEnd(settings)),
        RecordingReader(FrontEnd(settings), LogMelCache(tmp_path / "cache")),
        RecordingReader(FrontEnd(settings), LogMelCache(tmp_path / "cache")),  # finds what the one before kept
    ):
        found = reader.read(tmp_path / "a.wav")
        assert np.array_equal(found.spectrograms.input, expected)
        assert (found.has_sound, found.n_samples, found.separation_seconds) == (True, 8_000, 0.0)


def test_a_reader_that_separates_gives_both_log_mels(tmp_path, small, separator):
    soundfile.write(tmp_path / "a.wav", noise(8_000), RATE, subtype="FLOAT")
    for mode, sources in (("denoise", {"separated"}), ("target=separated", {"original", "separated"})):
        found = RecordingReader(FrontEnd(small("conditional", f"separation={mode}"), separator)).read(
            tmp_path / "a.wav"
        )
        assert set(found.log_mels) == sources
        assert found.separation_seconds > 0
        assert found.spectrograms.reference is found.log_mels["separated"]
