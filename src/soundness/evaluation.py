"""How well scores tell normal from anomalous clips: the challenge's metrics over a folder of score files.

With domains (DCASE 2022 and later) the AUC of a domain sets its normal clips against the anomalous clips of
all domains; decisions are judged within a domain, as the official evaluator does. Without domains (DCASE
2020, own recordings) there are AUC and pAUC over all clips, and their arithmetic means.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from soundness.clips import DOMAINS, clip_key
from soundness.errors import ScoresError
from soundness.metrics import harmonic_mean, partial_auc, roc_auc
from soundness.scores import MachineScores, read_scores
from soundness.truth import (
    ClipTruth,
    Truth,
    is_evaluator_truth,
    read_truth,
    truth_from_names,
)

__all__ = ["Evaluation", "Figures", "MachineEvaluation", "evaluate", "table_rows"]

_WITH_DOMAINS = (
    "AUC of a domain: its normal clips against the anomalous clips of all domains; pAUC: all clips, "
    "false-positive rate up to 0.1, standardised; as in DCASE 2022 and later, not as in DCASE 2021"
)
_WITHOUT_DOMAINS = (
    "no domains: AUC and pAUC (false-positive rate up to 0.1, standardised) over all clips of a machine and "
    "section, arithmetic means; as in DCASE 2020"
)
_OFFICIAL = ("auc_source", "auc_target", "pauc")
_COLUMNS_WITH_DOMAINS = {
    "auc_source": "AUC source",
    "auc_target": "AUC target",
    "pauc": "pAUC",
    "f1_source": "F1 source",
    "f1_target": "F1 target",
    "false_alarm_rate_source": "false alarms source",
    "false_alarm_rate_target": "false alarms target",
}
_COLUMNS_WITHOUT_DOMAINS = {
    "auc": "AUC",
    "pauc": "pAUC",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "false_alarm_rate": "false alarms",
}


class Figures(BaseModel):
    """Fractions of 1; ``None`` where a figure has no meaning or lacks the clips or decisions that it needs.

    Those with a domain in their name are of that domain: an AUC of its normal clips against all anomalous
    ones, the others of the decisions on its own clips alone. A false-alarm rate is the part of normal clips
    that is called anomalous; lower is better, as in no other figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auc: float | None = None
    auc_source: float | None = None
    auc_target: float | None = None
    pauc: float | None = None
    precision: float | None = None
    precision_source: float | None = None
    precision_target: float | None = None
    recall: float | None = None
    recall_source: float | None = None
    recall_target: float | None = None
    f1: float | None = None
    f1_source: float | None = None
    f1_target: float | None = None
    false_alarm_rate: float | None = None
    false_alarm_rate_source: float | None = None
    false_alarm_rate_target: float | None = None


class MachineEvaluation(BaseModel):
    """The figures of one section (2020: machine id) of one machine, and the numbers of clips behind them.

    ``n_normal`` counts the normal clips of either domain and of none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine_type: str
    section: str
    n_normal: int
    n_normal_source: int
    n_normal_target: int
    n_anomalous: int
    has_decisions: bool
    figures: Figures


class Evaluation(BaseModel):
    """All figures of a folder of scores.

    ``official_score`` is the harmonic mean of every machine's ``auc_source``, ``auc_target`` and ``pauc``;
    ``None`` where one of them is missing, so always without domains. A mean is over the machines and sections
    that have the figure; false-alarm rates have no harmonic mean. ``definition`` says in words which metrics
    these are, ``notes`` what could not be evaluated and why, a line each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    official_score: float | None
    mean_auc: float | None
    mean_pauc: float | None
    definition: str
    machines: tuple[MachineEvaluation, ...]
    harmonic_means: Figures
    arithmetic_means: Figures
    notes: tuple[str, ...]


def evaluate(folder: Path, *, truth: Path | None = None) -> Evaluation:
    """Compare a folder of scores with the truth.

    Parameters
    ----------
    folder
        As for `read_scores`.
    truth
        As for `read_truth`; ``None`` takes the truth from the names of the clips.

    Raises
    ------
    ScoresError
        Where the scores or the truth cannot be read, or no figure can be computed at all.
    """
    scored = read_scores(folder)
    known = _truth_from_scores(scored) if truth is None else read_truth(truth)
    notes: list[str] = []
    if truth is not None:
        known = known if is_evaluator_truth(truth) else _of_the_only_machine(scored, known, notes)
        notes += _unscored(scored, known)
    machines = [_evaluate_machine(scores, known.get(scores.machine_type, {}), notes) for scores in scored]
    rows = [row for row in machines if row is not None]
    if not any(_has_figures(row) for row in rows):
        raise ScoresError(_nothing_message(folder, truth, notes))
    return _summary(rows, notes, n_scored=len(scored))


