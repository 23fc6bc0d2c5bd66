"""Arguments and options that several commands share."""

import json
from pathlib import Path
from typing import Annotated

import typer

from soundness.files.run_folders import Existing

__all__ = [
    "Columns",
    "Data",
    "GroupBy",
    "JsonFile",
    "Keep",
    "Machines",
    "Native",
    "OneDetector",
    "Overrides",
    "Overwrite",
    "Pattern",
    "Quiet",
    "Rate",
    "Resume",
    "RunOrDetector",
    "Seed",
    "SeparatorFile",
    "Since",
    "Truth",
    "existing_results",
    "split_names",
    "table_overrides",
]

Data = Annotated[
    Path,
    typer.Argument(
        help="A DCASE Task 2 data set of any year (its root, a `raw` folder, a folder of machines or one machine), or "
        "a folder of your own: `normal/` and, if there is one, `abnormal/`, or simply normal recordings.",
        show_default=False,
    ),
]
RunOrDetector = Annotated[
    Path, typer.Argument(help="A detector (.soundness, or an export), or a run's folder.", show_default=False)
]
OneDetector = Annotated[
    Path,
    typer.Argument(
        help="A detector (.soundness, or an export), or the folder of a run with one machine.", show_default=False
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Draw no progress bars.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, as in scorer.n_neighbors=2; may be repeated.", metavar="KEY=VALUE"),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Sample rate of tables of numbers (.csv, .txt, .mat, .npy, .npz, .h5, .parquet, .tdms, .uff).",
        metavar="HZ",
        show_default="what the file states, or its column of times",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="Columns of tables that are channels, by name or pattern, as in `'*_DE_time'`, or number from 0, with "
        "commas between.",
        metavar="NAMES",
        show_default="all columns of numbers but the time",
    ),
]
Native = Annotated[
    bool,
    typer.Option(
        "--native", help="Keep the recordings' own sample rate, and use frequencies up to half of it, instead of 8 kHz."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a training that was interrupted.")]
Machines = Annotated[str, typer.Option(help="Machine types, with commas between.", show_default="all")]
SeparatorFile = Annotated[
    Path | None,
    typer.Option(help="A file that train-separator wrote.", show_default="one is trained where it is needed"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier command wrote there.")]
Seed = Annotated[int, typer.Option(help="Random seed.", min=0)]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Recordings that belong together, such as pieces of one recording, and are left out together: folder; "
        "prefix (the name up to its last number); or a regular expression, whose first group is the same text in the "
        "names of those that do.",
        metavar="prefix|folder|REGEX",
        show_default="each recording stands alone",
    ),
]
Keep = Annotated[
    list[Path] | None,
    typer.Option(
        "--keep",
        help="A recording that is normal, though it is not like the others; it is not set aside; may be repeated.",
        metavar="FILE",
        show_default=False,
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="Take only recordings of folders with such names, as in `'*_left.wav'`, or such paths, as in "
        "`'2024-03-*/*.wav'`.",
        metavar="GLOB",
        show_default="all",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        help="Take only recordings of folders that were written since a date, as in 2024-03-01, or for a time, as in "
        "12h or 7d.",
        metavar="DATE|TIME",
        show_default="all",
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all figures to this file, too.", metavar="FILE", show_default=False)
]
Truth = Annotated[
    Path | None,
    typer.Option(
        help="A labelled data set (its test clips, or normal/ and abnormal/), or a folder of the official evaluator's "
        "truth files.",
        show_default="labels in file names, as the challenge writes them; DATA in a benchmark",
    ),
]


def existing_results(*, resume: bool, overwrite: bool) -> Existing:
    """Treatment of results that are there already, from the flags ``--resume`` and ``--overwrite``."""
    return "resume" if resume else "replace" if overwrite else "refuse"


def table_overrides(rate: float | None, columns: str | None) -> list[str]:
    """Settings of the options ``--rate`` and ``--columns``, as for ``--set``."""
    overrides = [] if rate is None else [f"audio.rate={rate}"]
    return overrides + ([] if columns is None else [f"audio.columns={json.dumps(list(split_names(columns)))}"])


def split_names(names: str) -> tuple[str, ...]:
    """Names of an option that takes several, with commas between."""
    return tuple(name.strip() for name in names.split(",") if name.strip())
