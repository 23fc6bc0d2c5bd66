"""Files of the challenge's package of one system: its score files, and a YAML file that describes it.

::

    OUT/task2/<team>_task2_<index>/
        anomaly_score_<machine>_<section>_test.csv
        decision_result_<machine>_<section>_test.csv
        <team>_task2_<index>.meta.yaml

The fields of the YAML file are those of DCASE 2025, task 2.
"""

import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types
from pydantic import BaseModel, ConfigDict, Field

from soundness.errors import OutputError, ScoresError, SettingsError
from soundness.evaluation.results import Evaluation
from soundness.evaluation.score_files import FAILED_FILE, ClipScore, MachineScores, read_scores, write_scores
from soundness.files.atomic import output_errors
from soundness.files.run_folders import locked_file
from soundness.representations.protocol import network_plan
from soundness.settings.loading import validated
from soundness.settings.system import SystemSettings

__all__ = [
    "Author",
    "SubmissionMeta",
    "SubmissionPackage",
    "complete_scores",
    "describe_system",
    "development_results",
    "parse_author",
    "write_package",
]

_AUTHOR_FORMAT = "'Lastname, Firstname; e-mail; institution; department; location'"
_AGGREGATIONS = {"mean-log-mel": "average", "quantile-log-mel": "quantile"}
_POOLED = ("reconstruction-error", "latent", "log-mel")

Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Affiliation(_Part):
    """Affiliation of an author."""

    institution: Text
    department: str | None = None
    location: str | None = None


class Author(_Part):
    """One author."""

    lastname: Text
    firstname: Text
    email: str = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    corresponding: bool
    affiliation: Affiliation


class Submission(_Part):
    """Names of the submission, and its authors."""

    label: str = Field(pattern=r"^[A-Za-z0-9-]+(_[A-Za-z0-9-]+)*_task2_[1-4]$")
    name: Text
    abbreviation: str = Field(min_length=1, max_length=10)
    authors: list[Author]


class Description(_Part):
    """Description of the system in the organisers' fields; ``None`` for what it does not have."""

    input_sampling_rate: str | None = None
    data_augmentation: str | None = None
    front_end: str | None = None
    acoustic_features: str | None = None
    embeddings: str | None = None
    machine_learning_method: str | None = None
    aggregation_method: str | None = None
    domain_adaptation_method: str | None = None
    domain_generalization_method: str | None = None
    ensemble_method_subsystem_count: int | None = None
    decision_making: str | None = None
    attribute_usage: str | None = None
    external_data_usage: str | None = None
    development_data_usage: str | None = None


class SystemComplexity(_Part):
    """Parameters, and multiply-accumulates of a clip; ``None`` where they were not counted."""

    total_parameters: int | None = Field(default=None, ge=0)
    MACS: int | None = Field(default=None, ge=0)


class ExternalDataset(_Part):
    """External data that the system was trained on."""

    name: Text
    url: Text
    total_audio_length: int | None = None


class System(_Part):
    """Description and complexity of the system."""

    description: Description
    complexity: SystemComplexity
    external_datasets: list[ExternalDataset] | None = None
    source_code: str | None = None


class MachineResult(_Part):
    """Figures of one machine of the development set, per cent."""

    auc_source: float
    auc_target: float
    pauc: float


class OverallResult(_Part):
    """Official score of the development set, per cent."""

    official_score: float


class Results(_Part):
    """Results by machine type, and ``overall``; empty where there are none."""

    development_dataset: dict[str, MachineResult | OverallResult]


class SubmissionMeta(_Part):
    """All of the YAML file."""

    submission: Submission
    system: System
    results: Results


@dataclass(frozen=True, slots=True)
class SubmissionPackage:
    """A package that was written and read back.

    Parameters
    ----------
    folder
        Folder of the system.
    meta
        Content of its YAML file.
    n_clips
        Number of clips by machine type.
    notes
        Requirements of the challenge that are not met, a line each.
    """

    folder: Path
    meta: SubmissionMeta
    n_clips: dict[str, int]
    notes: tuple[str, ...]


def parse_author(text: str, *, is_corresponding: bool) -> Author:
    """Parse an author from one line: ``Lastname, Firstname; e-mail; institution; department; location``.

    Raises
    ------
    SettingsError
        If a field is missing, or the e-mail address is none.
    """
    fields = [field.strip() for field in text.split(";")]
    last, comma, first = fields[0].partition(",")
    if not 3 <= len(fields) <= 5 or not comma:
        raise SettingsError(f"author {text!r}: expected {_AUTHOR_FORMAT}, of which the last two may be empty")
    institution, department, location = [*fields[2:], "", ""][:3]
    affiliation = {"institution": institution, "department": department or None, "location": location or None}
    author = {
        "lastname": last.strip(),
        "firstname": first.strip(),
        "email": fields[1],
        "corresponding": is_corresponding,
        "affiliation": affiliation,
    }
    return validated(Author, author, origin=f"author {text!r}")