def table_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """The figures as a table: a heading, a row for each machine and section, and the means of several.

    Returns
    -------
    list of tuple of str
        All of one length. Figures in per cent with one decimal, ``-`` where there is none; those of decisions
        only where there are decisions.
    """
    all_figures = [row.figures for row in evaluation.machines]
    columns = _COLUMNS_WITH_DOMAINS if _has_domains(evaluation.machines) else _COLUMNS_WITHOUT_DOMAINS
    names = [name for name in columns if any(getattr(figures, name) is not None for figures in all_figures)]
    rows = [("machine", "section", *(columns[name] for name in names))]
    rows += [(row.machine_type, row.section, *_cells(row.figures, names)) for row in evaluation.machines]
    if len(evaluation.machines) > 1:
        rows.append(("arithmetic mean", "", *_cells(evaluation.arithmetic_means, names)))
        rows.append(("harmonic mean", "", *_cells(evaluation.harmonic_means, names)))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """Labelled clips of one machine and section, each array of shape ``(clip,)``."""

    scores: NDArray[np.float64]
    decisions: NDArray[np.int64] | None
    is_anomaly: NDArray[np.bool_]
    domains: NDArray[np.str_]

    def figures(self) -> Figures:
        everything = np.ones_like(self.is_anomaly)
        values = {"auc": self._curve(roc_auc, everything), "pauc": self._curve(partial_auc, everything)}
        values |= self._of_decisions(everything, "")
        for domain in DOMAINS:
            is_here = self.domains == domain
            values[f"auc_{domain}"] = self._curve(roc_auc, is_here | self.is_anomaly) if is_here.any() else None
            values |= self._of_decisions(is_here, f"_{domain}")
        return Figures(**values)

    def _curve(self, metric: Callable[[ArrayLike, ArrayLike], float], chosen: NDArray[np.bool_]) -> float | None:
        labels = self.is_anomaly[chosen]
        return metric(labels, self.scores[chosen]) if labels.any() and not labels.all() else None

    def _of_decisions(self, chosen: NDArray[np.bool_], suffix: str) -> dict[str, float | None]:
        if self.decisions is None:
            return {}
        calls, labels = self.decisions[chosen] == 1, self.is_anomaly[chosen]
        n_hits, n_false = int((calls & labels).sum()), int((calls & ~labels).sum())
        n_anomalous, n_normal = int(labels.sum()), int((~labels).sum())
        figures: dict[str, float | None] = {}
        if n_normal > 0:
            figures["false_alarm_rate"] = n_false / n_normal
        if n_anomalous > 0:
            figures["recall"] = n_hits / n_anomalous
        if n_normal > 0 and n_anomalous > 0:
            figures["precision"] = n_hits / max(n_hits + n_false, 1)
            figures["f1"] = 2 * n_hits / (n_hits + n_false + n_anomalous)
        return {f"{name}{suffix}": value for name, value in figures.items()}


def _truth_from_scores(scored: Sequence[MachineScores]) -> Truth:
    truth: dict[str, dict[str, ClipTruth]] = {}
    for scores in scored:
        truth.setdefault(scores.machine_type, {}).update(truth_from_names(scores.file_names))
    return truth


def _of_the_only_machine(scored: Sequence[MachineScores], known: Truth, notes: list[str]) -> Truth:
    """The truth under the name that the scores have, where both are of one machine."""
    names = {scores.machine_type for scores in scored}
    if len(names) > 1 or len(known) > 1 or names == set(known):
        return known
    (scored_name,), ((known_name, clips),) = names, known.items()
    notes.append(f"{scored_name}: compared with the truth of {known_name}, the only machine there")
    return {scored_name: clips}


def _unscored(scored: Sequence[MachineScores], known: Truth) -> list[str]:
    """What the truth holds and the scores do not, a line for each machine."""
    notes = []
    for machine_type, clips in known.items():
        names = {clip_key(n) for scores in scored if scores.machine_type == machine_type for n in scores.file_names}
        n_test = sum(clip.is_test for clip in clips.values())
        n_missing = sum(clip.is_test and name not in names for name, clip in clips.items())
        if not names:
            notes.append(f"{machine_type}: in the truth, but it has no scores")
        elif n_missing > 0:
            notes.append(f"{machine_type}: {n_missing:,} of {n_test:,} test clips of the truth have no score")
    return notes


