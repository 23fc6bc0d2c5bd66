"""Tables in text files: numbers with commas, semicolons, tabs or blanks between, below any lines of text."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table
from soundness.errors import UnreadableError

__all__ = ["looks_numeric", "read_text"]

_DELIMITERS = (";", "\t", ",", None)  # None: blanks
_MOST_LINES_OF_TEXT = 60
_FEWEST_ROWS = 8
_RATE = re.compile(r"(?i)(?:sampl\w*[ _]*(?:rate|freq\w*)|abtast\w*|\bfs\b)[^\d\n]{0,20}(\d+(?:[.,]\d+)?)\s*(k?hz)?")


def looks_numeric(head: bytes) -> bool:
    """True for the beginning of a text file whose lines hold numbers alone, below a few lines of text."""
    lines = _decoded(head).splitlines()[:-1]  # the last may be cut
    found = _first_row(lines)
    if found is None:
        return False
    start, delimiter, is_comma_decimal = found
    rows = [line for line in lines[start:] if line.strip()]
    return len(rows) >= _FEWEST_ROWS and all(_numbers(row, delimiter, is_comma_decimal) is not None for row in rows)


def read_text(file: BinaryIO) -> Table:
    """Read a text file.

    Raises
    ------
    UnreadableError
        If no rows of numbers are in it, or one of them is not like the others.
    """
    file.seek(0)
    text = _decoded(file.read())
    lines = text.splitlines()
    found = _first_row(lines)
    if found is None:
        raise UnreadableError("no rows of numbers; expected columns with commas, semicolons, tabs or blanks between")
    start, delimiter, is_comma_decimal = found
    n_columns = len(_cells(lines[start], delimiter))
    body = "\n".join(lines[start:])
    if is_comma_decimal:
        body = body.replace(",", ".")
    times = _times(lines[start:], delimiter) if _is_moment(_cells(lines[start], delimiter)[0]) else None
    used = list(range(0 if times is None else 1, n_columns))
    try:
        values = np.loadtxt(StringIO(body), delimiter=delimiter, ndmin=2, usecols=used, comments=None)
    except ValueError as error:
        raise UnreadableError(f"a row is not like the others: {str(error).splitlines()[0]}") from error
    names = _names(lines[start - 1] if start > 0 else "", delimiter, n_columns)
    columns: dict[str, NDArray[np.generic]] = {} if times is None else {"time": times}
    columns |= {names[column]: values[:, index] for index, column in enumerate(used)}
    return Table(columns=_with_time(columns, has_names=start > 0), rate=_stated_rate("\n".join(lines[:start])))


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


def _numbers(row: str, delimiter: str | None, is_comma_decimal: bool) -> int | None:
    """Number of cells of a row in which all are numbers, the first perhaps a moment; ``None`` for any other."""
    cells = _cells(row, delimiter)
    for index, cell in enumerate(cells):
        if index == 0 and len(cells) > 1 and _is_moment(cell):
            continue
        try:
            float(cell.replace(",", ".") if is_comma_decimal else cell)
        except ValueError:
            return None
    return len(cells) or None


def _cells(row: str, delimiter: str | None) -> list[str]:
    return [cell.strip().strip('"') for cell in row.strip().split(delimiter)]


def _is_moment(cell: str) -> bool:
    return bool(re.match(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d", cell))


def _times(rows: Sequence[str], delimiter: str | None) -> NDArray[np.generic]:
    moments = [_cells(row, delimiter)[0].rstrip("Z").replace(" ", "T") for row in rows if row.strip()]
    try:
        return np.array(moments, dtype="datetime64[ns]")
    except ValueError as error:
        raise UnreadableError(f"a time is not like the others: {error}") from error


def _names(line: str, delimiter: str | None, n_columns: int) -> list[str]:
    cells = _cells(line.lstrip("#% "), delimiter)
    if len(cells) != n_columns or len(set(cells)) < n_columns or not all(cells):
        return [f"column {index}" for index in range(n_columns)]
    return cells


def _with_time(columns: dict[str, NDArray[np.generic]], *, has_names: bool) -> dict[str, NDArray[np.generic]]:
    """Columns of a table without names whose first goes up in even steps, which are times."""
    first = next(iter(columns))
    if has_names or len(columns) < 2 or first == "time":
        return columns
    steps = np.diff(columns[first].astype(np.float64))
    is_time = len(steps) > 1 and steps.min() > 0 and np.ptp(steps) <= 0.1 * steps.mean()
    return {("time" if name == first and is_time else name): values for name, values in columns.items()}


def _stated_rate(text: str) -> float | None:
    found = _RATE.search(text)
    if found is None:
        return None
    hz = float(found[1].replace(",", "."))
    return hz * (1000 if (found[2] or "").lower() == "khz" else 1)
