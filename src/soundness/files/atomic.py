"""Files that are written whole or not at all; a failure to write is an `OutputError`."""

import csv
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO

from soundness.errors import OutputError
from soundness.regular_files import open_regular

__all__ = ["PARTIAL_SUFFIX", "RowFile", "open_text", "output_errors", "whole_file", "words_of", "write_whole"]

PARTIAL_SUFFIX = ".partial"
_NUMBERS = itertools.count()  # of the partial files of this process


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Context that turns an operating system's error into an `OutputError` with ``path`` in its message."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def words_of(error: OutputError) -> str:
    """Reason of an error without the file that it names, if the operating system gave one."""
    cause = error.__cause__
    return cause.strerror or str(error) if isinstance(cause, OSError) else str(error)


@contextmanager
def whole_file(path: Path, *, is_durable: bool = True) -> Iterator[Path]:
    """Context with the path of a partial file, which is renamed to ``path`` at the end, or removed after an error.

    Parameters
    ----------
    path
        The file; its folder is made if there is none. An earlier file is replaced at the end only.
    is_durable
        True to wait until the disk has it; a cache, which can be computed again, does not wait.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays, and leads to the new file
    with output_errors(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():  # a pipe or a device: nothing can take its place
            yield target
            return
        mode = target.stat().st_mode if target.exists() else None
        partial = target.with_name(f".{os.getpid()}-{next(_NUMBERS)}{PARTIAL_SUFFIX}")
        try:
            yield partial
            if mode is not None:
                partial.chmod(mode)
            if is_durable:
                with partial.open("rb+") as stream:
                    os.fsync(stream.fileno())
            partial.replace(target)
        finally:
            with suppress(OSError):  # where nothing could be written, nothing can be removed
                partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | str, *, is_durable: bool = True) -> None:
    """Write a file, text as UTF-8 and what is none escaped; see `whole_file`.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with whole_file(path, is_durable=is_durable) as partial:
        partial.write_bytes(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)


class RowFile:
    """A CSV file that grows row by row under another name until it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_bytes(b"")

    def append(self, row: Sequence[str]) -> None:
        """Write a row and flush it to the operating system."""
        # Opened anew for each row: flushed after every clip, and no limit on the number of machines.
        with output_errors(self._partial), open_text(self._partial, mode="a") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if any(character in field for field in row for character in "\r;\t"):  # another delimiter for who reads it
                writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerow(row)

    def complete(self) -> None:
        """Rename the file to its final name, replacing an earlier one."""
        with output_errors(self._path):
            with self._partial.open("rb+") as stream:
                os.fsync(stream.fileno())
            self._partial.replace(self._path)


def open_text(path: Path, *, mode: Literal["r", "a"]) -> TextIO:
    """Open a CSV file; bytes that are not UTF-8 pass unchanged, and a leading byte-order mark is dropped."""
    encoding = "utf-8-sig" if mode == "r" else "utf-8"
    if mode == "r":
        return TextIOWrapper(open_regular(path), encoding=encoding, errors="surrogateescape", newline="")
    return path.open(mode, encoding=encoding, errors="surrogateescape", newline="")
