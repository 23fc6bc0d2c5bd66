"""Audio of clips that is kept: of alarms with the minutes before them, of all clips, or of none."""

import logging
import shutil
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from soundness.errors import OutputError
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder

__all__ = ["KeptAudio"]

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class KeptAudio:
    """Last clips of one sensor, and the choice of those that are kept.

    Parameters
    ----------
    files
        Clips on disk.
    keeps
        Clips that are kept: those of alarms with the time before them, all, or none.
    before_us
        Time before an alarm whose audio is kept with it, in microseconds.
    least_free_bytes
        Free space on the disk below which none is kept.
    most_clips
        Largest number of clips before an alarm, whatever their times are, as of recordings that come all at once.
    """

    files: ClipFolder
    keeps: Literal["alarms", "all", "none"]
    before_us: int
    least_free_bytes: float
    most_clips: int = 1_000
    n_lost: int = 0
    """Clips that were to be kept and are not, since there was no room; in this run of the program."""
    _ring: deque[tuple[ClipFile, int, bool]] = field(default_factory=deque)  # with its row, and true if it is kept
    _wanted: set[int] = field(default_factory=set)  # rows of clips that are to be kept, and are not yet
    _is_full: bool = False
    _has_failed: bool = False

    def begin(self, clips: Sequence[tuple[ClipFile, int, bool]], *, has_alarm: bool = False) -> dict[int, str]:
        """Go on with the clips that are in the ring, each with the number of its row and true if it is kept.

        With ``has_alarm`` one of them is of an alarm, and not kept because the monitor ended; places of what is kept
        now, by number of the row.
        """
        self._ring.extend(clips)
        is_wanted = self.keeps == "all" or (self.keeps == "alarms" and has_alarm)
        return self._kept() if is_wanted else {}

    def add(self, clip: ClipFile, row_id: int, *, is_alarm: bool) -> dict[int, str]:
        """Add a clip, and forget those that are too old; places of what is kept from now on, by number of the row."""
        while self._ring and (
            len(self._ring) >= self.most_clips or abs(clip.start_us - self._ring[0][0].start_us) > self.before_us
        ):
            self._forget(*self._ring.popleft())
        self._ring.append((clip, row_id, False))
        is_wanted = self.keeps == "all" or (self.keeps == "alarms" and is_alarm)
        return self._kept() if is_wanted else {}

    def _forget(self, clip: ClipFile, row_id: int, _is_kept: bool) -> None:
        self.n_lost += row_id in self._wanted
        self._wanted.discard(row_id)
        self.files.forget(clip)

    def _kept(self) -> dict[int, str]:
        self._wanted |= {row_id for _, row_id, is_kept in self._ring if not is_kept}
        if not self.has_room():
            return {}
        found, ring = {}, list(self._ring)
        for index, (clip, row_id, is_kept) in enumerate(ring):
            if not is_kept:
                try:
                    clip = self.files.encoded(clip)  # one that could not be before, as on a full disk
                    found[row_id] = self.files.keep(clip)
                except OutputError as error:
                    if not self._has_failed:
                        _LOG.warning("audio is not kept: %s", error)
                    self._has_failed = True
                    break
                ring[index], self._has_failed = (clip, row_id, True), False
        self._wanted -= found.keys()
        self._ring = deque(ring)
        return found

    def has_room(self) -> bool:
        """True if audio may be written: there is as much free space on the disk as is to stay so."""
        try:
            is_full = shutil.disk_usage(self.files.store_folder).free < self.least_free_bytes
        except OSError:
            is_full = True
        if is_full and not self._is_full:
            _LOG.warning("%s: too little free space: no audio is kept until there is more", self.files.store_folder)
        elif self._is_full and not is_full:
            _LOG.warning("%s: there is room again: audio is kept; %d clip(s) were not", self.files.ring, self.n_lost)
        self._is_full = is_full
        return not is_full
