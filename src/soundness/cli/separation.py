"""Commands that take a machine out of the noise around it."""

import functools
from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.console import ProgressBars, say, show_lines
from soundness.cli.options import (
    Columns,
    Data,
    Overwrite,
    Pattern,
    Quiet,
    Rate,
    Resume,
    Seed,
    Since,
    existing_results,
    split_names,
    table_overrides,
)

__all__ = ["separate", "train_separator"]


def train_separator(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="The separator's file; pictures go to its sibling OUT_pictures.")],
    size: Annotated[str, typer.Option(help="cpu, cpu-quality, gpu or paper.", show_default="cpu")] = "",
    basis: Annotated[str, typer.Option(help="learned or stft: basis of the masks.", show_default="stft")] = "",
    minutes: Annotated[float | None, typer.Option(help="Longest time to train for.", show_default="20")] = None,
    machines: Annotated[
        str, typer.Option(help="Machine types whose sound is learned, with commas between.", show_default="all")
    ] = "",
    start: Annotated[
        Path | None, typer.Option(help="A separator to begin with, to fine-tune it to some machines.")
    ] = None,
    seed: Seed = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, as in snr_db=[-10,0]; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Train a network that separates machines from the noise around them, from supplemental clips of a data set."""
    from soundness.cli.tables import show_separator
    from soundness.settings.loading import load_separator_settings

    named = {"size": size, "basis": basis, "minutes": minutes}
    chosen = [*(overrides or ()), *(f"{key}={value}" for key, value in named.items() if value not in ("", None))]
    with ProgressBars(is_quiet=quiet) as bars:
        trained = soundness.train_separator(
            data,
            out,
            settings=load_separator_settings(overrides=chosen),
            machines=split_names(machines),
            start=start,
            seed=seed,
            existing=existing_results(resume=resume, overwrite=overwrite),
            progress=bars,
        )
    pictures = trained.draw(out.with_name(f"{out.stem}_pictures"))
    show_separator(trained.separator, out, pictures)
    return 0


def separate(
    separator: Annotated[Path, typer.Argument(help="A file that train-separator wrote.", show_default=False)],
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="Recordings of any length, and folders that are searched for them.",
            show_default=False,
            metavar="IN...",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The machine goes to OUT/machine, the noise to OUT/noise.")],
    noise: Annotated[bool, typer.Option("--noise", help="Write the noise, too.")] = False,
    pattern: Pattern = None,
    since: Since = None,
    rate: Rate = None,
    columns: Columns = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Separate recordings into the machine and the noise around it."""
    with ProgressBars(is_quiet=quiet) as bars:
        report = soundness.separate(
            separator,
            soundness.Selection(recordings, pattern=pattern, since=since),
            out,
            has_noise=noise,
            overwrite=overwrite,
            audio=soundness.load_settings(overrides=table_overrides(rate, columns)).audio,
            progress=functools.partial(bars, "separating"),
        )
    show_lines("notes", report.notes)
    show_lines(f"{len(report.failures)} recording(s) could not be separated", report.failures)
    say(f"{report.n_separated} recordings separated, {report.seconds / 60:.1f} minutes of sound; results in {out}")
    if report.n_separated == 0:
        return 2
    return 1 if report.failures else 0
