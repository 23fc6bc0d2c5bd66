"""Conv-TasNet: an encoder, a masker and a decoder that split a recording into machine and noise."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from soundness.separation.losses import mixture_consistent
from soundness.settings.separation import SeparatorSettings

__all__ = [
    "BASES",
    "EPSILON",
    "LINE_BINS",
    "SOURCES",
    "Basis",
    "ConvTasNet",
    "CumulativeLayerNorm",
    "GlobalLayerNorm",
    "LearnedBasis",
    "Masker",
    "Refinement",
    "StftBasis",
]

SOURCES = ("machine", "noise")
"""Outputs of a separator, in this order."""

EPSILON = 1e-8
_REFINEMENT_LAYERS = 3
CAUSAL_FRAMES = 2  # that a layer of the refinement needs before the first one, if it sees none after
_SLOPE = 0.25  # below zero, where a PReLU begins; to learn it takes a sixth of the time of a step
LINE_BINS = 31  # a line is looked for among so many


class Basis(nn.Module, ABC):
    """Basis of `BASES`: turns waveforms into frames of coefficients and back.

    Parameters
    ----------
    n_coefficients
        Coefficients of a frame, each of which is masked.
    """

    def __init__(self, *, n_coefficients: int) -> None:
        super().__init__()
        self.n_coefficients = n_coefficients

    @abstractmethod
    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of waveforms ``(batch, 1, time)``, and the features that the masker reads of them.

        Both have the shape ``(batch, coefficient, frame)``; the coefficients may be complex.
        """

    @abstractmethod
    def decode(self, coefficients: Tensor, *, n_samples: int) -> Tensor:
        """Waveforms ``(batch, time)`` from masked coefficients ``(batch, coefficient, frame)``."""


class LearnedBasis(Basis):
    """The paper's encoder and decoder: a strided convolution with ReLU, and a transposed one; no bias."""

    def __init__(self, settings: SeparatorSettings) -> None:
        n_filters, kernel_size = settings.network.n_filters, settings.network.kernel_size
        super().__init__(n_coefficients=n_filters)
        self.hop = kernel_size // 2
        self.encoder = nn.Conv1d(1, n_filters, kernel_size, stride=self.hop, bias=False)
        self.decoder = nn.ConvTranspose1d(n_filters, 1, kernel_size, stride=self.hop, bias=False)

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """See `Basis`."""
        n_samples = waveform.shape[-1]
        after = self.hop + -n_samples % self.hop  # every sample is in two frames
        coefficients = functional.relu(self.encoder(functional.pad(waveform, (self.hop, after))))
        return coefficients, coefficients

    def decode(self, coefficients: Tensor, *, n_samples: int) -> Tensor:
        """See `Basis`."""
        waveform: Tensor = self.decoder(coefficients)
        return waveform[:, 0, self.hop : self.hop + n_samples]


