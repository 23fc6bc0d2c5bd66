"""Files of a folder that is watched: their sizes, times and content, and those that are still being written."""

import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path
from threading import Event

import watchfiles

from soundness.audio.formats import AUDIO_SUFFIXES, TEXT_SUFFIXES
from soundness.audio.measures import measure_clip
from soundness.errors import AudioError
from soundness.regular_files import open_regular
from soundness.settings.system import AudioSettings

__all__ = ["Stamp", "changes", "content_of", "is_being_written", "is_recent", "is_same_time", "known_as", "stamp_of"]

_LOGGER = logging.getLogger(__name__)

Stamp = tuple[int, int]
"""Size in bytes and time of change in nanoseconds."""

_QUIET_MS = 200  # without a change, after which changes are reported together
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


def known_as(
    path: Path,
    name: str,
    mtime_ns: int,
    alike: Sequence[tuple[str, int, bool]],
    *,
    present: Set[str],
    audio: AudioSettings,
) -> str | None:
    """Reason why a recording is one that is known: the clocks have changed, or it was moved; ``None`` if it is new.

    Parameters
    ----------
    path
        Its file.
    name, mtime_ns
        Its name below the folder, and its time of change in nanoseconds.
    alike
        Names, times of change, and True unless it failed, of known recordings of its size and content.
    present
        Names of the recordings that are in the folder now.
    audio
        Settings by which it is read.
    """
    is_copied = any(other in present and other != name for other, *_ in alike)
    for other, other_ns, is_scored in alike:
        is_namesake = other.rpartition("/")[2] == name.rpartition("/")[2]
        if other == name and is_same_time(other_ns, mtime_ns):
            return "the same recording; its time has moved"
        if other == name and is_scored and _has_sound(path, audio):
            return "the same recording, copied over itself"
        if not is_copied and is_same_time(other_ns, mtime_ns, has_shifts=is_namesake):
            return f"the same recording as {other}, moved"
    return None


def _has_sound(path: Path, audio: AudioSettings) -> bool:
    """True for a recording of which no microphone makes the like twice."""
    try:
        return not measure_clip(path, audio=audio).is_constant
    except AudioError:
        return False


def changes(folder: Path, *, poll_seconds: float, stop: Event | None = None) -> Iterator[None]:
    """Yield when recordings in a folder have changed, and at the latest after ``poll_seconds``, until ``stop`` is set.

    Not every file system reports changes, as those of other computers.
    """
    poll_ms, stop = max(1, round(1000 * poll_seconds)), Event() if stop is None else stop
    try:
        for _ in watchfiles.watch(
            folder,
            watch_filter=lambda _, path: Path(path).suffix.lower() in AUDIO_SUFFIXES | TEXT_SUFFIXES,
            debounce=poll_ms,
            step=min(_QUIET_MS, poll_ms),
            rust_timeout=poll_ms,
            yield_on_timeout=True,
            ignore_permission_denied=True,
            stop_event=stop,
        ):
            yield
    except (OSError, RuntimeError) as error:  # of watchfiles where notifications or file descriptors are exhausted
        _LOGGER.info("%s: changes are not reported (%s); looking every %g s", folder, error, poll_seconds)
    while not stop.wait(poll_seconds):
        yield
