"""Pictures of what a detector heard and of how well its scores tell clips apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from soundness.audio.log_mel import band_centres
from soundness.separation.measurement import Example
from soundness.settings.system import SystemSettings

__all__ = ["HeardClip", "draw_clips", "draw_score_histograms", "draw_separation"]

_COLOURS = {"normal": "#4477aa", "anomaly": "#ee6677"}
_DPI = 110
_N_FFT = 512
_RANGE_DB = 70.0


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


def draw_separation(example: Example, path: Path, *, sample_rate: int) -> None:
    """Draw spectrograms of a mixture, of what was separated from it and of what should have been, on one scale.

    Parameters
    ----------
    example
        A separated mixture.
    path
        PNG file.
    sample_rate
        Of its waveforms in Hz.
    """
    sounds = {"mixture": example.mixture, "estimate": example.estimate, "reference": example.reference}
    figure = Figure(figsize=(13.0, 4.2), layout="constrained")
    figure.suptitle(f"{example.machine_type}: one held-out mixture at 0 dB")
    axes = figure.subplots(1, len(sounds), sharex=True, sharey=True)
    levels = {name: _spectrogram_db(waveform) for name, waveform in sounds.items()}
    high = max(float(np.percentile(level, 99.9)) for level in levels.values())
    for axis, (name, level) in zip(axes, levels.items(), strict=True):
        extent = (0.0, len(sounds[name]) / sample_rate, 0.0, sample_rate / 2000)
        image = axis.imshow(
            level, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=high - _RANGE_DB, vmax=high
        )
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("time (s)")
    axes[0].set_ylabel("frequency (kHz)")
    figure.colorbar(image, ax=axes[-1], label="dB")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI)


def _spectrogram_db(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in dB, shape ``(bin, frame)``."""
    window = torch.hann_window(_N_FFT)
    spectrum = torch.stft(torch.from_numpy(waveform), _N_FFT, _N_FFT // 4, window=window, return_complex=True)
    decibels: NDArray[np.float32] = (20 * spectrum.abs().clamp(min=1e-6).log10()).numpy()
    return decibels


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
