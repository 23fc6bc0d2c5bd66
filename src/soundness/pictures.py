"""Pictures of what a detector heard and of how well its scores tell clips apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from soundness.features import band_centres
from soundness.settings import SystemSettings

__all__ = ["HeardClip", "draw_clips", "draw_score_histograms"]

_COLOURS = {"normal": "#4477aa", "anomaly": "#ee6677"}
_DPI = 110


@dataclass(frozen=True, slots=True)
class HeardClip:
    """A clip to draw.

    Parameters
    ----------
    title
        What stands above it.
    log_mel
        dB, shape ``(mel, frame)``.
    error_map
        How odd each band and frame is, in squared deviations of the band, shape ``(mel, frame)``.
    """

    title: str
    log_mel: NDArray[np.float32]
    error_map: NDArray[np.float32]


def draw_clips(clips: Sequence[HeardClip], path: Path, *, settings: SystemSettings, title: str) -> None:
    """Draw clips side by side, the log-mel above the error map, on one scale each.

    Parameters
    ----------
    clips
        At least one.
    path
        PNG file.
    settings
        Of the system that heard them, for the axes.
    title
        Of the whole picture.
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
    figure.savefig(path, dpi=_DPI)


def draw_score_histograms(
    scores: Mapping[str, Mapping[tuple[str, str], Sequence[float]]],
    path: Path,
    *,
    thresholds: Mapping[str, float],
    title: str,
) -> None:
    """Draw how anomaly scores are spread, a panel for each machine and domain.

    Parameters
    ----------
    scores
        By machine type, then by domain and label.
    path
        PNG file.
    thresholds
        By machine type: where decisions turn.
    title
        Of the whole picture.
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
    figure.savefig(path, dpi=_DPI)


def _draw_map(axis: Axes, values: NDArray[np.float32], settings: SystemSettings, **style: Any) -> Any:
    """A spectrogram with the bands' centre frequencies on its axis."""
    seconds = values.shape[1] * settings.log_mel.hop_length / settings.audio.sample_rate
    image = axis.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest", extent=(0.0, seconds, 0, len(values)), **style
    )
    centres = band_centres(settings.log_mel)
    ticks = np.linspace(0, len(values) - 1, 7).round().astype(int)
    axis.set_yticks(ticks + 0.5, [f"{centres[tick]:.0f}" for tick in ticks])
    return image
