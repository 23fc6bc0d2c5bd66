"""Output of commands: notes on standard error, tables that fit the screen."""

import errno
import io
import logging
import random
import sys

import pytest

from soundness.cli.application import command
from soundness.cli.console import (
    ProgressBars,
    elided,
    log_lines,
    say,
    say_watching,
    show_lines,
    show_table,
    warn,
)
from soundness.errors import OutputError

LOGGER = logging.getLogger("soundness.part")


def log() -> None:
    LOGGER.info("a training of 100 s")
    LOGGER.warning("a.wav: %s", "not whole yet")


def test_messages_of_the_package_are_bare_lines_on_standard_error(capsys):
    with log_lines(is_quiet=False):
        log()
        logging.getLogger("another").warning("of another package")
    LOGGER.info("after the command")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[:2] == ["a training of 100 s", "a.wav: not whole yet"]
    assert "after the command" not in printed.err


@pytest.mark.parametrize(("options", "n_lines"), [({}, 2), ({"quiet": False}, 2), ({"quiet": True}, 1)])
def test_a_quiet_command_prints_warnings_alone(capsys, options, n_lines):
    import typer

    @command
    def train(*, quiet: bool = False) -> int:  # noqa: ARG001  # read by the decorator
        log()
        return 0

    with pytest.raises(typer.Exit):
        train(**options)
    assert capsys.readouterr().err.splitlines() == ["a training of 100 s", "a.wav: not whole yet"][-n_lines:]


WORDS = ("fan", "supplemental", "attributes_of_a_machine", "5 source + 3 target", "-36.7 / -35.1", "", "16000")


@pytest.mark.parametrize("n_columns", [1, 2, 5, 9, 14])
@pytest.mark.parametrize("width", [40, 80])
def test_a_table_fits_the_screen_and_breaks_no_word(capsys, monkeypatch, n_columns, width):
    monkeypatch.setenv("COLUMNS", str(width))
    rng = random.Random(n_columns)
    heading = tuple(f"column {index}" for index in range(n_columns))
    rows = [tuple(rng.choice(WORDS) for _ in heading) for _ in range(6)]
    show_table("a title", [heading, *rows], n_left=1)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width for line in lines)
    printed = {word.strip(",") for line in lines for word in line.split()}
    assert {word for row in rows for cell in row for word in cell.split()} <= printed


def test_columns_that_say_the_same_are_told_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    show_table("", [("machine", "separation", "clips"), ("fan", "off", "10"), ("pump", "off", "20")])
    printed = capsys.readouterr().out
    assert printed.count("off") == 1
    assert "in all rows: separation off" in printed


def test_long_paths_are_shortened_in_the_middle_and_notes_are_wrapped_between_words(capsys, monkeypatch):
    short = elided("/a/very/long/folder/of/recordings/monday_0001.wav", 24)
    assert len(short) == 24
    assert short.endswith("monday_0001.wav"[-16:])
    monkeypatch.setenv("COLUMNS", "40")
    show_lines("notes", ["the memory bank holds fewer clips than the calibration needs for one"])
    lines = capsys.readouterr().err.splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(" ".join(lines).split()).endswith("the calibration needs for one")


class Closed(io.TextIOBase):
    """A stream whose reader has gone."""

    encoding = "utf-8"

    def write(self, _):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_without_standard_streams_nothing_is_shown_and_nothing_fails(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    say("a")
    warn("b")
    show_table("c", [("d",), ("e",)])
    with ProgressBars(is_quiet=False) as bars:
        bars("f", 1, 2)


def test_results_that_cannot_be_shown_are_an_error_and_messages_are_not(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", Closed())
    with pytest.raises(OutputError, match=r"standard output: cannot be written: Broken pipe"):
        say("a")
    with pytest.raises(OutputError, match=r"standard output: cannot be written"):
        show_table("c", [("d",), ("e",)])
    warn("b")
    say_watching("what is in the log, too")
    with ProgressBars(is_quiet=False) as bars:
        bars("f", 1, 2)
