"""Log of scored recordings, CSV or SQLite: the only memory of a watch.

A row is there whole or not at all, whenever the process ends, and never changed.
"""

import csv
import io
import math
import os
import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

from soundness.errors import BundleError, OutputError, SettingsError
from soundness.files.atomic import output_errors
from soundness.files.run_folders import try_lock
from soundness.files.stored_values import stored_value
from soundness.plain_text import one_line, spreadsheet_cell
from soundness.regular_files import check_regular

__all__ = ["EventLog", "LogRow", "file_cell", "open_log"]

_SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """Result of one recording.

    Parameters
    ----------
    time
        Time of scoring, UTC, as ISO 8601.
    event
        ``clip`` or ``failed``; ``known`` for a recording that has such a row under another name or time; in CSV also
        ``sent``, once its alarm has reached the webhook.
    machine
        Machine: the folder that the recording lies in, or the machine type of the detector; empty where there is no
        detector for it.
    file
        Path below the folder, in one line and no formula for spreadsheets; see `file_cell`.
    size, mtime_ns
        Size of the file in bytes, and time of its last change in nanoseconds; other values mean another recording,
        unless it has the same content.
    score, p_value
        Anomaly score and p-value; ``None`` where it failed.
    anomalous, alarm
        1 if it counts for the alarm rule, and if an alarm begins with it, else 0.
    message
        Reason of the failure, or a note.
    content
        Fingerprint of the content; empty in logs that earlier versions began.
    """

    time: str
    event: str
    machine: str
    file: str
    size: int
    mtime_ns: int
    score: float | None = None
    p_value: float | None = None
    anomalous: int = 0
    alarm: int = 0
    message: str = ""
    content: str = ""

    @property
    def key(self) -> tuple[str, int, int]:
        """Identity of the recording."""
        return self.file, self.size, self.mtime_ns


def _number(text: str) -> float | None:
    if text and not math.isfinite(float(text)):
        raise ValueError(f"{text}: no finite number")
    return float(text) if text else None


_LONGEST_WINDOW = 10_000
_COLUMNS = tuple(field.name for field in fields(LogRow))
_WITHOUT_CONTENT = tuple(name for name in _COLUMNS if name != "content")
_EARLIER_COLUMNS = (  # of logs that go on
    _WITHOUT_CONTENT,
    tuple("odd" if name == "anomalous" else name for name in _WITHOUT_CONTENT),
)
_PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("size", "mtime_ns", "anomalous", "alarm"), int),
    **dict.fromkeys(("score", "p_value"), _number),
}
_SQL_TYPES: dict[Callable[[str], Any], str] = {int: "INTEGER NOT NULL", _number: "REAL"}


class EventLog(Protocol):
    """Log that `open_log` returns."""

    def is_known(self, key: tuple[str, int, int]) -> bool:
        """Return True if a recording has a row."""

    def alike(self, size: int, content: str) -> list[tuple[str, int, bool]]:
        """Files, times of change in nanoseconds, and True unless it failed, of recordings of a size and content."""

    def add(self, row: LogRow) -> None:
        """Add a row, synchronized to disk.

        Raises
        ------
        OutputError
            If it cannot be written; then no part of it is in the log.
        """

    def last_anomalous(self, machine: str, n_clips: int) -> list[bool]:
        """Return which of the last clips of a machine were anomalous, the latest last."""

    def unsent(self) -> list[LogRow]:
        """Alarms that have not reached the webhook, in their order."""

    def mark_sent(self, row: LogRow) -> None:
        """Note that an alarm has reached the webhook."""

    def close(self) -> None:
        """Close the file, so that another watch can use it."""


def open_log(path: Path) -> EventLog:
    """Open a log, or begin one; an incomplete last line, which a crash leaves, is removed.

    Parameters
    ----------
    path
        File that ends in ``.csv``, ``.sqlite``, ``.sqlite3`` or ``.db``.

    Raises
    ------
    SettingsError
        If it has another suffix.
    OutputError
        If it is no log, is in use by another watch, or cannot be written.
    """
    if path.suffix == ".csv":
        return CsvLog(path)
    if path.suffix in _SQLITE_SUFFIXES:
        return SqliteLog(path)
    raise SettingsError(f"{path}: a log ends in .csv or .sqlite")


