"""Sources that are opened again, with back-off, whenever their sound ends."""

from collections.abc import Callable, Iterator
from threading import Event

from soundness.monitoring.sources.protocol import Block, Item

__all__ = ["opened_again"]

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between two tries


def opened_again(read: Callable[[], Iterator[Item]], stop: Event) -> Iterator[Item]:
    """Items of a source that is opened again each time it ends, until ``stop`` is set.

    Parameters
    ----------
    read
        Opens it and gives its items; at its end a `soundness.monitoring.sources.protocol.Lost` with the reason.
    stop
        Set to end it.
    """
    wait = _FIRST_WAIT
    while not stop.is_set():
        for item in read():
            if isinstance(item, Block):
                wait = _FIRST_WAIT
            yield item
            if stop.is_set():
                return
        if stop.wait(wait):
            return
        wait = min(2 * wait, _LONGEST_WAIT)
