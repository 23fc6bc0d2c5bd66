"""Ctrl-C between two steps, and not within one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupt_afterwards"]


@contextmanager
def interrupt_afterwards() -> Iterator[None]:
    """Context whose work an interrupt lets end before it interrupts; a second one interrupts at once.

    Other threads than the main one are not interrupted anyway.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    is_interrupted = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            raise KeyboardInterrupt
        is_interrupted = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if is_interrupted:
        signal.raise_signal(signal.SIGINT)
