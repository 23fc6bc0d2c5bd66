"""The command line, called in the process of the tests."""

from typer.testing import CliRunner, Result

from soundness.cli import app


def soundness(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def refusal(*arguments: object) -> str:
    """The one line of a command that could do nothing."""
    result = soundness(*arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("soundness:")]
    assert len(lines) == 1, result.stderr
    return lines[0]
