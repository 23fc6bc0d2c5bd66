"""Retention: rows and audio by age, audio by size, free space, and nothing that alarms or the next start need."""

import os
import shutil
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sql

from small_disks import fill, small_disk
from soundness.errors import OutputError
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store, new_key
from soundness.monitoring.upkeep import retention
from soundness.monitoring.upkeep.retention import Retention

DAY_US = 86_400_000_000
NOW = round(datetime(2025, 11, 29, 12, tzinfo=UTC).timestamp() * 1e6)
SIZE = 1_000  # bytes of the audio of a clip


@pytest.fixture
def store(tmp_path, database_url):
    found = Store.open(tmp_path / "store", url=database_url)
    with found.transaction() as transaction:
        transaction.add_sensor("pump", source="mic:0", state="normal", now_us=NOW)
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _few_last_rows(monkeypatch):
    monkeypatch.setattr(retention, "_LAST_ROWS", 2)
    monkeypatch.setattr(retention, "_BATCH", 7)
    monkeypatch.setattr(retention, "_PAUSE_SECONDS", 0.0)


def keep(store, *, now_us=NOW, **limits):
    usual = {"clips_us": 90 * DAY_US, "alarms_us": 1_000 * DAY_US, "before_us": 120_000_000}
    usual |= {"most_bytes": 1e12, "least_free_bytes": 0.0}
    Retention(store=store, **(usual | limits)).keep(now_us=now_us, stop=threading.Event())


def add_clips(store, ages, *, has_audio=True, alarm_at=()):
    """One clip a given number of days ago, with audio; alarms of those that are named."""
    pump = store.sensor("pump").id
    for number, age in enumerate(ages, start=1):
        start_us = NOW - round(age * DAY_US)
        day = datetime.fromtimestamp(start_us / 1e6, UTC)
        place = f"audio/{pump}/{day:%Y-%m-%d}/{number}.flac" if has_audio else ""
        if has_audio:
            path = store.folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(SIZE))
        with store.transaction() as transaction:
            row = transaction.add_clip(
                ClipRow(
                    sensor_id=pump,
                    number=number,
                    start_us=start_us,
                    seconds=10.0,
                    outcome="scored",
                    state="normal",
                    audio=place,
                )
            )
            if number in alarm_at:
                alarm = Alarm(
                    key=new_key(),
                    sensor_id=pump,
                    kind="anomaly",
                    raised_us=start_us,
                    last_us=row.end_us,
                    ended_us=row.end_us,
                    clip_id=row.id,
                )
                transaction.add_alarm(alarm)


def left(store):
    """Numbers of the rows, and of the audio, that are left; they agree."""
    rows = store.last_clips(store.sensor("pump").id, 10_000)
    files = {int(path.stem) for path in store.folder.glob("audio/*/*/*.flac")}
    assert files == {row.number for row in rows if row.audio}
    return [row.number for row in rows], sorted(files)


def test_rows_and_audio_go_by_their_age_but_the_last_rows_of_a_sensor_stay(store):
    add_clips(store, [200 - index for index in range(30)])
    keep(store, clips_us=190 * DAY_US)
    assert left(store) == ([*range(11, 31)], [*range(11, 31)])
    keep(store, clips_us=DAY_US)
    assert left(store) == ([29, 30], [29, 30])
    assert [path.name for path in sorted((store.folder / "audio").glob("*/*"))] == ["2025-06-10", "2025-06-11"]


def test_clips_of_an_alarm_and_of_the_time_before_it_go_by_the_age_of_alarms(store):
    minute = 1 / 1_440
    add_clips(store, [100 - minute * index for index in range(10)] + [1.0, 0.5], alarm_at={6})
    keep(store)
    assert left(store)[0] == [4, 5, 6, 11, 12]
    keep(store, alarms_us=95 * DAY_US)
    assert left(store)[0] == [11, 12]
    assert store.last_alarm(1, "anomaly") is None


def test_an_alarm_that_has_not_ended_stays(store):
    add_clips(store, [100, 1.0, 0.5], alarm_at={1})
    with store.transaction() as transaction:
        transaction.update_alarm(1, ended_us=None)
    keep(store, alarms_us=DAY_US)
    assert len(store.open_alarms(1)) == 1
    assert left(store)[0] == [1, 2, 3]


def test_the_earliest_audio_goes_first_and_that_of_alarms_last(store):
    add_clips(store, [20 - index for index in range(20)], alarm_at={2, 5})
    keep(store, most_bytes=20 * SIZE)
    assert len(left(store)[1]) == 20
    keep(store, most_bytes=10.5 * SIZE)
    numbers, files = left(store)
    assert numbers == [*range(1, 21)]  # rows are small: they stay
    assert files == [2, 5, *range(14, 21)]
    keep(store, most_bytes=1.5 * SIZE)
    assert left(store)[1] == [5]


