"""Losses of a separator, and the level of its outputs."""

import torch
from torch import Tensor, nn

from soundness.audio.log_mel import mel_filterbank
from soundness.settings.system import LogMelSettings

__all__ = ["LogMelDistance", "LogMelLayer", "mixture_consistent", "separation_loss", "si_snr"]

_EPSILON = 1e-8
_FLOOR_DB = -60.0
_SILENCE_DB = -60.0  # below the level of the mixture: a reference as quiet is skipped


def si_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    r"""Scale-invariant signal-to-noise ratio of each waveform.

    With the zero-mean estimate :math:`\hat s` and reference :math:`s`, and the projection
    :math:`s_t = \langle \hat s, s \rangle s / \|s\|^2`, it is :math:`10 \log_{10} \|s_t\|^2 / \|\hat s - s_t\|^2`.

    Parameters
    ----------
    estimate, reference
        Sample-aligned waveforms, shape ``(..., time)``; their means are removed first.

    Returns
    -------
    Tensor
        Ratio in dB, shape ``(...)``; higher is better, finite for silent input.

    References
    ----------
    .. [1] Y. Luo, N. Mesgarani, "Conv-TasNet", IEEE/ACM TASLP 27(8), 2019, eq. 14.
    """
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    energy = reference.square().sum(dim=-1, keepdim=True)
    target = (estimate * reference).sum(dim=-1, keepdim=True) / (energy + _EPSILON) * reference
    error = estimate - target
    ratio = (target.square().sum(dim=-1) + _EPSILON) / (error.square().sum(dim=-1) + _EPSILON)
    return 10 * ratio.log10()


def separation_loss(estimates: Tensor, references: Tensor) -> Tensor:
    """Negative SI-SNR, the mean over all pairs with audible references; the order of the outputs is fixed.

    Parameters
    ----------
    estimates, references
        Machine and noise, shape ``(batch, 2, time)``. Where one of the two is silent (more than 60 dB below their sum),
        the pair is skipped: the SI-SNR of silence is meaningless, and that of the other has no bound.

    Returns
    -------
    Tensor
        In dB, lower is better; 0 where no pair counts.
    """
    levels = references.square().mean(dim=-1)  # (batch, 2)
    mixture_level = references.sum(dim=1).square().mean(dim=-1, keepdim=True)
    is_audible = (levels > 10 ** (_SILENCE_DB / 10) * mixture_level).all(dim=1)  # (batch,)
    ratios = si_snr(estimates, references).mean(dim=1)  # (batch,)
    return -torch.where(is_audible, ratios, 0.0).sum() / is_audible.sum().clamp(min=1)


class LogMelLayer(nn.Module):
    """Batched log-mel on any device, with the parameters and values of `soundness.audio.log_mel.LogMel`."""

    filters: Tensor

    def __init__(self, settings: LogMelSettings, *, sample_rate: int) -> None:
        super().__init__()
        self.settings = settings
        filters = mel_filterbank(settings, sample_rate=sample_rate)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel spectrogram in dB, shape ``(batch, mel, frame)``, of waveforms of shape ``(batch, time)``."""
        settings = self.settings
        before = settings.n_fft // 2
        padded = nn.functional.pad(waveform, (before, settings.n_fft - before))
        precise = torch.float32 if waveform.device.type == "mps" else torch.float64  # MPS knows no float64
        spectrum = torch.stft(
            padded.to(precise),
            settings.n_fft,
            settings.hop_length,
            window=torch.hann_window(settings.n_fft, dtype=precise, device=waveform.device),
            center=False,
            return_complex=True,
        )  # (batch, bin, frame)
        magnitude = (spectrum.real.square() + spectrum.imag.square()).float()
        if settings.power != 2.0:
            magnitude = magnitude.pow(settings.power / 2)
        bands = self.filters @ magnitude  # (batch, mel, frame)
        floor = 10 ** (settings.floor_db * settings.power / 20)
        return bands.clamp(min=floor).log10() * (20 / settings.power)


class LogMelDistance(nn.Module):
    """Distance of the log-mel of the machine's estimate from that of the machine; all bands count alike.

    SI-SNR depends on the loudest bands alone, while detection often needs others.
    """

    def __init__(self, *, sample_rate: int) -> None:
        super().__init__()
        settings = LogMelSettings(fmax=sample_rate / 2, floor_db=_FLOOR_DB)
        self.log_mel = LogMelLayer(settings, sample_rate=sample_rate)

    def forward(self, estimates: Tensor, references: Tensor) -> Tensor:
        """Mean absolute difference in dB, over bands, frames and pairs.

        Parameters
        ----------
        estimates, references
            Machine and noise, shape ``(batch, 2, time)``. Levels are those of a mixture of unit power, and nothing is
            quieter than 60 dB below it.
        """
        level = references.sum(dim=1).square().mean(dim=-1, keepdim=True).sqrt() + _EPSILON
        estimate, reference = (self.log_mel(machine[:, 0] / level) for machine in (estimates, references))
        distance: Tensor = (estimate - reference).abs().mean()
        return distance


def mixture_consistent(estimates: Tensor, mixture: Tensor) -> Tensor:
    r"""Estimates whose sum is the mixture, which fixes their level: log-mel depends on it.

    The difference is shared evenly: :math:`\hat s_i + (x - \sum_j \hat s_j) / n`.

    Parameters
    ----------
    estimates
        Shape ``(batch, source, time)``.
    mixture
        Shape ``(batch, 1, time)``.

    Returns
    -------
    Tensor
        Shape ``(batch, source, time)``.

    References
    ----------
    .. [1] S. Wisdom et al., "Differentiable consistency constraints for improved deep speech enhancement", ICASSP 2019,
       eq. 6, with equal weights.
    """
    return estimates + (mixture - estimates.sum(dim=1, keepdim=True)) / estimates.shape[1]
