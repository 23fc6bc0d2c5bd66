"""The command line: each command calls the function of its name and prints what it returns."""

import signal
from typing import Any

__all__ = ["app", "main"]


def __getattr__(name: str) -> Any:
    """Load the application when it is asked for: that takes half a second, in which Ctrl-C has to end the program."""
    if name == "app":
        from soundness.cli.application import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command line; Ctrl-C ends it without a word while it is loaded, and after its work is done."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from soundness.cli.application import main as run

    signal.signal(signal.SIGINT, handler)
    try:
        run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
