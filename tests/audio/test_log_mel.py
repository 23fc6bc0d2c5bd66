"""The log-mel spectrogram is librosa's, whatever the settings."""

import os
import subprocess
import sys

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.audio.log_mel import LogMel, band_centres, mel_filterbank, without_mean
from soundness.audio.reading import read_waveform
from soundness.errors import SettingsError
from soundness.separation.losses import LogMelLayer
from soundness.settings.loading import load_settings
from soundness.settings.system import LogMelSettings

RATE = 16_000

VARIANTS = {
    "the defaults": (RATE, {}),
    "256 bands": (RATE, {"n_fft": 2048, "n_mels": 256}),
    "few bands": (RATE, {"n_mels": 20}),
    "short frames": (RATE, {"n_fft": 256, "hop_length": 64, "n_mels": 16}),
    "an even n_fft that is no power of two": (RATE, {"n_fft": 1000, "hop_length": 333, "n_mels": 40}),
    "an odd n_fft": (RATE, {"n_fft": 1023, "hop_length": 333, "n_mels": 40}),
    "a band in the middle": (RATE, {"fmin": 150.0, "fmax": 6_500.5, "n_mels": 64}),
    "below a kilohertz": (RATE, {"fmax": 900.0, "n_fft": 4096, "n_mels": 32}),
    "above a kilohertz": (RATE, {"fmin": 1_000.0, "n_mels": 32}),
    "magnitude": (RATE, {"power": 1.0}),
    "a power between": (RATE, {"power": 1.5}),
    "a high floor": (RATE, {"floor_db": -30.0}),
    "a high rate": (44_100, {"n_fft": 2048, "fmax": 22_050.0}),
}


def oracle(waveform, rate, settings):
    """librosa's, in float64."""
    bands = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=rate,
        n_fft=settings.n_fft,
        hop_length=settings.hop_length,
        window="hann",
        center=True,
        pad_mode="constant",
        power=settings.power,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
        dtype=np.float64,
    )
    floor = 10 ** (settings.floor_db / 10)
    return 10 * np.log10(np.maximum(bands ** (2 / settings.power), floor))


def log_mel(waveform, rate=RATE, **changes):
    return LogMel(LogMelSettings(**changes), sample_rate=rate)(waveform)


def assert_equal_to_librosa(waveform, rate=RATE, **changes):
    expected = oracle(waveform, rate, LogMelSettings(**changes))
    found = log_mel(waveform, rate, **changes)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    errors = np.abs(found - expected)
    audible = expected > expected.max() - 60
    assert errors[audible].max() < 1e-3
    assert errors.max() < 1e-2


def noise(n_samples, *, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(n_samples)).astype(np.float32)


def tone(hz, *, n_samples=RATE, rate=RATE, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(n_samples) / rate)).astype(np.float32)


