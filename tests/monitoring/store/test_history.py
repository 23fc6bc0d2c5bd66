"""History and lists of a store, on SQLite and PostgreSQL: every clip counts once, and a month is one query."""

from dataclasses import replace

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.monitoring.store.history import level_at_share, recent_clips, score_history
from soundness.monitoring.store.listing import (
    find_last_normal,
    list_alarms,
    list_clips,
    list_false_alarms,
)
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store, new_key

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture
def store(tmp_path, database_url):
    found = Store.open(tmp_path, url=database_url)
    yield found
    found.close()


def clip(sensor_id, number, *, at=None, outcome="scored", seconds=10.0, **values):
    if outcome == "scored":
        values = {"score": float(number), "p_value": 1 / (1 + number), "level_db": -30.0 - number} | values
    return ClipRow(
        sensor_id=sensor_id,
        number=number,
        start_us=START + round(SECOND * (10 * (number - 1) if at is None else at)),
        seconds=seconds,
        outcome=outcome,
        state="normal",
        **values,
    )


def fill(store, *clips_of):
    with store.transaction() as transaction:
        ids = [transaction.add_sensor(f"s{n}", source="mic:0", state="normal", now_us=0) for n in range(len(clips_of))]
        for sensor_id, make in zip(ids, clips_of, strict=True):
            for one in make(sensor_id):
                transaction.add_clip(one)
    return ids


def test_spans_hold_the_lowest_mean_and_highest_of_their_clips(store):
    (sensor,) = fill(store, lambda s: [clip(s, n, is_anomalous=n == 5) for n in range(1, 13)])
    first, second = score_history(store, sensor, start_us=START, end_us=START + 120 * SECOND, n_buckets=2)
    assert (first.n_clips, first.lowest_score, first.score, first.highest_score) == (6, 1.0, 3.5, 6.0)
    assert (second.start_us, second.n_anomalous, first.n_anomalous) == (START + 60 * SECOND, 0, 1)
    assert first.p_value == pytest.approx(1 / 7)
    assert second.level_db == pytest.approx(-39.5)
    assert (first.no_sound_until_us, first.threshold) == (None, None)


def test_a_span_has_the_mean_threshold_of_its_clips(store):
    (sensor,) = fill(store, lambda s: [clip(s, n, threshold=n + 1.0 if n < 5 else None) for n in range(1, 13)])
    first, second = score_history(store, sensor, start_us=START, end_us=START + 120 * SECOND, n_buckets=2)
    assert (first.threshold, second.threshold) == (3.5, None)


def test_gaps_and_faults_are_told_with_their_end_and_failed_clips_counted(store):
    def make(sensor):
        yield clip(sensor, 1)
        yield clip(sensor, 2, outcome="gap", seconds=500.0)
        yield clip(sensor, 3, at=510, outcome="fault", seconds=10.0)
        yield clip(sensor, 4, at=520, outcome="failed")

    (sensor,) = fill(store, make)
    found = score_history(store, sensor, start_us=START, end_us=START + 600 * SECOND, n_buckets=6)
    assert [one.start_us for one in found] == [START, START + 500 * SECOND]
    assert (found[0].no_sound_until_us, found[0].fault_until_us) == (START + 510 * SECOND, None)
    assert (found[1].no_sound_until_us, found[1].fault_until_us) == (START + 520 * SECOND, START + 520 * SECOND)
    assert (found[1].n_failed, found[1].n_scored, found[1].score) == (1, 0, None)


def test_the_history_of_one_sensor_holds_nothing_of_another(store):
    first, second = fill(store, lambda s: [clip(s, 1)], lambda s: [clip(s, 1, score=99.0)])
    spans = {"start_us": START, "end_us": START + SECOND, "n_buckets": 1}
    assert score_history(store, first, **spans)[0].highest_score == 1.0
    assert score_history(store, second, **spans)[0].highest_score == 99.0


@given(
    times=st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True),
    n_buckets=st.integers(1, 50),
)
@settings(max_examples=10, deadline=None)
def test_every_clip_counts_once(tmp_path_factory, times, n_buckets):
    store = Store.open(tmp_path_factory.mktemp("store"))
    (sensor,) = fill(store, lambda s: [clip(s, n, at=time) for n, time in enumerate(sorted(times), start=1)])
    found = score_history(store, sensor, start_us=START, end_us=START + 1_000 * SECOND, n_buckets=n_buckets)
    assert sum(one.n_clips for one in found) == len(times)
    assert len(found) <= n_buckets
    store.close()


