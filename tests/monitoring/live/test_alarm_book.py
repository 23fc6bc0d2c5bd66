"""Alarms in the store, and what is to be sent of them."""

from dataclasses import replace

import pytest

from soundness.monitoring.live.alarm_book import AlarmBook
from soundness.monitoring.live.alarm_life import AlarmStep
from soundness.monitoring.store.records import ClipRow
from soundness.monitoring.store.store import Store

SECOND = 1_000_000


@pytest.fixture
def store(tmp_path):
    own = Store.open(tmp_path)
    with own.transaction() as transaction:
        transaction.add_sensor("pump", source="pcm:-", state="normal", now_us=0)
    yield own
    own.close()


def clip(number: int) -> ClipRow:
    return ClipRow(
        sensor_id=1,
        number=number,
        start_us=10 * number * SECOND,
        seconds=10.0,
        outcome="scored",
        state="normal",
        score=3.0,
        p_value=0.01,
    )


def step(store: Store, book: AlarmBook, number: int, change: str) -> list[tuple[str, str]]:
    with store.transaction() as transaction:
        stored = transaction.add_clip(clip(number))
        made = AlarmStep(is_anomalous=True, change=change)
        changed = book.step(transaction, stored, made, reason="a tone\nat 1 kHz", now_us=number)
    return [(alarm.key, event) for alarm, event in changed]


def test_the_life_of_an_alarm_is_one_row_and_its_events_are_delivered_once_to_each_sink(store):
    book = AlarmBook("pump", ["mqtt", "hook"], {}, {})
    (first, _), *_ = step(store, book, 1, "raised")
    assert step(store, book, 2, "continued") == [(first, "continued")]
    assert step(store, book, 3, "ended") == [(first, "ended")]
    assert step(store, book, 4, "resumed") == [(first, "resumed")]
    assert step(store, book, 5, "ended") == [(first, "ended")]
    alarm = store.last_alarm(1, "anomaly")
    assert alarm is not None
    assert (alarm.raised_us, alarm.last_us, alarm.ended_us) == (10 * SECOND, 50 * SECOND, 60 * SECOND)
    assert alarm.reason == r"a tone\nat 1 kHz"
    for sink in ("mqtt", "hook"):
        events = [one.content["event"] for one in store.unsent(sink)]
        assert events == ["raised", "ended", "resumed", "ended"]
    assert {one.content["id"] for one in store.unsent("mqtt")} == {first}


def begin_and_fail(store: Store, book: AlarmBook) -> None:
    with store.transaction() as transaction:
        book.begin(transaction, "anomaly", transaction.add_clip(clip(1)), reason="", now_us=0)
        raise ZeroDivisionError


def test_what_is_not_written_leaves_the_book_as_it_was(store):
    book = AlarmBook("pump", [], {}, {})
    before = book.copy()
    with pytest.raises(ZeroDivisionError):
        begin_and_fail(store, book)
    assert "anomaly" in book.open
    book.restore(before)
    assert book.open == {}
    assert store.last_clip(1) is None
    assert store.open_alarms(1) == []


def test_an_alarm_that_resumes_after_a_restart_is_found_in_the_store(store):
    step(store, AlarmBook("pump", [], {}, {}), 1, "raised")
    (alarm,) = store.open_alarms(1)
    with store.transaction() as transaction:
        transaction.update_alarm(alarm.id, ended_us=20 * SECOND)
    last = store.last_alarm(1, "anomaly")
    assert last is not None
    book = AlarmBook("pump", [], {}, {"anomaly": last})
    assert step(store, book, 3, "resumed") == [(alarm.key, "resumed")]
    assert [one.key for one in store.open_alarms(1)] == [alarm.key]
    assert replace(store.open_alarms(1)[0], last_us=0).ended_us is None


def test_the_recording_with_which_an_alarm_begins_is_told(store):
    book = AlarmBook("pump", ["hook"], {}, {})
    for number, change in ((1, "raised"), (2, "ended")):
        with store.transaction() as transaction:
            stored = transaction.add_clip(replace(clip(number), recording=f"{number}.wav"))
            book.step(transaction, stored, AlarmStep(is_anomalous=True, change=change), reason="", now_us=number)
    assert [one.content.get("recording") for one in store.unsent("hook")] == ["1.wav", None]