def test_audio_goes_until_space_is_free_but_never_that_of_alarms(store, monkeypatch):
    add_clips(store, [20 - index for index in range(20)], alarm_at={2, 5})
    usage = type("Usage", (), {"free": 10_000.0})
    monkeypatch.setattr(retention.shutil, "disk_usage", lambda _: usage)
    keep(store, least_free_bytes=10_000 + 4.5 * SIZE)
    assert left(store)[1] == [2, 5, *range(8, 21)]
    keep(store, least_free_bytes=1e9)
    assert left(store)[1] == [2, 5]


def note_much(store):
    with store.transaction() as transaction:
        for number in range(10_000):
            transaction.note_change("x" * 100, now_us=number)


def test_audio_makes_room_on_a_disk_that_is_quite_full(tmp_path):
    with small_disk(tmp_path / "disk", megabytes=2) as disk, closing(Store.open(disk / "store")) as store:
        with store.transaction() as transaction:
            transaction.add_sensor("pump", source="mic:0", state="normal", now_us=NOW)
        add_clips(store, [20 - index for index in range(20)], alarm_at={2})
        for path in store.folder.glob("audio/*/*/*.flac"):
            path.write_bytes(bytes(30_000))
        fill(disk)
        with pytest.raises(OutputError, match="full"):
            note_much(store)
        fill(disk)
        keep(store, least_free_bytes=200_000)
        numbers, kept = left(store)
        assert numbers == list(range(1, 21))
        assert kept[0] == 2
        assert shutil.disk_usage(disk).free >= 200_000
        with store.transaction() as transaction:
            transaction.note_change("there is room", now_us=NOW)


def test_files_without_a_row_go_once_their_row_cannot_be_on_its_way(store):
    add_clips(store, [1.0])
    (known,) = store.folder.glob("audio/*/*/*.flac")
    for name, age in (("8.flac", 7_200), ("9.flac", 10)):
        known.with_name(name).write_bytes(b"x")
        os.utime(known.with_name(name), (time.time() - age,) * 2)
    keep(store)
    assert sorted(path.name for path in known.parent.iterdir()) == ["1.flac", "9.flac"]


def test_what_was_sent_goes_by_the_age_of_clips_and_what_was_not_by_that_of_alarms(store):
    with store.transaction() as transaction:
        for key, age in (("old", 100), ("new", 1)):
            transaction.deliver(["sent", "unsent"], key=key, content={}, now_us=NOW - age * DAY_US)
            transaction.note_change(key, now_us=NOW - age * DAY_US)
            transaction.note_change("configuration", now_us=NOW - age * DAY_US)
    with store.transaction() as transaction:
        for one, age in zip(store.unsent("sent"), (100, 1), strict=True):
            transaction.mark_sent(one.id, now_us=NOW - age * DAY_US)
    query = sql.select(tables.deliveries.c.sink, tables.deliveries.c.key).order_by(tables.deliveries.c.id)

    def sent():
        with store.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    keep(store)
    assert sent() == [("unsent", "old"), ("sent", "new"), ("unsent", "new")]
    keep(store, alarms_us=50 * DAY_US)
    assert sent() == [("sent", "new"), ("unsent", "new")]
    with store.reading() as connection:
        noted = connection.execute(sql.select(tables.changes.c.what).order_by(tables.changes.c.id)).scalars().all()
    assert noted == ["configuration", "new", "configuration"]


def test_the_last_clips_of_a_sensor_that_is_gone_are_deleted_after_a_day(store):
    for name, age in (("1", 200_000), ("2", 200_000), ("3", 10)):
        ring = store.folder / "ring" / name
        ring.mkdir(parents=True)
        (ring / "1-1-16000.flac").touch()
        os.utime(ring, (time.time() - age,) * 2)
    Retention(
        store=store, clips_us=DAY_US, alarms_us=DAY_US, before_us=0, most_bytes=1e9, least_free_bytes=0.0
    ).delete_rings([1])
    assert sorted(path.name for path in (store.folder / "ring").iterdir()) == ["1", "3"]


def test_upkeep_that_is_told_to_stop_ends_between_two_steps(store):
    add_clips(store, [200 - index for index in range(30)], has_audio=False)
    stop = threading.Event()
    stop.set()
    limits = {"alarms_us": DAY_US, "before_us": 0, "most_bytes": 1e9, "least_free_bytes": 0.0}
    Retention(store=store, clips_us=DAY_US, **limits).keep(now_us=NOW, stop=stop)
    assert len(left(store)[0]) == 30
