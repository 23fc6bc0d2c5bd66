"""Sound at another rate, block by block, is that of the whole sound."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.monitoring.sources.items import resampled
from soundness.monitoring.sources.protocol import Block, Lost

SOUND = (0.1 * np.random.default_rng(0).standard_normal(30_000)).astype(np.float32)


def blocks(sizes, *, rate=44_100, start_us=None, samples=SOUND):
    at, turn = 0, 0
    while at < len(samples):
        part = samples[at : at + sizes[turn % len(sizes)]]
        time_us = None if start_us is None else start_us + round(1e6 * at / rate)
        yield Block(samples=part, sample_rate=rate, start_us=time_us)
        at, turn = at + len(part), turn + 1


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(min_value=1, max_value=9_000), min_size=1, max_size=4), start_us=st.none() | st.just(7)
)
def test_blocks_of_any_size_give_the_samples_of_the_whole(sizes, start_us) -> None:
    found = list(resampled(blocks(sizes, start_us=start_us), 16_000))
    together = np.concatenate([block.samples for block in found])
    assert together == pytest.approx(soxr.resample(SOUND, 44_100, 16_000), abs=1e-6)
    assert {block.sample_rate for block in found} == {16_000}
    n_before = np.cumsum([0, *(len(block.samples) for block in found[:-1])])
    if start_us is None:
        assert {block.start_us for block in found} == {None}
    else:
        assert [block.start_us for block in found] == pytest.approx(7 + 1e6 * n_before / 16_000, abs=1)


@pytest.mark.parametrize("rate", [None, 44_100])
def test_sound_that_has_the_rate_stays_as_it_is(rate) -> None:
    before = list(blocks([1_000]))
    assert list(resampled(iter(before), rate)) == before


def test_a_rate_that_changes_is_a_break_even_to_the_rate_that_is_wanted() -> None:
    parts = [*blocks([30_000]), *blocks([30_000], rate=16_000), *blocks([30_000], rate=48_000)]
    found = [item.reason for item in resampled(iter(parts), 16_000) if isinstance(item, Lost)]
    assert found == [
        "the sample rate changed from 44,100 to 16,000 Hz",
        "the sample rate changed from 16,000 to 48,000 Hz",
    ]


def test_sound_does_not_go_on_over_a_break() -> None:
    parts = [*blocks([30_000]), Lost(reason="overrun"), *blocks([30_000])]
    found = list(resampled(iter(parts), 16_000))
    first = np.concatenate([item.samples for item in found[: found.index(parts[1])]])
    second = np.concatenate([item.samples for item in found[found.index(parts[1]) + 1 :]])
    assert np.array_equal(first, second[: len(first)])
