"""Recordings that appear in a folder, as a logger drops them on a share."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import ClassVar, Self

from soundness.audio.decoding import AS_STATED
from soundness.audio.formats import unread_recordings
from soundness.audio.reading import AudioInfo, read_info
from soundness.data.finding import FoundFiles, Selection, find_recordings, unread_problems
from soundness.data.folder_names import path_key
from soundness.errors import AudioError, DataError, UnreadableError
from soundness.monitoring.recording_files import (
    Stamp,
    changes,
    content_of,
    is_being_written,
    is_recent,
    known_as,
    stamp_of,
)
from soundness.monitoring.sources.options import check_known, number
from soundness.monitoring.sources.protocol import (
    Address,
    Item,
    KnownRecordings,
    Lost,
    Readable,
    RecordingClip,
    SourceSettings,
    SourceState,
)
from soundness.monitoring.sources.recording_clips import begin_of, parts_of
from soundness.plain_text import counted, one_line
from soundness.settings.durations import parse_seconds
from soundness.settings.system import AudioSettings

__all__ = ["FolderSource"]

_LOG = logging.getLogger(__name__)
_OPTIONS = ("poll", "expect")
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSource:
    """Recordings in a folder and those below it, each once, the earliest first.

    Parameters
    ----------
    folder
        The folder.
    clip_seconds, hop_seconds
        Length of a clip, and the time from the start of one to that of the next: recordings of more than 1.5 clips are
        cut.
    poll_seconds
        Time for which a recording must be unchanged before it is scored, and the longest time between two looks.
    expected_seconds
        Time without a new recording after which the folder is at fault.
    selection
        Recordings of the folder that are taken; ``None`` for all.
    longest_seconds
        Longest part of a recording that is scored, as a whole and from its own file; ``None`` to cut long ones, and to
        keep copies.
    audio_of
        Gives the settings with which the recording of a path is read.
    is_once
        True to end with the recordings that are there.
    """

    folder: Path
    clip_seconds: float
    hop_seconds: float
    poll_seconds: float = _POLL_SECONDS
    expected_seconds: float = math.inf
    selection: Selection | None = None
    longest_seconds: float | None = None
    audio_of: Callable[[Path], AudioSettings] = lambda _: AS_STATED
    is_once: bool = False

    is_live: ClassVar[bool] = False

    @classmethod
    def from_address(cls, address: Address, settings: SourceSettings) -> Self:
        """Source of ``folder:PATH?poll=5&expect=1h``."""
        check_known(address.options, _OPTIONS, scheme="folder")
        return cls(
            folder=settings.folder / address.place,
            clip_seconds=settings.clip_seconds,
            hop_seconds=settings.clip_seconds if settings.hop_seconds is None else settings.hop_seconds,
            poll_seconds=number(address.options, "poll", _POLL_SECONDS, least=0.01, scheme="folder"),
            expected_seconds=parse_seconds(address.options["expect"]) if "expect" in address.options else math.inf,
        )

    def check(self) -> str:
        """See `soundness.monitoring.sources.protocol.Source`."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder; expected one that recordings appear in")
        return f"{self.folder}: {counted(len(find_recordings(self.folder).recordings), 'recording')}"

    def items(self, state: SourceState, stop: Event) -> Iterator[Item]:
        """See `soundness.monitoring.sources.protocol.Source`."""
        look = _Looks(self, state.known, stop)
        yield from look.take()
        if self.is_once:
            stop.wait(self.poll_seconds)
            yield from look.take()
            return
        for _ in changes(self.folder, poll_seconds=self.poll_seconds, stop=stop):
            if stop.is_set():
                return
            yield from look.take()


