"""Thread limits for small or parallel work, which may overlap in a process; one pool over recordings."""

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from threadpoolctl import (  # type: ignore[import-untyped]  # it ships no types
    OpenBLASController,
    ThreadpoolController,
)

__all__ = ["ProcessLimit", "ThreadLimit", "in_order", "map_recordings", "one_blas_thread", "one_thread_each"]

_AHEAD = 4  # recordings in flight for each worker

Item = TypeVar("Item")
Result = TypeVar("Result")


class ProcessLimit:
    """Limit of the whole process: the first user sets it, and the last one lifts it.

    Parameters
    ----------
    limit
        Sets the limit and returns the function that lifts it.
    """

    def __init__(self, limit: Callable[[], Callable[[], None]]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._n_users = 0
        self._lift: Callable[[], None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Context in which the limit holds."""
        with self._lock:
            if self._lift is None:
                self._lift = self._limit()
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    self._lift()
                    self._lift = None


class ThreadLimit:
    """Limit to one thread in a library with a setting for each calling thread, which new threads inherit.

    Every calling thread sets its own number. One that began within the limit of another inherits that limit; its number
    afterwards is the one that the first of them had before.

    Parameters
    ----------
    count
        Number of threads of the calling thread.
    set_count
        Sets it for the calling thread and for threads to come.
    """

    def __init__(self, count: Callable[[], int], set_count: Callable[[int], None]) -> None:
        self._count, self._set_count = count, set_count
        self._lock = threading.Lock()
        self._n_users = 0
        self._first_found = 1
        self._own = threading.local()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Context in which the limit holds for this thread."""
        if getattr(self._own, "is_set", False):
            yield
            return
        with self._lock:
            found = self._count()
            if self._n_users == 0:
                self._first_found = found
            before = self._first_found if found == 1 else found
            self._n_users += 1
            self._set_count(1)
        self._own.is_set = True
        try:
            yield
        finally:
            self._own.is_set = False
            with self._lock:
                self._n_users -= 1
                self._set_count(before)


def _limit_blas() -> Callable[[], None]:
    # BLAS alone: lifting the limit restores all that is selected, and OpenMP has a number for each calling thread.
    limit = ThreadpoolController().select(user_api="blas").limit(limits=1)

    def lift() -> None:
        OpenBLASController.clear_controlling_thread(force=True)  # else only the thread that set it could lift it
        limit.restore_original_limits()
        OpenBLASController.clear_controlling_thread()

    return lift


_ONE_BLAS_THREAD = ProcessLimit(_limit_blas)


def one_blas_thread() -> AbstractContextManager[None]:
    """Context in which linear algebra uses one thread: waiting for busy cores costs more than threads save."""
    return _ONE_BLAS_THREAD()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Context for recordings in parallel, one thread each: faster, and the same result on any number of cores."""
    is_loaded = sys.modules.get("torch") is not None  # if not, nothing uses it
    with one_blas_thread(), _ONE_TORCH_THREAD() if is_loaded else nullcontext():
        yield


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _set_torch_threads(n_threads: int) -> None:
    import torch

    torch.set_num_threads(n_threads)


_ONE_TORCH_THREAD = ThreadLimit(_torch_threads, _set_torch_threads)


def map_recordings(
    function: Callable[[Item], Result], items: Iterable[Item], *, n_workers: int | None = None
) -> Iterator[Result]:
    """Apply a function to recordings in parallel, and yield the results in their order.

    Each recording is processed by one thread, so that results are the same on any number of cores. A few are read
    ahead, and no result stays in memory. An error of the function ends the iteration.

    Parameters
    ----------
    function
        Function of one item, called in several threads at once.
    items
        Recordings, or other arguments of the function.
    n_workers
        Number of threads; the number of cores if ``None``.
    """
    workers = n_workers if n_workers is not None else os.cpu_count() or 1
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        try:
            yield from in_order(pool, function, items, n_waiting=_AHEAD * workers)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], *, n_waiting: int
) -> Iterator[Result]:
    """Apply a function to items in a pool, and yield the results in their order; at most so many wait for it."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > n_waiting:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
