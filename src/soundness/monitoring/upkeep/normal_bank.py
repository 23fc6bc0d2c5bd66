"""Bank of normal recordings of each hour of the day, which a detector takes in now and then.

A learning period knows its own hours alone. A clip an hour is put aside; it is confirmed where a day has passed without
an alarm near it, and none enters while the scores rise: a fault that grows is not learned away. Of each hour of the day
two are kept, so the bank and the detectors that are made with it have a bounded size.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from soundness.files.atomic import output_errors
from soundness.monitoring.capture.clip_files import link_or_copy
from soundness.monitoring.store.records import Alarm, ClipRow, Sensor
from soundness.monitoring.store.store import Store

__all__ = ["EVERY_DAYS", "FEWEST", "BankClip", "NormalBank", "bank_of", "confirmed"]

_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000
_OF_AN_HOUR = 2  # clips that are kept of each hour of the day
FEWEST = 12
"""Confirmed clips that a detector takes in, at least."""

EVERY_DAYS = 7
"""Days between two times that a detector takes them in."""

_NORMAL_P_VALUE = 0.1  # at least, by the calibration as it is
_NAME = re.compile(r"(\d\d)-(\d+)-(\d+)(\.\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BankClip:
    """A clip of the bank.

    Parameters
    ----------
    path
        Its recording.
    start_us
        Its time, microseconds since 1970, UTC.
    """

    path: Path
    start_us: int

    @property
    def hour(self) -> int:
        """Hour of the day, from 0."""
        return self.start_us % _DAY_US // _HOUR_US


class NormalBank:
    """Bank of one sensor.

    Parameters
    ----------
    folder
        Its folder.
    renewed_us
        Time at which the detector took the bank in, or at which the sensor began; ``None`` if it has not begun.
    """

    def __init__(self, folder: Path, *, renewed_us: int | None) -> None:
        self.folder, self.renewed_us = folder, renewed_us
        self._last_hour = max((clip.start_us // _HOUR_US for clip in self.clips()), default=-1)

    def clips(self) -> list[BankClip]:
        """Clips of the bank by time."""
        found = []
        for path in self.folder.glob("*-*-*.*") if self.folder.is_dir() else ():
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found.append(BankClip(path=path, start_us=int(match[2])))
        return sorted(found, key=lambda clip: clip.start_us)

    def offer(self, audio: Path, clip: ClipRow, *, p_value: float, is_quiet: bool) -> None:
        """Put a clip aside if it is the first normal one of its hour.

        Parameters
        ----------
        audio
            Its recording.
        clip
            Its row.
        p_value
            Its p-value by the calibration, without any following.
        is_quiet
            True if no alarm is on, none is muted, and the scores do not rise.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        hour = clip.start_us // _HOUR_US
        if not is_quiet or p_value < _NORMAL_P_VALUE or hour <= self._last_hour:
            return
        self._last_hour = hour
        name = f"{clip.start_us % _DAY_US // _HOUR_US:02d}-{clip.start_us}-{clip.number}{audio.suffix}"
        link_or_copy(audio, self.folder / name)

    def is_due(self, now_us: int) -> bool:
        """True if it is time for the detector to take in what is confirmed."""
        return self.renewed_us is not None and now_us - self.renewed_us >= EVERY_DAYS * _DAY_US

    def prune(self, alarms: Iterable[Alarm], *, now_us: int) -> list[BankClip]:
        """Forget clips near alarms, and all but the latest of each hour of the day; those that are confirmed.

        Raises
        ------
        OutputError
            If one cannot be removed.
        """
        clips = self.clips()
        kept = confirmed(clips, alarms, now_us=now_us)
        waiting = {clip for clip in clips if clip.start_us > now_us - _DAY_US}
        for clip in clips:
            if clip not in kept and clip not in waiting:
                with output_errors(clip.path):
                    clip.path.unlink(missing_ok=True)
        return kept


def confirmed(clips: Iterable[BankClip], alarms: Iterable[Alarm], *, now_us: int) -> list[BankClip]:
    """Clips with a day without alarm before and after them, the latest two of each hour of the day.

    Parameters
    ----------
    clips
        Clips by time.
    alarms
        Alarms of the sensor; those that somebody called normal do not count.
    now_us
        Time of now, microseconds since 1970, UTC.
    """
    disturbed = [
        (alarm.raised_us - _DAY_US, (now_us if alarm.ended_us is None else alarm.ended_us) + _DAY_US)
        for alarm in alarms
        if alarm.kind != "fault" and alarm.verdict != "normal"
    ]
    by_hour: dict[int, list[BankClip]] = {}
    for clip in clips:
        is_near = any(start <= clip.start_us <= end for start, end in disturbed)
        if clip.start_us <= now_us - _DAY_US and not is_near:
            by_hour.setdefault(clip.hour, []).append(clip)
    return [clip for hour in sorted(by_hour) for clip in by_hour[hour][-_OF_AN_HOUR:]]


def bank_of(store: Store, sensor: Sensor) -> NormalBank:
    """Bank of a sensor as it is in the store."""
    return NormalBank(
        store.folder / "learning" / f"{sensor.id}" / "bank", renewed_us=sensor.details.get("bank_renewed_us")
    )
