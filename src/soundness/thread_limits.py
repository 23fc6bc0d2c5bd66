"""One thread for what is small or runs beside its like: limits that overlap in a process, and leave nothing behind."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

__all__ = ["SharedLimit", "one_blas_thread"]


class SharedLimit:
    """A limit of the whole process that several threads may set and lift in any order.

    A thread that sets it while another has it set finds the limit, not what there was before. So what the first of
    them found comes back; and each thread lifts the limit itself, since a library may count threads by thread.

    Parameters
    ----------
    limit
        Sets the limit, and gives what lifts it again.
    """

    def __init__(self, limit: Callable[[], Callable[[], None]]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._lifts: list[Callable[[], None]] = []  # the first one's, once for each use that has not ended

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Within it the limit holds."""
        with self._lock:
            lift = self._limit()
            self._lifts.append(self._lifts[0] if self._lifts else lift)
        try:
            yield
        finally:
            with self._lock:
                self._lifts.pop()()


def _limit_blas() -> Callable[[], None]:
    # Of BLAS alone: what lifts the limit restores all that is selected, and OpenMP counts threads thread by thread.
    libraries = ThreadpoolController().select(user_api="blas")
    lift: Callable[[], None] = libraries.limit(limits=1).restore_original_limits
    return lift


_ONE_BLAS_THREAD = SharedLimit(_limit_blas)


def one_blas_thread() -> AbstractContextManager[None]:
    """Linear algebra within it uses one thread: threads that wait for a busy core cost more than they give."""
    return _ONE_BLAS_THREAD()
