"""Join scores with the truth, and note which clips have no label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soundness.data.clips import known_keys
from soundness.errors import ScoresError
from soundness.evaluation.score_files import MachineScores, read_scores
from soundness.evaluation.truth import ClipTruth, Truth, is_evaluator_truth, read_truth, truth_from_names
from soundness.evaluation.year_metrics import LabelledClips, Metric, metric_of_name

__all__ = ["LabelledScores", "nothing_to_evaluate", "read_labelled"]


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Labelled clips of a folder of scores, by machine and section, sorted.

    ``n_scored`` counts machines and sections with scores; ``notes`` state why clips were left out, a line each.
    """

    clips: tuple[LabelledClips, ...]
    n_scored: int
    notes: tuple[str, ...]


def read_labelled(folder: Path, *, truth: Path | None = None) -> LabelledScores:
    """Read a folder of scores and the labels of its clips; see `read_scores` and `read_truth`.

    A truth of ``None`` is that in the names of the clips.

    Raises
    ------
    ScoresError
        If the scores or the truth cannot be read.
    """
    scored = read_scores(folder)
    known = _truth_from_scores(scored) if truth is None else read_truth(truth)
    notes: list[str] = []
    if truth is not None:
        known = known if is_evaluator_truth(truth) else _of_the_only_machine(scored, known, notes)
        notes += _unscored(scored, known)
    machines = [_labelled(scores, known.get(scores.machine_type, {}), notes) for scores in scored]
    return LabelledScores(tuple(clips for clips in machines if clips is not None), len(scored), tuple(notes))


def nothing_to_evaluate(folder: Path, truth: Path | None, notes: Sequence[str]) -> ScoresError:
    """Error that states why nothing can be evaluated, and what to do."""
    why = "; ".join(notes[:3]) + ("; ..." if len(notes) > 3 else "")
    if truth is None:
        return ScoresError(f"{folder}: nothing to evaluate ({why}); give a folder with the labels with --truth")
    what = f"{folder}: nothing to evaluate with the truth of {truth}"
    return ScoresError(f"{what} ({why}); --truth must hold these clips")


def _truth_from_scores(scored: Sequence[MachineScores]) -> Truth:
    truth: dict[str, dict[str, ClipTruth]] = {}
    for scores in scored:
        truth.setdefault(scores.machine_type, {}).update(truth_from_names(scores.file_names))
    return truth


def _of_the_only_machine(scored: Sequence[MachineScores], known: Truth, notes: list[str]) -> Truth:
    """Truth under the machine's name in the scores, if both are of a single machine."""
    names = {scores.machine_type for scores in scored}
    if len(names) > 1 or len(known) > 1 or names == set(known):
        return known
    (scored_name,), ((known_name, clips),) = names, known.items()
    notes.append(f"{scored_name}: compared with the truth of {known_name}, the only machine there")
    return {scored_name: clips}


def _unscored(scored: Sequence[MachineScores], known: Truth) -> list[str]:
    """Notes on clips of the truth without scores, a line for each machine."""
    notes = []
    for machine_type, clips in known.items():
        names = {
            key
            for scores in scored
            if scores.machine_type == machine_type
            for key in known_keys(scores.file_names, clips)
        }
        n_test = sum(clip.is_test for clip in clips.values())
        n_missing = sum(clip.is_test and name not in names for name, clip in clips.items())
        if not names:
            notes.append(f"{machine_type}: in the truth, but it has no scores")
        elif n_missing > 0:
            notes.append(f"{machine_type}: {n_missing:,} of {n_test:,} test clips of the truth have no score")
    return notes


def _labelled(scores: MachineScores, known: Mapping[str, ClipTruth], notes: list[str]) -> LabelledClips | None:
    keys = known_keys(scores.file_names, known)
    truth = {key: known[key] for key in keys if key in known}
    is_known = np.array([key in truth for key in keys])
    n_unknown = int((~is_known).sum())
    if n_unknown > 0:
        end = "left out" if truth else "not evaluated"
        name = f"{scores.machine_type} {scores.section}"
        notes.append(f"{name}: {n_unknown:,} of {len(keys):,} scored clips have no label; {end}")
    if not truth:
        return None
    found = [truth[key] for key in keys if key in truth]
    return LabelledClips(
        machine_type=scores.machine_type,
        section=scores.section,
        keys=tuple(key for key in keys if key in truth),
        anomaly_scores=scores.anomaly_scores[is_known],
        decisions=None if scores.decisions is None else scores.decisions[is_known],
        is_anomaly=np.array([clip.is_anomaly for clip in found]),
        domains=np.array([clip.domain or "" for clip in found]),
        evidence=_evidence(truth),
    )


def _evidence(truth: Mapping[str, ClipTruth]) -> frozenset[Metric]:
    """Metrics that fit clips with a domain, by their folder if it is known, else by their name."""
    found: set[Metric | None] = set()
    for key, clip in truth.items():
        if clip.domain is not None:
            by_place: Metric = "2021" if clip.is_of_2021 else "2022"
            found.add(metric_of_name(key) if clip.is_of_2021 is None else by_place)
    return frozenset(metric for metric in found if metric is not None)
