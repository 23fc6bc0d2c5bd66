"""The store of a monitor, on SQLite and on a real PostgreSQL: everything that is written can be read again."""

from dataclasses import replace

import pytest
import sqlalchemy as sql

from soundness.errors import OutputError
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store, new_key

NOW = 1_700_000_000_000_000


@pytest.fixture
def store(tmp_path, database_url):
    found = Store.open(tmp_path / "store", url=database_url)
    yield found
    found.close()


@pytest.fixture
def pump(store):
    with store.transaction() as transaction:
        return transaction.add_sensor("pump 3", source="mic:0", state="waiting", now_us=NOW)


def clip(sensor_id, number, **values):
    common = {"start_us": NOW + number * 10_000_000, "seconds": 10.0, "outcome": "scored", "state": "normal"}
    return ClipRow(sensor_id=sensor_id, number=number, **{**common, **values})


def alarm(sensor_id, **values):
    common = {"key": new_key(), "kind": "anomaly", "raised_us": NOW, "last_us": NOW + 10_000_000}
    return Alarm(sensor_id=sensor_id, **{**common, **values})


def rows(store, table):
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(sql.select(table).order_by(table.c.id)).mappings()]


def test_a_sensor_is_added_once_and_keeps_its_number_when_its_source_changes(store, pump):
    with store.transaction() as transaction:
        again = transaction.add_sensor("pump 3", source="mic:1", state="waiting", now_us=NOW + 1)
        other = transaction.add_sensor("fan", source="mic:2", state="waiting", now_us=NOW + 2)
    assert again == pump != other
    assert [(one.name, one.source, one.state_since_us) for one in store.sensors()] == [
        ("fan", "mic:2", NOW + 2),
        ("pump 3", "mic:1", NOW),
    ]
    assert store.sensor("pump 3").id == pump
    assert store.sensor("pump 4") is None


def test_details_of_a_sensor_change_one_by_one(store, pump):
    with store.transaction() as transaction:
        transaction.set_details(pump, learned={"n_clips": 3}, threshold=0.5)
    with store.transaction() as transaction:
        transaction.set_details(pump, threshold=0.25, drift=None)
        transaction.set_details(pump, learned=None)
        transaction.update_sensor(pump, state="alarm", state_note="it rattles")
    found = store.sensor("pump 3")
    assert found.details == {"threshold": 0.25}
    assert (found.state, found.state_note) == ("alarm", "it rattles")


def test_clips_come_back_as_they_were_written(store, pump):
    full = clip(
        pump,
        1,
        score=0.1 + 0.2,
        p_value=1e-9,
        is_anomalous=True,
        level_db=-31.25,
        note="ä 漢 '",
        audio="audio/1/x.flac",
    )
    with store.transaction() as transaction:
        first = transaction.add_clip(full)
        rest = [transaction.add_clip(clip(pump, number, outcome="gap")) for number in (2, 3)]
        transaction.add_clip(clip(pump, 4))
        transaction.set_clip(rest[0].id, alarm_id=7)
        transaction.set_audio({rest[1].id: "audio/1/3.flac"})
    assert first.id > 0
    assert store.last_clips(pump, 9) == [
        replace(full, id=first.id),
        replace(rest[0], alarm_id=7),
        replace(rest[1], audio="audio/1/3.flac"),
        store.last_clip(pump),
    ]
    assert [row.number for row in store.last_clips(pump, 2)] == [3, 4]
    assert [row.number for row in store.last_clips(pump, 2, is_scored=True)] == [1, 4]
    assert store.last_clip(pump + 1) is None


def test_a_clip_number_is_taken_once(store, pump):
    with store.transaction() as transaction:
        transaction.add_clip(clip(pump, 1))

    def write():
        with store.transaction() as transaction:
            transaction.add_clip(clip(pump, 2))
            transaction.add_clip(clip(pump, 1, score=2.0))

    with pytest.raises(OutputError, match=r"(?i)unique"):
        write()
    assert [(row.number, row.score) for row in store.last_clips(pump, 9)] == [(1, None)]


