"""Log-mel spectrograms in torch: batched, on any device, equal to librosa's."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soundness.settings import LogMelSettings

__all__ = ["LogMel", "Spectrograms", "band_centres", "mel_filterbank"]

_BLOCK_FRAMES = 4096  # of an hour-long clip, so that its spectrum fits into memory


@dataclass(frozen=True, slots=True)
class Spectrograms:
    """A clip as a representation gets it: two log-mels in dB, of shape ``(mel, frame)`` each.

    They are one and the same, unless a network reads a recording and reconstructs the machine in it.

    Parameters
    ----------
    given
        What a network reads.
    wanted
        What it is to reconstruct, and what the clip's vectors describe.
    """

    given: Tensor
    wanted: Tensor


class LogMel(nn.Module):
    """Log-mel spectrogram of waveforms.

    Frames are centred on multiples of ``hop_length``, the edges padded with zeros, the window is a periodic Hann
    window of ``n_fft`` samples and the filters are Slaney's: as in librosa, and in the official baseline. Spectra are
    float64, since rounding errors of float32 are heard 95 dB below a loud tone.

    Parameters
    ----------
    settings
        Frame, bands and floor.
    sample_rate
        Hz.
    """

    filters: Tensor

    def __init__(self, settings: LogMelSettings, *, sample_rate: int) -> None:
        super().__init__()
        self.settings = settings
        filters = mel_filterbank(settings, sample_rate=sample_rate)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Log-mel spectrogram in dB, ``10 log10`` of the mel bands, never below ``floor_db``.

        Parameters
        ----------
        waveform
            float32 in [-1, 1], shape ``(..., time)``.

        Returns
        -------
        Tensor
            dB, shape ``(..., mel, frame)`` with ``1 + time // hop_length`` frames.
        """
        settings = self.settings
        before = settings.n_fft // 2
        padded = nn.functional.pad(waveform.reshape(-1, waveform.shape[-1]), (before, settings.n_fft - before))
        n_frames, hop = 1 + waveform.shape[-1] // settings.hop_length, settings.hop_length
        blocks = [range(start, min(start + _BLOCK_FRAMES, n_frames)) for start in range(0, n_frames, _BLOCK_FRAMES)]
        parts = [self._block(padded[:, part[0] * hop : part[-1] * hop + settings.n_fft]) for part in blocks]
        log_mel = torch.cat(parts, dim=-1)
        return log_mel.reshape(*waveform.shape[:-1], *log_mel.shape[-2:])

    def _block(self, padded: Tensor) -> Tensor:
        """Log-mel of whole frames, shape ``(batch, mel, frame)``, of samples of shape ``(batch, time)``."""
        settings = self.settings
        precise = torch.float32 if padded.device.type == "mps" else torch.float64  # MPS knows no float64
        spectrum = torch.stft(
            padded.to(precise),
            settings.n_fft,
            settings.hop_length,
            window=torch.hann_window(settings.n_fft, dtype=precise, device=padded.device),
            center=False,
            return_complex=True,
        )  # (batch, bin, frame)
        magnitude = (spectrum.real.square() + spectrum.imag.square()).float()
        if settings.power != 2.0:
            magnitude = magnitude.pow(settings.power / 2)
        bands = self.filters @ magnitude  # (batch, mel, frame)
        floor = 10 ** (settings.floor_db * settings.power / 20)
        return bands.clamp(min=floor).log10() * (20 / settings.power)


def mel_filterbank(settings: LogMelSettings, *, sample_rate: int) -> NDArray[np.float32]:
    """Triangular filters of unit area on Slaney's mel scale.

    Returns
    -------
    NDArray[np.float32]
        Shape ``(mel, bin)`` with ``1 + n_fft // 2`` bins.

    References
    ----------
    .. [1] M. Slaney, "Auditory Toolbox, version 2", Interval Research, 1998: linear below 1 kHz, logarithmic above.
    """
    edges = _band_edges(settings)
    bins = np.fft.rfftfreq(settings.n_fft, 1 / sample_rate)
    ramps = edges[:, None] - bins  # (mel + 2, bin)
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    filters: NDArray[np.float32] = (triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return filters


def band_centres(settings: LogMelSettings) -> NDArray[np.float64]:
    """Frequency of each band's peak in Hz, shape ``(mel,)``."""
    return _band_edges(settings)[1:-1]


def _band_edges(settings: LogMelSettings) -> NDArray[np.float64]:
    """Frequencies in Hz at which one triangle ends and the next but one begins, shape ``(mel + 2,)``."""
    lowest, highest = _hz_to_mel(settings.fmin), _hz_to_mel(settings.fmax)
    return np.array([_mel_to_hz(mel) for mel in np.linspace(lowest, highest, settings.n_mels + 2)])


_HZ_PER_MEL = 200 / 3
_LOG_START_HZ = 1_000.0
_LOG_STEP = math.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _HZ_PER_MEL
    return _LOG_START_HZ / _HZ_PER_MEL + math.log(hz / _LOG_START_HZ) / _LOG_STEP


def _mel_to_hz(mel: float) -> float:
    log_start_mel = _LOG_START_HZ / _HZ_PER_MEL
    if mel < log_start_mel:
        return mel * _HZ_PER_MEL
    return _LOG_START_HZ * math.exp(_LOG_STEP * (mel - log_start_mel))
