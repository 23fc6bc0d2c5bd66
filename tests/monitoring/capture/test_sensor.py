"""The timeline of a sensor: every second of it is in a clip, or in a gap with its reason."""

import shutil
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from clocks import NOON_US, Clocks
from soundness.monitoring.capture.clip_files import ClipFolder
from soundness.monitoring.capture.resuming import place_after
from soundness.monitoring.capture.sensor import LiveSensor
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.sources.protocol import Block, Lost

RATE = 8_000
STEP = 0.25


class Played:
    """A live sensor that gets blocks, and what it makes of them."""

    def __init__(self, folder, *, number=0, end_us=None, **options) -> None:
        own = {"name": "a", "source": "pcm:-", "clip_seconds": 2.0, "fault_after": "60s", **options}
        self.clocks = Clocks()
        self.sensor = LiveSensor(
            settings=SensorSettings(**own),
            sensor_id=1,
            files=ClipFolder(folder, "1"),
            base=folder,
            address=own["source"],
            first_us=None,
            next_us=end_us,
            end_us=end_us,
            number=number,
            ready=lambda _: None,
            clock=self.clocks.samples,
        )
        self.sensor.is_live = True
        self.stop = threading.Event()
        self.rng = np.random.default_rng(0)

    def play(self, seconds, *, rate=RATE, silent=False):
        for _ in range(round(seconds / STEP)):
            self.clocks.go_on(STEP)
            n = round(STEP * rate)
            samples = np.zeros(n) if silent else 0.1 * self.rng.standard_normal(n)
            self.sensor.take(Block(samples=samples.astype(np.float32), sample_rate=rate), self.stop)
        return self

    def lose(self, reason="overrun", *, seconds=0.0, is_fault=False):
        self.sensor.take(Lost(reason=reason, is_fault=is_fault), self.stop)
        self.clocks.go_on(seconds)
        return self

    def rows(self):
        """Number, start and end in seconds after noon, and reason of each; the reason of a clip is ``clip``."""
        found = []
        for work in self.sensor.pending:
            if work.clip is not None:
                start, seconds, words = work.clip.start_us, self.sensor.settings.clip_seconds, "clip"
                if work.fault:
                    words = f"clip: {work.fault}"
            else:
                start, seconds, words = work.gap.start_us, work.gap.seconds, work.gap.reason
            begin = (start - NOON_US) / 1e6
            found.append((work.number, begin, begin + seconds, words))
        return found

    def check(self, *, tolerance=0.01):
        """Make sure that nothing overlaps and nothing is left out."""
        rows = self.rows()
        assert [number for number, *_ in rows] == list(range(rows[0][0], rows[0][0] + len(rows)))
        for (*_, end, _words), (_, start, *_rest) in pairwise(rows):
            assert start == pytest.approx(end, abs=tolerance)


@pytest.fixture
def played(tmp_path):
    found = Played(tmp_path)
    yield found
    found.sensor.cutter.drop()


def words(played):
    return [reason for *_, reason in played.rows()]


def test_unbroken_sound_is_clips_one_after_the_other(played) -> None:
    played.play(9.0)
    assert words(played) == ["clip"] * 4
    assert played.rows()[0][1:3] == (0.0, 2.0)
    played.check()


def test_lost_sound_is_a_gap_from_the_last_clip_to_the_next_one(played) -> None:
    played.play(5.0).lose("overrun", seconds=0.5).play(4.5)
    assert words(played) == ["clip", "clip", "overrun", "clip", "clip"]
    assert played.rows()[2][1:3] == pytest.approx((4.0, 5.5))
    played.check()


def test_a_source_that_is_away_is_one_fault_with_its_first_reason(played) -> None:
    played.play(2.5).lose("unplugged", seconds=5.0, is_fault=True).lose("no such device", seconds=20.0, is_fault=True)
    assert played.sensor.problem == "no such device"
    played.play(2.5)
    assert words(played) == ["clip", "unplugged", "clip"]
    assert played.sensor.pending[1].gap.is_fault
    assert played.sensor.problem == ""
    played.check()


