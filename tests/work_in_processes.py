"""Functions that the tests hand to other processes, and the processes that a program has started."""

import os
import signal
import subprocess
import time

import numpy as np


def pid_after(seconds: float) -> int:
    """Number of the process, after a time."""
    time.sleep(seconds)
    return os.getpid()


def loud(item: int) -> int:
    """The item, which is printed, too."""
    print(item, flush=True)
    return item


def root(item: int) -> float:
    """Square root of the item; the others that fail cannot be handed over."""
    if item == 7:
        raise LookupError(lambda: "no pickle holds a function without a name")
    return float(item**0.5) if item >= 0 else float("no root")


def n_new_pages(item: int) -> int:
    """Pages of memory that a process gets from the system to work with arrays as large as those of a clip."""
    import resource  # there is none in Windows

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(item):
        _ = [np.ones(160_000) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def killed_by(item: int) -> int:
    """The item; 5 kills the process."""
    if item == 5:
        signal.raise_signal(signal.SIGKILL)
    return item


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def is_running(pid: int) -> bool:
    """True if a process has not ended; one that nobody waits for has."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() not in ("", "Z")