class _Looks:
    """Looks at a folder, one after the other.

    Parameters
    ----------
    source
        The folder.
    known
        Recordings that have their rows; ``None`` if there are none.
    stop
        Set to end the looks.
    """

    def __init__(self, source: FolderSource, known: KnownRecordings | None, stop: Event) -> None:
        self._source, self._known, self._stop = source, known, stop
        self._done: set[tuple[str, int, int]] = set() if known is None else known.complete()
        self._seen: dict[Path, tuple[Stamp, float]] = {}  # with the monotonic time of the first look
        self._present: set[str] = set()
        self._problems: list[str] = []
        self._last = time.monotonic()  # of a new recording, or of the start
        self._has_new = False

    def take(self) -> Iterator[Item]:
        """Clips of the recordings that have settled and are not known, the earliest first."""
        source, now = self._source, time.monotonic()
        if not source.folder.is_dir():
            yield Lost(reason=f"{source.folder}: no such folder, or it cannot be reached", is_fault=True)
            return
        listed = find_recordings(source.folder, source.selection)
        yield from self._said(listed)
        found = self._unknown(listed)
        before = self._seen
        self._seen = {path: (stamp, now) for path, stamp in found.items()}
        self._seen |= {path: seen for path, seen in before.items() if seen[0] == found.get(path)}
        unread = set(listed.unread)
        for path in sorted(found, key=lambda path: (found[path][1], path_key(path))):
            since = self._seen[path][1]
            if now - since < source.poll_seconds or self._stop.is_set():
                continue
            for item in self._unread(path, found[path]) if path in unread else self._clips(path, found[path]):
                self._last, self._has_new = time.monotonic(), True
                if item.is_last:
                    self._done.add((item.name, *item.stamp))
                yield item

    def _said(self, listed: FoundFiles) -> Iterator[Item]:
        """Sign that the folder can be read, or not; problems that are new are logged."""
        source = self._source
        problems = [str(problem) for problem in unread_problems(listed, source.folder)]
        for problem in problems:
            if problem not in self._problems:
                _LOG.warning("%s; looking again", problem)
        self._problems = problems
        if listed.closed:
            error = listed.closed[0]
            yield Lost(reason=f"{error.path}: {error.reason}; what is in it is not read", is_fault=True)
        elif (silent := time.monotonic() - self._last) > source.expected_seconds:
            yield Lost(reason=f"{source.folder}: no new recording for {silent:.0f} s", is_fault=True)
        else:
            yield Readable(is_well=self._has_new or source.expected_seconds == math.inf)

    def _unknown(self, listed: FoundFiles) -> dict[Path, Stamp]:
        """Stamps of the recordings that are not known."""
        names = {path: self._name(path) for path in (*listed.recordings, *listed.unread)}
        self._present = set(names.values())
        found = {}
        for path, name in names.items():
            stamp = stamp_of(path)
            if stamp is not None and (name, *stamp) not in self._done:
                found[path] = stamp
        return found

    def _name(self, path: Path) -> str:
        return one_line(path.relative_to(self._source.folder).as_posix())

    def _unread(self, path: Path, stamp: Stamp) -> Iterator[RecordingClip]:
        problem = unread_recordings([path]) or "compressed, or without a suffix such as .wav; it is not read"
        yield replace(self._clip(path, stamp, ""), problem=problem)

    def _clip(self, path: Path, stamp: Stamp, content: str, *, seconds: float = 0.0) -> RecordingClip:
        start_us = begin_of(path.name, changed_us=stamp[1] // 1_000, seconds=seconds)
        name = self._name(path)
        return RecordingClip(
            path=path,
            name=name,
            stamp=stamp,
            content=content,
            start_us=start_us,
            seconds=seconds,
            longest_seconds=self._source.longest_seconds,
            put_back=lambda: self._done.discard((name, *stamp)),
        )

    def _clips(self, path: Path, stamp: Stamp) -> Iterator[RecordingClip]:
        """Clips of a recording; none if it is still being written."""
        if is_being_written(path):
            return
        whole = self._clip(path, stamp, content_of(path))
        if (known := self._known_as(whole)) is not None:
            yield replace(whole, known_as=known)
            return
        try:
            info = read_info(path, audio=self._source.audio_of(path))
        except AudioError as error:
            if stamp_of(path) is None:
                yield replace(whole, problem="gone before it could be read")
            elif stamp_of(path) == stamp and not (isinstance(error, UnreadableError) and is_recent(stamp)):
                yield replace(whole, problem=error.reason)
            return
        if not (is_recent(stamp) and info.note):  # its header may yet be completed
            yield from self._parts(self._clip(path, stamp, whole.content, seconds=info.seconds), info)

    def _parts(self, whole: RecordingClip, info: AudioInfo) -> Iterator[RecordingClip]:
        source, known = self._source, self._known
        if source.longest_seconds is not None:
            yield whole
            return
        n_done = 0 if known is None else known.n_clips(whole.name, whole.stamp)
        yield from parts_of(
            whole, info, clip_seconds=source.clip_seconds, hop_seconds=source.hop_seconds, n_done=n_done
        )

    def _known_as(self, clip: RecordingClip) -> str | None:
        if self._known is None or not clip.content:
            return None
        alike = self._known.alike(clip.stamp[0], clip.content)
        alike = [one for one in alike if (one[0], one[1]) != (clip.name, clip.stamp[1])]  # it is being scored
        audio = self._source.audio_of(clip.path)
        return known_as(clip.path, clip.name, clip.stamp[1], alike, present=self._present, audio=audio)
