"""Folders of results that can be resumed or replaced, with the identity of the run in a file, and their locks.

The operating system holds a lock and releases it when its process ends, however it ends. The file of a lock says who
has it; one that a killed process left behind locks nothing.
"""

import errno
import json
import logging
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO, Literal

from soundness.errors import BundleError, OutputError
from soundness.files.atomic import output_errors, write_whole
from soundness.files.stored_values import MachineName, json_values, stored_value
from soundness.regular_files import NotAFileError, read_regular

__all__ = [
    "LOCK_NAME",
    "Existing",
    "abandon_run",
    "begin_run",
    "check_identity",
    "finish_run",
    "locked_file",
    "locked_folder",
    "package_versions",
    "read_identity",
    "try_lock",
]

_LOGGER = logging.getLogger(__name__)

LOCK_NAME = ".soundness.lock"
"""File of the lock in a folder of results."""

_NEW_NAME = ".soundness.new"  # folder of results that are to replace others
_MOST_TRIES = 1_000
_LONGEST_HOLDER = 200  # bytes
_LOCKED_BYTE = 1 << 30  # on Windows, where a locked byte cannot be read: far behind the text
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})

Existing = Literal["refuse", "resume", "replace"]
"""Treatment of results that are there already."""


def begin_run(
    folder: Path,
    identity: Mapping[str, Any],
    *,
    kind: str,
    file_name: str,
    existing: Existing,
    parts: Callable[[Path], Iterable[str]],
    is_staged: bool = False,
) -> Path:
    """Make a folder ready for results: a new one, one that is resumed, or one whose earlier results are removed.

    Parameters
    ----------
    folder
        Made where there is none. One that holds nothing but the file of an identity counts as empty.
    identity
        Everything that distinguishes this run from others, as plain values; kept in the folder.
    kind
        Name of such a run in messages, as in "training".
    file_name
        File of the identity.
    existing
        Treatment of earlier results: refuse them, resume those of the same identity, or replace them.
    parts
        Files and folders, relative to the folder, of which earlier results with that file of the identity consist;
        nothing else is removed.
    is_staged
        True to let earlier results stay until `finish_run` puts new ones in their place.

    Returns
    -------
    Path
        Folder of the results: the same, or one in it.

    Raises
    ------
    OutputError
        If the folder holds anything else, results that are not to be replaced, or a run of another identity; or if it
        cannot be written.
    """
    file = folder / file_name
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; a folder for the {kind} is expected")
        if existing == "resume" and _is_run_of(folder / _NEW_NAME / file_name, identity):
            return folder / _NEW_NAME
        if existing == "resume" and file.exists():
            check_identity(file, identity)
            return folder
        own = (file_name, LOCK_NAME, _NEW_NAME)
        if folder.exists() and any(entry.name not in own for entry in folder.iterdir()):
            earlier = _replaceable(folder, file, kind=kind, existing=existing, parts=parts)
            shutil.rmtree(folder / _NEW_NAME, ignore_errors=True)
            if is_staged:
                file = folder / _NEW_NAME / file_name
            else:
                _remove([*earlier, file])
        write_whole(file, json.dumps(identity, indent=2) + "\n")
        return file.parent


def finish_run(folder: Path, made: Path, *, file_name: str, parts: Callable[[Path], Iterable[str]]) -> None:
    """Put the results of a run in the place of earlier ones, the file of its identity last.

    Parameters
    ----------
    folder
        Folder of the run.
    made
        Folder of its results, from `begin_run`.
    file_name, parts
        See there.

    Raises
    ------
    OutputError
        If a file cannot be moved; a run that is resumed goes on with that.
    """
    if made == folder:
        return
    with output_errors(folder):
        new = [entry for entry in made.iterdir() if entry.name != file_name]
        kept = {entry.name for entry in new}
        earlier = _parts_in(folder, folder / file_name, parts) if (folder / file_name).exists() else []
        for entry in new:
            if entry.is_dir():
                shutil.rmtree(folder / entry.name, ignore_errors=True)
            entry.replace(folder / entry.name)
        _remove(part for part in earlier if part.name not in kept)
        (made / file_name).replace(folder / file_name)
        made.rmdir()


def abandon_run(folder: Path, made: Path, *, file_name: str) -> None:
    """Remove the folder of results that are to replace others, if there is none yet."""
    if made != folder and [entry.name for entry in made.iterdir()] == [file_name]:
        shutil.rmtree(made, ignore_errors=True)


def _is_run_of(file: Path, identity: Mapping[str, Any]) -> bool:
    return file.exists() and read_identity(file) == json.loads(json.dumps(identity))


def _replaceable(
    folder: Path, file: Path, *, kind: str, existing: Existing, parts: Callable[[Path], Iterable[str]]
) -> list[Path]:
    """Files and folders of earlier results, unless they are to stay."""
    if not file.exists():
        raise OutputError(f"{folder}: exists, and is not the folder of a {kind} (no {file.name}); choose another")
    if existing != "replace":
        raise OutputError(f"{folder}: exists already; --overwrite replaces it, --resume goes on with it")
    return _parts_in(folder, file, parts)


def _parts_in(folder: Path, file: Path, parts: Callable[[Path], Iterable[str]]) -> list[Path]:
    names = list(parts(file))
    for name in names:
        if Path(name).name != name or not name.isprintable():
            raise OutputError(f"{file}: names {name!r}, which is no file of this run; remove {folder} by hand")
    return [folder / name for name in names]


