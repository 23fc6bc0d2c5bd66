"""The command line: each command calls the verb of its name and shows what comes back."""

from soundness.cli.commands import app, main

__all__ = ["app", "main"]
