"""Limits of the number of threads overlap, and leave behind what they found."""

import threading
import time

import pytest
import torch
from threadpoolctl import OpenBLASController, threadpool_info, threadpool_limits

from soundness.threads import map_recordings, one_blas_thread, one_thread_each


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    limits = threadpool_limits(3, user_api="blas")
    OpenBLASController.clear_controlling_thread()  # as where nobody has set a number
    yield
    torch.set_num_threads(before)
    limits.restore_original_limits()
    OpenBLASController.clear_controlling_thread()


def threads():
    """Of BLAS in the process, and of torch in this thread."""
    (blas,) = set(blas_threads())
    return blas, torch.get_num_threads()


def overlapping(limit, *, first_ends_first):
    """What two threads see while both are within a limit, while one of them is, and after both: by thread and time."""
    together = threading.Barrier(2)
    seen = {}

    def use(name, *, ends_first):
        with limit():
            together.wait(10)
            seen[name, "both"] = threads()
            together.wait(10)
            if not ends_first:
                together.wait(10)
                seen[name, "alone"] = threads()
                together.wait(10)
        if ends_first:
            together.wait(10)
            together.wait(10)
        together.wait(10)
        seen[name, "after"] = threads()

    first = threading.Thread(target=use, args=("first",), kwargs={"ends_first": first_ends_first})
    first.start()
    use("second", ends_first=not first_ends_first)
    first.join()
    return seen


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("first_ends_first", [True, False])
def test_a_limit_holds_until_the_last_of_two_threads_is_out_and_leaves_nothing_behind(first_ends_first):
    seen = overlapping(one_thread_each, first_ends_first=first_ends_first)
    last = "second" if first_ends_first else "first"
    assert seen == {
        ("first", "both"): (1, 1),
        ("second", "both"): (1, 1),
        (last, "alone"): (1, 1),
        ("first", "after"): (3, 3),
        ("second", "after"): (3, 3),
    }
    assert threads() == (3, 3)


@pytest.mark.usefixtures("three_threads")
def test_a_thread_that_begins_within_the_limit_of_another_is_left_as_one_that_did_not():
    seen = []

    def use():
        with one_thread_each():
            seen.append(threads())
        seen.append(threads())

    with one_thread_each():
        begun_within = threading.Thread(target=use)
        begun_within.start()
        begun_within.join()
    assert seen == [(1, 1), (1, 3)]  # BLAS is still limited by the thread that waits
    assert threads() == (3, 3)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("inner", [one_thread_each, one_blas_thread])
def test_a_limit_within_another_holds_until_the_outer_one_ends(inner):
    with one_thread_each():
        with inner():
            assert threads() == (1, 1)
        assert threads() == (1, 1)
    assert threads() == (3, 3)


@pytest.mark.usefixtures("three_threads")
def test_a_limit_is_lifted_where_what_it_is_for_fails():
    with pytest.raises(ZeroDivisionError), one_thread_each():
        1 / 0  # noqa: B018
    assert threads() == (3, 3)


def test_results_come_in_the_order_of_the_recordings():
    done = []

    def slow_first(item):
        time.sleep(0.05 if item == 0 else 0.0)
        done.append(item)
        return item

    assert list(map_recordings(slow_first, iter(range(8)), n_workers=2)) == list(range(8))
    assert done != sorted(done)


def test_few_recordings_are_read_ahead():
    started = []
    results = map_recordings(started.append, range(1_000), n_workers=2)
    next(results)
    time.sleep(0.05)
    results.close()
    assert len(started) <= 2 * 4 + 2


@pytest.mark.usefixtures("three_threads")
def test_each_recording_has_one_thread_and_the_caller_gets_its_own_back():
    assert set(map_recordings(lambda _: threads(), range(4), n_workers=2)) == {(1, 1)}
    assert threads() == (3, 3)


def test_what_fails_ends_the_iteration():
    def fail(item):
        if item == 2:
            raise ValueError("no such recording")
        return item

    with pytest.raises(ValueError, match="no such recording"):
        list(map_recordings(fail, range(100), n_workers=2))