def test_a_rate_that_changes_is_a_gap(played) -> None:
    played.play(3.0).play(4.5, rate=16_000)
    assert words(played) == ["clip", "the sample rate changed from 8,000 to 16,000 Hz", "clip", "clip"]
    assert [work.clip.sample_rate for work in played.sensor.pending if work.clip is not None] == [8_000, 16_000, 16_000]
    played.check()


def test_a_pause_without_a_word_is_a_gap(played) -> None:
    played.play(4.5)
    played.clocks.go_on(30.0)
    played.play(4.5)
    assert words(played) == ["clip", "clip", "30.0 s of sound did not come", "clip", "clip"]
    played.check()


@pytest.mark.parametrize("seconds", [-3_600, 86_400])
def test_a_clock_that_is_set_is_a_gap_that_says_so_and_nothing_else_is_lost(played, seconds) -> None:
    played.play(5.0)
    played.clocks.set(seconds)
    played.play(5.0)
    rows = played.rows()
    assert words(played) == ["clip", "clip", f"the clock of the computer was set by {seconds:+} s", "clip", "clip"]
    assert played.sensor.pending[2].gap.clock_set_seconds == pytest.approx(seconds, abs=1e-3)
    before, gap, after = rows[1], rows[2], rows[3]
    assert gap[1] - before[2] == pytest.approx(seconds, abs=0.01)  # by the time that the clock was set, and no more
    assert gap[2] == pytest.approx(after[1], abs=0.01)
    assert gap[2] - gap[1] == pytest.approx(1.0, abs=0.3)  # what had grown of a clip
    assert rows[4][1] == pytest.approx(after[2], abs=0.01)


def test_a_clock_that_is_set_between_two_clips_is_noted_too(played) -> None:
    played.play(4.0)
    played.clocks.set(-3_600)
    played.play(2.5)
    gaps = [work.gap for work in played.sensor.pending if work.gap is not None]
    assert [round(gap.clock_set_seconds) for gap in gaps] == [-3_600]


def test_overlapping_clips_have_a_gap_from_the_end_of_the_last(tmp_path) -> None:
    played = Played(tmp_path, hop_seconds=1.0)
    played.play(5.0).lose("overrun", seconds=1.0).play(4.0)
    played.sensor.cutter.drop()
    assert [(row[1], row[2], row[3]) for row in played.rows()] == [
        *((pytest.approx(float(n)), pytest.approx(n + 2.0), "clip") for n in range(4)),
        (pytest.approx(5.0), pytest.approx(6.0), "overrun"),
        *((pytest.approx(6.0 + n), pytest.approx(8.0 + n), "clip") for n in range(3)),
    ]


def test_the_time_for_which_a_monitor_did_not_run_is_a_gap(tmp_path) -> None:
    played = Played(tmp_path, number=7, end_us=NOON_US - 60_000_000)
    played.play(2.5)
    played.sensor.cutter.drop()
    assert played.rows() == [
        (8, pytest.approx(-60.0), pytest.approx(0.0), "the monitor was not running"),
        (9, pytest.approx(0.0), pytest.approx(2.0), "clip"),
    ]


def test_a_clock_that_was_set_back_while_the_monitor_did_not_run_is_noted(tmp_path) -> None:
    played = Played(tmp_path, number=7, end_us=NOON_US + 3_600_000_000)
    played.play(2.5)
    played.sensor.cutter.drop()
    assert words(played) == ["the clock of the computer was set back while the monitor was not running", "clip"]
    assert played.rows()[0][1:3] == (0.0, 0.0)


def test_a_computer_that_is_too_slow_loses_clips_and_says_so(played) -> None:
    played.play(2.0 * 65 + 0.5)
    assert words(played) == ["clip"] * 60
    for _ in range(10):
        played.sensor.done()
    played.play(4.0)
    assert words(played)[50:] == [
        "the computer is too slow: clips wait longer to be scored than they last",
        "clip",
        "clip",
    ]
    played.check()
    assert len(list(played.sensor.files.ring.glob("*.raw"))) == 62


