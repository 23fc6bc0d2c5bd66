"""The application: its commands in groups, and their exit status."""

import functools
import gc
import importlib.metadata
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, ParamSpec

import typer

from soundness.cli import benchmarking, data, detection, live, monitoring, pages, separation
from soundness.cli.console import drop_closed_streams, log_lines, say, warn
from soundness.errors import SoundnessError

__all__ = ["app", "command", "main"]

Parameters = ParamSpec("Parameters")

_COMMANDS: dict[str, tuple[Callable[..., int], ...]] = {
    "Data": (data.download, data.make_data, data.inspect),
    "Train and score": (
        benchmarking.demo,
        detection.systems,
        detection.train,
        detection.score,
        detection.evaluate,
        pages.report,
        separation.train_separator,
        separation.separate,
    ),
    "In use": (
        monitoring.calibrate,
        monitoring.alarms,
        monitoring.watch,
        pages.explain,
        monitoring.enroll,
        monitoring.drift,
        detection.export,
        live.devices,
    ),
    "Research": (benchmarking.benchmark, benchmarking.submission),
}
"""Groups of the help text, each in the order in which one needs its commands."""

_EXAMPLES = {
    "download": "2025 --out data --machines fan --part dev",
    "make-data": "data --machines fan,gearbox",
    "inspect": "pump",
    "demo": "--out demo",
    "systems": "",
    "train": "pump --out run",
    "score": "run today --out scores",
    "evaluate": "scores --truth data",
    "report": "run --scores scores --out report.html",
    "train-separator": "data --minutes 20 --out separator.soundness",
    "separate": "separator.soundness recordings --out separated",
    "calibrate": "run new --out calibrated.soundness",
    "alarms": "run --false-alarms 1/week --clip-every 1min --out pump.soundness",
    "watch": "incoming --detector pump.soundness",
    "explain": "run today/monday_0.wav --normal pump --out why",
    "enroll": "run night --condition night_shift --out grown.soundness",
    "drift": "run week",
    "export": "run --out edge --check today",
    "devices": "",
    "benchmark": "data --out bench --systems soundness,log-mel-knn",
    "submission": "scores --out submission --team Doe_UXY",
}
"""Arguments of an example of each command, for its help text."""

app = typer.Typer(
    name="soundness",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Detect that a machine is failing, by its sound.

    Learns from normal recordings alone what a machine sounds like when it is well, and scores how far other
    recordings are from that.

    With normal recordings of a machine in a folder DATA, and others to check in CLIPS:

    - `soundness inspect DATA`
    - `soundness train DATA --out RUN`
    - `soundness score RUN CLIPS --out SCORES`
    - `soundness report RUN --scores SCORES --out PAGE.html`

    With recordings of the machine alone or of noise alone, too:

    - `soundness train-separator DATA --out FILE`
    - `soundness train DATA --separator FILE --out RUN`

    The data of the DCASE challenge: `soundness download 2025 --out DATA`

    Exit status: 0 done; 1 some clips could not be scored, all others were; 2 nothing could be done, and why;
    130 interrupted.
    """,
)


@app.callback(invoke_without_command=True)
def _options(
    *, version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False
) -> None:
    if version:
        say(f"soundness {importlib.metadata.version('soundness')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for names that the terminal cannot show
    try:
        app()
    finally:
        drop_closed_streams()
        gc.freeze()  # to collect garbage at the end takes 0.4 s once PyTorch is loaded


def command(
    function: Callable[Parameters, int], *, is_quiet: bool = False, has_times: bool = False
) -> Callable[Parameters, None]:
    """Turn a function that returns an exit status into a command; a known error is one line and status 2.

    Parameters
    ----------
    function
        The function.
    is_quiet, has_times
        See `log_lines`; it is quiet, too, where the command's own option says so.
    """

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            with log_lines(is_quiet=is_quiet or bool(kwargs.get("quiet")), has_times=has_times):
                status = function(*args, **kwargs)
        except SoundnessError as error:
            warn(f"soundness: {error}")
            status = 2
        except KeyboardInterrupt:
            warn("soundness: interrupted")
            status = 130
        raise typer.Exit(status)

    return run


for _group, _functions in _COMMANDS.items():
    for _function in _functions:
        _name = _function.__name__.replace("_", "-")
        _example = f"Example: `soundness {_name} {_EXAMPLES[_name]}".rstrip() + "`"
        app.command(_name, rich_help_panel=_group, epilog=_example)(command(_function))

_MONITOR_EXAMPLES = {
    "run": "monitor.toml --check",
    "init": "> monitor.toml",
    "learn": '"pump 3" --from pump/normal',
    "feedback": "--out answers",
    "password": "> password.txt",
}
"""Arguments of an example of each command below ``monitor``."""

_monitor = typer.Typer(
    cls=live.MonitorGroup,
    no_args_is_help=True,
    subcommand_metavar="FILE [--check] | COMMAND [ARGS]...",
    help="""
    Listen to machines around the clock, and tell people when one changes.

    To begin, name a machine and its microphone or stream in the file that the first line writes; the last one starts:

    - `soundness monitor --init > monitor.toml`
    - `soundness devices`
    - `soundness monitor monitor.toml --check`
    - `soundness monitor monitor.toml`
    """,
    short_help="Listen to machines around the clock, and tell people when one changes.",
)
for _function in (live.run, live.init, live.learn, live.feedback, live.password):
    _name = _function.__name__
    _run = command(_function, is_quiet=_function is live.learn, has_times=_function is live.run)
    _monitor.command(_name, epilog=f"Example: `soundness monitor {_name} {_MONITOR_EXAMPLES[_name]}`")(_run)
app.add_typer(_monitor, name="monitor", rich_help_panel="In use")
