"""Output of commands: tables on standard output, progress and messages on standard error."""

import errno
import io
import logging
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Self, TextIO, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from soundness.errors import OutputError
from soundness.plain_text import printable
from soundness.tables import column_widths, split_constant

__all__ = [
    "ProgressBars",
    "drop_closed_streams",
    "elided",
    "log_lines",
    "say",
    "say_verdict",
    "say_watching",
    "show_lines",
    "show_table",
    "warn",
]

_WIDTH_OF_A_FILE = 200
_LINES_SHOWN = 20
_COLUMN_GAP = 2
_VERDICT_STYLES = {"anomalous": "bold red", "normal": "green", "cannot tell": "bold yellow"}


def say(message: str) -> None:
    """Print a line of results.

    Raises
    ------
    OutputError
        If standard output cannot be written: nobody would see them.
    """
    with _results() as console:
        console.print(printable(message), highlight=False, markup=False, soft_wrap=True)


def say_watching(message: str) -> None:
    """Print a line of results that are in a log, too: where it cannot be written, work goes on."""
    try:
        say(message)
    except OutputError as error:
        warn(f"{error}; the log has what could not be shown")


def warn(message: str) -> None:
    """Print a line that is not a result; where standard error cannot be written, there is nobody to say it to."""
    _console(stderr=True).print(printable(message), highlight=False, markup=False, soft_wrap=True)


def say_verdict(verdict: str, text: str) -> None:
    """Print a line of results that begins with a verdict: a word in capitals, in colour on a terminal."""
    word = Text(f"{verdict.upper():11}  ", style=_VERDICT_STYLES[verdict])
    with _results() as console:
        console.print(word + Text(printable(text)), highlight=False, soft_wrap=True)


def elided(text: str, width: int) -> str:
    """Shorten a text, such as a path, in its middle; its end, which tells most, keeps two thirds."""
    if len(text) <= width:
        return text
    n_end = 2 * width // 3
    return f"{text[: width - n_end - 3]}...{text[-n_end:]}"


def show_lines(title: str, lines: Sequence[str]) -> None:
    """Print a titled list of notes, if there are any, at most the first twenty; on a terminal, between words."""
    if not lines:
        return
    warn(f"{title}:")
    width = _console(stderr=True).width if _has_width(sys.stderr) else None
    for line in lines[:_LINES_SHOWN]:
        wrapped = (
            [line] if width is None else textwrap.wrap(line, width - 4, break_long_words=False, break_on_hyphens=False)
        )
        for number, part in enumerate(wrapped):
            warn(("  " if number == 0 else "    ") + part)
    if len(lines) > _LINES_SHOWN:
        warn(f"  ... and {len(lines) - _LINES_SHOWN} more")


def show_table(title: str, rows: Sequence[Sequence[str]], *, n_left: int = 1) -> None:
    """Print a table without its empty and constant columns, which are told below it; no word is broken.

    A table that is too wide for the screen even so is printed as blocks of lines, one for each row.

    Parameters
    ----------
    title
        Title above the table.
    rows
        Rows; the first one is the heading.
    n_left
        Number of columns that are aligned to the left; the others hold numbers.
    """
    with _results() as console:
        _show_table(console, title, rows, n_left)


def _show_table(console: Console, title: str, rows: Sequence[Sequence[str]], n_left: int) -> None:
    (heading, *kept), constant = split_constant([tuple(map(printable, row)) for row in rows])
    numbers = set(rows[0][n_left:])
    widths = column_widths([heading, *kept], console.width - _COLUMN_GAP * len(heading))
    if title:
        console.print(Text(printable(title), style="italic"), soft_wrap=True)
    if widths is None:
        _show_blocks(console, heading, kept)
    else:
        table = Table(header_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name, width in zip(heading, widths, strict=True):
            table.add_column(Text(name), justify="right" if name in numbers else "left", width=width, overflow="fold")
        for row in kept:
            table.add_row(*map(Text, row))
        console.print(table)
    if constant:
        all_rows = ", ".join(f"{name} {value}" for name, value in constant)
        console.print(Text(f"in all rows: {all_rows}"), soft_wrap=False)


def _show_blocks(console: Console, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in rows:
        for index, (name, cell) in enumerate(zip(heading, row, strict=True)):
            if cell:
                indent = "  " if index else ""
                lines = textwrap.wrap(
                    f"{name}: {cell}", console.width - 4, break_long_words=False, break_on_hyphens=False
                ) or [""]
                for number, line in enumerate(lines):
                    text = f"{indent}{'  ' if number else ''}{line}"
                    console.print(Text(elided(text, console.width)), soft_wrap=True)


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
def log_lines(*, is_quiet: bool, has_times: bool = False) -> Iterator[None]:
    """Print the messages that the package logs within it on standard error; only warnings if quiet.

    Parameters
    ----------
    is_quiet
        Only warnings.
    has_times
        Begin each with the time (UTC), unless systemd, which adds it, takes the lines.
    """
    logger, handler = logging.getLogger("soundness"), _LineHandler()
    if has_times and "JOURNAL_STREAM" not in os.environ:
        formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%SZ")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if is_quiet else logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def _results() -> Iterator[Console]:
    """Console of standard output, where nothing is shown if it was closed from the beginning."""
    try:
        yield _console(stderr=False)
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {error.strerror}") from error


def _console(*, stderr: bool) -> Console:
    stream: TextIO | None = sys.stderr if stderr else sys.stdout
    if stream is None:
        return _Console(file=io.StringIO())
    width = None if _has_width(stream) else _WIDTH_OF_A_FILE
    return _Console(file=cast("TextIO", _LenientStream(stream)) if stderr else None, stderr=stderr, width=width)


def _has_width(stream: TextIO | None) -> bool:
    """True if lines are for a screen of a known width."""
    return stream is not None and (stream.isatty() or os.environ.get("COLUMNS", "").isdigit())


class _Console(Console):
    """Console that leaves it to its caller what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """Called by Rich, which would end the program."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class _LenientStream(io.TextIOBase):
    """Standard error, which may have been closed by whoever read it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only there, too
        """Encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """True for a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Number of the file."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write a text, if that is possible."""
        with suppress(OSError):  # there is nobody to say it to
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, if that is possible."""
        with suppress(OSError):
            self._stream.flush()


def drop_closed_streams() -> None:
    """Let what a closed stream still holds go nowhere, for Python would end with an error of its own."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
