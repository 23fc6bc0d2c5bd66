"""Reading and writing of a database that may be away for a while."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from soundness.errors import OutputError
from soundness.files.atomic import words_of
from soundness.monitoring.store.database import is_away
from soundness.monitoring.store.store import Store, Transaction

__all__ = ["is_of_disk", "retried", "written"]

_LOG = logging.getLogger(__name__)

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 10.0  # seconds between two tries

Result = TypeVar("Result")


def written(
    store: Store,
    write: Callable[[Transaction], Result],
    *,
    undo: Callable[[], None],
    known: Callable[[], Result | None] = lambda: None,
    told: Callable[[str], None] = lambda _: None,
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
    told
        Called with the reason after each try that failed, and with an empty one once it is written.
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

    return retried(attempt, undo=undo, known=known, told=told, stop=stop)


def is_of_disk(error: BaseException | None) -> bool:
    """True if an error is of the operating system, as that a disk is full, which may have room again."""
    return isinstance(error, OSError)


def retried(
    attempt: Callable[[], Result],
    *,
    undo: Callable[[], None] = lambda: None,
    known: Callable[[], Result | None] = lambda: None,
    told: Callable[[str], None] = lambda _: None,
    may_pass: Callable[[BaseException | None], bool] = is_away,
    stop: Event,
) -> Result:
    """Result of reading or writing, which is tried again while the database is away; see `written`.

    Parameters
    ----------
    attempt
        Called for each try.
    undo, known, told, stop
        See `written`.
    may_pass
        Tells of the cause of an error if it may pass.
    """
    wait, problem = _FIRST_WAIT, ""
    while True:
        try:
            found = known() if problem else None
            found = attempt() if found is None else found
        except OutputError as error:
            undo()
            if not may_pass(error.__cause__) or stop.is_set():
                raise
            if str(error) != problem:
                _LOG.warning("%s; trying again", error)
            problem = str(error)
            told(words_of(error))
            if stop.wait(wait):
                raise
            wait = min(2 * wait, _LONGEST_WAIT)
            continue
        if problem:
            told("")
            _LOG.warning("%s: written again", problem)
        return found
