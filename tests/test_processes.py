"""Work in other processes gives what it gives in this one, and leaves nothing behind, however it ends."""

import os
import platform
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from soundness.errors import AudioError, ProcessError
from soundness.processes import Processes, can_be_handed_over, map_in_processes
from soundness.scoring.decisions.clip_lengths import ClipLengths
from work_in_processes import children, is_running, killed_by, loud, n_new_pages, pid_after, root


def test_results_come_in_the_order_of_the_items_from_several_processes():
    items = [0.2, *[0.0] * 40]
    pids = list(map_in_processes(pid_after, items, n_workers=2))
    assert len(pids) == 41
    assert len(set(pids)) == 2
    assert os.getpid() not in pids
    assert pids[0] == pids[7] != pids[8]  # the next message went to the other one
    assert list(map_in_processes(abs, range(-9, 9), n_workers=3)) == [abs(item) for item in range(-9, 9)]


@pytest.fixture
def started():
    """Processes that were started during the test and are there."""
    before = set(children(os.getpid()))
    return lambda: set(children(os.getpid())) - before


def test_nothing_is_left_of_them(started):
    results = map_in_processes(pid_after, [0.0] * 100, n_workers=2)
    pid = next(results)
    assert is_running(pid)
    results.close()
    assert not is_running(pid)
    assert started() == set()


def test_they_start_and_import_before_there_is_work(started):
    with Processes(2, imports=["decimal"]) as processes:
        pids = started()
        assert len(pids) == 2
        assert set(processes.map(pid_after, [0.0] * 30)) == pids
    assert started() == set()
    with Processes(2):
        assert len(started()) == 2
    assert started() == set()


def test_a_module_that_is_not_there_is_an_error():
    expected = pytest.raises(ProcessError, match=r"^a process ended with status 1 while it worked on 1$")
    with Processes(1, imports=["no_such_module"]) as processes, expected:
        list(processes.map(abs, [1]))


def test_few_items_are_read_ahead():
    asked = []

    def items():
        for item in range(10_000):
            asked.append(item)
            yield item

    results = map_in_processes(abs, items(), n_workers=2)
    next(results)
    results.close()
    assert len(asked) <= 8 * (2 * 3 + 1)


def test_what_is_printed_is_no_answer():
    assert list(map_in_processes(loud, range(3), n_workers=1)) == [0, 1, 2]


def test_an_error_comes_after_the_results_before_it_and_says_where_it_happened():
    results = map_in_processes(root, [0, 1, 4, -1, 9], n_workers=2)
    assert [next(results) for _ in range(3)] == [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="could not convert string to float: 'no root'") as raised:
        next(results)
    assert 'work_in_processes.py", line' in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*LookupError"):
        list(map_in_processes(root, [7], n_workers=1))


def test_an_error_keeps_what_it_is_about(tmp_path):
    from soundness.audio.reading import read_info

    with pytest.raises(AudioError, match="missing") as raised:
        list(map_in_processes(read_info, [tmp_path / "missing.wav"], n_workers=1))
    assert raised.value.path == tmp_path / "missing.wav"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_that_is_killed_is_an_error_that_names_its_items():
    words = r"^a process was killed \(SIGKILL\), by hand or by the system for want of memory, while it worked on "
    with pytest.raises(ProcessError, match=words + r"<0> to <7> \(8 in all\)$"):
        list(map_in_processes(killed_by, range(100), n_workers=2, name=lambda item: f"<{item}>"))
    with pytest.raises(ProcessError, match=words + "5$"):
        list(map_in_processes(killed_by, [5], n_workers=2))
    with pytest.raises(ProcessError, match=r"^a process ended with status 3 while it worked on 3$"):
        list(map_in_processes(os._exit, [3], n_workers=1))


def test_parts_of_a_users_own_stay_in_this_process():
    class Own:
        pass

    assert can_be_handed_over(ClipLengths(clip_seconds=1.0, full_seconds=1.0))
    assert not can_be_handed_over(ClipLengths(clip_seconds=1.0, full_seconds=1.0), Own())


PROGRAM = """
from soundness.processes import map_in_processes
from work_in_processes import pid_after
for pid in map_in_processes(pid_after, [0.05] * 2000, n_workers=2):
    print(pid, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_the_program_that_started_them(tmp_path, number):
    script = tmp_path / "no_guard.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join(place for place in sys.path if place)
    command = [sys.executable, script]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    started = children(process.pid)
    assert len(started) == 2
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == -number
    assert errors.count("Traceback") == (number == signal.SIGINT)  # that of the program itself
    deadline = time.monotonic() + 10
    while any(map(is_running, started)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, started))


def test_one_thread_works_in_each():
    program = "__import__('numpy') and __import__('threadpoolctl').threadpool_info()"
    (found,) = map_in_processes(partial(eval, program), [{}], n_workers=1)
    assert {pool["num_threads"] for pool in found} == {1}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_memory_is_used_again():
    _, again = map_in_processes(n_new_pages, [2, 100], n_workers=1)
    assert again < 100
