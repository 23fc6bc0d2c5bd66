"""Pictures of separated mixtures."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from soundness.files.atomic import whole_file
from soundness.separation.measurement import Example

__all__ = ["draw_separation"]

_DPI = 110
_N_FFT = 512
_RANGE_DB = 70.0


def draw_separation(example: Example, path: Path, *, sample_rate: int) -> None:
    """Draw spectrograms of a mixture, the estimate of the machine in it and the reference, on one scale, as PNG."""
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
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=_DPI, format="png")


def _spectrogram_db(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power in dB, shape ``(bin, frame)``."""
    window = torch.hann_window(_N_FFT)
    spectrum = torch.stft(torch.from_numpy(waveform), _N_FFT, _N_FFT // 4, window=window, return_complex=True)
    decibels: NDArray[np.float32] = (20 * spectrum.abs().clamp(min=1e-6).log10()).numpy()
    return decibels