def describe_system(settings: SystemSettings, *, uses_attributes: bool) -> Description:
    """Describe a system in the organisers' fields.

    Parameters
    ----------
    settings
        Settings of its training; ``separation`` is not ``auto``.
    uses_attributes
        True if its network is conditioned on attributes.
    """
    plan = network_plan(settings)
    has_front_end = settings.separation in ("denoise", "target=separated")
    return Description(
        input_sampling_rate=f"{settings.audio.sample_rate / 1000:g}kHz",
        data_augmentation="separated machine sound" if settings.separation == "augment" else None,
        front_end="Conv-TasNet source separation" if has_front_end else None,
        acoustic_features="log-mel energies",
        machine_learning_method=f"{settings.representation if plan is None else plan.name}, {settings.scorer.name}",
        aggregation_method=_aggregation(settings),
        decision_making=f"quantile of training scores, false-alarm rate {settings.false_alarm_rate:g}",
        attribute_usage="condition of the network" if uses_attributes else None,
    )


def _aggregation(settings: SystemSettings) -> str | None:
    if settings.representation in _POOLED:
        return ", ".join("average" if pooling == "mean" else pooling for pooling in settings.poolings)
    return _AGGREGATIONS.get(settings.representation)


def development_results(evaluation: Evaluation) -> Results:
    """Results of the machines that have all official figures of 2022 and later."""
    found: dict[str, MachineResult | OverallResult] = {}
    for mean in evaluation.machine_means:
        figures = [getattr(mean.figures, name) for name in MachineResult.model_fields]
        if None not in figures:
            percent = (round(100 * value, 2) for value in figures)
            found[mean.machine_type] = MachineResult(**dict(zip(MachineResult.model_fields, percent, strict=True)))
    if found and evaluation.metric == "2022" and evaluation.official_score is not None:
        found["overall"] = OverallResult(official_score=round(100 * evaluation.official_score, 2))
    return Results(development_dataset=found)


def complete_scores(folder: Path, *, machines: Iterable[str] = ()) -> tuple[list[MachineScores], list[str]]:
    """Read scores that can be submitted, with notes on them.

    Parameters
    ----------
    folder
        As for `read_scores`.
    machines
        Machine types that must be there.

    Raises
    ------
    ScoresError
        If the scores or the decisions of a machine are missing.
    """
    scored = read_scores(folder)
    missing = [name for name in machines if name not in {scores.machine_type for scores in scored}]
    if missing:
        raise ScoresError(f"{folder}: no scores of {', '.join(missing)}, which the run has a detector of")
    undecided = [f"{scores.machine_type} {scores.section}" for scores in scored if scores.decisions is None]
    if undecided:
        raise ScoresError(
            f"{folder}: no decisions of {', '.join(undecided)}; the challenge requires a file "
            f"decision_result_<machine>_<section>_test.csv beside each file of scores"
        )
    notes = [f"{folder / FAILED_FILE} names recordings without a score"] if (folder / FAILED_FILE).exists() else []
    return scored, notes


def write_package(
    out: Path, *, meta: SubmissionMeta, scored: Sequence[MachineScores], comment: str = "", overwrite: bool = False
) -> Path:
    """Write the package and read it back.

    Parameters
    ----------
    out
        Folder of the whole submission; that of the system is made in it.
    meta
        Content of the YAML file.
    scored
        Scores with decisions.
    comment
        First line of the YAML file.
    overwrite
        Replace an earlier package of this label.

    Returns
    -------
    Path
        Folder of the system.

    Raises
    ------
    OutputError
        If the folder is there and is not to be replaced, cannot be written, or reads back differently.
    """
    folder = out / "task2" / meta.submission.label
    name = f"{meta.submission.label}.meta.yaml"
    with locked_file(folder, kind="submission"):
        if folder.exists() and not overwrite:
            raise OutputError(f"{folder}: exists already; --overwrite replaces the package in it")
        with output_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".package-") as partial:
                _write_files(Path(partial), scored)
                (Path(partial) / name).write_text(_yaml(meta, comment), encoding="utf-8")
                _check_package(Path(partial), name, meta=meta, scored=scored)
                _replace(folder, Path(partial))
    return folder


def _write_files(folder: Path, scored: Iterable[MachineScores]) -> None:
    for one in scored:
        decisions: Collection[int] = () if one.decisions is None else one.decisions.tolist()
        rows = zip(one.file_names, one.anomaly_scores.tolist(), decisions, strict=True)
        write_scores(folder, one.machine_type, one.section, [ClipScore(*row) for row in rows])


def _yaml(meta: SubmissionMeta, comment: str) -> str:
    text: str = yaml.safe_dump(meta.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return f"# {comment}\n{text}" if comment else text


def _check_package(folder: Path, name: str, *, meta: SubmissionMeta, scored: Sequence[MachineScores]) -> None:
    """Read a package as `soundness evaluate` and the organisers do, and compare it with the input."""
    found = SubmissionMeta.model_validate(yaml.safe_load((folder / name).read_text(encoding="utf-8")))
    if found != meta or [_content(one) for one in read_scores(folder)] != [_content(one) for one in scored]:
        raise OutputError(f"{folder}: the package that was written reads back differently")


def _content(scores: MachineScores) -> tuple[object, ...]:
    decisions = None if scores.decisions is None else scores.decisions.tolist()
    return (scores.machine_type, scores.section, scores.file_names, scores.anomaly_scores.tolist(), decisions)


def _replace(folder: Path, partial: Path) -> None:
    """Move a package into its place, from which only score files and meta-information are removed."""
    folder.mkdir(exist_ok=True)
    for pattern in ("anomaly_score_*.csv", "decision_result_*.csv", "*.meta.yaml"):
        for stale in folder.glob(pattern):
            stale.unlink()
    for file in partial.iterdir():
        file.replace(folder / file.name)
