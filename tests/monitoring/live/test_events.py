"""Events within a monitor."""

import logging

from soundness.monitoring.live.events import Event, Events, log_event


def test_every_listener_gets_every_event_in_order_until_it_leaves():
    events = Events()
    first, second = events.listen(), events.listen()
    for name in ("a", "b"):
        events.tell(Event(kind="clip", sensor=name))
    events.leave(first)
    events.tell(Event(kind="clip", sensor="c"))
    assert [first.get_nowait().sensor for _ in range(first.qsize())] == ["a", "b"]
    assert [second.get_nowait().sensor for _ in range(second.qsize())] == ["a", "b", "c"]


def test_a_listener_that_does_not_keep_up_loses_the_earliest_and_holds_up_nobody():
    events = Events()
    slow = events.listen()
    for number in range(1_500):
        events.tell(Event(kind="clip", sensor=str(number)))
    left = [slow.get_nowait().sensor for _ in range(slow.qsize())]
    assert left == [str(number) for number in range(500, 1_500)]


def test_alarms_that_begin_and_recordings_that_fail_are_in_the_log_of_the_program(caplog):
    alarm = {"event": "raised", "kind": "drift", "reason": "", "raised_us": 1_700_000_000_000_000, "ended_us": None}
    clip = {"outcome": "failed", "recording": "a.wav", "note": "a.wav: not audio"}
    caplog.set_level(logging.INFO)
    for event in (
        Event(kind="alarm", sensor="pump", content=alarm),
        Event(kind="alarm", sensor="pump", content={**alarm, "reason": "a tone at 3 kHz"}),
        Event(kind="alarm", sensor="pump", content={**alarm, "event": "ended", "ended_us": 1_700_000_010_000_000}),
        Event(kind="alarm", sensor="pump", content={**alarm, "event": "resumed"}),
        Event(kind="clip", sensor="pump", content=clip),
        Event(kind="clip", sensor="pump", content={**clip, "outcome": "scored"}),
        Event(kind="clip", sensor="pump", content={**clip, "recording": ""}),
    ):
        log_event(event)
    since = "2023-11-14 22:13:20 UTC"
    assert caplog.messages == [
        f"ALARM pump, {since}: drift",
        f"ALARM pump, {since}: a tone at 3 kHz",
        f"pump: the alarm of {since} ended at 2023-11-14 22:13:30 UTC",
        "pump: a.wav: not audio",
    ]
