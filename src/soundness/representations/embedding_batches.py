"""Batches that an embedding is trained on: random segments, mixed with each other and with noise, and soft labels."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundness.representations.autoencoders import split_into_segments
from soundness.settings.embedding import EmbeddingSettings

__all__ = ["TRANSFORMATIONS", "EmbeddingBatch", "EmbeddingBatches", "EmbeddingClips", "mixed", "transformed"]

_SHIFT_BANDS = 2
_TILT_DB = 6.0

TRANSFORMATIONS = ("as it is", "higher", "lower", "darker", "brighter")
"""Transformations that make further classes, the only ones where all clips are alike: shifts and tilts."""


@dataclass(frozen=True, slots=True)
class EmbeddingClips:
    """The normal clips that an embedding is trained on.

    Parameters
    ----------
    log_mels
        dB, shape ``(mel, frame)`` each; lengths may differ.
    classes
        Class of each clip, from 0, shape ``(clip,)``.
    noise
        Log-mels of recordings without a machine; may be empty.
    """

    log_mels: Sequence[NDArray[np.float32]]
    classes: NDArray[np.int64]
    noise: Sequence[NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class EmbeddingBatch:
    """Segments, shape ``(row, mel, frame)``; long-time spectra, ``(row, mel)``; soft labels, ``(row, class)``."""

    segments: Tensor
    spectra: Tensor
    labels: Tensor


class EmbeddingBatches:
    """Batches of a training; those of an epoch depend on the seed and on its number alone.

    A class is drawn first, then one of its clips, so that few clips of a condition count as much as many of another.
    """

    def __init__(self, clips: EmbeddingClips, settings: EmbeddingSettings, *, seed: int) -> None:
        n_frames = settings.segment_frames
        self.settings, self.seed = settings, seed
        self.n_steps = settings.max_steps
        self.steps_per_epoch = min(settings.steps_per_epoch, settings.max_steps)
        self._log_mels = [_long_enough(log_mel, n_frames=n_frames) for log_mel in clips.log_mels]
        self._spectra = torch.stack([_spectrum(log_mel) for log_mel in clips.log_mels])  # (clip, mel)
        self._noise = [_long_enough(log_mel, n_frames=n_frames) for log_mel in clips.noise]
        self._noise_spectra = [_spectrum(log_mel) for log_mel in clips.noise]
        self._classes = clips.classes
        counts = np.bincount(clips.classes)
        self._chances = 1 / (counts[clips.classes] * np.count_nonzero(counts))
        self._n_own_classes = len(counts)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self._n_own_classes * (len(TRANSFORMATIONS) if self.settings.is_transformed else 1)

    def epoch(self, index: int) -> Iterator[EmbeddingBatch]:
        """The batches of an epoch, counted from 0."""
        first = index * self.steps_per_epoch
        for step in range(first, min(first + self.steps_per_epoch, self.n_steps)):
            yield self._batch(np.random.default_rng((self.seed, step)))

    def _batch(self, rng: np.random.Generator) -> EmbeddingBatch:
        size = self.settings.batch_size
        rows = rng.choice(len(self._log_mels), size=size, p=self._chances)
        segments, spectra = self._segments(self._log_mels, rows, rng), self._spectra[torch.from_numpy(rows)]
        classes = self._classes[rows]
        if self.settings.is_transformed:
            ways = rng.integers(len(TRANSFORMATIONS), size=size)
            segments, spectra = transformed(segments, ways), transformed(spectra[..., None], ways)[..., 0]
            classes = classes * len(TRANSFORMATIONS) + ways
        labels = torch.eye(self.n_classes)[torch.from_numpy(classes)]
        shares = np.where(rng.random(size) < self.settings.mixup_share, rng.random(size), 1.0)
        is_noisy = rng.random(size) < self.settings.noise_share
        return self._with_noise(_mixed_up(segments, spectra, labels, shares), is_noisy, rng)

    def _segments(self, log_mels: Sequence[Tensor], rows: NDArray[np.int64], rng: np.random.Generator) -> Tensor:
        n_frames = self.settings.segment_frames
        starts = [int(rng.integers(log_mels[row].shape[-1] - n_frames + 1)) for row in rows]
        return torch.stack(
            [log_mels[row][:, start : start + n_frames] for row, start in zip(rows, starts, strict=True)]
        )

    def _with_noise(
        self, batch: EmbeddingBatch, is_noisy: NDArray[np.bool_], rng: np.random.Generator
    ) -> EmbeddingBatch:
        """Noise at a random signal-to-noise ratio in the noisy rows; their labels stay what they are."""
        chosen = torch.from_numpy(np.flatnonzero(is_noisy))
        if not self._noise or len(chosen) == 0:
            return batch
        rows = rng.integers(len(self._noise), size=len(chosen))
        noise, noise_spectra = (
            self._segments(self._noise, rows, rng),
            torch.stack([self._noise_spectra[r] for r in rows]),
        )
        snr_db = torch.from_numpy(rng.uniform(*self.settings.noise_snr_db, size=len(chosen))).float()
        gain_db = _level_db(batch.spectra[chosen]) - _level_db(noise_spectra) - snr_db  # (row,)
        segments, spectra = batch.segments.clone(), batch.spectra.clone()
        segments[chosen] = mixed(segments[chosen], noise + gain_db[:, None, None], torch.ones(len(chosen)))
        spectra[chosen] = mixed(spectra[chosen], noise_spectra + gain_db[:, None], torch.ones(len(chosen)))
        return EmbeddingBatch(segments, spectra, batch.labels)


def mixed(own: Tensor, other: Tensor, shares: Tensor, other_shares: Tensor | None = None) -> Tensor:
    r"""Log-mels of mixtures of two sounds that have nothing to do with each other: their powers add up.

    .. math:: 10 \log_{10} (\lambda^2 10^{x / 10} + \mu^2 10^{y / 10})

    Parameters
    ----------
    own, other
        :math:`x` and :math:`y`, dB, shape ``(row, ...)``.
    shares, other_shares
        :math:`\lambda` and :math:`\mu`, factors of the waveforms, shape ``(row,)``; 1 where there is no second one.
    """
    shape = (-1, *[1] * (own.ndim - 1))
    one = shares.square().reshape(shape)
    two = torch.ones(()) if other_shares is None else other_shares.square().reshape(shape)
    return _in_db(one * _powers(own) + two * _powers(other))


def _powers(decibels: Tensor) -> Tensor:
    return (decibels * (math.log(10) / 10)).exp()


def _in_db(powers: Tensor) -> Tensor:
    return 10 * powers.log10()


def transformed(log_mels: Tensor, ways: NDArray[np.int64]) -> Tensor:
    """Each log-mel under one of `TRANSFORMATIONS`, by its index; shape ``(row, mel, frame)``, dB."""
    tilt = torch.linspace(_TILT_DB / 2, -_TILT_DB / 2, log_mels.shape[1])[:, None]
    rows = []
    for log_mel, way in zip(log_mels, ways, strict=True):
        shift = {1: _SHIFT_BANDS, 2: -_SHIFT_BANDS}.get(int(way), 0)
        rows.append(_shifted(log_mel, shift) + {3: tilt, 4: -tilt}.get(int(way), torch.zeros(())))
    return torch.stack(rows)


def _shifted(log_mel: Tensor, n_bands: int) -> Tensor:
    """Each band's sound in a band above or below; the edge is repeated."""
    sources = (torch.arange(len(log_mel)) - n_bands).clamp(0, len(log_mel) - 1)
    return log_mel[sources] if n_bands != 0 else log_mel


