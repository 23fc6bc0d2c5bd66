"""The command `monitor` and those below it."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import soundness
from soundness.cli.console import say

__all__ = ["MonitorGroup", "init", "run"]


class MonitorGroup(TyperGroup):
    """Commands below ``monitor``; what is none of them is the configuration to run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # a context of the click within typer
        """Put ``run`` before a configuration, and make ``--init`` a command."""
        if args and args[0] == "--init":
            args = ["init", *args[1:]]
        elif args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


def run(
    configuration: Annotated[Path, typer.Argument(help="Configuration, a TOML file.", show_default=False)],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only check configuration, devices, detectors and brokers.")
    ] = False,
) -> int:
    """Listen to all sensors of a configuration, around the clock; also what `soundness monitor FILE` does."""
    if check:
        for line in soundness.check_monitor(configuration):
            say(line)
        say(f"{configuration}: all is well")
        return 0
    soundness.monitor(configuration)
    return 0


def init() -> int:
    """Write a commented configuration to standard output; also what `soundness monitor --init` does."""
    from soundness.monitoring.live.example import EXAMPLE

    print(EXAMPLE, end="")
    return 0