def test_alarms_are_open_until_they_end(store, pump):
    with store.transaction() as transaction:
        first = transaction.add_alarm(alarm(pump, score=2.5, reason="a tone at 3 kHz"))
        fault = transaction.add_alarm(alarm(pump, kind="fault"))
        transaction.add_alarm(alarm(pump + 0, kind="drift", ended_us=NOW))
    assert store.open_alarms(pump) == [first, fault]
    with store.transaction() as transaction:
        transaction.update_alarm(first.id, ended_us=NOW + 5, verdict="fault", closed_by="Ada")
        second = transaction.add_alarm(alarm(pump))
    assert store.open_alarms(pump) == [fault, second]
    assert store.last_alarm(pump, "anomaly") == second
    assert store.last_alarm(pump, "fault") == fault
    assert store.last_alarm(pump + 1, "fault") is None
    with store.transaction() as transaction:
        transaction.update_alarm(second.id, ended_us=NOW + 6)
    ended = store.last_alarm(pump, "anomaly")
    assert (ended.ended_us, ended.verdict) == (NOW + 6, "")


def test_an_event_is_delivered_once_to_each_sink_and_in_order(store):
    with store.transaction() as transaction:
        transaction.deliver(["mqtt", "shift"], key="a:raised", content={"score": 1.5, "text": "ß"}, now_us=NOW)
        transaction.deliver(["mqtt", "shift"], key="a:raised", content={"score": 9.9}, now_us=NOW)
        transaction.deliver(["mqtt"], key="a:ended", content={}, now_us=NOW + 1)
    first, second = store.unsent("mqtt")
    assert (first.key, first.content, first.created_us, second.key) == (
        "a:raised",
        {"score": 1.5, "text": "ß"},
        NOW,
        "a:ended",
    )
    assert [one.key for one in store.unsent("mqtt", most=1)] == ["a:raised"]
    with store.transaction() as transaction:
        transaction.mark_failed(first.id, problem="no route")
        transaction.mark_failed(first.id, problem="refused")
        transaction.mark_sent(second.id, now_us=NOW + 2)
    (left,) = store.unsent("mqtt")
    assert (left.id, left.n_tries) == (first.id, 2)
    assert [one.key for one in store.unsent("shift")] == ["a:raised"]
    assert [(row["sent_us"], row["problem"]) for row in rows(store, tables.deliveries)] == [
        (None, "refused"),
        (None, ""),
        (NOW + 2, ""),
    ]


def test_detectors_and_changes_are_noted(store, pump):
    with store.transaction() as transaction:
        number = transaction.add_detector(
            pump, file="a.soundness", fingerprint="f" * 64, installed_us=NOW, reason="configured"
        )
        transaction.note_change("detector", now_us=NOW, sensor_id=pump, person="Ada", file="a.soundness")
        transaction.note_change("clock", now_us=NOW + 1)
    (row,) = rows(store, tables.detectors)
    assert (row["id"], row["fingerprint"], row["details"]) == (number, "f" * 64, {})
    assert [(row["what"], row["person"], row["sensor_id"], row["details"]) for row in rows(store, tables.changes)] == [
        ("detector", "Ada", pump, {"file": "a.soundness"}),
        ("clock", "", None, {}),
    ]


def test_a_transaction_that_raises_leaves_nothing(store, pump):

    def write():
        with store.transaction() as transaction:
            transaction.add_clip(clip(pump, 1))
            transaction.add_alarm(alarm(pump))
            transaction.deliver(["mqtt"], key="k", content={}, now_us=NOW)
            raise KeyError

    with pytest.raises(KeyError):
        write()
    assert (store.last_clip(pump), store.open_alarms(pump), store.unsent("mqtt")) == (None, [], [])


def test_a_clip_of_no_sensor_is_refused(store):
    with pytest.raises(OutputError, match=r"(?i)foreign key"), store.transaction() as transaction:
        transaction.add_clip(clip(99, 1))


def test_times_and_numbers_of_decades_fit(store, pump):
    far = 4_102_444_800_000_000  # the year 2100
    with store.transaction() as transaction:
        transaction.add_clip(clip(pump, 2**40, start_us=far))
    found = store.last_clip(pump)
    assert (found.number, found.start_us) == (2**40, far)
