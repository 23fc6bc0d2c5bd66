"""Limits of the number of threads overlap, and leave behind what they found."""

import threading

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from soundness.hearing import one_thread_each
from soundness.thread_limits import one_blas_thread


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with threadpool_limits(3, user_api="blas"):
        yield
    torch.set_num_threads(before)


def overlapping(limit, *, first_ends_first):
    """Two threads within a limit at once; the numbers that either saw within it, and sees after both have ended."""
    both_within, one_ended = threading.Barrier(2), threading.Event()
    seen = {}

    def use(name, *, ends_first):
        with limit():
            both_within.wait(10)
            seen[f"{name} within"] = (blas_threads(), torch.get_num_threads())
            both_within.wait(10)
            if not ends_first:
                assert one_ended.wait(10)
        one_ended.set()
        both_within.wait(10)
        seen[f"{name} after"] = (blas_threads(), torch.get_num_threads())

    first = threading.Thread(target=use, args=("first",), kwargs={"ends_first": first_ends_first})
    first.start()
    use("second", ends_first=not first_ends_first)
    first.join()
    return seen


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("first_ends_first", [True, False])
def test_overlapping_limits_leave_behind_what_the_first_found(first_ends_first):
    seen = overlapping(one_thread_each, first_ends_first=first_ends_first)
    for name in ("first", "second"):
        blas, of_torch = seen[f"{name} within"]
        assert set(blas) == {1}
        assert of_torch == 1
    assert set(blas_threads()) == {3}
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_a_limit_within_another_holds_until_the_outer_one_ends():
    with one_thread_each():
        with one_blas_thread():
            assert set(blas_threads()) == {1}
        assert torch.get_num_threads() == 1
    assert set(blas_threads()) == {3}
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_a_limit_is_lifted_where_what_it_is_for_fails():
    with pytest.raises(ZeroDivisionError), one_thread_each():
        1 / 0  # noqa: B018
    assert set(blas_threads()) == {3}
    assert torch.get_num_threads() == 3
