"""Every event arrives, in order, once, whatever happens on the way; what waits is shown."""

import contextlib
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sql

from delivered import RAISED_US, SOON, alarm, commit, delivering, open_store, until
from soundness.data.download_http import RetryPolicy
from soundness.errors import NotSentError, OutputError
from soundness.monitoring.live.events import Event, Events
from soundness.monitoring.sinks.delivery import count_unsent
from soundness.monitoring.sinks.webhook import WebhookSink
from soundness.monitoring.store.store import Store
from webhook_server import taking_alarms


class Place:
    """A sink within the test, which takes events or does not."""

    def __init__(self, name="place"):
        self.name, self.came, self.failures, self.times = name, [], [], []
        self.retry = self.is_closed = None
        self.took = lambda: None

    def start(self, retry):
        self.retry = retry

    def send(self, delivery):
        self.times.append(time.monotonic())
        if self.failures:
            raise self.failures.pop(0)
        self.came.append(delivery.key)
        self.took()

    def close(self):
        self.is_closed = True


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "store") as opened:
        yield opened


def test_events_arrive_in_their_order_and_are_marked(store):
    place, events = Place(), Events()
    for number in range(5):
        commit(store, events, ["place"], *alarm(f"before {number}"))
    with delivering(store, [place], events=events) as deliveries:
        for number in range(5):
            commit(store, events, ["place"], *alarm(f"after {number}"))
        until(lambda: len(place.came) == 10)
        until(lambda: deliveries.status()[0].n_unsent == 0)
    assert place.came == [f"{when} {number}:raised" for when in ("before", "after") for number in range(5)]
    assert place.is_closed


def test_an_event_is_sent_at_once_after_its_commit(store):
    place, events = Place(), Events()
    with delivering(store, [place], events=events):
        until(lambda: place.retry is not None)
        waits = []
        for number in range(20):
            begin = time.monotonic()
            commit(store, events, ["place"], *alarm(f"{number}"))
            until(lambda: len(place.came) == number + 1)  # noqa: B023  # asked before the next number
            waits.append(place.times[-1] - begin)
    assert sorted(waits)[10] < 0.1


def test_a_failure_keeps_the_event_and_all_after_it(store):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away"), NotSentError("place: busy", asked_seconds=0.01)] * 2
    for key in "abc":
        commit(store, events, ["place"], *alarm(key))
    with delivering(store, [place], events=events):
        until(lambda: len(place.came) == 3)
    assert place.came == ["a:raised", "b:raised", "c:raised"]
    assert len(place.times) == 7
    assert count_unsent(store) == {}


def test_what_waits_is_shown_with_its_last_problem(store, caplog):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away")] * 1_000
    commit(store, events, ["place"], *alarm("a"))
    commit(store, events, ["place"], *alarm("b"))
    with delivering(store, [place], events=events, patience_seconds=0.1) as deliveries:
        until(lambda: len(place.times) > 2)
        (status,) = deliveries.status()
        assert (status.name, status.n_unsent, status.problem) == ("place", 2, "place: away")
        assert store.unsent("place")[0].n_tries >= 2
    assert [line for line in caplog.messages if "events are kept, and sent later" in line] == [
        "place: place: away; events are kept, and sent later"
    ]
    assert "place: 2 events are kept, and sent after the next start" in caplog.messages


def test_what_was_left_is_sent_after_the_next_start(store):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away")] * 1_000
    commit(store, events, ["place"], *alarm("a"))
    with delivering(store, [place], events=events, patience_seconds=0.0):
        until(lambda: place.times)
    again = Place()
    with delivering(store, [again], events=events):
        pass
    assert again.came == ["a:raised"]


def test_a_wait_that_the_other_side_asks_for_is_kept_up_to_a_limit(store):
    place, events = Place(), Events()
    place.failures = [NotSentError("place: busy", asked_seconds=1e9)]
    commit(store, events, ["place"], *alarm("a"))
    retry = RetryPolicy(first_seconds=0.01, longest_seconds=0.01, longest_asked_seconds=0.3)
    with delivering(store, [place], events=events, retry=retry):
        until(lambda: place.came)
    assert place.times[1] - place.times[0] >= 0.3


def test_a_connection_that_is_back_ends_the_wait(store):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away")]
    commit(store, events, ["place"], *alarm("a"))
    with delivering(store, [place], events=events, retry=RetryPolicy(first_seconds=1_000.0, longest_seconds=1_000.0)):
        until(lambda: place.times)
        place.retry()
        until(lambda: place.came)


