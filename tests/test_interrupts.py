"""An interrupt waits for the end of a step, and no longer."""

import signal
import threading
from collections.abc import Iterator

import pytest

from soundness.interrupts import interrupt_afterwards


def step(*, n_interrupts: int = 0, error: Exception | None = None) -> None:
    with interrupt_afterwards():
        for _ in range(n_interrupts):
            signal.raise_signal(signal.SIGINT)
        DONE.append(signal.getsignal(signal.SIGINT))
        if error is not None:
            raise error


DONE: list[object] = []


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    DONE.clear()
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_comes_after_the_step() -> None:
    with pytest.raises(KeyboardInterrupt):
        step(n_interrupts=1)
    assert len(DONE) == 1


def test_a_second_interrupt_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt):
        step(n_interrupts=2)
    assert DONE == []


def test_in_another_thread_nothing_changes() -> None:
    other = threading.Thread(target=step)
    other.start()
    other.join()
    step()
    assert DONE[0] is signal.default_int_handler
    assert DONE[1] is not signal.default_int_handler


def test_an_error_of_the_step_stays_the_error() -> None:
    with pytest.raises(ValueError, match="broken"):
        step(n_interrupts=1, error=ValueError("broken"))
