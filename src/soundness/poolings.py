"""What becomes of a band over time: from ``(..., mel, frame)`` to one or more values of each band."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from soundness.setting_types import Pooling

__all__ = ["POOLINGS", "pooled"]

_EXPONENT = -0.25  # of power: between the mean of decibels (0) and the quietest frame (minus infinity)
_N_OCTAVES = 5
_SMALLEST_POWER = 1e-6  # dB squared: a band that does not move at all


def _generalised_mean(values: Tensor, quantile: float) -> Tensor:  # noqa: ARG001  # as all poolings
    """Level of the generalised mean of power, dB, which loud events hardly reach."""
    powers = values.double() * (_EXPONENT / 10)
    mean: Tensor = (powers * torch.log(torch.tensor(10.0))).logsumexp(-1) - torch.log(torch.tensor(values.shape[-1]))
    return (10 / _EXPONENT * mean / torch.log(torch.tensor(10.0))).to(values.dtype)


def _modulation(values: Tensor, quantile: float) -> Tensor:  # noqa: ARG001  # as all poolings
    """Level of each band's fluctuation in octaves below half the frame rate, dB re 1 dB squared, octave by octave."""
    n_frames = values.shape[-1]
    spectrum = torch.fft.rfft(values.double() - values.double().mean(dim=-1, keepdim=True)).abs().square()
    rates = torch.arange(spectrum.shape[-1]) / n_frames  # cycles a frame
    levels = []
    for octave in range(_N_OCTAVES):
        inside = (rates > 0.5 ** (octave + 2)) & (rates <= 0.5 ** (octave + 1))
        power = 2 * spectrum[..., inside].sum(dim=-1) / n_frames**2
        levels.append(10 * (power + _SMALLEST_POWER).log10())
    return torch.cat(levels, dim=-1).to(values.dtype)


def _change(values: Tensor, quantile: float) -> Tensor:  # noqa: ARG001  # as all poolings
    """Mean absolute difference from one frame to the next; 0 of a single frame."""
    if values.shape[-1] == 1:
        return torch.zeros_like(values[..., 0])
    return values.diff(dim=-1).abs().mean(dim=-1)


POOLINGS: dict[Pooling, Callable[[Tensor, float], Tensor]] = {
    "mean": lambda values, _: values.mean(dim=-1),
    "deviation": lambda values, _: values.std(dim=-1, correction=0),
    "quantile": lambda values, quantile: values.quantile(quantile, dim=-1),
    "high-quantile": lambda values, quantile: values.quantile(1 - quantile, dim=-1),
    "generalised-mean": _generalised_mean,
    "modulation": _modulation,
    "change": _change,
}
"""Functions of values, shape ``(..., mel, frame)``, and the setting ``quantile``."""


def pooled(values: Tensor, poolings: Sequence[Pooling], *, quantile: float) -> list[Tensor]:
    """One view for each pooling, shape ``(..., feature)``: bands in order, once or, octave by octave, more often."""
    return [POOLINGS[name](values, quantile) for name in poolings]
