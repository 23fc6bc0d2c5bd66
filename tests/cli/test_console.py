"""What commands print."""

import logging

import pytest

from soundness.cli.application import command
from soundness.cli.console import log_lines

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
