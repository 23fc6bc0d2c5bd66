"""Figures that the challenge computes of labelled clips, by year.

======  ===========================================================================================================
2020    machine ids, no domains: AUC and pAUC of each id, arithmetic means
2021    AUC and pAUC of each section and domain, whose own anomalous clips alone count; harmonic mean of all
2022    and later: AUC of each domain, with the anomalous clips of all domains, and pAUC over all clips; harmonic mean
======  ===========================================================================================================

Figures of decisions are computed within a domain, as in the official evaluator.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from soundness.aliases import Array
from soundness.data.clips import DOMAINS, Domain, parse_name
from soundness.errors import ScoresError, SettingsError
from soundness.evaluation.metrics import harmonic_means, partial_aucs, roc_aucs

__all__ = [
    "DEFINITIONS",
    "METRICS",
    "OFFICIAL_FIGURES",
    "Figures",
    "LabelledClips",
    "Metric",
    "chosen_metric",
    "curve_figures",
    "figures_of",
    "metric_of_name",
    "score_of_machines",
    "year_mean",
]

Metric = Literal["2020", "2021", "2022"]
METRICS: tuple[Metric, ...] = ("2020", "2021", "2022")

DEFINITIONS: dict[Metric, str] = {
    "2020": (
        "no domains: AUC and pAUC (false-positive rate up to 0.1, standardised) over all clips of a machine and "
        "section, arithmetic means; as in DCASE 2020"
    ),
    "2021": (
        "AUC and pAUC (false-positive rate up to 0.1, standardised) of a section and domain: its normal clips against "
        "its own anomalous clips alone, harmonic mean; as in DCASE 2021, not as in later years"
    ),
    "2022": (
        "AUC of a domain: its normal clips against the anomalous clips of all domains; pAUC: all clips, "
        "false-positive rate up to 0.1, standardised; as in DCASE 2022 and later, not as in DCASE 2021"
    ),
}
OFFICIAL_FIGURES: dict[Metric, tuple[str, ...]] = {
    "2020": ("auc", "pauc"),
    "2021": ("auc_source", "auc_target", "pauc_source", "pauc_target"),
    "2022": ("auc_source", "auc_target", "pauc"),
}


class Figures(BaseModel, frozen=True, extra="forbid"):
    """Figures as fractions of 1; ``None`` if a figure has no meaning or lacks clips or decisions.

    Those with a domain in their name are of that domain: an AUC of its normal clips against all anomalous ones (in
    2021: its own), the others of decisions on its own clips. A false-alarm rate is the share of normal clips with
    decision 1; it alone is better the lower it is.
    """

    auc: float | None = None
    auc_source: float | None = None
    auc_target: float | None = None
    pauc: float | None = None
    pauc_source: float | None = None
    pauc_target: float | None = None
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


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClips:
    """Labelled clips of one section (2020: machine id) of one machine, by `soundness.data.clips.clip_key`.

    The arrays have shape ``(clip,)``; a domain may be ``""``, decisions ``None``. ``evidence`` holds the metrics that
    fit names and folders of these clips.
    """

    machine_type: str
    section: str
    keys: tuple[str, ...]
    anomaly_scores: Array
    decisions: NDArray[np.int64] | None
    is_anomaly: NDArray[np.bool_]
    domains: NDArray[np.str_]
    evidence: frozenset[Metric]


@dataclass(frozen=True, slots=True)
class _Curve:
    """Figure of a ROC curve: of all clips, or of the normal clips of a domain and anomalous ones."""

    compute: Callable[[NDArray[np.bool_], Array, NDArray[np.generic]], Array]
    domain: Domain | None = None
    has_own_anomalies: bool = False

    def chosen(self, clips: LabelledClips) -> NDArray[np.bool_]:
        if self.domain is None:
            return np.ones_like(clips.is_anomaly)
        is_here: NDArray[np.bool_] = clips.domains == self.domain
        return is_here if self.has_own_anomalies or not is_here.any() else is_here | clips.is_anomaly


_OVERALL = {"auc": _Curve(roc_aucs), "pauc": _Curve(partial_aucs)}
_CURVES: dict[Metric, dict[str, _Curve]] = {
    "2020": _OVERALL,
    "2021": {
        "auc": _Curve(roc_aucs),
        **{f"auc_{domain}": _Curve(roc_aucs, domain, has_own_anomalies=True) for domain in DOMAINS},
        **{f"pauc_{domain}": _Curve(partial_aucs, domain, has_own_anomalies=True) for domain in DOMAINS},
    },
    "2022": {**_OVERALL, **{f"auc_{domain}": _Curve(roc_aucs, domain) for domain in DOMAINS}},
}


def metric_of_name(stem: str) -> Metric | None:
    """Metric of the years whose test clips have such names; ``None`` for any other name.

    The test clips of 2021 have a domain in their names and no attributes; those of later years have attributes
    (or ``noAttribute``, or a last ``_``) behind the number, or neither label nor domain.
    """
    parts = parse_name(stem)
    if parts is None or parts.split not in (None, "test"):
        return None
    if parts.section.startswith("id_"):
        return "2020"
    has_attributes = parts.attributes != "" or re.search(r"_\d+$", stem) is None
    if parts.domain is None:
        return "2022" if parts.label is None else None
    return "2022" if has_attributes else "2021"


def chosen_metric(clips: Sequence[LabelledClips], forced: str | None) -> tuple[Metric, list[str]]:
    """Metric of clips, and notes on the choice.

    Parameters
    ----------
    clips
        All clips that are evaluated together.
    forced
        A year from 2020 on; ``None`` lets names and folders decide.

    Raises
    ------
    SettingsError
        If the challenge was not held in the year that is forced.
    ScoresError
        If a metric by domains is forced, and no clip has one.
    """
    has_domains = any((one.domains != "").any() for one in clips)
    if forced is not None:
        metric = _metric_of_year(forced)
        if metric != "2020" and clips and not has_domains:
            raise ScoresError(f"metric {metric} needs clips of a source and a target domain; none here has a domain")
        return metric, []
    if not has_domains:
        return "2020", []
    evidence = frozenset[Metric]().union(*(one.evidence for one in clips)) - {"2020"}
    if evidence == {"2021"}:
        return "2021", [
            "names or folders are those of 2021, and so is the metric; --metric 2022 selects that of later years"
        ]
    if evidence == {"2022"}:
        return "2022", []
    why = "fit both" if evidence else "fit neither"
    return "2022", [f"metric 2022 or 2021: the names {why}; 2022 is used, --metric 2021 selects the other"]


def _metric_of_year(year: str) -> Metric:
    if not year.isdecimal() or int(year) < int(METRICS[0]):
        raise SettingsError(f"no metric {year!r}; there are 2020, 2021, and 2022, which later years have kept")
    return METRICS[min(int(year) - int(METRICS[0]), len(METRICS) - 1)]


def curve_figures(clips: LabelledClips, metric: Metric, weights: NDArray[np.generic]) -> dict[str, Array]:
    """Figures of ROC curves of resamples, by name, shape ``(resample,)`` each; without those that lack a class.

    The clips are of one section of one machine; ``weights`` counts each in each resample, shape ``(resample, clip)``.
    """
    values = {}
    for name, curve in _CURVES[metric].items():
        chosen = curve.chosen(clips)
        labels = clips.is_anomaly[chosen]
        if labels.any() and not labels.all():
            values[name] = curve.compute(labels, clips.anomaly_scores[chosen], weights[:, chosen])
    return values


def figures_of(clips: LabelledClips, metric: Metric) -> Figures:
    """All figures of the clips of one section of one machine."""
    curves = curve_figures(clips, metric, np.ones((1, len(clips.keys))))
    values: dict[str, float | None] = {name: float(value[0]) for name, value in curves.items()}
    values |= _figures_of_decisions(clips, np.ones_like(clips.is_anomaly), "")
    if metric != "2020":
        for domain in DOMAINS:
            values |= _figures_of_decisions(clips, clips.domains == domain, f"_{domain}")
    return Figures(**values)


def year_mean(values: Array, metric: Metric) -> Array:
    """Mean of figures over the first axis: arithmetic in 2020, harmonic in later years."""
    return np.asarray(values.mean(axis=0)) if metric == "2020" else harmonic_means(values)


def score_of_machines(official: Mapping[str, Array], metric: Metric) -> Array:
    """Score of all machines, shape ``(...)``.

    ``official`` holds by machine type the official figures of all sections, shape ``(figure, ...)``. The score of 2020
    is the mean over machines of the mean of AUC and pAUC over their ids; that of other years the harmonic mean of all
    figures.
    """
    if metric == "2020":
        return np.asarray(np.mean([year_mean(values, metric) for values in official.values()], axis=0))
    return year_mean(np.concatenate(list(official.values())), metric)


def _figures_of_decisions(clips: LabelledClips, chosen: NDArray[np.bool_], suffix: str) -> dict[str, float | None]:
    if clips.decisions is None:
        return {}
    calls, labels = clips.decisions[chosen] == 1, clips.is_anomaly[chosen]
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
