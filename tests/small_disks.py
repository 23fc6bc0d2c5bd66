"""Disks of a few megabytes, where whoever runs the tests may mount one."""

import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def small_disk(folder, *, megabytes=1):
    """A small disk in a folder for the time of a block; the test is skipped where none can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("no program mount")
    if done.returncode != 0:
        pytest.skip("a small disk cannot be mounted without being root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


def fill(disk, *, leaving=0):
    """Take all the space of a disk but so many bytes, in a file that is given; again if it is there."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as stream:
        try:
            while stream.write(bytes(4_096)):
                pass
        except OSError:
            stream.truncate(max(0, stream.tell() - leaving))
    return ballast
