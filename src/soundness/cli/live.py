"""The command `monitor` and those below it."""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import soundness
from soundness.cli.console import say, show_table, warn
from soundness.errors import SettingsError
from soundness.extras import check_extra
from soundness.plain_text import shown_name

__all__ = ["MonitorGroup", "devices", "feedback", "init", "learn", "password", "run"]


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
    configuration: Annotated[Path, typer.Argument(help="Configuration, a TOML file.")] = Path("monitor.toml"),
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what is wrong: with values, devices, detectors, brokers.")
    ] = False,
) -> int:
    """Listen to all sensors of a configuration, around the clock; also what `soundness monitor FILE` does."""
    if check:
        found = soundness.check_monitor(configuration)
        for line in found.notes:
            say(line)
        for line in found.problems:
            warn(f"soundness: {line}")
        if found.problems:
            return 2
        say(f"{configuration}: all is well")
        return 0
    soundness.monitor(configuration)
    return 0


def init() -> int:
    """Write a commented configuration to standard output; also what `soundness monitor --init` does."""
    from soundness.monitoring.configuration.example import EXAMPLE

    print(EXAMPLE, end="")
    return 0


Configuration = Annotated[Path, typer.Option("--config", help="Configuration of the monitor, a TOML file.")]


def learn(
    sensor: Annotated[str, typer.Argument(help="Name of a sensor that has no detector.", show_default=False)],
    *,
    recordings: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder of normal recordings, in the order of time.",
            show_default="the sound that comes after the next start",
        ),
    ] = None,
    configuration: Configuration = Path("monitor.toml"),
) -> int:
    """Learn the normal sound of a sensor from recordings, or anew: then it forgets what it has learned.

    Clips that are not like the others are set aside and named; the others make and calibrate its detector, which the
    monitor uses from its next start on. It must not be running meanwhile.
    """
    from soundness.monitoring.learning.offline import learn_anew, learn_sensor

    if recordings is None:
        say(f"{sensor}: learns anew for {learn_anew(configuration, sensor)} from the monitor's next start on")
        return 0
    say(f"detector: {learn_sensor(configuration, sensor, recordings, say=say)}")
    return 0


def feedback(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to, empty or not there.", show_default=False)],
    *,
    configuration: Configuration = Path("monitor.toml"),
    quiet_clips: Annotated[
        bool, typer.Option("--quiet-clips", help="Add clips far from any alarm as normal, which nobody listened to.")
    ] = False,
) -> int:
    """Export the answers to alarms as a labelled data set: `soundness evaluate OUT/scores` reads it."""
    from soundness.monitoring.learning.answers import feedback as export

    found = export(configuration, out, quiet_clips=quiet_clips)
    say(f"{out}: {found.n_anomalous} anomalous and {found.n_normal} normal clips")
    for note in found.notes:
        say(note)
    return 0


def password() -> int:
    """Read a password, twice from a terminal or once from standard input, and print its hash for the configuration.

    The hash goes into a file or an environment variable that `service.password` of the configuration names.
    """
    check_extra("monitor")
    from soundness.service.access.passwords import hash_password

    if sys.stdin.isatty():
        text = getpass.getpass("password: ")
        if getpass.getpass("again: ") != text:
            raise SettingsError("the two passwords differ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    print(hash_password(text))
    return 0


def devices() -> int:
    """List the microphones of this computer, as a configuration names them.

    A source `mic:NAME` takes the one whose name this is or, if no other has it, a part of its name; `mic:NUMBER` takes
    the one of that number, which changes as devices come and go.
    """
    from soundness.monitoring.sources.port_audio import list_microphones

    found = list_microphones()
    if not found:
        say("no microphone: none is plugged in, or none may be used by this user")
        return 1
    rows: list[tuple[str, ...]] = [("source", "name", "interface", "channels", "Hz", "")]
    rows += [
        (f"mic:{one.index}", shown_name(one.name), one.interface, f"{one.n_channels}", f"{one.sample_rate:,}",
         "default" if one.is_default else "")
        for one in found
    ]  # fmt: skip
    show_table("microphones", rows, n_left=3)
    return 0
