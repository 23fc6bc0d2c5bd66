"""Pictures of a benchmark: which system is good at which machine, how scores are spread, ROC curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from soundness.benchmarking.results import BenchmarkResult, place_of
from soundness.detectors.saving import load_detectors
from soundness.evaluation.labelled_scores import read_labelled
from soundness.evaluation.metrics import roc_curve
from soundness.separation.pictures import draw_score_histograms

__all__ = ["draw_benchmark", "picture_files"]

_DPI = 110
_COLUMNS = 4

Clips = Mapping[tuple[str, str], Sequence[float]]
"""Scores by domain and label."""


def picture_files(result: BenchmarkResult, out: Path) -> list[Path]:
    """The files that `draw_benchmark` draws: the heat map, the histograms of each system, and the ROC curves."""
    names = ("machines", *(f"scores_{system}" for system in result.systems), "roc")
    return [out / "pictures" / f"{name}.png" for name in names]


def draw_benchmark(result: BenchmarkResult, out: Path, *, truth: Path) -> None:
    """Draw a heat map of system by machine and, for the first seed of each, score histograms and ROC curves.

    Parameters
    ----------
    result
        Of `soundness.benchmarking.run.benchmark`.
    out
        The benchmark's folder; pictures go to ``pictures`` below it.
    truth
        As for `soundness.evaluation.truth.read_truth`.
    """
    heat_map, *histograms, curves = picture_files(result, out)
    heat_map.parent.mkdir(exist_ok=True)
    _draw_heat_map(result, heat_map)
    by_system: dict[str, dict[str, Clips]] = {}
    for system, histogram in zip(result.systems, histograms, strict=True):
        seed = next(one.seed for one in result.measured if one.system == system)
        by_system[system] = _labelled(place_of(out, "scores", system, seed), truth)
        detectors = load_detectors(place_of(out, "runs", system, seed))
        thresholds = {name: detector.threshold.value for name, detector in detectors.items()}
        title = f"anomaly scores, {system}, seed {seed}"
        draw_score_histograms(by_system[system], histogram, thresholds=thresholds, title=title)
    _draw_roc(by_system, result.machine_types, curves)


def _labelled(scores: Path, truth: Path) -> dict[str, Clips]:
    """Scores of labelled clips by machine, then by domain and label."""
    found: dict[str, dict[tuple[str, str], list[float]]] = {}
    for clips in read_labelled(scores, truth=truth).clips:
        machine = found.setdefault(clips.machine_type, {})
        for value, domain, is_anomaly in zip(clips.anomaly_scores, clips.domains, clips.is_anomaly, strict=True):
            machine.setdefault((str(domain), "anomaly" if is_anomaly else "normal"), []).append(float(value))
    return dict(found)


def _draw_heat_map(result: BenchmarkResult, path: Path) -> None:
    systems, machines = result.systems, result.machine_types
    cells = [[result.machine_score(system, machine) for machine in machines] for system in systems]
    values: NDArray[np.float64] = 100 * np.array([[np.nan if cell is None else cell for cell in row] for row in cells])
    figure = Figure(figsize=(2.5 + 1.1 * len(machines), 1.5 + 0.45 * len(systems)), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(values, cmap="RdYlGn", vmin=40, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        axis.text(column, row, "-" if np.isnan(value) else f"{value:.0f}", ha="center", va="center", fontsize=9)
    axis.set_xticks(range(len(machines)), machines)
    axis.set_yticks(range(len(systems)), systems)
    what = ", ".join(name.replace("_", " ") for name in result.figures)
    axis.set_title(f"harmonic mean of {what} (%)", fontsize=10)
    figure.colorbar(image, ax=axis)
    figure.savefig(path, dpi=_DPI)


def _draw_roc(by_system: Mapping[str, Mapping[str, Clips]], machines: Sequence[str], path: Path) -> None:
    n_columns = min(_COLUMNS, len(machines))
    n_rows = -(-len(machines) // n_columns)
    figure = Figure(figsize=(3.6 * n_columns, 3.6 * n_rows + 0.6), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axis, machine in zip(axes, machines, strict=False):
        axis.plot((0, 1), (0, 1), color="#bbbbbb", linestyle=":", linewidth=1)
        for system, scored in by_system.items():
            clips = scored.get(machine, {})
            labels = [label == "anomaly" for (_, label), values in clips.items() for _ in values]
            if any(labels) and not all(labels):
                axis.plot(*roc_curve(labels, np.concatenate(list(clips.values()))), label=system, linewidth=1.2)
        axis.set_title(machine, fontsize=10)
        axis.set_xlabel("false alarms")
        axis.set_ylabel("anomalies found")
    for axis in axes[len(machines) :]:
        axis.axis("off")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=_DPI)
