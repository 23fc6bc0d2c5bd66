"""What one does with soundness for the challenge, as functions: commands of the command line, one for one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundness.verbs import check_extra

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.benchmark_results import BenchmarkResult
    from soundness.downloads import DownloadReport
    from soundness.fetching import Patience

__all__ = ["benchmark", "download"]


def benchmark(
    data: Path | str,
    out: Path | str,
    *,
    systems: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    overrides: Sequence[str] = (),
    machines: Sequence[str] = (),
    separator: Path | str | None = None,
    truth: Path | str | None = None,
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> "tuple[BenchmarkResult, list[Path]]":
    """Train, score and evaluate systems with several seeds, and write tables and pictures.

    What an earlier call finished with the same data and settings is not done again.

    Parameters
    ----------
    data
        A data set of any layout, with training clips and labelled test clips.
    out
        Folder for all of it: ``results.{json,csv,md}``, ``pictures``, and ``systems/<name>/<seed>/{run,scores}``.
    systems
        Names of `soundness.system_names`, or settings files; all systems where none is named.
    seeds
        Of everything random.
    overrides
        ``key=value`` each, for all systems.
    machines
        Machine types; all of them where none is named.
    separator
        A separator's file for all systems that use one; without it, they train what they need, once.
    truth
        A labelled data set, or the official evaluator's truth; ``None`` takes it from ``data``.
    overwrite
        Begin anew.
    n_workers
        Processes; the number of cores where it is ``None``.
    progress
        Is told what is going on, how much of it is done, and of how much.
    announce
        Is told in one line what came out of each system and seed.

    Returns
    -------
    tuple
        The figures, and the files that hold them.

    Raises
    ------
    SoundnessError
        If the data, the settings or the folder do not do; a system that fails is in the result instead.
    """
    check_extra()
    from soundness import benchmarking
    from soundness.benchmark_pictures import draw_benchmark
    from soundness.settings import system_names

    out, labels = Path(out), Path(data if truth is None else truth)
    result = benchmarking.benchmark(
        data,
        out,
        entries=benchmarking.entries_of(systems or system_names(), overrides=overrides),
        seeds=seeds,
        machines=machines,
        separator=None if separator is None else Path(separator),
        truth=None if truth is None else Path(truth),
        overwrite=overwrite,
        n_workers=n_workers,
        progress=progress,
        announce=announce,
    )
    pictures = draw_benchmark(result, out, truth=labels) if result.measured else []
    return result, [*result.write(out), *pictures]


def download(
    year: int,
    out: Path | str,
    *,
    machines: Sequence[str] = (),
    part: Literal["dev", "eval", "all"] = "all",
    keep_archives: bool = False,
    base_url: str | None = None,
    patience: "Patience | None" = None,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> "DownloadReport":
    """Fetch the public data of DCASE Task 2 of a year, and unpack them for `open_dataset`.

    What is there already and complete is not fetched again; what was interrupted goes on where it ended.

    Parameters
    ----------
    year
        Of the challenge, 2023 or later.
    out
        Folder of the data set, of this year alone: ``<out>/{dev_data,eval_data}/raw/<machine>``, and what is known of
        the archives in ``<out>/archives``.
    machines
        Machine types; all where none is named.
    part
        ``dev`` (with labels), ``eval`` or ``all``.
    keep_archives
        Keep the zip files in ``<out>/archives``.
    base_url
        A server that answers as Zenodo does; Zenodo itself where none is named.
    patience
        How often something is tried, and how long is waited between.
    progress
        Is told the archive, how many of its bytes or files are done, and of how many.
    announce
        Is told in one line what is tried again, and why.

    Raises
    ------
    DownloadError
        If there is no such year, part or machine; if something does not come, comes otherwise than its record says, or
        is no archive that is safe to unpack.
    OutputError
        If ``out`` cannot be written, is too small, or holds other data in these places.
    """
    from soundness.downloads import ZENODO
    from soundness.downloads import download as fetch_and_unpack

    return fetch_and_unpack(
        year,
        Path(out),
        machines=machines,
        part=part,
        keep_archives=keep_archives,
        base_url=ZENODO if base_url is None else base_url,
        patience=patience,
        progress=progress,
        announce=announce,
    )
