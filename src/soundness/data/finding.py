"""Find recordings in and below folders: each once, in the order of their names, and with a word on what is left out."""

import fnmatch
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from soundness.aliases import PathLike
from soundness.audio.containers.disguised import is_disguised
from soundness.audio.formats import (
    AUDIO_SUFFIXES,
    TABLE_SUFFIXES,
    TEXT_SUFFIXES,
    UNREAD_SUFFIXES,
    unread_recordings,
)
from soundness.audio.tables.text import looks_numeric, numeric_problem
from soundness.data.folder_names import is_clutter, natural_key, path_key
from soundness.errors import DataError
from soundness.regular_files import open_regular
from soundness.settings.durations import parse_since

__all__ = [
    "FoundFiles",
    "Paths",
    "Problem",
    "Selection",
    "Severity",
    "find_recordings",
    "is_recording",
    "list_audio",
    "list_entries",
    "list_folders",
    "listed_names",
    "order_note",
    "real_paths",
    "unread_problems",
]

Severity = Literal["error", "warning"]

_MOST_NAMES = 5
_MOST_CLOSED = 5  # folders that cannot be listed which are named
_HEAD_BYTES = 4096
_OWN_TEXTS = (
    *("alarm", "anomaly_score_", "attributes_", "decision_result_", "failed.csv", "p_value_", "scores.csv"),
    *("windows.csv", "ground_truth_"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong or unusual with a file or folder, in one line without the path.

    Its severity is ``error`` if training or scoring will refuse something because of it, else ``warning``.
    """

    path: Path
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """Path and message in one line."""
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True, init=False)
class Selection:
    """Files and folders, and which of the recordings in the folders are taken.

    Parameters
    ----------
    paths
        Files and folders; a single one is a list of one.
    pattern
        Recordings to take by their names, such as ``*_left.wav``, or by their paths below the folder, such as
        ``2024-03-*/*.wav``; in upper or lower case. ``None`` takes all.
    since
        Date, such as ``2024-03-01`` or ``2024-03-01T06:00``, or time before now, such as ``12h`` or ``7d``, since which
        a recording must have been written. ``None`` takes all.
    keep
        Recordings that are normal, whatever a screening finds.

    Raises
    ------
    SettingsError
        If ``since`` is neither.
    """

    paths: tuple[Path, ...]
    pattern: str | None
    since: float | None
    keep: tuple[Path, ...]

    def __init__(
        self,
        paths: "Paths",
        *,
        pattern: str | None = None,
        since: str | float | None = None,
        keep: Iterable[PathLike] = (),
    ) -> None:
        known = paths if isinstance(paths, Selection) else None
        listed = known.paths if known is not None else _as_paths(paths)
        seconds = parse_since(since) if isinstance(since, str) else since
        object.__setattr__(self, "paths", listed)
        object.__setattr__(self, "pattern", known.pattern if known is not None and pattern is None else pattern)
        object.__setattr__(self, "since", known.since if known is not None and seconds is None else seconds)
        object.__setattr__(self, "keep", (*(known.keep if known is not None else ()), *_as_paths(keep)))

    @property
    def folder(self) -> Path:
        """Single folder of commands that take one."""
        if len(self.paths) != 1:
            raise DataError(f"{len(self.paths)} paths; expected one folder")
        return self.paths[0]

    def __bool__(self) -> bool:
        """True if there is a path."""
        return bool(self.paths)

    @property
    def takes_all(self) -> bool:
        """True if nothing in a folder is left out."""
        return self.pattern is None and self.since is None

    @property
    def words(self) -> str:
        """Description of the recordings that are taken."""
        since = None if self.since is None else datetime.fromtimestamp(self.since).isoformat(" ", "minutes")
        words = ("" if self.pattern is None else f"like {self.pattern}", "" if since is None else f"since {since}")
        return " ".join(filter(None, words))

    def takes(self, path: Path, *, root: Path) -> bool:
        """True if a recording below a folder is taken."""
        if self.pattern is not None:
            name = path.relative_to(root).as_posix() if "/" in self.pattern else path.name
            if not fnmatch.fnmatchcase(name.lower(), self.pattern.lower()):
                return False
        if self.since is None:
            return True
        try:
            return path.stat().st_mtime >= self.since
        except OSError:
            return True  # reading it will tell


Paths = PathLike | Iterable[PathLike] | Selection
"""Files and folders, one of them, or a selection of the recordings in them."""


def _as_paths(paths: object) -> tuple[Path, ...]:
    if isinstance(paths, (str, os.PathLike)):
        return (Path(paths),)
    if isinstance(paths, bytes):
        return (Path(os.fsdecode(paths)),)
    if not isinstance(paths, Iterable):
        raise DataError(f"a {type(paths).__name__}; expected a path, or a list of paths")
    return tuple(path for each in paths for path in _as_paths(each))


@dataclass(slots=True)
class FoundFiles:
    """Files in and below a folder.

    ``recordings`` are in no order in a list that is still filled; ``tables`` are tables of numbers beside sound files,
    which are not taken for recordings; ``unread`` look like recordings in formats that cannot be read; ``texts`` are
    text files that are nearly tables of numbers; ``closed`` are errors that name folders that cannot be listed.
    """

    recordings: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)
    texts: list[Path] = field(default_factory=list)
    closed: list[DataError] = field(default_factory=list)


def list_entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """List the folders and the files in a folder by name, numbers as numbers; none if there is no such folder.

    What `is_clutter` knows is left out. A `DataError` names a folder that cannot be listed.
    """
    folders, files = _entries(folder)
    return sorted(folders, key=lambda path: natural_key(path.name)), sorted(files, key=lambda p: natural_key(p.name))


def list_folders(folder: Path) -> list[Path]:
    """List the folders of `list_entries`, without its files."""
    return sorted(_entries(folder, has_files=False)[0], key=lambda path: natural_key(path.name))


def real_paths() -> Callable[[Path], str]:
    """Function for the path of a file without links; what leads to its folder is looked up once for all its files."""
    folders: dict[str, str] = {}

    def real_path(path: Path) -> str:
        parent, name = os.path.split(path)
        if os.path.islink(path):  # noqa: PTH114  # of many files, and a Path is slow to make
            return os.path.realpath(path)
        if parent not in folders:
            folders[parent] = os.path.realpath(parent)
        return os.path.join(folders[parent], name)  # noqa: PTH118  # likewise

    return real_path


def list_audio(folder: Path) -> list[Path]:
    """List the recordings among the files of `list_entries`; tables of numbers only where there is no sound file."""
    found = [path for path in list_entries(folder)[1] if is_recording(path)]
    sounds = [path for path in found if path.suffix.lower() not in TABLE_SUFFIXES]
    return sounds or found


def is_recording(path: Path) -> bool:
    """True for a file whose suffix says that it is a recording, and for a text file that holds numbers alone."""
    suffix = path.suffix.lower()
    if suffix not in TEXT_SUFFIXES:
        return suffix in AUDIO_SUFFIXES
    try:
        with open_regular(path) as file:
            return looks_numeric(file.read(_HEAD_BYTES))
    except OSError:
        return False


def find_recordings(folder: Path, selection: Selection | None = None) -> FoundFiles:
    """Find the recordings in a folder and below it, in the order of their paths.

    A file that several links lead to is found once, under its own name if that lies below the folder. Folders that
    cannot be listed, be it the folder itself, are named by the result.
    """
    found, linked = FoundFiles(), list[Path]()
    for path in _walk(folder, found.closed):
        if path.is_symlink():
            linked.append(path)
        else:
            _sort_in(path, found, selection, folder)
    if linked:
        known = {os.path.realpath(path) for path in (*found.recordings, *found.tables)}
        for path in sorted(linked, key=path_key):
            if (target := os.path.realpath(path)) not in known:
                known.add(target)
                _sort_in(path, found, selection, folder)
    if not found.recordings or (selection is not None and selection.pattern is not None):
        found.recordings, found.tables = found.recordings + found.tables, []
    found.recordings.sort(key=path_key)
    found.tables.sort(key=path_key)
    found.unread.sort(key=path_key)
    found.texts.sort(key=path_key)
    return found


def unread_problems(found: FoundFiles, folder: Path) -> list[Problem]:
    """Problems of folders that cannot be listed, and of files that look like recordings and cannot be read."""
    problems = [
        Problem(error.path or folder, f"{error.reason}; what is in it is not read", "warning")
        for error in found.closed[:_MOST_CLOSED]
    ]
    if (n_more := len(found.closed) - _MOST_CLOSED) > 0:
        problems.append(Problem(folder, f"{n_more} more folders cannot be listed, and are not read", "warning"))
    if found.tables:
        message = (
            f"{len(found.tables):,} table(s) of numbers beside sound files are not read; --pattern '*{{}}' takes them"
        )
        message = message.format(found.tables[0].suffix)
        problems.append(Problem(folder, f"{message}, e.g. {found.tables[0].relative_to(folder)}", "warning"))
    known = [path for path in found.unread if path.suffix.lower() in UNREAD_SUFFIXES]
    others = [path for path in found.unread if path.suffix.lower() not in UNREAD_SUFFIXES]
    if known:
        problems.append(Problem(folder, f"{unread_recordings(known)}, e.g. {known[0].relative_to(folder)}", "warning"))
    if found.texts and all(path.suffix.lower() in TABLE_SUFFIXES for path in found.recordings):
        name, reason = found.texts[0].relative_to(folder), _text_problem(found.texts[0])
        message = f"{len(found.texts):,} text file(s) hold other than numbers and are not read, e.g. {name}: {reason}"
        problems.append(Problem(folder, message, "warning"))
    if others:
        message = "compressed, or without a suffix such as .wav or .csv, look like recordings and are not read"
        message = f"{len(others):,} file(s), {message}, e.g. {others[0].relative_to(folder)}"
        problems.append(Problem(folder, message, "warning"))
    return problems


def order_note(paths: Sequence[Path]) -> str | None:
    """Note on the order of recordings where the times of their files would give another; ``None`` where they agree."""
    times = []
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # reading it will tell
            continue
    if all(first <= second for first, second in itertools.pairwise(times)):
        return None
    return "taken in the order of their names, numbers as numbers; the times of their files give another order"


def listed_names(names: Iterable[str]) -> str:
    """Names with commas between; where there are many, the first of them and the number of the rest."""
    listed = list(names)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more


def _sort_in(path: Path, found: FoundFiles, selection: Selection | None, root: Path) -> None:
    suffix = path.suffix.lower()
    if is_recording(path):
        files = found.tables if suffix in TABLE_SUFFIXES else found.recordings
    elif suffix in UNREAD_SUFFIXES or is_disguised(path):
        files = found.unread
    elif suffix in TEXT_SUFFIXES and _text_problem(path) and not path.name.startswith(_OWN_TEXTS):
        files = found.texts
    else:
        return
    if selection is None or selection.takes(path, root=root):
        files.append(path)


def _text_problem(path: Path) -> str | None:
    """Reason why a text file is no table of numbers, though nearly one; see `numeric_problem`."""
    try:
        with open_regular(path) as file:
            return numeric_problem(file.read(_HEAD_BYTES))
    except OSError:
        return None


def _walk(folder: Path, closed: list[DataError]) -> Iterator[Path]:
    """Files in a folder and below it; folders that are reached by links come last, and each folder once."""
    seen = set[tuple[int, int] | str]()
    waiting, linked = [folder], list[Path]()
    while waiting or linked:
        here = waiting.pop() if waiting else linked.pop(0)
        try:
            if (own := _identity(here)) in seen:
                continue
            seen.add(own)
            folders, files = _entries(here)
        except DataError as error:
            closed.append(error)
            continue
        for below in folders:
            (linked if below.is_symlink() else waiting).append(below)
        yield from files


def _identity(folder: Path) -> tuple[int, int] | str:
    try:
        status = folder.stat()
    except OSError:
        return str(folder)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(folder)


def _entries(folder: Path, *, has_files: bool = True) -> tuple[list[Path], list[Path]]:
    found: tuple[list[Path], list[Path]] = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_clutter(entry.name) and ((is_folder := _is_folder(entry)) or has_files):
                    found[not is_folder].append(folder / entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except PermissionError as error:
        raise DataError("no permission to list this folder", path=folder) from error
    except OSError as error:
        raise DataError(f"cannot be listed ({error.strerror})", path=folder) from error
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """True for a folder, or a link that may lead to one: to list it will tell."""
    try:
        return entry.is_dir()
    except OSError:
        return Path(entry.name).suffix.lower() not in AUDIO_SUFFIXES
