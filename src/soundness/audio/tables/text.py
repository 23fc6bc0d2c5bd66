"""Tables in text files: numbers with commas, semicolons, tabs or blanks between, below any lines of text."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table, is_counter, is_time_name
from soundness.errors import UnreadableError

__all__ = ["looks_numeric", "numeric_problem", "read_text"]

_DELIMITERS = (";", "\t", ",", None)  # None: blanks
_MOST_LINES_OF_TEXT = 60
_FEWEST_ROWS = 8
_RATE = re.compile(r"(?i)(?:sampl\w*[ _]*(?:rate|freq\w*)|abtast\w*|\bfs\b)[^\d\n]{0,20}(\d+(?:[.,]\d+)?)\s*(k?hz)?")
_MOMENT = re.compile(
    r"(?:\d{1,4}[-./]\d{1,2}[-./]\d{1,4}[T, ]+)?(\d{1,2}):(\d\d):(\d\d(?:[.,]\d+)?)\s*(?:Z|[+-]\d\d:?\d\d)?"
)
_UNIT = re.compile(r"[(\[]?[^\W\d_]{0,4}[\w/^*%°·²³-]{0,6}[)\]]?")
_SECONDS_A_DAY = 86_400


def looks_numeric(head: bytes) -> bool:
    """True for the beginning of a text file whose lines hold numbers alone, below a few lines of text."""
    return numeric_problem(head) == ""


def numeric_problem(head: bytes) -> str | None:
    """Reason why the beginning of a text file is no table of numbers; empty if it is one, ``None`` if nothing is like.

    Some cells of a table may be empty.
    """
    lines = _decoded(head).splitlines()[:-1]  # the last may be cut
    found = _first_row(lines)
    if found is None:
        return _what_is_no_number(lines)
    start, delimiter, is_comma_decimal = found
    rows = [(index, row) for index, row in enumerate(lines) if index >= start and row.strip()]
    wrong = [index for index, row in rows if _numbers(row, delimiter, is_comma_decimal) is None]
    if wrong:
        return f"its line {wrong[0] + 1} is no row of numbers" if len(rows) - len(wrong) >= _FEWEST_ROWS else None
    return "" if len(rows) >= _FEWEST_ROWS else None


def read_text(file: BinaryIO) -> Table:
    """Read a text file.

    Raises
    ------
    UnreadableError
        If no rows of numbers are in it, or one of them is not like the others.
    """
    file.seek(0)
    lines = _decoded(file.read()).splitlines()
    found = _first_row(lines)
    if found is None:
        raise UnreadableError("no rows of numbers; expected columns with commas, semicolons, tabs or blanks between")
    start, delimiter, is_comma_decimal = found
    rows, n_columns = [line for line in lines[start:] if line.strip()], len(_cells(lines[start], delimiter))
    times = _times(rows, delimiter) if _MOMENT.fullmatch(_cells(lines[start], delimiter)[0]) else None
    used = list(range(0 if times is None else 1, n_columns))
    try:
        body = StringIO(_body(rows, delimiter, is_comma_decimal))
        values = np.loadtxt(body, delimiter=delimiter, ndmin=2, usecols=used, comments=None)
    except ValueError as error:
        raise UnreadableError(f"a row is not like the others: {str(error).splitlines()[0]}") from error
    names = _names(lines[:start], delimiter, n_columns)
    columns: dict[str, NDArray[np.generic]] = {} if times is None else {"time": times}
    columns |= {names[column]: values[:, index] for index, column in enumerate(used)}
    return Table(columns=_with_time(columns, has_names=start > 0), rate=_stated_rate("\n".join(lines[:start])))


def _body(rows: Sequence[str], delimiter: str | None, is_comma_decimal: bool) -> str:
    """Rows of numbers as NumPy reads them, NaN in the place of each empty cell."""
    body = "\n".join(rows)
    if is_comma_decimal:
        body = body.replace(",", ".")
    if '"' in body:
        body = body.replace('"', "")
    if delimiter is not None and re.search(rf"{delimiter}[ ]*(?:{delimiter}|$)|^[ ]*{delimiter}", body, re.MULTILINE):
        body = re.sub(rf"(^|{delimiter})[ ]*(?={delimiter}|$)", r"\1nan", body, flags=re.MULTILINE)
    return body


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _first_row(lines: Sequence[str]) -> tuple[int, str | None, bool] | None:
    """Index of the first row of numbers, its delimiter, and True for decimal commas; ``None`` if there is none."""
    for index, line in enumerate(lines[:_MOST_LINES_OF_TEXT]):
        following = [other for other in lines[index : index + 3] if other.strip()]
        for delimiter in _DELIMITERS:
            for is_comma_decimal in (False, True):
                if delimiter == "," and is_comma_decimal:
                    continue
                if line.strip() and all(_numbers(row, delimiter, is_comma_decimal) is not None for row in following):
                    return index, delimiter, is_comma_decimal
    return None


def _what_is_no_number(lines: Sequence[str]) -> str | None:
    """Cell that makes a table no table of numbers, if half of the cells in its rows are numbers; else ``None``."""
    rows = [row for row in lines[:_MOST_LINES_OF_TEXT] if row.strip()][1:]
    if len(rows) < _FEWEST_ROWS:
        return None
    for delimiter in _DELIMITERS:
        cells = _cells(rows[-1], delimiter)
        others = [cell for cell in cells if not _is_number(cell.replace(",", "."))]
        if len(cells) > 1 and 0 < 2 * len(others) <= len(cells):
            return f"{others[0]!r} in its rows is no number"
    return None


def _numbers(row: str, delimiter: str | None, is_comma_decimal: bool) -> int | None:
    """Number of cells of a row in which all are numbers, the first perhaps a moment; ``None`` for any other."""
    cells = _cells(row, delimiter)
    n_empty = 0
    for index, cell in enumerate(cells):
        if index == 0 and len(cells) > 1 and _MOMENT.fullmatch(cell):
            continue
        n_empty += cell == ""
        if cell != "" and not _is_number(cell.replace(",", ".") if is_comma_decimal else cell):
            return None
    return len(cells) if len(cells) > n_empty else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cells(row: str, delimiter: str | None) -> list[str]:
    """Cells of a row; a delimiter at its end has none behind it."""
    cells = [cell.strip().strip('"') for cell in row.strip().split(delimiter)]
    while len(cells) > 1 and cells[-1] == "":
        cells.pop()
    return cells


def _times(rows: Sequence[str], delimiter: str | None) -> NDArray[np.float64]:
    """Seconds of the first cells, from midnight on; a day that ends is followed by another."""
    seconds = []
    for row in rows:
        matched = _MOMENT.fullmatch(cell := _cells(row, delimiter)[0])
        if matched is None:
            raise UnreadableError(f"a time is not like the others: {cell!r}")
        hours, minutes, rest = matched.groups()
        seconds.append(3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", ".")))
    found = np.array(seconds)
    n_midnights = np.cumsum(np.diff(found, prepend=found[0]) < 0.0).astype(np.float64)
    return found + _SECONDS_A_DAY * n_midnights


def _names(lines: Sequence[str], delimiter: str | None, n_columns: int) -> list[str]:
    """Names of the columns by the lines above them, the last of which may be that of the units."""
    rows = [_cells(line.lstrip("#% "), delimiter) for line in lines if line.strip()][-2:]
    rows = [cells for cells in rows if len(cells) == n_columns and len(set(cells)) == n_columns and all(cells)]
    if not rows:
        return [f"column {index}" for index in range(n_columns)]
    if len(rows) < 2 or not all(map(_UNIT.fullmatch, rows[1])) or any(map(_is_number, rows[0])):
        return rows[-1]
    return [f"{name} ({unit.strip('()[]')})" if is_time_name(name) else name for name, unit in zip(*rows, strict=True)]


def _with_time(columns: dict[str, NDArray[np.generic]], *, has_names: bool) -> dict[str, NDArray[np.generic]]:
    """Columns of a table without names whose first goes up in even steps, which are times unless it counts."""
    first = next(iter(columns))
    if has_names or len(columns) < 2 or first == "time" or not is_counter(columns[first], only_times=True):
        return columns
    return {("time" if name == first else name): values for name, values in columns.items()}


def _stated_rate(text: str) -> float | None:
    found = _RATE.search(text)
    if found is None:
        return None
    hz = float(found[1].replace(",", "."))
    return hz * (1000 if (found[2] or "").lower() == "khz" else 1)
