"""Level, silence and clipping of a recording, worked out by hand."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundness.audio.measures import ClipMeasures, Gap, Measurement, measure_clip
from soundness.errors import AudioError

RATE = 16_000


def tone(seconds: float = 0.1, peak: float = 0.5, rate: int = RATE) -> NDArray[np.float64]:
    """A sine of 1 kHz, whose level is its peak's less 3.01 dB."""
    return peak * np.sin(2 * math.pi * 1000 * np.arange(round(seconds * rate)) / rate)


def noise(seconds: float = 0.5, level: float = 0.1) -> NDArray[np.float64]:
    return level * np.random.default_rng(0).standard_normal(round(seconds * RATE))


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


def test_a_constant_recording_has_an_offset_and_no_level(tmp_path: Path) -> None:
    measures = measure_clip(wav(tmp_path / "a.wav", np.full(100, 0.25)))
    assert (measures.level_dbfs, measures.channels[0].offset) == (None, 0.25)
    assert measures.silent_channels == (False,)
    assert measures.is_constant
    assert not measure_clip(wav(tmp_path / "a.wav", np.array([0.25, 0.25, 0.2]))).is_constant


def test_the_level_is_that_of_the_sound_without_its_offset(tmp_path: Path) -> None:
    (channel,) = measure_clip(wav(tmp_path / "a.wav", tone(0.5, peak=0.001) + 0.5)).channels
    assert channel.level_dbfs == pytest.approx(20 * math.log10(0.001 / math.sqrt(2)), abs=1e-3)
    assert channel.offset == pytest.approx(0.5, abs=1e-6)
    assert channel.offset_db == pytest.approx(20 * math.log10(0.5 / 0.001 * math.sqrt(2)), abs=1e-3)


def test_a_recording_longer_than_a_block_is_measured_whole(tmp_path: Path) -> None:
    samples = np.concatenate([np.zeros(400_000), np.tile([0.5, -0.5], 200_000)])
    measures = measure_clip(wav(tmp_path / "a.wav", samples))
    assert measures.seconds == 50
    assert measures.level_dbfs == pytest.approx(10 * math.log10(0.125), abs=1e-6)
    assert measures.silent_channels == (False,)


@pytest.mark.parametrize(
    ("subtype", "samples"),
    [
        ("PCM_16", np.clip(8 * noise(), -1, 1)),
        ("PCM_16", 0.89 * np.clip(8 * noise(), -1, 1)),
        ("PCM_16", np.clip(tone(0.5, peak=2) + noise(level=0.01), -0.3, 0.5)),
        ("PCM_U8", np.clip(3 * noise(), -2, 0.3)),
        ("PCM_24", np.clip(0.01 * noise(), -0.001, 1) + 0.03),
        ("ULAW", np.clip(8 * noise(), -1, 1)),
        ("ALAW", np.clip(8 * noise(), -1, 1)),
        ("FLOAT", 40 * np.clip(8 * noise(), -1, 1)),
        ("DOUBLE", np.where(np.arange(8_000) // 30 == 9, 0.7, noise())),
    ],
)
def test_samples_in_a_row_at_the_largest_value_are_clipping_in_any_format(
    tmp_path: Path, subtype: str, samples: NDArray[np.float64]
) -> None:
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=subtype)
    assert measure_clip(tmp_path / "a.wav").is_clipped


@pytest.mark.parametrize(
    ("subtype", "samples"),
    [
        *(("FLOAT", scale * noise()) for scale in (1.0, 40.0, 1e4)),
        *((subtype, tone(0.5, peak=0.9)) for subtype in ("PCM_16", "PCM_U8", "ULAW", "FLOAT")),
        ("PCM_16", np.round(1_638.4 * np.sin(np.arange(16_000) * math.tau * 25 / RATE)) / 32_768),
        ("PCM_16", np.round(98.3 * np.sin(np.arange(16_000) * math.tau * 100 / RATE)) / 32_768),
        ("PCM_16", noise(level=3e-5)),
        ("PCM_16", noise() / np.abs(noise()).max()),
        ("FLOAT", np.abs(noise()) * (np.arange(8_000) % 160 > 20)),
    ],
)
def test_loud_quiet_and_coarse_recordings_are_not_clipped(
    tmp_path: Path, subtype: str, samples: NDArray[np.float64]
) -> None:
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype=subtype)
    assert not measure_clip(tmp_path / "a.wav").is_clipped


def test_a_gap_is_found_with_its_place(tmp_path: Path) -> None:
    samples = noise(4.0)
    samples[20_000:28_000] = 0.0
    samples[40_000:41_600] = samples[40_000]
    (channel,) = measure_clip(wav(tmp_path / "a.wav", samples)).channels
    assert channel.longest_gap == Gap(start_seconds=1.25, seconds=0.5, value=0.0)
    assert channel.gap_share == pytest.approx(0.6 / 4.0)


def test_equal_neighbours_of_slow_data_are_no_gap() -> None:
    measurement = Measurement(50)
    measurement.add(np.round(3 * np.random.default_rng(0).standard_normal((500, 1))).astype(np.float32) / 1000)
    (channel,) = measurement.result().channels
    assert (channel.longest_gap, channel.gap_share, channel.stretches) == (None, 0.0, ((0.0, 10.0),))


