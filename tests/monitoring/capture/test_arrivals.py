"""Blocks that come in bursts or after a pause: their times, and what is missing."""

import numpy as np
import pytest

from clocks import NOON_US, Clocks
from soundness.monitoring.capture.arrivals import Arrivals

RATE = 16_000
SECONDS = 0.25
BLOCK = np.zeros(round(SECONDS * RATE), dtype=np.float32)


class Stream:
    """Blocks that arrive, and what becomes of them."""

    def __init__(self) -> None:
        self.clocks = Clocks()
        self.arrivals = Arrivals(self.clocks.samples)
        self.found = []

    def live(self, n_blocks: int) -> None:
        for _ in range(n_blocks):
            self.clocks.go_on(SECONDS)
            self._arrive()

    def burst(self, n_blocks: int) -> None:
        for _ in range(n_blocks):
            self.clocks.go_on(0.002)
            self._arrive()

    def _arrive(self) -> None:
        found = self.arrivals.add(BLOCK, sample_rate=RATE)
        if found is not None:
            self.found.append((found.start_us, len(found.samples) / RATE, found.missing_seconds))

    def ends(self) -> list[float]:
        return [start_us / 1e6 + seconds for start_us, seconds, _ in self.found]


def test_the_first_blocks_of_a_server_that_sends_the_last_seconds_at_once_are_of_these_seconds() -> None:
    stream = Stream()
    stream.burst(20)
    stream.live(8)
    starts = [start_us for start_us, *_ in stream.found]
    assert stream.found[0][1] == 21 * SECONDS  # held until one comes at its own time
    assert starts[0] == pytest.approx(NOON_US - 5e6 + 0.04e6, abs=1e4)
    assert np.diff(starts)[1:] == pytest.approx([250_000] * 6, abs=1)
    assert starts[1] - starts[0] == pytest.approx(21 * 250_000, abs=1)
    assert sum(missing for *_, missing in stream.found) == 0.0


def test_a_microphone_waits_for_its_second_block_alone() -> None:
    stream = Stream()
    stream.live(3)
    assert [seconds for _, seconds, _ in stream.found] == [0.5, 0.25]
    assert stream.found[0][0] == NOON_US


def test_a_pause_after_which_nothing_is_caught_up_is_missing_sound() -> None:
    stream = Stream()
    stream.live(10)
    stream.clocks.go_on(30.0)
    stream.live(4)
    missing = [each for *_, each in stream.found if each]
    assert missing == [pytest.approx(30.0, abs=0.01)]
    assert stream.ends()[-1] == pytest.approx(stream.clocks.wall_us() / 1e6, abs=1e-3)


def test_a_pause_after_which_all_is_caught_up_is_none() -> None:
    stream = Stream()
    stream.live(10)
    stream.clocks.go_on(10.0)
    stream.burst(40)  # as a playlist of segments gives it
    stream.live(10)
    assert all(missing == 0.0 for *_, missing in stream.found)
    assert sum(seconds for _, seconds, _ in stream.found) == 60 * SECONDS
    starts, lengths = [each[0] for each in stream.found], [each[1] for each in stream.found]
    assert np.diff(starts) == pytest.approx(1e6 * np.array(lengths[:-1]), abs=100_000)


def test_sound_from_a_file_all_at_once_is_passed_on_after_some_seconds_of_it() -> None:
    stream = Stream()
    stream.burst(400)
    rest = stream.arrivals.rest(sample_rate=RATE)
    assert rest is None
    assert sum(seconds for _, seconds, _ in stream.found) == 100.0
    assert stream.found[0][1] == 15.0
    assert all(missing == 0.0 for *_, missing in stream.found)


def test_the_rest_of_a_short_stream_is_not_kept_back() -> None:
    stream = Stream()
    stream.burst(3)
    assert stream.found == []
    rest = stream.arrivals.rest(sample_rate=RATE)
    assert rest is not None
    assert len(rest.samples) == 3 * len(BLOCK)
    assert stream.arrivals.rest(sample_rate=RATE) is None