def file_cell(name: str) -> str:
    """Name of a file as the log keeps it: different names stay different, and none is a formula."""
    text = one_line(name)
    return f"'{text}" if text.startswith("'") else spreadsheet_cell(text)


class CsvLog:
    """Log in a text file; the names of all recordings are held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[tuple[str, int, int]] = set()
        self._columns = _COLUMNS
        self._alike: defaultdict[tuple[int, str], list[tuple[str, int, bool]]] = defaultdict(list)
        self._anomalous: defaultdict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=_LONGEST_WINDOW))
        self._unsent: dict[tuple[str, int, int], LogRow] = {}
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_regular(path)
            self._file = path.open("a+b")
        try:
            self._lock()
            self._read()
        except BaseException:
            self._file.close()
            raise

    def is_known(self, key: tuple[str, int, int]) -> bool:
        return key in self._known

    def alike(self, size: int, content: str) -> list[tuple[str, int, bool]]:
        return self._alike.get((size, content), [])

    def add(self, row: LogRow) -> None:
        self._append(self._cells(row))
        self._take_in(row)

    def _cells(self, row: LogRow) -> list[object]:
        return [value for name, value in asdict(row).items() if name in self._columns]

    def last_anomalous(self, machine: str, n_clips: int) -> list[bool]:
        return list(self._anomalous[machine])[-n_clips:]

    def unsent(self) -> list[LogRow]:
        return list(self._unsent.values())

    def mark_sent(self, row: LogRow) -> None:
        self._append(self._cells(replace(row, event="sent")))
        self._unsent.pop(row.key, None)

    def close(self) -> None:
        self._file.close()

    def _lock(self) -> None:
        if not try_lock(self._file, self.path):
            raise OutputError(f"{self.path}: in use by another watch")

    def _read(self) -> None:
        header = _line(_COLUMNS)
        self._file.seek(0)
        first = self._file.readline()
        if first in map(_line, _EARLIER_COLUMNS):
            header, self._columns = first, _WITHOUT_CONTENT
        if first != header and not header.startswith(first):
            raise OutputError(
                f"{self.path}: not a log of soundness watch; expected the columns {','.join(_COLUMNS)}; choose "
                f"another file with --log"
            )
        end = len(first) if first == header else 0
        for number, line in enumerate(self._file, start=2):
            if not line.endswith(b"\n"):
                break
            self._take_in(self._row(line, number))
            end += len(line)
        with output_errors(self.path):
            self._file.truncate(end)
        if end == 0:
            self._append(list(_COLUMNS))

    def _row(self, line: bytes, number: int) -> LogRow:
        try:
            (cells,) = csv.reader([line.decode("utf-8")])
            texts = zip(self._columns, cells, strict=True)
            return LogRow(**{name: _PARSERS.get(name, str)(text) for name, text in texts})
        except (ValueError, csv.Error):
            raise OutputError(f"{self.path}:{number}: not a row of a log of soundness watch") from None

    def _take_in(self, row: LogRow) -> None:
        self._known.add(row.key)
        if row.content and row.event != "sent":
            self._alike[row.size, row.content].append((row.file, row.mtime_ns, row.event != "failed"))
        if row.event == "sent":
            self._unsent.pop(row.key, None)
            return
        if row.event == "clip":
            self._anomalous[row.machine].append(row.anomalous == 1)
        if row.alarm == 1:
            self._unsent[row.key] = row

    def _append(self, cells: list[object]) -> None:
        end = self._file.seek(0, os.SEEK_END)
        with output_errors(self.path):
            try:
                self._file.write(_line(cells))
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                self._give_up(end)
                raise

    def _give_up(self, end: int) -> None:
        """Restore the file as it was, and drop the buffer; where that fails, the next watch cuts it."""
        with suppress(OSError):  # the buffer cannot be written, which is known
            self._file.close()
        with suppress(OSError):
            os.truncate(self.path, end)


class SqliteLog:
    """Log in the table ``soundness_clips``, one transaction a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        columns = ", ".join(f"{name} {_SQL_TYPES.get(_PARSERS.get(name, str), 'TEXT NOT NULL')}" for name in _COLUMNS)
        with _database_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_regular(path)
            self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            try:
                self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._database.execute("PRAGMA synchronous = FULL")
                self._database.execute("BEGIN EXCLUSIVE")
                self._database.execute(
                    f"CREATE TABLE IF NOT EXISTS soundness_clips (id INTEGER PRIMARY KEY, {columns}, "
                    f"sent INTEGER NOT NULL DEFAULT 0, UNIQUE (file, size, mtime_ns))"
                )
                if "odd" in {row[1] for row in self._database.execute("PRAGMA table_info(soundness_clips)")}:
                    self._database.execute("ALTER TABLE soundness_clips RENAME COLUMN odd TO anomalous")
                if "content" not in {row[1] for row in self._database.execute("PRAGMA table_info(soundness_clips)")}:
                    self._database.execute("ALTER TABLE soundness_clips ADD COLUMN content TEXT NOT NULL DEFAULT ''")
                self._database.execute(
                    "CREATE INDEX IF NOT EXISTS soundness_content ON soundness_clips (content) WHERE content <> ''"
                )
                self._database.execute("COMMIT")
            except sqlite3.Error:
                self._database.close()
                raise

    def is_known(self, key: tuple[str, int, int]) -> bool:
        question = "SELECT 1 FROM soundness_clips WHERE file = ? AND size = ? AND mtime_ns = ?"
        return len(self._rows(question, key)) > 0

    def alike(self, size: int, content: str) -> list[tuple[str, int, bool]]:
        question = (
            "SELECT file, mtime_ns, event <> 'failed' FROM soundness_clips "
            "WHERE content = ? AND content <> '' AND size = ?"
        )
        return [(file, mtime_ns, bool(scored)) for file, mtime_ns, scored in self._rows(question, (content, size))]

    def add(self, row: LogRow) -> None:
        marks = ", ".join("?" * len(_COLUMNS))
        self._rows(f"INSERT INTO soundness_clips ({', '.join(_COLUMNS)}) VALUES ({marks})", tuple(asdict(row).values()))

    def last_anomalous(self, machine: str, n_clips: int) -> list[bool]:
        question = "SELECT anomalous FROM soundness_clips WHERE machine = ? AND event = 'clip' ORDER BY id DESC LIMIT ?"
        return [value == 1 for (value,) in self._rows(question, (machine, n_clips))][::-1]

    def unsent(self) -> list[LogRow]:
        question = f"SELECT {', '.join(_COLUMNS)} FROM soundness_clips WHERE alarm = 1 AND sent = 0 ORDER BY id"
        try:
            rows = [dict(zip(_COLUMNS, row, strict=True)) for row in self._rows(question, ())]
            return [stored_value(LogRow, row, name="alarm") for row in rows]
        except BundleError as error:
            raise OutputError(f"{self.path}: not a log of soundness watch: {error}") from None

    def mark_sent(self, row: LogRow) -> None:
        self._rows("UPDATE soundness_clips SET sent = 1 WHERE file = ? AND size = ? AND mtime_ns = ?", row.key)

    def close(self) -> None:
        self._database.close()

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with _database_errors(self.path):
            return self._database.execute(statement, tuple(map(_in_range, values))).fetchall()


def _in_range(value: object) -> object:
    """Value that SQLite can hold: some file systems know times of change after the year 2262."""
    return min(max(value, -(2**63)), 2**63 - 1) if isinstance(value, int) else value


def _line(cells: Iterable[object]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow("" if cell is None else cell for cell in cells)
    return stream.getvalue().encode("utf-8")


@contextmanager
def _database_errors(path: Path) -> Iterator[None]:
    try:
        with output_errors(path):
            yield
    except sqlite3.OperationalError as error:
        locked = "in use by another watch" if "locked" in str(error) else f"cannot be written: {error}"
        raise OutputError(f"{path}: {locked}") from None
    except sqlite3.Error as error:
        raise OutputError(f"{path}: not a log of soundness watch: {error}") from None
