"""Errors that soundness raises on purpose.

::

    SoundnessError
    ├── DataError               a data set, a folder or the set of clips in it
    │   └── AudioError          one recording that cannot be used
    │       └── UnreadableError its file cannot be read, or not to the end
    ├── SettingsError           a setting: unknown, of the wrong type, out of range
    ├── BundleError             a file that should hold a detector or a separator, and does not
    ├── ExportError             a detector that cannot be exported, or not faithfully
    ├── ScoresError             a folder of scores, or the truth it is compared with
    ├── DownloadError           data that cannot be downloaded, or that differ from what was announced
    ├── OutputError             a file or folder that exists already, or cannot be written
    │   ├── NotSentError        an event that another server did not take
    │   └── InUseError          a store that a running monitor uses
    ├── ProcessError            another process that works for this one, and cannot be started or was killed
    └── MissingExtraError       a feature whose optional packages are not installed

The message of each is one line: what was expected, what came, and where. The command line prints it and exits with
status 2. Any other exception is a bug and keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

__all__ = [
    "AudioError",
    "BundleError",
    "DataError",
    "DownloadError",
    "ExportError",
    "InUseError",
    "MissingExtraError",
    "NotSentError",
    "OutputError",
    "ProcessError",
    "ScoresError",
    "SettingsError",
    "SoundnessError",
    "UnreadableError",
    "audio_errors_at",
]


class SoundnessError(Exception):
    """Root of all errors that soundness raises on purpose."""


class DataError(SoundnessError):
    """A data set, a folder or the set of clips in it cannot be used.

    Parameters
    ----------
    reason
        Expectation and finding, without the name of the file.
    path
        The file or folder; ``None`` where it is not known.
    """

    def __init__(self, reason: str, *, path: Path | None = None) -> None:
        super().__init__(reason if path is None else f"{path}: {reason}")
        self.reason = reason
        self.path = path

    def at(self, path: Path) -> Self:
        """The same error with a path, unless it has one already."""
        return self if self.path is not None else type(self)(self.reason, path=path)


class AudioError(DataError):
    """One recording cannot be used: unreadable, empty, not finite, too short, or recorded too slowly."""


class UnreadableError(AudioError):
    """The file of a recording cannot be read to the end, which may change while it is being written."""


@contextmanager
def audio_errors_at(path: Path) -> Iterator[None]:
    """Give the path of a recording to an `AudioError` that is raised within it and has none."""
    try:
        yield
    except AudioError as error:
        if error.path is not None:
            raise
        raise error.at(path) from error.__cause__


class SettingsError(SoundnessError):
    """A setting is unknown, of the wrong type or out of range."""


class BundleError(SoundnessError):
    """A file does not hold the intact detector or separator that was expected.

    Parameters
    ----------
    reason
        Expectation and finding; with the name of the file where ``path`` is ``None`` and it is known.
    path
        The file; ``None`` where it is not known, or is part of the reason.
    """

    def __init__(self, reason: str, *, path: Path | None = None) -> None:
        super().__init__(reason if path is None else f"{path}: {reason}")
        self.reason = reason
        self.path = path


class ExportError(SoundnessError):
    """A detector has a part that cannot be exported, or its export does not agree with it."""


class ScoresError(SoundnessError):
    """A folder of scores, or the truth that it is compared with, cannot be used."""


class DownloadError(SoundnessError):
    """Data cannot be downloaded, differ from what was announced, or are not safe to unpack."""


class OutputError(SoundnessError):
    """A file or folder to write to exists already, or cannot be written."""


class NotSentError(OutputError):
    """An event was not taken by another server, or could not be sent to it.

    Parameters
    ----------
    reason
        Server and reason, without secrets.
    asked_seconds
        Time after which the server asks to try again; 0 if it does not.
    """

    def __init__(self, reason: str, *, asked_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.asked_seconds = asked_seconds


class InUseError(OutputError):
    """A store is in use by a running monitor."""


class ProcessError(SoundnessError):
    """A process that works for this one cannot be started, or ended before its work was done."""


class MissingExtraError(SoundnessError):
    """A feature needs packages of an extra that is not installed."""
