"""The command line: each command calls the function of its name and prints what it returns."""

from soundness.cli.application import app, main

__all__ = ["app", "main"]
