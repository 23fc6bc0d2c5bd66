"""Output of commands: tables on standard output, progress and messages on standard error."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from soundness.plain_text import printable

__all__ = ["ProgressBars", "elided", "log_lines", "say", "say_verdict", "show_lines", "show_table", "warn"]

_WIDTH_OF_A_FILE = 200
_LINES_SHOWN = 20
_VERDICT_STYLES = {"anomalous": "bold red", "normal": "green", "cannot tell": "bold yellow"}


def say(message: str) -> None:
    """Print a line of results."""
    _console(stderr=False).print(printable(message), highlight=False, markup=False, soft_wrap=True)


def warn(message: str) -> None:
    """Print a line that is not a result."""
    _console(stderr=True).print(printable(message), highlight=False, markup=False, soft_wrap=True)


def say_verdict(verdict: str, text: str) -> None:
    """Print a line of results that begins with a verdict: a word in capitals, in colour on a terminal."""
    word = Text(f"{verdict.upper():11}  ", style=_VERDICT_STYLES[verdict])
    _console(stderr=False).print(word + Text(printable(text)), highlight=False, soft_wrap=True)


def elided(text: str, width: int) -> str:
    """Shorten a text, such as a path, in its middle; its end, which tells most, keeps two thirds."""
    if len(text) <= width:
        return text
    n_end = 2 * width // 3
    return f"{text[: width - n_end - 3]}...{text[-n_end:]}"


def show_lines(title: str, lines: Sequence[str]) -> None:
    """Print a titled list of notes, if there are any, at most the first twenty."""
    if not lines:
        return
    warn(f"{title}:")
    for line in lines[:_LINES_SHOWN]:
        warn(f"  {line}")
    if len(lines) > _LINES_SHOWN:
        warn(f"  ... and {len(lines) - _LINES_SHOWN} more")


def show_table(title: str, rows: Sequence[Sequence[str]], *, n_left: int = 1) -> None:
    """Print a table without its empty columns.

    Parameters
    ----------
    title
        Title above the table.
    rows
        Rows; the first one is the heading.
    n_left
        Number of columns that are aligned to the left; the others hold numbers.
    """
    kept = [index for index, column in enumerate(zip(*rows[1:], strict=True)) if any(column)] or [0]
    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold")
    for index in kept:
        table.add_column(rows[0][index], justify="left" if index < n_left else "right", overflow="fold")
    for row in rows[1:]:
        table.add_row(*(Text(printable(row[index])) for index in kept))
    _console(stderr=False).print(table)


class ProgressBars:
    """Progress bars, one at a time; the last one ends with the ``with`` block.

    Parameters
    ----------
    is_quiet
        Draw nothing.
    """

    def __init__(self, *, is_quiet: bool) -> None:
        self.is_quiet = is_quiet
        self._progress: Progress | None = None
        self._task: tuple[str, TaskID] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show the number of items done and the total."""
        if self.is_quiet:
            return
        if self._task is None or self._task[0] != name:
            self.close()
            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=_console(stderr=True),
            )
            self._progress.start()
            self._task = (name, self._progress.add_task(name, total=total))
        if self._progress is not None:
            self._progress.update(self._task[1], completed=done)
            if done == total:
                self.close()

    def close(self) -> None:
        """End the current bar, if there is one."""
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._task = None, None


class _LineHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(self.format(record))


@contextmanager
def log_lines(*, is_quiet: bool) -> Iterator[None]:
    """Print the messages that the package logs within it on standard error; only warnings if quiet."""
    logger, handler = logging.getLogger("soundness"), _LineHandler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if is_quiet else logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    is_measured = stream.isatty() or os.environ.get("COLUMNS", "").isdigit()
    return Console(stderr=stderr, width=None if is_measured else _WIDTH_OF_A_FILE)
