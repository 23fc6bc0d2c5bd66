"""Changes are described in words, with times, frequencies and regularity worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.audio.anomalous_regions import AnomalousRegion
from soundness.detectors.explaining.changes import Modulation, ShortChange, ToneChange, are_missing, is_part_of

PLACE = {"bands": (40, 60), "centre": 1_500.0, "fmin": 1_000.0, "fmax": 2_600.0, "share": 1.0, "is_tone": False}


def events(moments, *, seconds=0.06, **options):
    spans = tuple((moment - seconds / 2, moment + seconds / 2) for moment in moments)
    return ShortChange(**PLACE, spans=spans, **{"excess_db": 12.0, **options})


def test_few_events_have_each_its_time():
    found = events([2.1, 4.6, 7.0])
    assert str(found) == (
        "3 short events at 2.1, 4.6 and 7.0 s for at most 80 ms each, "
        "1.0 kHz to 2.6 kHz, 12 dB above the rest of the clip"
    )
    assert (found.name, found.period_seconds) == ("event", None)
    assert str(found.later(10.0)).startswith("3 short events at 12.1, 14.6 and 17.0 s")


@pytest.mark.parametrize(
    ("moments", "words"),
    [([3.0], "a short event at 3.0 s"), ([0.1, 0.5, 1.2, 3.3, 4.0, 6.1], "6 short events from 0.1 s to 6.1 s")],
)
def test_one_event_and_many(moments, words):
    assert str(events(moments)).startswith(words)


def test_long_events_have_a_length():
    assert str(events([3.0], seconds=1.3)).startswith("an event at 3.0 s for 1.3 s")
    assert str(events([3.0], seconds=0.3)).startswith("a short event at 3.0 s for 300 ms")


@pytest.mark.parametrize("missing", [(), (3,), (2, 7)])
def test_regular_events_may_have_gaps_and_jitter(missing):
    rng = np.random.default_rng(0)
    moments = [0.4 + 0.52 * step + rng.uniform(-0.016, 0.016) for step in range(12) if step not in missing]
    found = events(moments)
    assert found.name == "periodic event"
    assert found.period_seconds == pytest.approx(0.52, abs=0.01)
    assert "every 0.52 s (1.9 a second)" in str(found)


def test_events_at_times_by_chance_are_seldom_regular():
    rng = np.random.default_rng(1)
    names = [events(np.sort(rng.uniform(0, 10, rng.integers(4, 12)))).name for _ in range(300)]
    assert names.count("periodic event") < 9


def test_falls_are_drops_of_the_sound():
    found = events([3.2], excess_db=-20.0, is_fall=True, is_everywhere=True)
    assert str(found) == "sound drops at 3.2 s for at most 80 ms, in all bands, 20 dB below the rest of the clip"
    assert found.name == "dropout"
    assert "microphone" in found.check


def test_a_fall_at_a_regular_time_without_event_is_a_missing_event():
    rhythm = [(0.5 + step, 0.7 + step) for step in range(8)]
    there = [span for index, span in enumerate(rhythm) if index != 4]
    assert are_missing([rhythm[4]], there)
    assert not are_missing([(5.0, 5.2)], there)
    assert not are_missing([rhythm[4]], there[:2])
    found = events([4.6], is_fall=True, is_rhythm=True)
    assert found.name == "missing event"
    assert str(found).startswith("an event is missing at 4.6 s")


@pytest.mark.parametrize(
    ("normal", "level", "change"),
    [(0.0, 12.0, "appeared"), (9.0, 20.0, "is louder"), (12.0, 0.5, "is gone"), (20.0, 12.0, "is quieter")],
)
def test_a_tone_appears_or_is_gone(normal, level, change):
    tone = {**PLACE, "is_tone": True, "spans": (), "excess_db": level - normal}
    found = ToneChange(**tone, hz=388.0, level_db=level, normal_db=normal)
    side = "above" if level > normal else "below"
    assert str(found) == f"a tone at 388 Hz {change}, {abs(level - normal):.0f} dB {side} normal"
    more = ToneChange(**tone, hz=388.0, level_db=level, normal_db=normal, others_hz=(776.0, 1_164.0))
    assert str(more).endswith("; also at 776 Hz and 1,164 Hz")


def test_a_modulation_has_a_rate_and_bands():
    options = {**PLACE, "spans": (), "excess_db": 9.0}
    high = Modulation(**options, rate=107.2, is_everywhere=False)
    assert str(high) == "modulated at 107 Hz, mostly from 1.0 kHz to 2.6 kHz, 9 dB more than normal"
    assert "6,432 a minute" in high.check
    slow = Modulation(**options, rate=4.96, is_everywhere=True, is_line=False)
    assert str(slow).startswith("modulated at several rates, most at 5.0 Hz, in all bands")


def short_change(spans, excess_db, *, bands=(20, 60), is_fall=False):
    return ShortChange(**{**PLACE, "bands": bands}, spans=spans, excess_db=excess_db, is_fall=is_fall)


def whistle(spans=((0.4, 6.8),), *, excess_db=19.0):
    return AnomalousRegion(**{**PLACE, "bands": (50, 51), "is_tone": True}, spans=spans, excess_db=excess_db)


def test_what_is_quiet_beside_a_long_whistle_is_no_drop_of_the_sound():
    fall = short_change(((8.8, 8.9),), -3.6, is_fall=True)
    assert is_part_of(fall, whistle(), seconds=10.0)
    assert not is_part_of(fall, whistle(((0.4, 3.0),)), seconds=10.0)  # the usual sound is the one without it
    assert not is_part_of(fall, whistle(()), seconds=10.0)
    during = replace(fall, spans=((3.0, 3.1),))
    assert not is_part_of(during, whistle(), seconds=10.0)
    assert not is_part_of(replace(fall, excess_db=-12.0), whistle(), seconds=10.0)
    assert not is_part_of(replace(fall, bands=(60, 90)), whistle(), seconds=10.0)


def test_a_long_event_is_the_whistle_itself_and_a_knock_is_not():
    long = short_change(((2.9, 7.5),), 5.5)
    assert is_part_of(long, whistle(((0.8, 5.0),)), seconds=10.0) is False  # less than half of it
    assert is_part_of(long, whistle(((0.8, 6.0),)), seconds=10.0)
    assert not is_part_of(short_change(((2.9, 3.0),), 5.5), whistle(), seconds=10.0)
    assert not is_part_of(long, whistle(excess_db=8.0), seconds=10.0)


def test_what_is_loud_beside_a_long_silence_of_a_band_is_no_event():
    quiet = whistle(excess_db=-19.0)
    assert is_part_of(short_change(((8.8, 8.9),), 3.6), quiet, seconds=10.0)
    assert not is_part_of(short_change(((3.0, 3.1),), 3.6), quiet, seconds=10.0)
