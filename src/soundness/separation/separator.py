"""A trained separator: recordings of any length in, machine and noise out."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from soundness.aliases import Waveform
from soundness.errors import SettingsError
from soundness.files.sealed import rebuilt_network
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.settings.separation import SeparatorSettings

__all__ = ["CHUNK_SECONDS", "OVERLAP_SECONDS", "Improvement", "Separator", "SeparatorFit", "SeparatorSummary"]

CHUNK_SECONDS = 30.0
OVERLAP_SECONDS = 2.0


class Improvement(BaseModel):
    """SI-SNR improvement of a separator for one machine, over held-out mixtures."""

    model_config = ConfigDict(frozen=True)

    machine_type: str
    snr_db: float
    """Level of the machine above the noise in the mixtures."""
    si_snr_db: float
    """Mean SI-SNR of the estimates."""
    improvement_db: float
    """Mean SI-SNR of the estimates, less that of the mixtures themselves."""
    n_mixtures: int
    is_noisy_target: bool
    """True if the references are recordings that hold noise of their own: figures are then lower bounds."""


class SeparatorSummary(BaseModel):
    """Data, training and measurements of a separator."""

    model_config = ConfigDict(frozen=True)

    seed: int
    machine_types: tuple[str, ...]
    n_clips: dict[str, int]
    """Clean, noise and training clips that were mixed."""
    n_parameters: int
    n_steps: int
    seconds: float
    """Wall-clock time of the training."""
    improvements: tuple[Improvement, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]


class Separator:
    """Splits recordings into the machine and the noise around it.

    Parameters
    ----------
    network
        Trained; it is put into evaluation mode.
    settings
        Settings of the network.
    summary
        Summary of its training.
    """

    def __init__(self, network: ConvTasNet, *, settings: SeparatorSettings, summary: SeparatorSummary) -> None:
        self.network = network.eval()
        self.settings = settings
        self.summary = summary

    def __str__(self) -> str:
        """Describe size and training in a line."""
        summary, settings = self.summary, self.settings
        size = f"{settings.size}, {settings.basis} basis, {summary.n_parameters:,} parameters"
        return f"{size}, {summary.n_steps:,} steps in {summary.seconds / 60:.1f} minutes"

    def improvement_rows(self) -> list[tuple[str, ...]]:
        """Table of the SI-SNR improvement in dB by machine and level; empty if nothing was measured."""
        improvements = self.summary.improvements
        levels = sorted({one.snr_db for one in improvements})
        rows: list[tuple[str, ...]] = [("machine", "reference", *(f"mixed at {level:g} dB" for level in levels))]
        for name in dict.fromkeys(one.machine_type for one in improvements):
            own = {one.snr_db: one for one in improvements if one.machine_type == name}
            cells = (f"{own[level].improvement_db:+.1f}" if level in own else "" for level in levels)
            rows.append((name, "noisy" if next(iter(own.values())).is_noisy_target else "clean", *cells))
        return rows if len(rows) > 1 else []

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], *, settings: SeparatorSettings, summary: SeparatorSummary
    ) -> Self:
        """Rebuild from `arrays`."""
        network = rebuilt_network(lambda: ConvTasNet(settings), arrays)
        return cls(network, settings=settings, summary=summary)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights, by name."""
        return {name: tensor.cpu().numpy() for name, tensor in self.network.state_dict().items()}

    @property
    def fingerprint(self) -> str:
        """Checksum of settings and weights."""
        weights = self.arrays()
        parts = [self.settings.model_dump_json().encode(), *(weights[name].tobytes() for name in sorted(weights))]
        return hashlib.sha256(b"".join(parts)).hexdigest()

    def separate(self, waveform: Waveform) -> Waveform:
        """Machine and noise of a recording; see `separate_blocks`.

        Parameters
        ----------
        waveform
            At the separator's sample rate, shape ``(channel, time)``.

        Returns
        -------
        ndarray
            Shape ``(2, channel, time)``: machine and noise, whose sum is the recording.
        """
        return np.concatenate(list(self.separate_blocks([waveform])), axis=-1)

    def separate_blocks(
        self, blocks: Iterable[Waveform], *, chunk_seconds: float = CHUNK_SECONDS
    ) -> Iterator[Waveform]:
        """Machine and noise of a recording that comes in blocks; memory does not grow with its length.

        The channels of a recording are separated one by one. A recording longer than a chunk is separated in chunks
        that overlap by two seconds, in which one fades into the next; the last chunk is aligned with the end.

        Parameters
        ----------
        blocks
            Of one recording at the separator's sample rate, each of shape ``(channel, time)``.
        chunk_seconds
            Length of a chunk, more than the overlap.

        Yields
        ------
        ndarray
            Shape ``(2, channel, time)``; end to end they are as long as the recording.

        Raises
        ------
        SettingsError
            If ``chunk_seconds`` does not exceed the overlap.
        """
        if chunk_seconds <= OVERLAP_SECONDS:
            raise SettingsError(f"chunk_seconds: {chunk_seconds:g}; expected more than {OVERLAP_SECONDS:g}")
        rate = self.settings.sample_rate
        chunk, overlap = round(chunk_seconds * rate), round(OVERLAP_SECONDS * rate)
        waiting: Waveform | None = None  # samples that are not separated yet, with the overlap before them
        before: Waveform | None = None  # the chunk before
        tail: Waveform | None = None  # its estimates in the overlap
        for block in blocks:
            waiting = block if waiting is None else np.concatenate([waiting, block], axis=-1)
            while waiting.shape[-1] > chunk:
                before, waiting = waiting[:, :chunk], waiting[:, chunk - overlap :]
                estimates = _faded(tail, self._separated(before))
                tail = estimates[..., -overlap:]
                yield estimates[..., :-overlap]
        if waiting is None:
            return
        if before is None:
            yield self._separated(waiting)
            return
        last = np.concatenate([before[:, :-overlap], waiting], axis=-1)[:, -chunk:]
        yield _faded(tail, self._separated(last)[..., -waiting.shape[-1] :])

    @torch.inference_mode()
    def _separated(self, waveform: Waveform) -> Waveform:
        mixture = torch.from_numpy(np.ascontiguousarray(waveform))[:, None]  # (channel, 1, time)
        estimates: Tensor = torch.cat([self.network(channel[None]) for channel in mixture])  # (channel, 2, time)
        return estimates.transpose(0, 1).numpy()


def _faded(tail: Waveform | None, estimates: Waveform) -> Waveform:
    """Estimates whose beginning is faded in from those of the chunk before, in the middle half of the overlap."""
    if tail is None:
        return estimates
    n_samples = tail.shape[-1]
    fade = np.clip(2 * (np.arange(n_samples, dtype=np.float32) + 0.5) / n_samples - 0.5, 0.0, 1.0)
    faded = (1 - fade) * tail + fade * estimates[..., :n_samples]
    return np.concatenate([faded, estimates[..., n_samples:]], axis=-1)


@dataclass(frozen=True, slots=True)
class SeparatorFit:
    """A trained network and how its training went."""

    network: ConvTasNet
    n_steps: int
    seconds: float
