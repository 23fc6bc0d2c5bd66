"""Files of a folder that is watched: their sizes, times and content, and those that are still being written."""

import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from soundness.regular_files import open_regular

__all__ = ["Stamp", "content_of", "is_being_written", "is_recent", "is_same_time", "stamp_of"]

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""

_STILL_WRITTEN_SECONDS = 30.0  # an unreadable file that was changed so recently may yet be completed
_FARTHEST_NS = 2**63 - 1
_PART_BYTES, _N_PARTS = 65_536, 16  # of a fingerprint
_SHIFT_NS, _MOST_SHIFTS, _ROUNDING_NS = 1_800 * 10**9, 28, 2 * 10**9  # half hours to 14 h; FAT counts in two seconds


def stamp_of(path: Path) -> Stamp | None:
    """Size and time of a file; ``None`` if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, max(-_FARTHEST_NS, min(status.st_mtime_ns, _FARTHEST_NS))  # which a database can hold


def is_recent(stamp: Stamp) -> bool:
    """True if a file may still be being written; a clock that goes wrong only makes its age larger."""
    return abs(time.time() - stamp[1] / 1e9) <= _STILL_WRITTEN_SECONDS


def is_same_time(first_ns: int, second_ns: int, *, has_shifts: bool = True) -> bool:
    """True if two times of a file are one time, told in two time zones or with daylight saving and without.

    FAT, exFAT and some shares keep local time, so that all their files change it when the clocks change. Without
    ``has_shifts`` the times must be the same but for rounding.
    """
    shifts = round((first_ns - second_ns) / _SHIFT_NS) if has_shifts else 0
    return abs(shifts) <= _MOST_SHIFTS and abs(first_ns - second_ns - shifts * _SHIFT_NS) <= _ROUNDING_NS


def content_of(path: Path) -> str:
    """Fingerprint of a file's content: all of a small one, parts all over a large one; empty if it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open_regular(path) as file:
            for start in _starts(os.fstat(file.fileno()).st_size):
                file.seek(start)
                digest.update(file.read(_PART_BYTES))
    except OSError:
        return ""
    return digest.hexdigest()


def _starts(n_bytes: int) -> Iterable[int]:
    if n_bytes <= _PART_BYTES * _N_PARTS:
        return range(0, n_bytes, _PART_BYTES)
    return (part * (n_bytes - _PART_BYTES) // (_N_PARTS - 1) for part in range(_N_PARTS))


def is_being_written(path: Path) -> bool:
    """True if another process has a file open to write to it; False where the operating system does not tell.

    Linux tells by refusing a lease on the file, on local file systems and to the owner of the file.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        with open_regular(path) as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # of all signals the one that does nothing, if one comes
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            except BlockingIOError:
                return True
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:  # not the owner, or a file system without leases
        return False
    return False
