"""Text of strangers, such as names of files: shown on a terminal, kept in one line, put in a table for spreadsheets."""

import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = [
    "counted",
    "one_line",
    "printable",
    "shown_name",
    "spreadsheet_cell",
    "spreadsheet_path",
    "stored_text",
]

_FORMULA = re.compile(r"[=+\-@\t\r\n|%]")  # first characters that a spreadsheet may take for a formula
_NUMBER = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")


def counted(number: int, name: str) -> str:
    """Number of things that have an English plural in -s.

    >>> counted(1, "clip"), counted(1200, "clip")
    ('1 clip', '1,200 clips')
    """
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    r"""Show a text in one line: control characters, marks of direction and bytes that are no UTF-8 are escaped.

    >>> printable("fan\n\x1b[2J\udcff.wav")
    'fan\\n\\x1b[2J\\xff.wav'
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    if char.isprintable() or unicodedata.category(char) == "Zs":
        return char
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, as the operating system gives it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def stored_text(value: Any) -> Any:
    """Plain values with texts that every reader of JSON takes: bytes that are no UTF-8 are escaped, as when shown."""
    if isinstance(value, str):
        return value if value.isascii() else "".join(_shown(c) if "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, Mapping):
        return {stored_text(key): stored_text(one) for key, one in value.items()}
    return [stored_text(one) for one in value] if isinstance(value, list | tuple) else value


def shown_name(name: str) -> str:
    r"""Name of a folder as that of a machine, which becomes part of names of files: what cannot be shown is escaped.

    >>> shown_name("fan\nx")
    'fan%0Ax'
    """
    return "".join(char if char.isprintable() and char not in "/\\" else _escaped(char) for char in name)


def _escaped(char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return " "
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def one_line(text: str) -> str:
    """Escape a text to one line of UTF-8, so that different texts stay different."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def spreadsheet_cell(text: str) -> str:
    """Text of a cell that no spreadsheet takes for a formula: with an apostrophe before it where one would."""
    is_formula = _FORMULA.match(text) is not None and _NUMBER.fullmatch(text) is None
    return f"'{text}" if is_formula else text


def spreadsheet_path(path: str | os.PathLike[str]) -> str:
    """Path that no spreadsheet takes for a formula, and that leads to the same file: ``./=x.wav`` for ``=x.wav``."""
    text = os.fspath(path)
    return f".{os.sep}{text}" if _FORMULA.match(text) is not None else text