def test_a_news_does_not_end_the_wait(store):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away")] * 10
    commit(store, events, ["place"], *alarm("a"))
    retry = RetryPolicy(first_seconds=1_000.0, longest_seconds=1_000.0)
    with delivering(store, [place], events=events, retry=retry, patience_seconds=0.0):
        until(lambda: place.times)
        for key in "bcdef":
            commit(store, events, ["place"], *alarm(key))
        time.sleep(0.1)
        assert len(place.times) == 1


def test_a_sink_that_fails_does_not_hold_up_another(store):
    slow, quick, events = Place("slow"), Place("quick"), Events()
    slow.failures = [OutputError("slow: away")] * 1_000
    with delivering(store, [slow, quick], events=events, patience_seconds=0.0):
        commit(store, events, ["slow", "quick"], *alarm("a"))
        until(lambda: quick.came)
    assert count_unsent(store) == {"slow": 1}


def test_a_fault_of_the_program_keeps_the_event_and_is_logged(store, caplog):
    place, events = Place(), Events()
    place.failures = [ZeroDivisionError("key=hunter2")]
    commit(store, events, ["place"], *alarm("a"))
    with delivering(store, [place], events=events):
        until(lambda: place.came)
    assert any(record.exc_info for record in caplog.records)


def test_an_event_that_arrived_but_could_not_be_marked_is_not_sent_again(store):
    sql.event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
    store.engine.dispose()  # so that from now on nobody waits for another writer
    place, events = Place(), Events()
    commit(store, events, ["place"], *alarm("a"))
    other = sqlite3.connect(store.engine.url.database, isolation_level=None, check_same_thread=False)
    with contextlib.closing(other):
        place.took = lambda: other.execute("BEGIN IMMEDIATE")
        with delivering(store, [place], events=events) as deliveries:
            assert "locked" in until(lambda: deliveries.loops[0].problem)
            time.sleep(0.1)
            other.execute("ROLLBACK")
            until(lambda: count_unsent(store) == {})
    assert place.came == ["a:raised"]


def test_a_database_that_goes_away_and_comes_back_loses_and_repeats_nothing(tmp_path, postgres):
    place, events = Place(), Events()
    with contextlib.closing(Store.open(tmp_path, url=postgres.new_database())) as store:
        for key in "abc":
            commit(store, events, ["place"], *alarm(key))
        kill = iter([postgres.kill])  # after the first event has arrived, and before that is noted
        place.took = lambda: next(kill, lambda: None)()
        with delivering(store, [place], events=events) as deliveries:
            assert until(lambda: deliveries.loops[0].problem)
            postgres.start()
            until(lambda: len(place.came) == 3)
            until(lambda: count_unsent(store) == {})
    assert place.came == ["a:raised", "b:raised", "c:raised"]


def test_events_of_a_sink_that_is_gone_are_told(store, caplog):
    commit(store, Events(), ["old"], *alarm("a"))
    with delivering(store, []):
        pass
    assert "1 events are kept for 'old', which is not in the configuration" in caplog.messages


def test_the_end_waits_for_what_can_be_sent(store):
    events = Events()
    with taking_alarms() as server:
        server.statuses.extend([503, 503, 200, 503])
        for number in range(4):
            commit(store, events, ["hook"], *alarm(f"{number}"))
        with delivering(store, [WebhookSink("hook", server.url)], events=events):
            pass
    assert [one["id"] for one in server.came] == [f"{number}:raised" for number in range(4)]


def test_the_end_comes_although_nothing_can_be_sent(store):
    place, events = Place(), Events()
    place.failures = [OutputError("place: away")] * 10_000
    commit(store, events, ["place"], *alarm("a"))
    begin = time.monotonic()
    with delivering(store, [place], events=events, retry=RetryPolicy(first_seconds=500.0), patience_seconds=0.2):
        pass
    assert time.monotonic() - begin < 20.0


def test_other_events_wake_nobody(store):
    place, events = Place(), Events()
    with delivering(store, [place], events=events) as deliveries:
        until(lambda: not deliveries.loops[0]._news.is_set())
        time.sleep(0.05)
        with store.transaction() as transaction:
            transaction.deliver(["place"], key="k", content={}, now_us=RAISED_US)
        events.tell(Event(kind="clip", sensor="pump 3"))
        time.sleep(0.1)
        assert place.came == []


def test_many_writers_and_sinks_lose_nothing(store):
    events, places = Events(), [Place("one"), Place("two")]

    def write(name):
        for number in range(20):
            commit(store, events, ["one", "two"], *alarm(f"{name} {number}"))

    with delivering(store, places, events=events, retry=SOON):
        writers = [threading.Thread(target=write, args=(name,)) for name in "ab"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    for place in places:
        assert len(place.came) == len(set(place.came)) == 40
        assert [key for key in place.came if key.startswith("a")] == [f"a {number}:raised" for number in range(20)]
