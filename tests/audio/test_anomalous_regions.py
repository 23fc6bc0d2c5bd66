"""Anomalous regions lie where they were put, and are described in plain words."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.audio.anomalous_regions import AnomalousRegion, find_regions, hertz, strongest_band, strongest_second

FRAME = 0.02
CENTRES = np.linspace(100, 6_300, 63)  # every 100 Hz


def anomalous_map(bands, spans, *, amount=10.0, noise=0.3):
    """A map of 63 bands and 10 s in which a few bands lie above normal for a time."""
    values = noise * np.random.default_rng(0).standard_normal((63, 500))
    for start, end in spans:
        values[bands, round(start / FRAME) : round(end / FRAME)] += amount
    return values


def regions_of(values):
    shares = np.square(values.mean(axis=1))[:, None] * np.full((1, 500), 1 / 500)
    return find_regions(shares, values, deviations=values, centres=CENTRES, frame_seconds=FRAME)


@pytest.mark.parametrize(
    ("bands", "spans", "amount", "words"),
    [
        (30, [(0, 10)], 9, "a tone near 3.1 kHz, 9 dB above normal, all the time"),
        (30, [(2, 4.5)], 9, "a tone near 3.1 kHz, 9 dB above normal, from 2.0 s to 4.5 s"),
        (0, [(0, 10)], 12, "a hum near 100 Hz, 12 dB above normal, all the time"),
        (slice(9, 20), [(0, 10)], -6, "a band from 950 Hz to 2.0 kHz, 6 dB below normal, all the time"),
        (slice(2, 60), [(1, 3), (6, 8)], 8, "broad-band sound from 250 Hz to 6.0 kHz, 8 dB above normal, from 1.0 s to 3.0 s and from 6.0 s to 8.0 s"),  # noqa: E501  # one sentence
        (30, [(t, t + 0.24) for t in range(1, 9)], 20, "a tone near 3.1 kHz, 20 dB above normal, in 8 short events from 1.0 s to 8.2 s, one every 1.0 s"),  # noqa: E501  # likewise
    ],
)  # fmt: skip
def test_regions_are_described_in_plain_words(bands, spans, amount, words):
    region = regions_of(anomalous_map(bands, spans, amount=amount))[0]
    assert str(region) == words


def test_a_stretch_shorter_than_a_tenth_of_a_second_has_one_time() -> None:
    region = replace(regions_of(anomalous_map(30, [(2, 4.5)], amount=9))[0], spans=((4.41, 4.44), (4.8, 10.0)))
    assert region.times == "at 4.4 s and from 4.8 s to 10.0 s"


def test_fluctuations_are_there_all_the_time():
    values = anomalous_map(30, [(0, 10)], amount=3.0, noise=2.0)
    assert regions_of(values)[0].spans == ()


def test_two_regions_do_not_overlap_and_come_in_order():
    values = anomalous_map(10, [(0, 10)], amount=4.0) + anomalous_map(40, [(0, 10)], amount=7.0)
    first, second = regions_of(values)
    assert first.bands[0] <= 40 <= first.bands[1]
    assert second.bands[0] <= 10 <= second.bands[1]
    assert 1.0 >= first.share > second.share > 0


def test_nothing_anomalous_has_no_regions():
    zeros = np.zeros((63, 500))
    assert find_regions(zeros, zeros, deviations=zeros, centres=CENTRES, frame_seconds=FRAME) == []


def test_a_region_whose_level_is_not_known_is_described_without():
    region = AnomalousRegion(
        bands=(3, 3), centre=1e3, fmin=950.0, fmax=1_050.0, spans=(), excess_db=None, share=0.5, is_tone=True
    )
    assert str(region) == "a tone near 1.0 kHz, all the time"


def test_the_strongest_band_and_second_are_those_with_the_largest_share():
    shares = np.full((63, 500), 1e-3)
    shares[20, 300:350] = 1.0
    assert strongest_band(shares) == 20
    assert strongest_second(shares, frame_seconds=FRAME) == pytest.approx(6.49)
    assert strongest_second(shares[:, :10], frame_seconds=FRAME) == pytest.approx(0.09)


def test_frequencies_have_two_significant_digits():
    assert [hertz(value) for value in (52.3, 437.0, 996.0, 3_140.0)] == ["52 Hz", "440 Hz", "1.0 kHz", "3.1 kHz"]
