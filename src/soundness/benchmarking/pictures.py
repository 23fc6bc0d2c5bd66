"""Pictures of a benchmark: scores by system and machine, histograms of anomaly scores, ROC curves, clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from soundness.audio.log_mel import band_centres
from soundness.benchmarking.results import BenchmarkResult, place_of
from soundness.detectors.saving import load
from soundness.evaluation.labelled_scores import read_labelled
from soundness.evaluation.metrics import roc_curve
from soundness.files.atomic import whole_file
from soundness.settings.system import SystemSettings

__all__ = ["ClipPicture", "draw_benchmark", "draw_clips", "draw_score_histograms", "picture_files"]

_DPI = 110
_COLUMNS = 4

Clips = Mapping[tuple[str, str], Sequence[float]]
"""Scores by domain and label."""


def picture_files(result: BenchmarkResult, out: Path) -> list[Path]:
    """Files of `draw_benchmark`: the heat map, the histograms of each system, and the ROC curves."""
    names = ("machines", *(f"scores_{system}" for system in result.systems), "roc")
    return [out / "pictures" / f"{name}.png" for name in names]


def draw_benchmark(result: BenchmarkResult, out: Path, *, truth: Path) -> None:
    """Draw a heat map of system by machine and, for the first seed of each, score histograms and ROC curves.

    Parameters
    ----------
    result
        Figures of the benchmark.
    out
        Folder of the benchmark; pictures go to ``pictures`` below it.
    truth
        As for `soundness.evaluation.truth.read_truth`.
    """
    heat_map, *histograms, curves = picture_files(result, out)
    _draw_heat_map(result, heat_map)
    by_system: dict[str, dict[str, Clips]] = {}
    for system, histogram in zip(result.systems, histograms, strict=True):
        seed = next(one.seed for one in result.measured if one.system == system)
        by_system[system] = _labelled(place_of(out, "scores", system, seed), truth)
        detectors = load(place_of(out, "runs", system, seed))
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
    names = ", ".join(name.replace("_", " ") for name in result.figures)
    axis.set_title(f"harmonic mean of {names} (%)", fontsize=10)
    figure.colorbar(image, ax=axis)
    _save(figure, path)


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
    _save(figure, path)


_COLOURS = {"normal": "#4477aa", "anomaly": "#ee6677"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipPicture:
    """A clip to draw.

    Parameters
    ----------
    title
        Text above it.
    log_mel
        Log-mel spectrogram in dB, shape ``(mel, frame)``.
    error_map
        Deviation of each band and frame from normal, in squared deviations of the band, shape ``(mel, frame)``.
    """

    title: str
    log_mel: NDArray[np.float32]
    error_map: NDArray[np.float32]


def draw_clips(clips: Sequence[ClipPicture], path: Path, *, settings: SystemSettings, title: str) -> None:
    """Draw clips side by side, the log-mel above the error map, on one scale each.

    Parameters
    ----------
    clips
        At least one.
    path
        PNG file.
    settings
        Settings of the system, for the axes.
    title
        Title of the picture.
    """
    figure = Figure(figsize=(5.5 * len(clips), 6.5), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(2, len(clips), squeeze=False, sharex="col", sharey=True)
    rows = (
        ("log-mel (dB)", "magma", [clip.log_mel for clip in clips]),
        ("error (σ²)", "viridis", [clip.error_map for clip in clips]),
    )
    for row, (label, colours, maps) in zip(axes, rows, strict=True):
        low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), (1, 99.5))
        for axis, values in zip(row, maps, strict=True):
            image = _draw_map(axis, values, settings, cmap=colours, vmin=low, vmax=high)
        figure.colorbar(image, ax=row[-1], label=label)
        row[0].set_ylabel("frequency (Hz)")
    for axis, clip in zip(axes[0], clips, strict=True):
        axis.set_title(clip.title, fontsize=10)
    for axis in axes[1]:
        axis.set_xlabel("time (s)")
    _save(figure, path)


def draw_score_histograms(
    scores: Mapping[str, Mapping[tuple[str, str], Sequence[float]]],
    path: Path,
    *,
    thresholds: Mapping[str, float],
    title: str,
) -> None:
    """Draw histograms of anomaly scores, a panel for each machine and domain.

    Parameters
    ----------
    scores
        Scores by machine type, then by domain and label.
    path
        PNG file.
    thresholds
        Threshold of the decisions, by machine type.
    title
        Title of the picture.
    """
    domains = sorted({domain for panels in scores.values() for domain, _ in panels})
    figure = Figure(figsize=(4.8 * len(domains), 2.8 * len(scores)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(scores), len(domains), squeeze=False, sharex="row")
    for row, (machine_type, panels) in zip(axes, scores.items(), strict=True):
        everything = np.concatenate([np.asarray(values) for values in panels.values()])
        edges = np.linspace(everything.min(), np.percentile(everything, 80), 31)
        for axis, domain in zip(row, domains, strict=True):
            for label, colour in _COLOURS.items():
                values = np.clip(panels.get((domain, label), ()), edges[0], edges[-1])
                axis.hist(values, bins=edges, color=colour, alpha=0.6, label=f"{label} ({len(values)})")
            axis.axvline(thresholds[machine_type], color="black", linestyle="--", linewidth=1, label="threshold")
            axis.set_title(f"{machine_type}, {domain or 'all'}", fontsize=10)
            axis.legend(fontsize=8)
        row[0].set_ylabel("clips")
    for axis in axes[-1]:
        axis.set_xlabel("anomaly score (the last bar holds all above)")
    _save(figure, path)


def _draw_map(axis: Axes, values: NDArray[np.float32], settings: SystemSettings, **style: Any) -> Any:
    """Draw a spectrogram with the bands' centre frequencies on its axis."""
    seconds = values.shape[1] * settings.log_mel.hop_length / settings.audio.sample_rate
    image = axis.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest", extent=(0.0, seconds, 0, len(values)), **style
    )
    centres = band_centres(settings.log_mel)
    ticks = np.linspace(0, len(values) - 1, 7).round().astype(int)
    axis.set_yticks(ticks + 0.5, [f"{centres[tick]:.0f}" for tick in ticks])
    return image


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=_DPI, format="png")
