"""Tables that are written row by row, and have their name once they are complete."""

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from soundness.errors import OutputError

__all__ = ["PARTIAL_SUFFIX", "RowFile", "open_text", "output_errors"]

PARTIAL_SUFFIX = ".partial"


class RowFile:
    """A csv file that grows under another name until it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + PARTIAL_SUFFIX)
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_bytes(b"")

    def append(self, row: Sequence[str]) -> None:
        """Write a row; it is handed over to the operating system before this returns."""
        # Opened anew for each row: handed over after every clip, and no limit on the number of machines.
        with output_errors(self._partial), open_text(self._partial, mode="a") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if any("\r" in field for field in row):  # csv quotes it only where lines end with it
                writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerow(row)

    def complete(self) -> None:
        """Give the file its name, in the place of an earlier one."""
        with output_errors(self._path):
            with self._partial.open("rb+") as stream:
                os.fsync(stream.fileno())
            self._partial.replace(self._path)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """What cannot be written is one line that says so."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def open_text(path: Path, *, mode: Literal["r", "a"]) -> TextIO:
    """A csv file; names that are no UTF-8 pass unchanged, a byte-order mark in front is dropped."""
    encoding = "utf-8-sig" if mode == "r" else "utf-8"
    return path.open(mode, encoding=encoding, errors="surrogateescape", newline="")
