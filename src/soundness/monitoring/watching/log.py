"""Log of a watch: a row for each recording, as a view of the store, and in a CSV file that follows it."""

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from soundness.errors import OutputError, SettingsError
from soundness.files.atomic import output_errors
from soundness.monitoring.store.database import only_monitor, sqlite_url
from soundness.monitoring.store.store import Store
from soundness.plain_text import spreadsheet_cell
from soundness.regular_files import check_regular

__all__ = ["CsvLog", "LogRow", "last_id", "opened_log", "rows_after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """Result of one recording.

    Parameters
    ----------
    id
        Number of the row.
    time
        Time of scoring, UTC, as ISO 8601.
    event
        ``clip`` or ``failed``; ``known`` for a recording that has such a row under another name or time.
    machine
        Machine: the folder that the recording lies in, or the machine type of the detector.
    file
        Path below the folder, in one line.
    size, mtime_ns
        Size of the file in bytes, and time of its last change in nanoseconds; other values mean another recording,
        unless it has the same content.
    score, p_value
        Anomaly score and p-value; ``None`` where it failed.
    anomalous, alarm
        1 if it counts for the alarm rule, and if an alarm begins with it, else 0.
    message
        Reason of the failure or of the alarm, or a note.
    content
        Fingerprint of the content.
    """

    id: int
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


_NAMES = tuple(field.name for field in fields(LogRow))
COLUMNS = _NAMES[1:]
_EARLIER = {"odd": "anomalous"}  # names of columns in logs that go on
_KEY = ("machine", "file", "size", "mtime_ns")

_SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")

VIEW = "soundness_clips"
_BEFORE = f"{VIEW}_before"
_SELECT = """
SELECT
  recordings.id AS id,
  strftime('%Y-%m-%dT%H:%M:%f', recordings.noted_us / 1000000.0, 'unixepoch') || '+00:00' AS time,
  CASE WHEN clips.id IS NULL THEN 'known' WHEN clips.score IS NULL THEN 'failed' ELSE 'clip' END AS event,
  sensors.name AS machine, recordings.name AS file, recordings.size AS size, recordings.mtime_ns AS mtime_ns,
  clips.score AS score, clips.p_value AS p_value,
  coalesce(clips.is_anomalous, 0) AS anomalous, alarms.id IS NOT NULL AS alarm,
  CASE
    WHEN recordings.note <> '' THEN recordings.note
    ELSE trim(coalesce(clips.note, '') || '; ' || coalesce(alarms.reason, ''), '; ')
  END AS message,
  recordings.content AS content,
  deliveries.sent_us IS NOT NULL AS sent
FROM recordings JOIN sensors ON sensors.id = recordings.sensor_id
LEFT JOIN clips ON clips.id = recordings.clip_id
LEFT JOIN alarms ON alarms.id = clips.alarm_id AND alarms.clip_id = clips.id AND alarms.kind = 'anomaly'
LEFT JOIN deliveries ON deliveries.sink = 'webhook' AND deliveries.key = alarms.key || ':raised'
"""


@contextmanager
def opened_log(path: Path) -> Iterator[tuple[Store, "CsvLog | None"]]:
    """Context with the store of a log, and its text unless the store is all of it.

    Parameters
    ----------
    path
        File that ends in ``.csv``, whose store is in a folder ``.store`` beside it, or in ``.sqlite``, ``.sqlite3`` or
        ``.db``: the store itself.

    Raises
    ------
    SettingsError
        If it has another suffix.
    OutputError
        If it is no log, is in use by another watch, or cannot be written.
    """
    if path.suffix not in (".csv", *_SQLITE_SUFFIXES):
        raise SettingsError(f"{path}: a log ends in .csv or .sqlite")
    with output_errors(path):
        check_regular(path)
    url = "" if path.suffix == ".csv" else sqlite_url(path)
    with ExitStack() as stack:
        store = Store.open(path.with_suffix(".store"), url=url, survives_power_cuts=True)
        stack.callback(store.close)
        stack.enter_context(only_monitor(store.engine))
        _make_view(store)
        csv_log = CsvLog(path, store) if path.suffix == ".csv" else None
        if csv_log is not None:
            stack.callback(csv_log.close)
        yield store, csv_log


def _make_view(store: Store) -> None:
    """Make the view ``soundness_clips`` of a store; a table of that name, of an earlier version, is taken over."""
    with store.transaction() as transaction:
        run = transaction.connection.exec_driver_sql
        kind = run("SELECT type FROM sqlite_master WHERE name = ?", (VIEW,)).scalar()
        if kind == "table":
            rows = [_uncelled(row) for row in run(f"SELECT * FROM {VIEW} ORDER BY id").mappings()]
            _take_over(transaction.connection, rows, place=f"{store.engine.url.database}")
            run(f"ALTER TABLE {VIEW} RENAME TO {_BEFORE}")
        if kind != "view":
            run(f"CREATE VIEW {VIEW} AS {_SELECT}")


def last_id(store: Store) -> int:
    """Number of the last row of the log; 0 if it has none.

    Raises
    ------
    OutputError
        If the store cannot be read.
    """
    with store.reading() as connection:
        return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM recordings").scalar_one())


def rows_after(store: Store, last_id: int) -> list[LogRow]:
    """Rows of the log after one, in their order.

    Raises
    ------
    OutputError
        If the store cannot be read.
    """
    with store.reading() as connection:
        query = f"SELECT {', '.join(_NAMES)} FROM {VIEW} WHERE id > ? ORDER BY id"
        found = connection.exec_driver_sql(query, (last_id,)).mappings()
        return [LogRow(**row) for row in found]


def _take_over(connection: sql.Connection, rows: Iterable[Mapping[Any, Any]], *, place: str) -> None:
    """Note the recordings of a log that an earlier version wrote as known ones: they are not scored again."""
    sensors: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        try:
            name = str(row["machine"]) or "no detector"
            values = {
                "name": str(row["file"]),
                "size": _whole(row["size"]),
                "mtime_ns": _whole(row["mtime_ns"]),
                "content": str(row.get("content", "")),
                "is_scored": row["event"] != "failed",
            }
        except (KeyError, TypeError, ValueError):
            raise OutputError(f"{place}: not a log of soundness watch: row {number} cannot be understood") from None
        if name not in sensors:
            sensors[name] = _sensor_id(connection, name)
        known = {"sensor_id": sensors[name], "n_clips": 1, "is_complete": True, "note": "in the log before"}
        names = (*values, *known)
        marks = ", ".join("?" * len(names))
        command = f"INSERT OR IGNORE INTO recordings ({', '.join(names)}) VALUES ({marks})"
        connection.exec_driver_sql(command, (*values.values(), *known.values()))


def _sensor_id(connection: sql.Connection, name: str) -> int:
    run = connection.exec_driver_sql
    command = "INSERT OR IGNORE INTO sensors (name, source, state, state_since_us, state_note, details) "
    run(command + "VALUES (?, 'folder', 'waiting', 0, '', '{}')", (name,))
    return int(run("SELECT id FROM sensors WHERE name = ?", (name,)).scalar_one())


class CsvLog:
    """Text file with the rows of the log; whatever ended the watch before, it goes on after its last whole row.

    Parameters
    ----------
    path
        The file.
    store
        Store of the watch.

    Raises
    ------
    OutputError
        If it is no log, or that of another store, or cannot be written.
    """

    def __init__(self, path: Path, store: Store) -> None:
        self.path = path
        self._columns = COLUMNS
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_regular(path)
            self._file = path.open("a+b")
        try:
            self.add(rows_after(store, self._last_id(store)))
        except BaseException:
            self._file.close()
            raise

    def add(self, rows: Iterable[LogRow]) -> None:
        """Add rows, and synchronize them to disk.

        Raises
        ------
        OutputError
            If they cannot be written; then no part of them is in the file.
        """
        lines = b"".join(self._line(asdict(row)) for row in rows)
        if lines:
            self._append(lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _last_id(self, store: Store) -> int:
        """Number of the last row that is in the file; what an interrupted watch left of another one is cut off."""
        rows = list(self._rows())
        with store.transaction() as transaction:
            run = transaction.connection.exec_driver_sql
            if rows and run("SELECT 1 FROM recordings LIMIT 1").scalar() is None:
                _take_over(transaction.connection, rows, place=str(self.path))
            if not rows:
                return 0
            key = tuple(rows[-1][name] for name in ("file", "size", "mtime_ns"))
            query = "SELECT max(id) FROM recordings WHERE name = ? AND size = ? AND mtime_ns = ?"
            found = run(query, key).scalar()
        if found is None:
            raise OutputError(
                f"{self.path}: not the log of {store.engine.url.database}: its last row is not there; move one of them "
                f"away, or choose another file with --log"
            )
        return int(found)

    def _rows(self) -> Iterator[dict[str, str]]:
        """Rows of recordings that are in the file; an incomplete last line is cut off."""
        self._file.seek(0)
        first, header = self._file.readline(), _csv_line(COLUMNS)
        is_whole = first.endswith(b"\n")
        if is_whole:
            self._columns = self._known_columns(first)
        elif not header.startswith(first):
            raise self._refused()
        end = len(first) if is_whole else 0
        for number, line in enumerate(self._file, start=2):
            if not line.endswith(b"\n"):
                break
            row = self._row(line, number)
            if row["event"] != "sent":  # of an earlier version
                yield row
            end += len(line)
        with output_errors(self.path):
            self._file.truncate(end)
        if end == 0:
            self._append(header)

    def _known_columns(self, line: bytes) -> tuple[str, ...]:
        try:
            (found,) = csv.reader([line.decode("utf-8")])
        except (ValueError, csv.Error):
            raise self._refused() from None
        names = {_EARLIER.get(name, name) for name in found}
        if not {"event", *_KEY} <= names <= set(COLUMNS):
            raise self._refused()
        return tuple(found)

    def _refused(self) -> OutputError:
        return OutputError(
            f"{self.path}: not a log of soundness watch; expected the columns {','.join(COLUMNS)}; choose another file "
            f"with --log"
        )

    def _row(self, line: bytes, number: int) -> dict[str, str]:
        try:
            (cells,) = csv.reader([line.decode("utf-8")])
            row = dict(zip(self._columns, cells, strict=True))
            _whole(row["size"]), _whole(row["mtime_ns"])
        except (ValueError, csv.Error):
            raise OutputError(f"{self.path}:{number}: not a row of a log of soundness watch") from None
        return _uncelled(row)

    def _line(self, row: Mapping[str, Any]) -> bytes:
        cells = (row[_EARLIER.get(name, name)] for name in self._columns)
        return _csv_line(_cell(cell) if isinstance(cell, str) else cell for cell in cells)

    def _append(self, lines: bytes) -> None:
        end = self._file.seek(0, os.SEEK_END)
        with output_errors(self.path):
            try:
                self._file.write(lines)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):  # the buffer cannot be written, which is known
                    self._file.close()
                with suppress(OSError):  # else the next watch cuts it
                    os.truncate(self.path, end)
                raise


def _cell(text: str) -> str:
    """Text as a cell that no spreadsheet takes for a formula; different ones stay different."""
    return f"'{text}" if text.startswith("'") else spreadsheet_cell(text)


def _whole(cell: Any) -> int:
    number = int(cell)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number}: too large for the store")
    return number


def _uncelled(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Row with the names that `_cell` made cells of."""
    return {name: f"{cell}".removeprefix("'") if name in ("machine", "file") else cell for name, cell in row.items()}


def _csv_line(cells: Iterable[object]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow("" if cell is None else cell for cell in cells)
    return stream.getvalue().encode("utf-8")
