"""Place at which a sensor goes on: after its last row and the clips on its disk, with the gaps between them."""

from pathlib import Path

import pytest

from soundness.monitoring.capture.clip_files import ClipFile
from soundness.monitoring.capture.resuming import place_after
from soundness.monitoring.store.records import ClipRow

SECOND = 1_000_000


def row(number, start, seconds=10.0, outcome="scored"):
    values = {"sensor_id": 1, "state": "normal", "start_us": start * SECOND}
    return ClipRow(number=number, seconds=seconds, outcome=outcome, **values)


def clip(number, start):
    return ClipFile(number=number, start_us=start * SECOND, sample_rate=8_000, path=Path(f"{number}.raw"))


def place(last, *waiting, hop=10.0):
    return place_after(last, waiting, clip_seconds=10.0, hop_seconds=hop)


@pytest.mark.parametrize(
    ("last", "hop", "next_s", "end_s"),
    [
        (row(3, 20), 10.0, 30, 30),
        (row(3, 20), 4.0, 24, 30),
        (row(3, 20, 2.0, "gap"), 10.0, 22, 22),
        (row(3, 20, 2.0, "gap"), 4.0, 22, 22),
        (row(3, 20, 60.0, "fault"), 10.0, 80, 80),
        (row(3, 20, 10.0, "fault"), 4.0, 24, 30),  # a clip of silence
    ],
)
def test_a_sensor_goes_on_after_its_last_row(last, hop, next_s, end_s) -> None:
    found = place(last, hop=hop)
    assert (found.number, found.next_us, found.end_us) == (3, next_s * SECOND, end_s * SECOND)
    assert found.work == ()


def test_clips_without_a_row_come_first() -> None:
    found = place(row(3, 20), clip(4, 30), clip(5, 40))
    assert [(work.number, work.clip is not None) for work in found.work] == [(4, True), (5, True)]
    assert (found.number, found.next_us, found.end_us) == (5, 50 * SECOND, 50 * SECOND)


def test_a_gap_whose_row_was_not_written_is_recorded_again() -> None:
    found = place(row(3, 20), clip(5, 37), clip(6, 47), clip(8, 60))
    numbers = [
        (work.number, None if work.gap is None else (work.gap.start_us, work.gap.seconds)) for work in found.work
    ]
    assert numbers == [
        (4, (30 * SECOND, 7.0)),
        (5, None),
        (6, None),
        (7, (57 * SECOND, 3.0)),
        (8, None),
    ]


def test_a_new_sensor_begins_anywhere() -> None:
    assert place(None) == place_after(None, [], clip_seconds=1.0, hop_seconds=1.0)
    assert place(None).next_us is None
    assert place(None, clip(1, 5)).next_us == 15 * SECOND


def test_a_sensor_without_a_row_began_with_the_clip_that_waits_first() -> None:
    found = place(None, clip(1, 30), clip(2, 40))
    assert (found.first_us, found.next_us) == (30 * SECOND, 50 * SECOND)
    assert place(row(3, 20), clip(4, 30)).first_us is None  # a row tells it
    assert place(None).first_us is None