class StftBasis(Basis):
    """The spectrum as a basis: masks on an STFT, magnitudes to the power of 0.3 as features."""

    window: Tensor

    def __init__(self, settings: SeparatorSettings) -> None:
        super().__init__(n_coefficients=settings.n_fft // 2 + 1)
        self.n_fft = settings.n_fft
        self.hop = settings.n_fft // 4
        self.register_buffer("window", torch.hann_window(settings.n_fft).sqrt(), persistent=False)

    def encode(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """See `Basis`; the coefficients are complex."""
        padded = functional.pad(waveform[:, 0], (0, -waveform.shape[-1] % self.hop))
        spectrum = torch.stft(
            padded, self.n_fft, self.hop, window=self.window, pad_mode="constant", normalized=True, return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return spectrum, (power + EPSILON).pow(0.15)

    def decode(self, coefficients: Tensor, *, n_samples: int) -> Tensor:
        """See `Basis`."""
        waveform = torch.istft(coefficients, self.n_fft, self.hop, window=self.window, normalized=True)
        return waveform[:, :n_samples]


BASES: dict[str, Callable[[SeparatorSettings], Basis]] = {"learned": LearnedBasis, "stft": StftBasis}


class _LayerNorm(nn.Module):
    """Scale and offset of each channel, after a normalisation of features ``(batch, channel, frame)``."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))


class GlobalLayerNorm(_LayerNorm):
    """Normalises over channels and time together, then scales each channel (gLN, eq. 9-11 of the paper)."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features of the same shape."""
        return functional.group_norm(features, 1, self.weight, self.bias, eps=EPSILON)


class CumulativeLayerNorm(_LayerNorm):
    """Normalises each frame by mean and variance of all frames up to it (cLN, eq. 12-14 of the paper)."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features of the same shape."""
        counts = features.shape[1] * torch.arange(1, features.shape[2] + 1, device=features.device)
        precise = _precise(features)
        mean = features.sum(dim=1, dtype=precise).cumsum(dim=-1) / counts  # (batch, frame)
        power = features.square().sum(dim=1, dtype=precise).cumsum(dim=-1) / counts
        deviation = (power - mean.square()).clamp(min=0.0).add(EPSILON).sqrt()
        normalised = (features - mean[:, None].to(features.dtype)) / deviation[:, None].to(features.dtype)
        return normalised * self.weight[:, None] + self.bias[:, None]


class _Block(nn.Module):
    """Depthwise-separable convolution between 1x1 convolutions, with a residual and a skip path (fig. 1C)."""

    def __init__(self, settings: SeparatorSettings, *, dilation: int, has_residual: bool) -> None:
        super().__init__()
        size = settings.network
        hidden, kernel_size = size.hidden_channels, size.block_kernel_size
        norm = CumulativeLayerNorm if settings.causal else GlobalLayerNorm
        span = (kernel_size - 1) * dilation
        self.padding = (span, 0) if settings.causal else (span // 2, span - span // 2)
        self.expand = nn.Sequential(nn.Conv1d(size.bottleneck_channels, hidden, 1), nn.PReLU(), norm(hidden))
        self.depthwise = nn.Sequential(
            nn.Conv1d(hidden, hidden, kernel_size, dilation=dilation, groups=hidden), nn.PReLU(), norm(hidden)
        )
        self.residual = nn.Conv1d(hidden, size.bottleneck_channels, 1) if has_residual else None
        self.skip = nn.Conv1d(hidden, size.skip_channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.expand(features)  # (batch, H, frame)
        hidden = self.depthwise(functional.pad(hidden, self.padding))
        passed_on = features if self.residual is None else features + self.residual(hidden)  # (batch, B, frame)
        return passed_on, self.skip(hidden)  # (batch, Sc, frame)


class Refinement(nn.Module):
    """Correction of the masks of a spectrum by the neighbours of each bin, in frequency and in time.

    The paper's convolutions reduce a spectrum to a narrow bottleneck and learn every bin separately. This one is the
    same at every frequency, so that it also works for a machine that runs at another speed.
    """

    def __init__(self, settings: SeparatorSettings) -> None:
        super().__init__()
        self.causal = settings.causal
        widths = [len(SOURCES) + 4, *[settings.refinement_channels] * _REFINEMENT_LAYERS]
        padding = (1, 0) if settings.causal else 1  # bins, then frames, of which the causal one sees no later ones
        self.layers = nn.ModuleList(nn.Conv2d(before, after, 3, padding=padding) for before, after in pairwise(widths))
        self.activation = nn.LeakyReLU(_SLOPE)
        self.to_logits = nn.Conv2d(widths[-1], len(SOURCES), 1)

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        """Corrections to add to the logits of the masks, shape ``(batch, source, bin, frame)``, by normalised features.

        The features have the shape ``(batch, bin, frame)``.
        """
        mean, deviation = self._over_time(features)  # (batch, bin, frame) each, or (batch, bin, 1)
        around = functional.avg_pool1d(mean.transpose(1, 2), LINE_BINS, 1, LINE_BINS // 2, count_include_pad=False)
        lines = mean - around.transpose(1, 2)  # how far a bin stands out from those beside it
        seen = [features, *(statistic.expand_as(features) for statistic in (mean, deviation, lines))]
        maps = torch.cat([logits, torch.stack(seen, dim=1)], dim=1)
        hidden = maps.contiguous(memory_format=torch.channels_last)  # a third of the time on a CPU
        for layer in self.layers:
            padded = functional.pad(hidden, (CAUSAL_FRAMES, 0)) if self.causal else hidden
            hidden = self.activation(layer(padded))  # (batch, channel, bin, frame)
        corrections: Tensor = self.to_logits(hidden)
        return corrections

    def _over_time(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each bin, over all frames or, where it is causal, over those up to each frame."""
        if not self.causal:
            variance, mean = torch.var_mean(features, dim=-1, keepdim=True, correction=0)
            return mean, (variance + EPSILON).sqrt()
        counts = torch.arange(1, features.shape[-1] + 1, device=features.device)
        precise = features.to(_precise(features))
        mean = precise.cumsum(dim=-1) / counts
        variance = precise.square().cumsum(dim=-1) / counts - mean.square()
        return mean.to(features.dtype), (variance.clamp(min=0.0) + EPSILON).sqrt().to(features.dtype)


class Masker(nn.Module):
    """The temporal convolutional network that estimates a mask for each source."""

    def __init__(self, settings: SeparatorSettings, *, n_coefficients: int) -> None:
        super().__init__()
        size = settings.network
        self.norm = (CumulativeLayerNorm if settings.causal else GlobalLayerNorm)(n_coefficients)
        self.bottleneck = nn.Conv1d(n_coefficients, size.bottleneck_channels, 1)
        n_blocks = size.n_blocks * size.n_repeats
        self.blocks = nn.ModuleList(
            _Block(settings, dilation=2 ** (index % size.n_blocks), has_residual=index < n_blocks - 1)
            for index in range(n_blocks)
        )
        self.to_logits = nn.Sequential(nn.PReLU(), nn.Conv1d(size.skip_channels, len(SOURCES) * n_coefficients, 1))
        is_refined = settings.basis == "stft" and settings.refinement_channels > 0
        self.refinement = Refinement(settings) if is_refined else None

    def forward(self, features: Tensor) -> Tensor:
        """Masks from 0 to 1, ``(batch, source, coefficient, frame)``, for features ``(batch, coefficient, frame)``."""
        normalised = self.norm(features)
        hidden = self.bottleneck(normalised)  # (batch, B, frame)
        total = torch.zeros(())
        for block in self.blocks:
            hidden, skip = block(hidden)
            total = total + skip  # (batch, Sc, frame)
        logits: Tensor = self.to_logits(total)  # (batch, source * coefficient, frame)
        logits = logits.reshape(len(logits), len(SOURCES), -1, logits.shape[-1])
        return torch.sigmoid(logits if self.refinement is None else logits + self.refinement(logits, normalised))


class ConvTasNet(nn.Module):
    """Splits recordings into machine and noise, whose sum is the recording.

    Parameters
    ----------
    settings
        Size and basis, and whether it is causal. A network that is not reads recordings at unit power; a causal one
        reads them as they are, for their level lies in the future.

    References
    ----------
    .. [1] Y. Luo, N. Mesgarani, "Conv-TasNet: surpassing ideal time-frequency magnitude masking for speech separation",
       IEEE/ACM TASLP 27(8), 2019.
    """

    def __init__(self, settings: SeparatorSettings) -> None:
        super().__init__()
        self.causal = settings.causal
        self.basis = BASES[settings.basis](settings)
        self.masker = Masker(settings, n_coefficients=self.basis.n_coefficients)

    def forward(self, mixture: Tensor) -> Tensor:
        """Machine and noise of each recording.

        Parameters
        ----------
        mixture
            Shape ``(batch, 1, time)``, at least one sample.

        Returns
        -------
        Tensor
            Shape ``(batch, 2, time)``, in the order of `SOURCES`; of the same length and level.
        """
        n_samples = mixture.shape[-1]
        level = torch.ones(()) if self.causal else mixture.square().mean(dim=-1, keepdim=True).sqrt() + EPSILON
        scaled = mixture / level
        coefficients, features = self.basis.encode(scaled)  # (batch, N, frame)
        masks = self.masker(features)  # (batch, source, N, frame)
        masked = (masks * coefficients[:, None]).flatten(0, 1)  # (batch * source, N, frame)
        estimates = self.basis.decode(masked, n_samples=n_samples).reshape(-1, len(SOURCES), n_samples)
        return mixture_consistent(estimates, scaled) * level


def _precise(features: Tensor) -> torch.dtype:
    """The type of sums over a long past, which would lose digits."""
    return torch.float32 if features.device.type == "mps" else torch.float64  # MPS knows no float64
