"""What one does with soundness for the challenge, as functions: commands of the command line, one for one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike, Progress
from soundness.detectors.saving import load
from soundness.evaluation.results import evaluate
from soundness.extras import check_extra

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.benchmarking.results import BenchmarkResult
    from soundness.benchmarking.submission_package import Results, SubmissionPackage, System
    from soundness.detectors.detector import Detector

__all__ = ["benchmark", "submission"]


def benchmark(
    data: PathLike,
    out: PathLike,
    *,
    systems: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    overrides: Sequence[str] = (),
    machines: Sequence[str] = (),
    separator: PathLike | None = None,
    truth: PathLike | None = None,
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: Progress | None = None,
) -> "tuple[BenchmarkResult, list[Path]]":
    """Train, score and evaluate systems with several seeds, and write tables and pictures.

    What an earlier call finished with the same data and settings is not done again.

    Parameters
    ----------
    data
        A data set of any layout, with training clips and labelled test clips.
    out
        Folder for all of it: ``results.{json,csv,md}``, ``pictures``, and ``{runs,scores}/<system>/seed-<n>``.
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
    from soundness.benchmarking import run as benchmarking
    from soundness.benchmarking.pictures import draw_benchmark, picture_files
    from soundness.settings.loading import system_names

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
    )
    pictures = picture_files(result, out) if result.measured else []
    if pictures and not (result.is_written(out) and all(picture.exists() for picture in pictures)):
        draw_benchmark(result, out, truth=labels)
    return result, [*result.write(out), *pictures]


def submission(
    scores: PathLike,
    out: PathLike,
    *,
    team: str,
    index: int = 1,
    name: str | None = None,
    abbreviation: str | None = None,
    authors: Iterable[str] = (),
    source_code: str | None = None,
    run: PathLike | None = None,
    seconds: float = 10.0,
    development: PathLike | None = None,
    overwrite: bool = False,
) -> "SubmissionPackage":
    """Write the challenge's package of one system: score files, and a YAML file that describes the system.

    Parameters
    ----------
    scores
        Folder of score files with decisions, of the challenge's evaluation data.
    out
        Folder of the whole submission, in which ``task2/<team>_task2_<index>`` is made.
    team
        Last name of the corresponding author and abbreviation of the institute: ``Doe_UXY``.
    index
        Of the team's up to four systems.
    name, abbreviation
        Of the system; the latter has at most ten characters. The run's system, or the team, where they are ``None``.
    authors
        Each as ``Lastname, Firstname; e-mail; institution; department; location``; the first is the corresponding one.
    source_code
        Where it is published.
    run
        The run that made the scores: what is said of the system is read from its detectors, and counted. Of scores in a
        benchmark it is known.
    seconds
        Length of the clip whose multiply-accumulates are counted.
    development
        Scores of the development set, with names that tell the labels; ``scores`` itself where it is ``None``.
    overwrite
        Replace an earlier package.

    Raises
    ------
    SoundnessError
        If scores or decisions of a machine are missing, a field is not as the challenge wants it, or the folder cannot
        be written.
    """
    check_extra()
    from soundness.benchmarking.submission_package import (
        SubmissionPackage,
        complete_scores,
        parse_author,
        submission_meta,
        write_package,
    )

    scores = Path(scores)
    run = _run_of_benchmark(scores) if run is None else run
    detectors = {} if run is None else load(run)
    scored, notes = complete_scores(scores, machines=detectors)
    others = {one.machine_type for one in scored} - detectors.keys()
    if run is not None and others:
        notes.append(f"{run} has no detector of {', '.join(sorted(others))}, whose scores are submitted all the same")
    system, comment = _system(detectors, seconds=seconds, source_code=source_code, notes=notes)
    trained = next((detector.summary.system for detector in detectors.values()), team)
    name = Path(trained).stem if name is None else name
    known = [parse_author(author, is_corresponding=number == 0) for number, author in enumerate(authors)]
    if not known:
        notes.append("no authors: the challenge wants them (--author)")
    meta = submission_meta(
        team=team,
        index=index,
        name=name,
        abbreviation=name[:10] if abbreviation is None else abbreviation,
        authors=known,
        system=system,
        results=_results(scores, None if development is None else Path(development), notes),
    )
    notes.append("the technical report, a PDF file, is to be added by hand")
    folder = write_package(Path(out), meta=meta, scored=scored, comment=comment, overwrite=overwrite)
    n_clips: dict[str, int] = {}
    for one in scored:
        n_clips[one.machine_type] = n_clips.get(one.machine_type, 0) + len(one.file_names)
    return SubmissionPackage(folder=folder, meta=meta, n_clips=n_clips, notes=tuple(notes))


def _run_of_benchmark(scores: Path) -> Path | None:
    """The run that made the scores, where both are in the folder of a benchmark."""
    seed, system = scores.resolve().name, scores.resolve().parent
    run = system.parent.parent / "runs" / system.name / seed
    return run if system.parent.name == "scores" and run.is_dir() else None


def _system(
    detectors: "dict[str, Detector]", *, seconds: float, source_code: str | None, notes: list[str]
) -> "tuple[System, str]":
    """What is said of a system, and a line that says what was counted."""
    from soundness.benchmarking.submission_package import Description, System, SystemComplexity, describe_system

    if not detectors:
        notes.append(
            "nothing is said of the system, and nothing counted: the run that made the scores is not known (--run)"
        )
        return System(description=Description(), complexity=SystemComplexity(), source_code=source_code), ""
    from soundness.benchmarking.complexity import largest_complexity

    counted = largest_complexity(detectors, seconds=seconds)
    some = next(iter(detectors.values()))
    is_told = any("attributes" in detector.summary.conditioned_on for detector in detectors.values())
    system = System(
        description=describe_system(some.settings, is_told_attributes=is_told),
        complexity=SystemComplexity(total_parameters=counted.n_parameters, MACS=counted.n_macs),
        source_code=source_code,
    )
    what = f"the largest of {len(detectors)} detectors, one a machine" if len(detectors) > 1 else "one detector"
    return system, f"total_parameters and MACS are counted: {what}, scoring a clip of {seconds:g} s"


def _results(scores: Path, development: Path | None, notes: list[str]) -> "Results":
    from soundness.benchmarking.submission_package import Results, development_results
    from soundness.evaluation.truth import truth_from_names

    if development is None:
        from soundness.evaluation.score_files import read_scores

        if not any(truth_from_names(one.file_names) for one in read_scores(scores)):
            notes.append("no results of the development set: its scores are not known (--development)")
            return Results(development_dataset={})
        notes.append("these clips have labels in their names: the challenge wants scores of its evaluation data")
    results = development_results(evaluate(scores if development is None else development))
    if not results.development_dataset:
        notes.append("no results of the development set: no machine has the figures of 2022 and later")
    return results
