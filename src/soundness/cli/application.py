"""The application, and what its commands share: options, and how a command ends."""

import functools
import gc
import importlib.metadata
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from soundness.cli.console import log_lines, say, warn
from soundness.errors import OutputError, SoundnessError

__all__ = [
    "Data",
    "Machines",
    "Overrides",
    "Overwrite",
    "Quiet",
    "Resume",
    "SeparatorFile",
    "app",
    "command",
    "main",
    "split_names",
    "write_json",
]

Parameters = ParamSpec("Parameters")

app = typer.Typer(
    name="soundness",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Hear a machine fail before it does.

    Learns what a machine sounds like when it is well, from normal recordings alone, and scores how far other
    recordings are from that.

    `soundness demo` shows it all on built-in data. With recordings of your own:

    `soundness inspect DATA` · `soundness train DATA --out RUN` · `soundness score RUN CLIPS --out SCORES` ·
    `soundness evaluate SCORES`

    Where clips of the machine alone or of noise alone are at hand: `soundness train-separator DATA --out FILE` ·
    `soundness separate FILE RECORDINGS --out DIR` · `soundness train DATA --separator FILE --out RUN`

    The data of the DCASE challenge: `soundness download 2025 --out DATA`

    Exit status: 0 done; 1 some clips could not be scored, all others were; 2 nothing could be done, and why.
    """,
)

Data = Annotated[
    Path,
    typer.Argument(
        help="A DCASE Task 2 data set of any year (its root, a `raw` folder, a folder of machines or one machine), or "
        "a folder of your own: `normal/` and, if there is one, `abnormal/`, or simply normal recordings.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Draw no progress bars.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, as in scorer.n_neighbors=2; may be repeated.", metavar="KEY=VALUE"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")]
Machines = Annotated[str, typer.Option(help="Machine types, with commas between.", show_default="all")]
SeparatorFile = Annotated[
    Path | None,
    typer.Option(help="A file that train-separator wrote.", show_default="one is trained where it is needed"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier command wrote there.")]


@app.callback(invoke_without_command=True)
def _options(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        say(f"soundness {importlib.metadata.version('soundness')}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    try:
        app()
    finally:
        gc.freeze()  # what is left goes with the process: to collect it before takes 0.4 s once PyTorch is loaded


def command(function: Callable[Parameters, int]) -> Callable[Parameters, None]:
    """Turn a function that returns an exit status into a command; a known error is one line and status 2."""

    @functools.wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            with log_lines(is_quiet=bool(kwargs.get("quiet"))):
                status = function(*args, **kwargs)
        except SoundnessError as error:
            warn(f"soundness: {error}")
            status = 2
        except KeyboardInterrupt:
            warn("soundness: interrupted")
            status = 2
        raise typer.Exit(status)

    return run


def split_names(names: str) -> tuple[str, ...]:
    """The names of an option that takes several, with commas between."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def write_json(file: Path, text: str) -> None:
    """Write a text to a file, whose folder is made where there is none."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from None