def _evaluate_machine(
    scores: MachineScores, known: Mapping[str, ClipTruth], notes: list[str]
) -> MachineEvaluation | None:
    name = f"{scores.machine_type} {scores.section}"
    found = [known.get(clip_key(file_name)) for file_name in scores.file_names]
    truth = [clip for clip in found if clip is not None]
    if len(truth) < len(found):
        end = "left out" if truth else "not evaluated"
        notes.append(f"{name}: {len(found) - len(truth):,} of {len(found):,} scored clips have no label; {end}")
    if not truth:
        return None
    chosen = np.array([clip is not None for clip in found])
    labelled = _Labelled(
        scores=scores.anomaly_scores[chosen],
        decisions=None if scores.decisions is None else scores.decisions[chosen],
        is_anomaly=np.array([clip.is_anomaly for clip in truth]),
        domains=np.array([clip.domain or "" for clip in truth]),
    )
    row = _row(scores, labelled)
    notes += [f"{name}: {text}" for text in _missing_classes(row)]
    return row


def _row(scores: MachineScores, clips: _Labelled) -> MachineEvaluation:
    normal_domains = clips.domains[~clips.is_anomaly]
    return MachineEvaluation(
        machine_type=scores.machine_type,
        section=scores.section,
        n_normal=normal_domains.size,
        n_normal_source=int((normal_domains == "source").sum()),
        n_normal_target=int((normal_domains == "target").sum()),
        n_anomalous=int(clips.is_anomaly.sum()),
        has_decisions=clips.decisions is not None,
        figures=clips.figures(),
    )


def _missing_classes(row: MachineEvaluation) -> list[str]:
    if row.n_normal == 0 or row.n_anomalous == 0:
        return [f"{row.n_normal:,} normal and {row.n_anomalous:,} anomalous clips, so no AUC and no pAUC"]
    counts = {"source": row.n_normal_source, "target": row.n_normal_target}
    if not any(counts.values()):
        return []
    return [f"no normal clips of the {domain} domain, so no AUC of it" for domain, n in counts.items() if n == 0]


def _has_figures(row: MachineEvaluation) -> bool:
    return any(value is not None for _, value in row.figures)


def _has_domains(rows: Sequence[MachineEvaluation]) -> bool:
    return any(row.n_normal_source + row.n_normal_target > 0 for row in rows)


def _nothing_message(folder: Path, truth: Path | None, notes: Sequence[str]) -> str:
    why = "; ".join(notes[:3]) + ("; ..." if len(notes) > 3 else "")
    if truth is None:
        return f"{folder}: nothing to evaluate ({why}); give a folder with the labels with --truth"
    return f"{folder}: nothing to evaluate with the truth of {truth} ({why}); --truth must hold these clips"


def _summary(rows: Sequence[MachineEvaluation], notes: list[str], *, n_scored: int) -> Evaluation:
    has_domains = _has_domains(rows)
    n_undecided = sum(not row.has_decisions for row in rows)
    if n_undecided > 0:
        notes.append(f"{n_undecided} of {len(rows)} without decisions, which the official evaluator demands")
    means = _means(rows, lambda values: float(np.mean(values)))
    return Evaluation(
        official_score=_official_score(rows, notes, n_scored=n_scored) if has_domains else None,
        mean_auc=means.auc,
        mean_pauc=means.pauc,
        definition=_WITH_DOMAINS if has_domains else _WITHOUT_DOMAINS,
        machines=tuple(rows),
        harmonic_means=_means(rows, harmonic_mean, without="false_alarm_rate"),
        arithmetic_means=means,
        notes=tuple(notes),
    )


def _official_score(rows: Sequence[MachineEvaluation], notes: list[str], *, n_scored: int) -> float | None:
    figures = [(row, getattr(row.figures, name)) for row in rows for name in _OFFICIAL]
    lacking = dict.fromkeys(f"{row.machine_type} {row.section}" for row, value in figures if value is None)
    if lacking:
        notes.append(f"no official score: {', '.join(lacking)} lacks one of {', '.join(_OFFICIAL)}")
        return None
    if len(rows) < n_scored:
        notes.append(f"the official score is that of {len(rows)} of {n_scored} scored machines and sections")
    return harmonic_mean(value for _, value in figures)


def _means(
    rows: Sequence[MachineEvaluation], mean: Callable[[list[float]], float], *, without: str | None = None
) -> Figures:
    values: dict[str, float | None] = {}
    for name in Figures.model_fields:
        column = [value for row in rows if (value := getattr(row.figures, name)) is not None]
        if column and (without is None or not name.startswith(without)):
            values[name] = mean(column)
    return Figures(**values)


def _cells(figures: Figures, names: Iterable[str]) -> list[str]:
    values = (getattr(figures, name) for name in names)
    return ["-" if value is None else f"{100 * value:.1f}" for value in values]