def test_digital_silence_for_a_minute_is_a_fault_of_its_clips(played) -> None:
    played.play(10.0).play(70.0, silent=True).play(4.0)
    assert words(played)[:34] == ["clip"] * 34
    assert words(played)[34:40] == ["clip: digital silence"] * 6
    assert words(played)[40:] == ["clip"] * 2


def test_clips_that_wait_over_a_restart_keep_the_fault_of_their_signal(played) -> None:
    played.play(66.0, silent=True)
    faults = [work.fault for work in played.sensor.pending]
    assert faults == [""] * 29 + ["digital silence"] * 4
    encoded = played.sensor.files.encoded(played.sensor.pending[-1].clip)
    left = ClipFolder(encoded.path.parents[2], "1").left()
    place = place_after(None, left, clip_seconds=2.0, hop_seconds=2.0)
    assert [work.fault for work in place.work] == faults


def test_a_source_that_gives_nothing_is_a_fault_about_once_a_minute_until_it_does(played) -> None:
    played.play(5.0)
    for _ in range(3):
        played.clocks.go_on(60.0)
        played.sensor.arrived = time.monotonic() - 60.0
        played.sensor._reported -= 60.0  # a minute ago
        played.sensor.watch()
        played.sensor.watch()
    played.play(2.5)
    assert words(played)[:2] == ["clip", "clip"]
    assert words(played)[-1] == "clip"
    faults = [work for work in played.sensor.pending if work.gap is not None]
    assert len(faults) == 4
    assert all(work.gap.is_fault for work in faults)
    assert [bool(work.fault) for work in faults] == [True, True, True, False]
    assert faults[0].fault == "the source gives nothing for 60 s"
    played.check()


def test_a_source_that_breaks_off_again_and_again_is_a_fault_though_sound_comes(played) -> None:
    played.play(2.0)
    for _ in range(20):
        played.play(1.5).lose("the stream ended", seconds=0.5)
    played.play(1.0)
    played.sensor.progressed -= 80.0
    played.sensor.watch()
    played.sensor.watch()
    played.play(2.5)
    assert words(played) == ["clip", "no whole clip for 80 s: the stream ended", "clip"]
    assert played.sensor.pending[1].fault
    played.check()


def test_a_source_that_gives_sound_is_watched_in_silence(played) -> None:
    played.play(5.0)
    played.sensor.watch()
    assert words(played) == ["clip", "clip"]


def test_a_source_that_never_gave_anything_is_a_fault_from_the_beginning(tmp_path) -> None:
    played = Played(tmp_path)
    played.clocks.go_on(60.0)
    played.sensor.arrived -= 60.0
    played.sensor.watch()
    ((number, start, end, reason),) = played.rows()
    assert (number, start) == (1, 0.0)
    assert end == pytest.approx(58.0)
    assert reason == "the source gives nothing for 60 s"


def test_a_disk_that_is_away_is_a_gap_and_no_flood_of_them(played, tmp_path) -> None:
    played.play(3.0)
    assert played.sensor.unwritten == ""
    ring, away = tmp_path / "ring", tmp_path.with_name(f"{tmp_path.name}-away")
    played.sensor.cutter.drop()
    ring.rename(away)
    played.play(10.0)
    assert played.sensor.unwritten == "No such file or directory"
    assert list(tmp_path.iterdir()) == []
    away.rename(ring)
    played.play(4.5)
    assert played.sensor.unwritten == ""
    assert len(played.rows()) == 4
    assert words(played)[0] == "clip"
    assert "No such file" in words(played)[1]
    played.check(tolerance=0.3)


def test_a_ring_that_somebody_has_removed_is_made_again(played, tmp_path) -> None:
    (tmp_path / "soundness.sqlite").touch()
    played.play(3.0)
    shutil.rmtree(tmp_path / "ring")
    played.play(6.0)
    assert [one for one in words(played) if one == "clip"] == ["clip"] * 3
    assert "No such file" in words(played)[1]
    played.check(tolerance=0.3)
