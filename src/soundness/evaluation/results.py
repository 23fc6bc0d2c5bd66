"""Evaluate a folder of score files: the challenge's figures by machine, section and domain, and their means."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from soundness.aliases import Array, PathLike
from soundness.evaluation.labelled_scores import nothing_to_evaluate, read_labelled
from soundness.evaluation.metrics import harmonic_mean
from soundness.evaluation.year_metrics import (
    DEFINITIONS,
    OFFICIAL_FIGURES,
    Figures,
    LabelledClips,
    Metric,
    chosen_metric,
    figures_of,
    score_of_machines,
    year_mean,
)

__all__ = ["FIGURE_TITLES", "Evaluation", "MachineEvaluation", "MachineMean", "evaluate", "table_rows"]

FIGURE_TITLES = {
    "auc": "AUC",
    "auc_source": "AUC source",
    "auc_target": "AUC target",
    "pauc": "pAUC",
    "pauc_source": "pAUC source",
    "pauc_target": "pAUC target",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_source": "F1 source",
    "f1_target": "F1 target",
    "false_alarm_rate": "false alarms",
    "false_alarm_rate_source": "false alarms source",
    "false_alarm_rate_target": "false alarms target",
}
_SHOWN: dict[Metric, tuple[str, ...]] = {
    "2020": (*OFFICIAL_FIGURES["2020"], "precision", "recall", "f1", "false_alarm_rate"),
    "2021": (*OFFICIAL_FIGURES["2021"], "f1_source", "f1_target", "false_alarm_rate_source", "false_alarm_rate_target"),
    "2022": (*OFFICIAL_FIGURES["2022"], "f1_source", "f1_target", "false_alarm_rate_source", "false_alarm_rate_target"),
}


class MachineEvaluation(BaseModel, frozen=True, extra="forbid"):
    """Figures of one section (2020: machine id) of one machine, and the numbers of clips behind them.

    ``n_normal`` counts the normal clips of either domain and of none.
    """

    machine_type: str
    section: str
    n_normal: int
    n_normal_source: int
    n_normal_target: int
    n_anomalous: int
    has_decisions: bool
    figures: Figures


class MachineMean(BaseModel, frozen=True, extra="forbid"):
    """Means of a machine over its sections: arithmetic in 2020, otherwise harmonic and without false-alarm rates.

    ``score`` is that of its official figures; ``None`` if one of them is missing.
    """

    machine_type: str
    n_sections: int
    figures: Figures
    score: float | None


class Evaluation(BaseModel, frozen=True, extra="forbid"):
    """All figures of a folder of scores.

    ``metric`` is that of the challenge of 2020, of 2021, or of 2022 and later; ``definition`` describes it in words,
    ``notes`` list what could not be evaluated and why, a line each. ``score`` is the one figure of all machines, see
    `score_of_machines`; ``None`` if an official figure is missing. ``official_score`` is the same, but ``None`` with
    the metric of 2020, which ranked teams by machine. A mean is over the machines and sections that have the figure;
    false-alarm rates have no harmonic mean.
    """

    metric: Metric
    score: float | None
    official_score: float | None
    mean_auc: float | None
    mean_pauc: float | None
    definition: str
    machines: tuple[MachineEvaluation, ...]
    machine_means: tuple[MachineMean, ...]
    harmonic_means: Figures
    arithmetic_means: Figures
    notes: tuple[str, ...]


def evaluate(scores: PathLike, *, truth: PathLike | None = None, metric: str | None = None) -> Evaluation:
    """Compute the challenge's figures of a folder of scores.

    Parameters
    ----------
    scores
        Folder of score files, of this or any other system of the challenge.
    truth
        A labelled data set, or the official evaluator's truth; ``None`` takes it from the names of the clips.
    metric
        ``2020``, ``2021``, or ``2022`` for that year and all later ones; ``None`` recognises the year by names and
        folders.

    Raises
    ------
    ScoresError
        If the scores or the truth cannot be read, or no figure can be computed.
    SettingsError
        If there is no such metric.
    """
    folder, truth = Path(scores), None if truth is None else Path(truth)
    labelled = read_labelled(folder, truth=truth)
    chosen, choice = chosen_metric(labelled.clips, metric)
    notes = [*labelled.notes, *choice]
    rows = [_evaluated(clips, chosen) for clips in labelled.clips]
    for row in rows:
        notes += [f"{row.machine_type} {row.section}: {text}" for text in _missing_classes(row, chosen)]
    if not any(_has_figures(row) for row in rows):
        raise nothing_to_evaluate(folder, truth, notes)
    return _summary(rows, notes, metric=chosen, n_scored=labelled.n_scored)


def table_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Figures as a table: a heading, a row for each machine and section, the means of machines and of all.

    Returns
    -------
    list of tuple of str
        Rows of one length. Figures in per cent with one decimal, ``-`` where there is none; those of decisions only if
        there are decisions.
    """
    all_figures = [row.figures for row in evaluation.machines]
    shown = _SHOWN[evaluation.metric]
    names = [name for name in shown if any(getattr(figures, name) is not None for figures in all_figures)]
    rows = [("machine", "section", *(FIGURE_TITLES[name] for name in names))]
    for mean in evaluation.machine_means:
        own = [row for row in evaluation.machines if row.machine_type == mean.machine_type]
        rows += [(row.machine_type, row.section, *_cells(row.figures, names)) for row in own]
        if len(own) > 1 and len(evaluation.machine_means) > 1:
            rows.append((mean.machine_type, "mean", *_cells(mean.figures, names)))
    if len(evaluation.machines) > 1:
        rows.append(("arithmetic mean", "", *_cells(evaluation.arithmetic_means, names)))
        rows.append(("harmonic mean", "", *_cells(evaluation.harmonic_means, names)))
    return rows


