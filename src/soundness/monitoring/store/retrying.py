"""Reading and writing of a database that may be away for a while."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from soundness.errors import OutputError
from soundness.monitoring.store.database import is_away
from soundness.monitoring.store.store import Store, Transaction

__all__ = ["retried", "written"]

_LOG = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 10.0  # seconds between two tries

Result = TypeVar("Result")


def written(
    store: Store,
    write: Callable[[Transaction], Result],
    *,
    undo: Callable[[], None],
    known: Callable[[], Result | None] = lambda: None,
    stop: Event,
) -> Result:
    """Result of a transaction, which is tried again while the database is away.

    Parameters
    ----------
    store
        Store of the monitor.
    write
        Called with the transaction, once for each try.
    undo
        Called after a try that failed, to undo what was changed beside the database.
    known
        Called before another try: the result, if the try before was committed though the database went away before it
        said so; ``None`` if it was not.
    stop
        Set to end the tries.

    Raises
    ------
    OutputError
        If it cannot be written, or the tries have ended.
    """

    def attempt() -> Result:
        with store.transaction() as transaction:
            return write(transaction)

    return retried(attempt, undo=undo, known=known, stop=stop)


def retried(
    attempt: Callable[[], Result],
    *,
    undo: Callable[[], None] = lambda: None,
    known: Callable[[], Result | None] = lambda: None,
    stop: Event,
) -> Result:
    """Result of reading or writing, which is tried again while the database is away; see `written`."""
    wait, is_again = _FIRST_WAIT, False
    while True:
        try:
            if is_again and (found := known()) is not None:
                return found
            is_again = True
            return attempt()
        except OutputError as error:
            undo()
            if not is_away(error.__cause__):
                raise
            _LOG.warning("%s; trying again", error)
            if stop.wait(wait):
                raise
            wait = min(2 * wait, _LONGEST_WAIT)
