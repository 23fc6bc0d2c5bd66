"""Log-mel spectrograms in torch, through which gradients flow, for the loss of a separator."""

import torch
from torch import Tensor, nn

from soundness.audio.log_mel import mel_filterbank
from soundness.settings.system import LogMelSettings

__all__ = ["LogMelLayer"]


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
