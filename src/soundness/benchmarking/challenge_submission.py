"""`submission`: the challenge's package of one system, from its scores and the run that made them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundness.aliases import PathLike
from soundness.benchmarking.submission_package import (
    Description,
    Results,
    SubmissionMeta,
    SubmissionPackage,
    System,
    SystemComplexity,
    complete_scores,
    describe_system,
    development_results,
    parse_author,
    write_package,
)
from soundness.detectors.detector import Detector
from soundness.detectors.saving import load
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import read_scores
from soundness.evaluation.truth import truth_from_names
from soundness.extras import check_extra
from soundness.settings.loading import validated

__all__ = ["SubmissionForm", "submission"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionForm:
    """Fields of the challenge's form that neither scores nor run contain.

    Parameters
    ----------
    team
        Last name of the corresponding author and abbreviation of the institute: ``Doe_UXY``.
    index
        Number of the system among the team's up to four.
    name
        Name of the system; that of the run's system, or the team, where it is ``None``.
    abbreviation
        At most ten characters; the beginning of the name where it is ``None``.
    authors
        Each as ``Lastname, Firstname; e-mail; institution; department; location``; the first is the corresponding one.
    source_code
        Address of the source code.
    """

    team: str
    index: int = 1
    name: str | None = None
    abbreviation: str | None = None
    authors: Sequence[str] = ()
    source_code: str | None = None


def submission(
    scores: PathLike,
    out: PathLike,
    form: SubmissionForm,
    *,
    run: PathLike | None = None,
    seconds: float = 10.0,
    development: PathLike | None = None,
    overwrite: bool = False,
) -> SubmissionPackage:
    """Write the challenge's package of one system: score files, and a YAML file that describes the system.

    Parameters
    ----------
    scores
        Folder of score files with decisions, of the challenge's evaluation data.
    out
        Folder of the whole submission, in which ``task2/<team>_task2_<index>`` is made.
    form
        Fields of the form.
    run
        Folder of the run that made the scores, from whose detectors the description is read and the complexity
        counted; known for scores in the folder of a benchmark.
    seconds
        Length of the clip whose multiply-accumulates are counted.
    development
        Scores of the development set, with labels in the names; ``scores`` itself where it is ``None``.
    overwrite
        Replace an earlier package.

    Raises
    ------
    SoundnessError
        If scores or decisions of a machine are missing, a field is not as the challenge requires, or the folder cannot
        be written.
    """
    check_extra()
    scores, label = Path(scores), f"{form.team}_task2_{form.index}"
    run = _run_of_benchmark(scores) if run is None else run
    detectors = {} if run is None else load(run)
    scored, notes = complete_scores(scores, machines=detectors)
    others = {one.machine_type for one in scored} - detectors.keys()
    if run is not None and others:
        notes.append(f"{run} has no detector of {', '.join(sorted(others))}, whose scores are submitted all the same")
    system, comment = _system(detectors, seconds=seconds, source_code=form.source_code, notes=notes)
    trained = next((detector.settings.name for detector in detectors.values()), form.team)
    name = trained if form.name is None else form.name
    authors = [parse_author(author, is_corresponding=number == 0) for number, author in enumerate(form.authors)]
    if not authors:
        notes.append("no authors: the challenge requires them (--author)")
    abbreviation = name[:10] if form.abbreviation is None else form.abbreviation
    fields = {
        "submission": {"label": label, "name": name, "abbreviation": abbreviation, "authors": authors},
        "system": system,
        "results": _results(scores, None if development is None else Path(development), notes),
    }
    meta = validated(SubmissionMeta, fields, origin=f"submission {label}")
    notes.append("the technical report, a PDF file, is to be added by hand")
    folder = write_package(Path(out), meta=meta, scored=scored, comment=comment, overwrite=overwrite)
    n_clips: Counter[str] = Counter()
    for one in scored:
        n_clips[one.machine_type] += len(one.file_names)
    return SubmissionPackage(folder=folder, meta=meta, n_clips=dict(n_clips), notes=tuple(notes))


def _run_of_benchmark(scores: Path) -> Path | None:
    """Folder of the run that made the scores, where both are in the folder of a benchmark."""
    seed, system = scores.resolve().name, scores.resolve().parent
    run = system.parent.parent / "runs" / system.name / seed
    return run if system.parent.name == "scores" and run.is_dir() else None


def _system(
    detectors: Mapping[str, Detector], *, seconds: float, source_code: str | None, notes: list[str]
) -> tuple[System, str]:
    """Description of a system, and a line on how its complexity was counted."""
    if not detectors:
        notes.append(
            "no description of the system, and no complexity: the run that made the scores is not known (--run)"
        )
        return System(description=Description(), complexity=SystemComplexity(), source_code=source_code), ""
    from soundness.benchmarking.complexity import largest_complexity  # loads PyTorch

    counted = largest_complexity(detectors, seconds=seconds)
    settings = next(iter(detectors.values())).settings
    uses_attributes = any("attributes" in detector.summary.conditioned_on for detector in detectors.values())
    system = System(
        description=describe_system(settings, uses_attributes=uses_attributes),
        complexity=SystemComplexity(total_parameters=counted.n_parameters, MACS=counted.n_macs),
        source_code=source_code,
    )
    counted_of = f"the largest of {len(detectors)} detectors, one a machine" if len(detectors) > 1 else "one detector"
    return system, f"total_parameters and MACS are counted: {counted_of}, scoring a clip of {seconds:g} s"


def _results(scores: Path, development: Path | None, notes: list[str]) -> Results:
    if development is None:
        if not any(truth_from_names(one.file_names) for one in read_scores(scores)):
            notes.append("no results of the development set: its scores are not known (--development)")
            return Results(development_dataset={})
        notes.append("these clips have labels in their names: the challenge requires scores of its evaluation data")
    results = development_results(evaluate(scores if development is None else development))
    if not results.development_dataset:
        notes.append("no results of the development set: no machine has the figures of 2022 and later")
    return results
