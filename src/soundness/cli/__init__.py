"""The command line: each command calls the verb of its name and shows what comes back."""

from soundness.cli import challenge, commands, monitoring  # noqa: F401  # they add themselves to the application
from soundness.cli.application import app, main

__all__ = ["app", "main"]