@pytest.mark.parametrize("name", VARIANTS)
def test_noise_gives_librosas_log_mel(name):
    rate, changes = VARIANTS[name]
    assert_equal_to_librosa(noise(rate // 2), rate, **changes)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_filters_are_librosas(name):
    rate, changes = VARIANTS[name]
    settings = LogMelSettings(**changes)
    expected = librosa.filters.mel(
        sr=rate, n_fft=settings.n_fft, n_mels=settings.n_mels, fmin=settings.fmin, fmax=settings.fmax
    )
    np.testing.assert_allclose(mel_filterbank(settings, sample_rate=rate), expected, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("hz", [50, 440, 1_000, 3_999.5, 7_900])
def test_a_tone_in_faint_noise_gives_librosas_log_mel(hz):
    assert_equal_to_librosa(tone(hz) + noise(RATE, level=1e-3))


@pytest.mark.parametrize("hz", [440, 3_999.5])
@pytest.mark.parametrize("level", [0.001, 0.5])
def test_a_pure_tone_gives_librosas_log_mel_down_to_the_floor(hz, level):
    assert_equal_to_librosa(np.round(tone(hz, level=level) * 32_767).astype(np.float32) / 32_768)


def test_clicks_and_sudden_silence_give_librosas_log_mel():
    waveform = noise(RATE)
    waveform[5_000:11_000] = 0.0
    waveform[8_000] = 1.0
    assert_equal_to_librosa(waveform)


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")  # librosa pads all the same
@pytest.mark.parametrize("n_samples", [1, 100, 511, 512, 513, 1_023, 1_024, 1_025, 5_119])
def test_frames_are_counted_as_librosa_counts_them(n_samples):
    waveform = noise(n_samples)
    assert log_mel(waveform).shape == (128, 1 + n_samples // 512)
    assert_equal_to_librosa(waveform)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("floor_db", [-90.0, -60.0])
def test_digital_silence_lies_on_the_floor(power, floor_db):
    found = log_mel(np.zeros(4_000, np.float32), power=power, floor_db=floor_db)
    np.testing.assert_allclose(found, floor_db, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_000), st.floats(-120, 0), st.integers(1_024, 6_000))
def test_nothing_is_quieter_than_the_floor_and_a_louder_clip_is_louder_by_as_many_decibels(seed, level_db, n_samples):
    quiet = noise(n_samples, seed=seed, level=10 ** (level_db / 20))
    assert log_mel(quiet).min() >= -90.0001
    heard = log_mel(quiet, floor_db=-200.0)
    np.testing.assert_allclose(log_mel(quiet * 10, floor_db=-200.0), heard + 20, atol=2e-3)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("gain_db", [-160, -80, -20, 60])
def test_with_a_floor_relative_to_the_recording_a_gain_adds_a_constant_and_nothing_else(gain_db, power):
    waveform = noise(RATE, level=0.01)
    waveform[4_000:8_000] = 0.0  # lies on the floor
    changes = {"floor_reference": "recording", "power": power}
    expected = log_mel(waveform, **changes) + gain_db
    np.testing.assert_allclose(log_mel(waveform * 10 ** (gain_db / 20), **changes), expected, atol=1e-4)


def test_a_relative_floor_lies_below_the_root_mean_square_of_the_recording():
    waveform = noise(RATE, level=0.01)
    waveform[4_000:8_000] = 0.0
    level = 10 * np.log10(np.square(waveform, dtype=np.float64).mean())
    found = log_mel(waveform, floor_reference="recording", floor_db=-70.0)
    np.testing.assert_allclose(found.min(), level - 70, atol=1e-4)


def test_digital_silence_is_finite_with_a_relative_floor():
    found = log_mel(np.zeros(4_000, np.float32), floor_reference="recording")
    assert np.isfinite(found).all()
    assert found.max() < -300


def test_the_mean_of_each_channel_is_taken_off():
    waveform = np.stack([noise(RATE), noise(RATE, seed=1)])
    offset = (waveform + np.float32([[0.25], [-0.5]])).astype(np.float32)
    found = without_mean(offset)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, waveform - waveform.mean(axis=1, keepdims=True), atol=1e-6)
    assert np.abs(without_mean(np.full((1, 100), 0.1, np.float32))).max() < 1e-9


@pytest.mark.parametrize("name", VARIANTS)
def test_a_layer_gives_a_batch_what_each_clip_gives_alone(name):
    rate, changes = VARIANTS[name]
    batch = np.stack([noise(4_000, seed=seed) for seed in range(3)])
    together = LogMelLayer(LogMelSettings(**changes), sample_rate=rate)(torch.from_numpy(batch)).numpy()
    for own, waveform in zip(together, batch, strict=True):
        np.testing.assert_allclose(own, log_mel(waveform, rate, **changes), atol=1e-4)


CHANGES = {
    "n_fft": 512,
    "hop_length": 256,
    "n_mels": 64,
    "frequency_scale": "linear",
    "fmin": 100.0,
    "fmax": 7_000.0,
    "power": 1.0,
    "floor_db": -40.0,
    "floor_reference": "recording",
}


def test_each_setting_is_among_those_that_are_changed():
    assert CHANGES.keys() == LogMelSettings.model_fields.keys()


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_changes_the_log_mel(name):
    waveform = tone(440, level=0.01) + noise(RATE, level=1e-6)
    before, after = log_mel(waveform), log_mel(waveform, **{name: CHANGES[name]})
    assert before.shape != after.shape or np.abs(before - after).max() > 0.1


def test_the_sample_rate_changes_the_filters():
    settings = LogMelSettings(fmax=4_000.0)
    assert np.abs(mel_filterbank(settings, sample_rate=16_000) - mel_filterbank(settings, sample_rate=8_000)).max() > 0


def real_clips(real_data):
    machines = sorted((real_data / "dcase2023_sample").iterdir())
    folders = [real_data / "mimii_fan/normal", real_data / "mimii_fan/abnormal", real_data / "toycar/ToyCar/test"]
    return [sorted(folder.rglob("*.wav"))[0] for folder in (*folders, *machines)]


def test_real_recordings_give_librosas_log_mel(real_data):
    clips = real_clips(real_data)
    assert len(clips) == 10
    for path in clips:
        assert_equal_to_librosa(read_waveform(path, sample_rate=RATE, fmax=8_000.0)[0])


def test_a_long_clip_is_heard_in_blocks_as_it_is_in_one(monkeypatch):
    waveform = noise(40 * 512)
    whole = log_mel(waveform)
    monkeypatch.setattr("soundness.audio.log_mel._BLOCK_FRAMES", 7)
    np.testing.assert_allclose(log_mel(waveform), whole, atol=1e-4)


LOG_MELS = """
import hashlib
import numpy as np
from threadpoolctl import threadpool_limits
from soundness.audio.log_mel import LogMel
from soundness.settings.system import LogMelSettings
log_mel = LogMel(LogMelSettings(), sample_rate=16_000)
waveform = np.random.default_rng(0).standard_normal(160_000).astype(np.float32)
for n_threads in (1, 2, 3):
    with threadpool_limits(n_threads, user_api="blas"):
        print(hashlib.sha256(log_mel(waveform).tobytes()).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    # By the kernels of a processor without AVX-512, whose sums depend on it; where NumPy has no OpenBLAS, by its own.
    older = os.environ | {"OPENBLAS_CORETYPE": "Haswell"}
    done = subprocess.run([sys.executable, "-c", LOG_MELS], env=older, check=True, capture_output=True, text=True)
    digests = done.stdout.split()
    assert len(digests) == 3
    assert len(set(digests)) == 1


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize(("rate", "fmin", "fmax"), [(12_000, 1.0, 6_000.0), (192_000, 100.0, 96_000.0)])
def test_bands_of_other_scales_are_even_on_them_and_none_lies_between_two_bins(scale, rate, fmin, fmax):
    settings = LogMelSettings(frequency_scale=scale, fmin=fmin, fmax=fmax, n_mels=64)
    centres = band_centres(settings)
    steps = np.diff(np.log(centres) if scale == "log" else centres)
    np.testing.assert_allclose(steps, steps[0])
    filters = mel_filterbank(settings, sample_rate=rate)
    areas = filters.sum(axis=1) * rate / settings.n_fft
    np.testing.assert_allclose(areas[1:-1], 1, atol=0.1)
    assert (areas > 0.4).all()
    peaks = np.fft.rfftfreq(settings.n_fft, 1 / rate)[filters.argmax(axis=1)]
    widths = np.maximum(np.gradient(centres), rate / settings.n_fft)
    assert (np.abs(peaks - centres) <= widths).all()


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_a_tone_is_found_in_its_band_of_any_scale(scale):
    rate = 192_000
    settings = LogMelSettings(frequency_scale=scale, fmin=500.0, fmax=96_000.0, n_mels=48, n_fft=4096)
    tone = np.sin(2 * np.pi * 40_000 * np.arange(rate) / rate).astype(np.float32)
    loudest = LogMel(settings, sample_rate=rate)(tone).mean(axis=1).argmax()
    assert loudest == np.abs(band_centres(settings) - 40_000).argmin()


def test_a_logarithmic_scale_begins_above_zero():
    with pytest.raises(SettingsError, match=r"frequency_scale log needs a log_mel\.fmin above 0 Hz"):
        load_settings(overrides=["log_mel.frequency_scale=log"])