def test_the_last_clips_and_the_latest_alarm_of_every_sensor(store):
    with_gap, empty, one = fill(
        store,
        lambda s: [*(clip(s, n) for n in range(1, 8)), clip(s, 8, outcome="gap")],
        lambda _s: [],
        lambda s: [clip(s, 1)],
    )
    with store.transaction() as transaction:
        for n in (1, 2):
            alarm = Alarm(key=new_key(), sensor_id=with_gap, kind="fault", raised_us=START, last_us=START, note=f"{n}")
            transaction.add_alarm(alarm)
    found = recent_clips(store, 3)
    assert found[with_gap].p_values == (pytest.approx(1 / 7), pytest.approx(1 / 8), None)
    assert found[with_gap].last.number == 8
    assert found[with_gap].alarm.note == "2"
    assert found[one].p_values == (0.5,)
    assert found[one].alarm is None
    assert empty not in found


def test_the_noise_floor_is_a_level_that_a_share_of_the_clips_stay_below(store):
    (sensor,) = fill(store, lambda s: [clip(s, n) for n in range(1, 22)])  # -31 to -51 dB
    assert level_at_share(store, sensor, share=0.1, start_us=START) == -49.0
    assert level_at_share(store, sensor, share=0.0, start_us=START) == -51.0
    assert level_at_share(store, sensor, share=0.0, start_us=START + 10**12) is None


def test_lists_are_cut_and_chosen(store):
    first, _ = fill(store, lambda s: [clip(s, n) for n in range(1, 6)], lambda s: [clip(s, 1, outcome="gap")])
    rows = list_clips(store, sensor_id=first)
    alarm = Alarm(key=new_key(), sensor_id=first, kind="anomaly", raised_us=rows[1].start_us, last_us=rows[0].end_us)
    with store.transaction() as transaction:
        alarm = transaction.add_alarm(alarm)
        for row in rows[:2]:
            transaction.set_clip(row.id, alarm_id=alarm.id)
    assert [one.number for one in list_clips(store, sensor_id=first, limit=2)] == [5, 4]
    assert [one.outcome for one in list_clips(store, outcome="gap")] == ["gap"]
    assert [one.number for one in list_clips(store, alarm=alarm)] == [5, 4]
    assert [one.number for one in list_clips(store, alarm=replace(alarm, ended_us=rows[1].end_us))] == [5, 4]
    assert list_clips(store, sensor_id=first, before=rows[-1].id) == []
    assert [one.number for one in list_clips(store, sensor_id=first, before=rows[1].id)] == [3, 2, 1]
    assert [one.number for one in list_clips(store, sensor_id=first, before=rows[0].id + 1)] == [5, 4, 3, 2, 1]


def test_lists_and_charts_of_a_large_store_read_no_more_than_they_show(tmp_path):
    store, asked = Store.open(tmp_path), []
    (sensor,) = fill(store, lambda s: [clip(s, n) for n in range(1, 6)])
    sql.event.listen(store.engine, "before_cursor_execute", lambda *event: asked.append(event[2:4]))
    for options in ({}, {"outcome": "gap"}, {"sensor_id": sensor}, {"sensor_id": sensor, "outcome": "scored"}):
        list_clips(store, **options)
        list_clips(store, **options, before=4)
    store.last_clips(sensor, 3, is_scored=True)
    score_history(store, sensor, start_us=START, end_us=START + SECOND, n_buckets=10)
    with store.engine.connect() as connection:
        plans = [
            [step[3] for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)]
            for query, values in list(asked)
            if query.startswith("SELECT clips") or "GROUP BY" in query
        ]
    *lists, chart = plans
    assert len(lists) == 9
    assert not any("ORDER BY" in step for plan in lists for step in plan)  # they stand in their order already
    assert all("SEARCH" in plan[0] or plan == ["SCAN clips"] for plan in lists)
    assert lists.count(["SCAN clips"]) == 1  # of all clips, from the latest
    assert "USING COVERING INDEX ix_clips_chart" in chart[0]
    store.close()


def test_false_alarms_are_those_answered_as_normal_and_those_nobody_answered(store):
    (sensor,) = fill(
        store, lambda s: [clip(s, n, audio="a" if n < 4 else "", is_anomalous=n == 3) for n in range(1, 6)]
    )
    verdicts = ("normal", "normal", "", "fault", "ignored")
    with store.transaction() as transaction:
        for index, verdict in enumerate(verdicts):
            transaction.add_alarm(
                Alarm(key=new_key(), sensor_id=sensor, kind="anomaly", raised_us=START + index, last_us=START,
                      verdict=verdict, ended_us=None if index else 5)
            )  # fmt: skip
    assert list_false_alarms(store, sensor, since_us=START) == (2, 1)
    assert list_false_alarms(store, sensor, since_us=START + 1) == (1, 1)
    assert len(list_alarms(store, state="open")) == 4
    assert [one.verdict for one in list_alarms(store, state="unanswered")] == [""]
    assert len(list_alarms(store, state="answered", sensor_id=sensor)) == 4
    assert find_last_normal(store, sensor, before_us=START + 60 * SECOND).number == 2
