"""Tables in text files as spreadsheets of any country save them: with commas, semicolons, tabs, decimal commas."""

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path

from soundness.regular_files import read_regular

__all__ = ["parse_number", "read_rows"]

Rows = list[tuple[int, list[str]]]

_DELIMITERS = (";", "\t", ",")  # a decimal comma looks like the last of them
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
_SEPARATOR_LINE = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # that Excel writes and takes


def read_rows(path: Path, *, fits: Callable[[list[str]], bool]) -> Rows:
    """Number and cells of each line of a table that is not blank.

    Parameters
    ----------
    path
        Text in UTF-8, with or without a byte-order mark, or in UTF-16; bytes that are neither pass unchanged.
    fits
        True for the cells of a first line as it should be; the delimiter for which it is true is taken, else a comma.

    Raises
    ------
    OSError
        If the file cannot be read.
    csv.Error
        If it is no table.
    """
    content = read_regular(path)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = content.decode(encoding, errors="replace" if encoding == "utf-16" else "surrogateescape")
    first = text.partition("\n")[0]
    if (stated := _SEPARATOR_LINE.fullmatch(first)) is not None:
        return _rows(text, stated[1])[1:]
    for delimiter in _DELIMITERS:
        rows = _rows(text, delimiter)
        if rows and fits(rows[0][1]):
            return rows
    return _rows(text, ",")


def parse_number(text: str) -> float:
    """Number with a decimal point or a decimal comma; NaN where it is none, or might have thousands' separators."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is not None:
        return float(text.replace(",", "."))
    try:
        return float(text) if "," not in text else math.nan
    except ValueError:
        return math.nan


def _rows(text: str, delimiter: str) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [(reader.line_num, row) for row in reader if row]
