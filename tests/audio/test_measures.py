"""Level, silence and clipping of a recording, worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundness.audio.measures import measure_clip
from soundness.errors import AudioError

RATE = 16_000


def tone(seconds: float = 0.1, peak: float = 0.5, rate: int = RATE) -> NDArray[np.float64]:
    """A sine of 1 kHz, whose level is its peak's less 3.01 dB."""
    return peak * np.sin(2 * math.pi * 1000 * np.arange(round(seconds * rate)) / rate)


def wav(path: Path, samples: NDArray[np.float64], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def test_a_sine_has_its_peak_s_level_less_three_decibels(tmp_path: Path) -> None:
    measures = measure_clip(wav(tmp_path / "a.wav", tone(0.5, peak=0.5)))
    assert measures.seconds == 0.5
    assert measures.sample_rate == RATE
    assert measures.level_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=1e-4)
    assert measures.silent_channels == (False,)
    assert not measures.is_clipped


def test_a_full_scale_square_wave_is_at_zero_decibels(tmp_path: Path) -> None:
    measures = measure_clip(wav(tmp_path / "a.wav", np.tile([1.0, -1.0], 500)))
    assert measures.level_dbfs == pytest.approx(0, abs=1e-6)


def test_the_level_is_the_mean_power_of_all_channels(tmp_path: Path) -> None:
    samples = np.stack([np.tile([0.8, -0.8], 50), np.tile([0.4, -0.4], 50)], axis=1)
    measures = measure_clip(wav(tmp_path / "a.wav", samples))
    assert measures.level_dbfs == pytest.approx(10 * math.log10((0.64 + 0.16) / 2), abs=1e-5)


def test_zeros_are_silence_and_have_no_level(tmp_path: Path) -> None:
    measures = measure_clip(wav(tmp_path / "a.wav", np.zeros(100)))
    assert measures.level_dbfs is None
    assert measures.silent_channels == (True,)


def test_an_offset_is_no_silence(tmp_path: Path) -> None:
    measures = measure_clip(wav(tmp_path / "a.wav", np.full(100, 0.25)))
    assert measures.level_dbfs == pytest.approx(20 * math.log10(0.25))
    assert measures.silent_channels == (False,)
    assert measures.is_constant
    assert not measure_clip(wav(tmp_path / "a.wav", np.array([0.25, 0.25, 0.2]))).is_constant


def test_a_recording_longer_than_a_block_is_measured_whole(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(400_000), np.tile([0.5, -0.5], 200_000)])
    measures = measure_clip(wav(tmp_path / "a.wav", samples))
    assert measures.seconds == 50
    assert measures.level_dbfs == pytest.approx(10 * math.log10(0.125), abs=1e-6)
    assert measures.silent_channels == (False,)


@pytest.mark.parametrize(
    ("samples", "is_clipped"),
    [
        ([0.1, 1.0, 1.0, 1.0, 0.1], True),
        ([0.1, -1.0, -1.0, -1.0, 0.1], True),
        ([0.1, 1.0, 1.0, 0.1, 1.0], False),
        ([0.1, 0.99, 0.99, 0.99, 0.1], False),
        ([1.0, -0.5], False),
    ],
)
def test_three_samples_in_a_row_at_full_scale_are_clipping(
    tmp_path: Path, samples: list[float], is_clipped: bool
) -> None:
    assert measure_clip(wav(tmp_path / "a.wav", np.array(samples))).is_clipped == is_clipped


def test_sixteen_bit_full_scale_counts_as_full_scale(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0, 32767, 32767, 32767], dtype=np.int16), RATE)
    assert measure_clip(tmp_path / "a.wav").is_clipped


def test_a_broken_clip_raises_what_reading_it_would(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="holds samples that are no numbers"):
        measure_clip(wav(tmp_path / "a.wav", np.array([0.0, math.nan])))