def _remove(parts: Iterable[Path]) -> None:
    for part in parts:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def package_versions() -> dict[str, str]:
    """Versions of Python and packages that results depend on, by name."""
    found = {"python": platform.python_version()}
    for name in ("soundness", "torch", "numpy"):
        with suppress(PackageNotFoundError):  # PyTorch is optional
            found[name] = version(name)
    return found


def read_identity(file: Path) -> dict[str, Any]:
    """Read the identity of a run.

    Raises
    ------
    OutputError
        If `begin_run` did not write the file.
    """
    try:
        identity = stored_value(dict[str, Any], json_values(read_regular(file)), name="run")
        stored_value(tuple[MachineName, ...], identity.get("machine_types"), name="machine_types")
    except NotAFileError as error:
        raise OutputError(f"{file}: {error.strerror}; remove it by hand") from error
    except OSError as error:
        raise OutputError(f"{file}: cannot be read: {error.strerror}") from error
    except BundleError as error:
        reason = f"not the file of a run ({error})"
        raise OutputError(f"{file}: {reason}; remove {file.parent} by hand to start anew") from None
    return identity


def check_identity(file: Path, identity: Mapping[str, Any]) -> None:
    """Refuse to resume a run that was started with another identity.

    Raises
    ------
    OutputError
        If a value differs; the message names it, and the folder.
    """
    before = read_identity(file)
    for key, value in identity.items():
        if before.get(key) != value:
            raise OutputError(f"{file.parent}: was started with another {key}; --resume goes on with the same one")


@contextmanager
def locked_folder(folder: Path, *, kind: str) -> Iterator[None]:
    """Context in which no other process writes to a folder of results.

    Parameters
    ----------
    folder
        Made where there is none, and removed at the end if nothing was put there.
    kind
        Name of the work in messages, as in "training".

    Raises
    ------
    OutputError
        If another process, or another call, has it, or nothing can be written there.
    """
    with output_errors(folder), suppress(FileNotFoundError):
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise OutputError(f"{folder}: is a file; a folder for the {kind} is expected")
    with _tidied(folder, folder), _locked(folder / LOCK_NAME, folder, kind=kind):
        yield


@contextmanager
def locked_file(path: Path, *, kind: str) -> Iterator[None]:
    """Context in which no other process writes a file, or the folder of that name; see `locked_folder`."""
    with _tidied(path.parent, path), _locked(path.with_name(f".{path.name}.lock"), path, kind=kind):
        yield


@contextmanager
def _tidied(folder: Path, place: Path) -> Iterator[None]:
    """Context after which a folder that was not there before, and those above it, are gone if nothing was put there."""
    with output_errors(place):
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # it holds results now
            for place in missing:
                place.rmdir()


@contextmanager
def _locked(file: Path, place: Path, *, kind: str) -> Iterator[None]:
    stream = _lock(file, place)
    try:
        moment = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with output_errors(file):
            stream.truncate(0)
            stream.write(
                f"{_article(kind)} {kind}, process {os.getpid()} on {platform.node()}, since {moment}\n".encode()
            )
            stream.flush()
        yield
    finally:
        if sys.platform != "win32":  # where a file that is open cannot be removed
            file.unlink(missing_ok=True)
        stream.close()
        if sys.platform == "win32":
            with suppress(OSError):  # another process has opened it meanwhile
                file.unlink(missing_ok=True)


def _lock(file: Path, place: Path) -> BinaryIO:
    """Open and lock the file of a lock; one that its owner removed meanwhile, with its folder or not, is made anew."""
    for _ in range(_MOST_TRIES):
        try:
            stream = _opened(file)
        except (FileNotFoundError, FileExistsError):  # its folder came or went between two steps
            continue
        try:
            if not try_lock(stream, place):
                holder = _holder(stream)
                raise OutputError(f"{place}: in use by {holder}; wait until that has ended, or choose another place")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                    return stream
        except BaseException:
            stream.close()
            raise
        stream.close()
    raise OutputError(f"{file}: cannot be made: its folder is a file, or comes and goes")


def _opened(file: Path) -> BinaryIO:
    """Open the file of a lock, or make it and its folder; a link or a device in its place is refused."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(file, flags | getattr(os, "O_BINARY", 0), 0o666)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OutputError(f"{file}: not a plain file; remove it by hand")
    return os.fdopen(number, "r+b", buffering=0)


def try_lock(stream: BinaryIO, place: Path) -> bool:
    """Lock an open file without waiting; false if another has it.

    Parameters
    ----------
    stream
        The file; its position is moved on Windows.
    place
        Path that messages name. Where its file system has no locks, a warning says so.

    Raises
    ------
    OutputError
        If the file cannot be locked for another reason.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            stream.seek(_LOCKED_BYTE)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
            stream.seek(0)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno not in _NO_LOCKS:
            raise OutputError(f"{place}: cannot be locked: {error.strerror}") from error
        _LOGGER.warning("%s: this file system has no locks; let no other command write there meanwhile", place)
    return True


def _holder(stream: BinaryIO) -> str:
    """Text in the file of a lock, as one line."""
    stream.seek(0)
    text = stream.read(_LONGEST_HOLDER).decode("utf-8", errors="replace").partition("\n")[0]
    return "".join(letter if letter.isprintable() else "?" for letter in text) or "another process"


def _article(word: str) -> str:
    return "an" if word[:1] in "aeio" else "a"
