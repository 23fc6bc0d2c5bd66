"""Time of samples: held to the clock of the computer, whatever sound card and network do."""

import numpy as np
import pytest

from clocks import NOON_US, Clocks

RATE = 16_000
BLOCK = 4_000  # a quarter of a second


def errors_of_a_day(parts_in_a_million: float, *, jitter_seconds: float) -> np.ndarray:
    """Errors in seconds of the times of blocks of a sound card whose rate is off, which arrive late by chance."""
    rng, clocks = np.random.default_rng(0), Clocks()
    n_blocks, length = 4 * 86_400, BLOCK / RATE / (1 + 1e-6 * parts_in_a_million)
    late = rng.exponential(jitter_seconds, n_blocks)
    begin, errors = clocks.steady_us, np.empty(n_blocks)
    for index in range(n_blocks):
        made_us = begin + 1e6 * index * length
        clocks.steady_us = max(clocks.steady_us, made_us + 1e6 * (length + late[index]))
        found = clocks.samples.start_of(BLOCK, RATE)
        errors[index] = (found - clocks.offset_us - made_us) / 1e6
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("parts_in_a_million", [100.0, -100.0, 0.0])
def test_a_sound_card_that_is_off_by_100_ppm_is_followed_within_10_ms_over_a_day(parts_in_a_million: float) -> None:
    errors = errors_of_a_day(parts_in_a_million, jitter_seconds=0.02)
    assert np.abs(errors[240:]).max() < 0.010  # without it, the error is 8.6 s at the end of the day
    assert errors[0] < 0.2


def test_time_runs_with_the_number_of_samples_however_late_blocks_come() -> None:
    clocks, rng = Clocks(), np.random.default_rng(1)
    begin, found = clocks.steady_us, []
    for index in range(200):
        clocks.steady_us = begin + 250_000 * (index + 1) + (0 if index == 0 else rng.uniform(0, 100_000))
        found.append(clocks.samples.start_of(BLOCK, RATE))
    assert np.diff(found) == pytest.approx([250_000] * 199, abs=20_000)
    assert found[0] == NOON_US


@pytest.mark.parametrize("seconds", [-3_600.0, 86_400.0])
def test_a_clock_that_is_set_is_noticed_once_and_taken_over(seconds: float) -> None:
    clocks = Clocks()
    clocks.go_on(0.25)
    before = clocks.samples.start_of(BLOCK, RATE)
    clocks.set(seconds)
    assert clocks.samples.jump_us() == pytest.approx(1e6 * seconds, abs=1)
    assert clocks.samples.jump_us() == 0
    clocks.go_on(0.25)
    assert clocks.samples.start_of(BLOCK, RATE) - before == pytest.approx(250_000 + 1e6 * seconds, abs=1)


def test_a_clock_that_is_corrected_by_little_is_followed_smoothly() -> None:
    clocks = Clocks()
    clocks.set(0.4)
    times = []
    for _ in range(2_000):
        clocks.go_on(0.25)
        assert clocks.samples.jump_us() == 0
        times.append(clocks.samples.start_of(BLOCK, RATE))
    steps = np.diff(times) - 250_000
    assert steps.max() <= 4_100
    assert steps.min() >= -1
    assert times[-1] == pytest.approx(clocks.wall_us() - 250_000, abs=2_000)


def test_sound_that_comes_faster_than_it_lasts_keeps_its_order() -> None:
    clocks, found = Clocks(), []
    for _ in range(100):
        clocks.go_on(0.01)
        found.append(clocks.samples.start_of(BLOCK, RATE))
    assert np.diff(found[10:]) == pytest.approx([250_000] * 89, abs=130)