def _mixed_up(segments: Tensor, spectra: Tensor, labels: Tensor, shares: NDArray[np.float64]) -> EmbeddingBatch:
    """Each row with the next one; rows whose share is 1 stay as they are."""
    share = torch.from_numpy(shares).float()
    chosen = torch.from_numpy(np.flatnonzero(shares < 1.0))
    if len(chosen) == 0:
        return EmbeddingBatch(segments, spectra, labels)
    partner = (chosen + 1) % len(segments)
    own, other = share[chosen], 1 - share[chosen]
    new_segments, new_spectra, new_labels = segments.clone(), spectra.clone(), labels.clone()
    new_segments[chosen] = mixed(segments[chosen], segments[partner], own, other)
    new_spectra[chosen] = mixed(spectra[chosen], spectra[partner], own, other)
    new_labels[chosen] = own[:, None] * labels[chosen] + other[:, None] * labels[partner]
    return EmbeddingBatch(new_segments, new_spectra, new_labels)


def _level_db(spectra: Tensor) -> Tensor:
    """Level of each row over all bands, dB, shape ``(row,)``."""
    return _in_db(_powers(spectra).sum(dim=1))


def _spectrum(log_mel: NDArray[np.float32]) -> Tensor:
    """Long-time spectrum, shape ``(mel,)``."""
    return torch.from_numpy(log_mel.mean(axis=-1))


def _long_enough(log_mel: NDArray[np.float32], *, n_frames: int) -> Tensor:
    """A clip shorter than a segment is repeated to fill one."""
    frames = torch.from_numpy(log_mel)
    return frames if frames.shape[-1] >= n_frames else split_into_segments(frames, n_frames=n_frames)[0]