@pytest.mark.parametrize("place", [0.3, 0.31, 0.3047])
@pytest.mark.parametrize("n_equal", [79, 80, 81])
def test_the_shortest_gap_is_found_wherever_it_lies_and_however_few_values_occur(place: float, n_equal: int) -> None:
    samples = np.random.default_rng(1).integers(-2, 3, 8_000).astype(np.float32) / 32_768
    start = round(8_000 * place)
    samples[start - 1 : start + n_equal + 1] = [0.25, *[1e-4] * n_equal, -0.25]
    measurement = Measurement(8_000)
    for block in np.split(samples[:, None], [start + 11, start + 50]):
        measurement.add(block)
    (channel,) = measurement.result().channels
    assert (channel.longest_gap is not None) == (n_equal >= 80)


@pytest.mark.parametrize("seconds", [0.05, 0.5])
def test_zeros_at_an_end_are_a_gap_where_they_are_longer_than_a_format_leaves(tmp_path: Path, seconds: float) -> None:
    samples = noise(4.0)
    samples[: round(seconds * RATE)] = samples[-round(seconds * RATE) :] = 0.0
    (channel,) = measure_clip(wav(tmp_path / "a.wav", samples)).channels
    assert channel.gap_share == (0.0 if seconds < 0.1 else pytest.approx(2 * seconds / 4.0))


def test_the_flat_tops_of_clipping_are_no_gaps(tmp_path: Path) -> None:
    hum = np.clip(5 * np.sin(np.arange(RATE) * math.tau * 25 / RATE), -0.8, 0.8)
    (channel,) = measure_clip(wav(tmp_path / "a.wav", hum)).channels
    assert channel.n_clipped == 50
    assert channel.longest_gap is None


@pytest.mark.parametrize(("level", "is_coarse"), [(1e-5, True), (4e-5, True), (3e-3, False)])
def test_a_sound_of_a_few_steps_of_its_format_is_coarse(tmp_path: Path, level: float, is_coarse: bool) -> None:
    soundfile.write(tmp_path / "a.wav", noise(level=level), RATE, subtype="PCM_16")
    assert measure_clip(tmp_path / "a.wav").channels[0].is_coarse == is_coarse


@pytest.mark.parametrize("n_samples", [1, 7, 333, 4_096])
def test_measures_do_not_depend_on_the_length_of_blocks(n_samples: int) -> None:
    samples = np.clip(noise(), -0.15, 0.2).astype(np.float32)
    samples[2_000:2_500] = 0.1
    whole, parts = Measurement(RATE), Measurement(RATE)
    whole.add(samples[:, None])
    for start in range(0, len(samples), n_samples):
        parts.add(samples[start : start + n_samples, None])
    (expected,), (found,) = whole.result().channels, parts.result().channels
    assert found.n_clipped == expected.n_clipped > 0
    assert found.longest_gap == expected.longest_gap is not None
    assert (found.lowest, found.highest) == (expected.lowest, expected.highest)
    assert found.level_dbfs == pytest.approx(expected.level_dbfs, abs=1e-9)


def test_measures_survive_plain_json(tmp_path: Path) -> None:
    samples = noise(1.0)
    samples[4_000:6_000] = 0.0
    measures = measure_clip(wav(tmp_path / "a.wav", samples))
    assert ClipMeasures.from_plain(json.loads(json.dumps(asdict(measures)))) == measures


def test_a_broken_clip_raises_what_reading_it_would(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="holds samples that are no numbers"):
        measure_clip(wav(tmp_path / "a.wav", np.array([0.0, math.nan])))


def test_the_parts_without_a_gap_keep_off_the_gaps() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 4 * 16_000).astype(np.float32)
    sound[4_000:8_000], sound[40_000:48_000] = 0.0, 0.5
    measurement = Measurement(16_000)
    measurement.add(sound[:, None])
    (found,) = measurement.result().channels
    np.testing.assert_allclose(found.stretches, [(0.0, 0.23), (0.52, 2.48), (3.02, 4.0)])


def test_the_movement_of_an_offset_is_that_of_the_means_of_seconds() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 8 * 16_000)
    steps = 0.2 * np.repeat([-1, 1, 1, -1, -1, 1, 1, -1], 16_000)
    found = {}
    for size in (1_000, 16_000, 100_000):
        measurement = Measurement(16_000)
        for start in range(0, len(sound), size):
            measurement.add((sound + steps)[start : start + size, None].astype(np.float32))
        found[size] = measurement.result().channels[0].wander_db
    assert found == pytest.approx(dict.fromkeys(found, 10 * np.log10(0.04 / 0.01)), abs=0.1)
    measurement = Measurement(16_000)
    measurement.add(sound[:, None].astype(np.float32))
    assert measurement.result().channels[0].wander_db < -30


def test_zeros_before_the_sound_do_not_make_it_coarse() -> None:
    sound = np.random.default_rng(0).normal(0, 0.01, 4 * 16_000).astype(np.float32)
    sound[:16_000] = 0.0
    measurement = Measurement(16_000)
    measurement.add(sound[:, None])
    assert not measurement.result().channels[0].is_coarse