def _evaluated(clips: LabelledClips, metric: Metric) -> MachineEvaluation:
    normal_domains = clips.domains[~clips.is_anomaly]
    return MachineEvaluation(
        machine_type=clips.machine_type,
        section=clips.section,
        n_normal=normal_domains.size,
        n_normal_source=int((normal_domains == "source").sum()),
        n_normal_target=int((normal_domains == "target").sum()),
        n_anomalous=int(clips.is_anomaly.sum()),
        has_decisions=clips.decisions is not None,
        figures=figures_of(clips, metric),
    )


def _missing_classes(row: MachineEvaluation, metric: Metric) -> list[str]:
    if row.n_normal == 0 or row.n_anomalous == 0:
        return [f"{row.n_normal:,} normal and {row.n_anomalous:,} anomalous clips, so no AUC and no pAUC"]
    if metric == "2020":
        return []
    counts = {"source": row.n_normal_source, "target": row.n_normal_target}
    lacking = [f"no normal clips of the {domain} domain, so no AUC of it" for domain, n in counts.items() if n == 0]
    if metric == "2021":
        lacking += [
            f"no anomalous clips of the {domain} domain, so no AUC of it"
            for domain, n in counts.items()
            if n > 0 and getattr(row.figures, f"auc_{domain}") is None
        ]
    return lacking if any(counts.values()) else []


def _has_figures(row: MachineEvaluation) -> bool:
    return any(value is not None for _, value in row.figures)


def _summary(rows: Sequence[MachineEvaluation], notes: list[str], *, metric: Metric, n_scored: int) -> Evaluation:
    n_undecided = sum(not row.has_decisions for row in rows)
    if n_undecided > 0:
        notes.append(f"{n_undecided} of {len(rows)} without decisions, which the official evaluator demands")
    means = _means(rows, _arithmetic_mean)
    score = _score(rows, notes, metric=metric, n_scored=n_scored)
    return Evaluation(
        metric=metric,
        score=score,
        official_score=None if metric == "2020" else score,
        mean_auc=means.auc,
        mean_pauc=means.pauc,
        definition=DEFINITIONS[metric],
        machines=tuple(rows),
        machine_means=_machine_means(rows, metric),
        harmonic_means=_means(rows, harmonic_mean, without="false_alarm_rate"),
        arithmetic_means=means,
        notes=tuple(notes),
    )


def _score(rows: Sequence[MachineEvaluation], notes: list[str], *, metric: Metric, n_scored: int) -> float | None:
    official = {row.machine_type: [own for own in rows if own.machine_type == row.machine_type] for row in rows}
    names = OFFICIAL_FIGURES[metric]
    lacking = [
        f"{row.machine_type} {row.section}" for row in rows if any(getattr(row.figures, name) is None for name in names)
    ]
    if lacking:
        if metric != "2020":
            notes.append(f"no official score: {', '.join(lacking)} lacks one of {', '.join(names)}")
        return None
    if len(rows) < n_scored and metric != "2020":
        notes.append(f"the official score is that of {len(rows)} of {n_scored} scored machines and sections")
    return float(score_of_machines({name: _official(own, metric) for name, own in official.items()}, metric))


def _machine_means(rows: Sequence[MachineEvaluation], metric: Metric) -> tuple[MachineMean, ...]:
    means = []
    for machine_type in dict.fromkeys(row.machine_type for row in rows):
        own = [row for row in rows if row.machine_type == machine_type]
        official = _official(own, metric)
        mean, without = (_arithmetic_mean, None) if metric == "2020" else (harmonic_mean, "false_alarm_rate")
        means.append(
            MachineMean(
                machine_type=machine_type,
                n_sections=len(own),
                figures=_means(own, mean, without=without),
                score=None if np.isnan(official).any() else float(year_mean(official, metric)),
            )
        )
    return tuple(means)


def _official(rows: Sequence[MachineEvaluation], metric: Metric) -> Array:
    """Official figures of rows in one array, NaN where one is missing."""
    figures = [getattr(row.figures, name) for row in rows for name in OFFICIAL_FIGURES[metric]]
    return np.array([np.nan if value is None else value for value in figures])


def _arithmetic_mean(values: list[float]) -> float:
    return float(np.mean(values))


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
