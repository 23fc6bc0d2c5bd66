"""Events within a monitor."""

from soundness.monitoring.live.events import Event, Events


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
