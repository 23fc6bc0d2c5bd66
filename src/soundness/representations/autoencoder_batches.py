"""Batches that an autoencoder is trained on: segments, their order, and those that are held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundness.audio.log_mel import Spectrograms
from soundness.representations.autoencoders import split_into_segments
from soundness.settings.system import SystemSettings, TrainingSettings

__all__ = ["Batch", "Batches", "Scale", "TrainingClips", "has_one_spectrogram", "training_batches"]

Batch = tuple[Tensor, Tensor, Tensor]
"""Segments and references, shape ``(segment, mel, frame)``, in the network's units, and
conditions, shape ``(segment, feature)``."""

Scale = tuple[Tensor, Tensor]
"""Mean and deviation of each band, dB, shape ``(2, mel)`` each: of the input and of the reference."""

_FEWEST_TO_HOLD_OUT = 5


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """The normal clips that a network is trained on.

    Parameters
    ----------
    spectrograms
        Lengths may differ.
    conditions
        Encoded condition of each clip, shape ``(clip, feature)``.
    groups
        Group of each clip, such as its machine and domain: clips of each group are held out.
    recordings
        Number of the recording that each clip came from: it is held out with all that came from it.
    """

    spectrograms: Sequence[Spectrograms]
    conditions: NDArray[np.float32]
    groups: Sequence[str]
    recordings: Sequence[int]


def training_batches(clips: TrainingClips, settings: SystemSettings, *, scale: Scale, seed: int) -> "Batches":
    """Batches that a system's network is trained with; the seed decides their order and what is held out."""
    assert settings.autoencoder is not None  # a network is trained
    assert settings.training is not None
    n_frames = settings.autoencoder.segment_frames
    if settings.training.n_epochs is None:
        return _RandomPositions(clips, settings.training, n_frames=n_frames, scale=scale, seed=seed)
    return _AllPositions(clips, settings.training, n_frames=n_frames, scale=scale, seed=seed)


def has_one_spectrogram(clips: TrainingClips) -> bool:
    """True if a network reconstructs what it reads, so that one copy of it is enough."""
    return all(clip.reference is clip.input for clip in clips.spectrograms)


class _Frames:
    """Frames of clips in one tensor, scaled once, so that a batch is one look-up."""

    def __init__(self, clips: TrainingClips, kept: Sequence[int], *, n_frames: int, scale: Scale) -> None:
        chosen = [clips.spectrograms[index] for index in kept]
        self.n_frames = n_frames
        mean, deviation = scale
        self.input = _concatenated([clip.input for clip in chosen], n_frames=n_frames)  # (frame, mel)
        self.input.sub_(mean[0]).div_(deviation[0])
        self.reference = self.input
        if not has_one_spectrogram(clips):
            self.reference = _concatenated([clip.reference for clip in chosen], n_frames=n_frames)
            self.reference.sub_(mean[1]).div_(deviation[1])
        self.lengths = np.array([max(n_frames, clip.input.shape[-1]) for clip in chosen], dtype=np.int64)
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.conditions = torch.from_numpy(clips.conditions[list(kept)])

    def batch(self, first: Tensor, clips: Tensor) -> Batch:
        """Segments that begin at frames ``first``, with the conditions of their clips."""
        segments = self._segments(self.input, first)
        references = segments if self.reference is self.input else self._segments(self.reference, first)
        return segments, references, self.conditions[clips]

    def _segments(self, frames: Tensor, first: Tensor) -> Tensor:
        """Segments that begin at frames ``first``, shape ``(segment, mel, frame)``, copied once."""
        return frames.unfold(0, self.n_frames, 1).index_select(0, first)


class _RandomPositions:
    """Batches at random positions of random clips, as many as are asked for; whole clips are held out."""

    def __init__(
        self, clips: TrainingClips, training: TrainingSettings, *, n_frames: int, scale: Scale, seed: int
    ) -> None:
        held_out = _held_out_clips(clips, share=training.held_out, seed=seed)
        kept = [index for index in range(len(clips.spectrograms)) if index not in set(held_out)]
        self.n_steps = training.max_steps
        self.steps_per_epoch = min(training.steps_per_epoch, training.max_steps)
        self.held_out = _segments(clips, held_out, n_frames=n_frames, scale=scale)
        self._frames = _Frames(clips, kept, n_frames=n_frames, scale=scale)
        self._batch_size = training.batch_size
        self._seed = seed

    def epoch(self, index: int) -> Iterator[Batch]:
        first = index * self.steps_per_epoch
        for step in range(first, min(first + self.steps_per_epoch, self.n_steps)):
            rng = np.random.default_rng((self._seed, step))
            chosen = rng.integers(len(self._frames.starts), size=self._batch_size)
            positions = rng.integers(self._frames.lengths[chosen] - self._frames.n_frames + 1)
            starts = self._frames.starts[chosen] + positions
            yield self._frames.batch(torch.from_numpy(starts), torch.from_numpy(chosen))


class _AllPositions:
    """Every position of every clip once an epoch, in random order; a share of each clip's positions is held out.

    A last batch of a single segment is left out of its epoch: its mean is itself, and batch normalisation needs more.
    """

    def __init__(
        self, clips: TrainingClips, training: TrainingSettings, *, n_frames: int, scale: Scale, seed: int
    ) -> None:
        assert training.n_epochs is not None  # all positions are asked for
        self._frames = frames = _Frames(clips, range(len(clips.spectrograms)), n_frames=n_frames, scale=scale)
        counts = frames.lengths - n_frames + 1
        is_held_out = np.concatenate(
            [
                _held_out_positions(int(count), share=training.held_out, seed=(seed, recording))
                for count, recording in zip(counts, clips.recordings, strict=True)
            ]
        )
        owners = np.repeat(np.arange(len(counts)), counts)
        starts = np.concatenate([start + np.arange(count) for start, count in zip(frames.starts, counts, strict=True)])
        self._starts, self._owners = (torch.from_numpy(values[~is_held_out]) for values in (starts, owners))
        self._batch_size, self._seed = training.batch_size, seed
        n_full, rest = divmod(len(self._starts), training.batch_size)
        self.steps_per_epoch = max(1, n_full + (rest > 1))
        self.n_steps = training.n_epochs * self.steps_per_epoch
        self.held_out = frames.batch(*(torch.from_numpy(values[is_held_out]) for values in (starts, owners)))

    def epoch(self, index: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self._seed, index))
        order = torch.from_numpy(rng.permutation(len(self._starts)))
        if len(order) == 1:
            order = order.repeat(2)
        for rows in torch.split(order, self._batch_size)[: self.steps_per_epoch]:
            yield self._frames.batch(self._starts[rows], self._owners[rows])


Batches = _RandomPositions | _AllPositions
"""Batches of a training, as `soundness.lightning_loop.Batches` says, with segments that are held out."""


def _concatenated(log_mels: Sequence[NDArray[np.float32]], *, n_frames: int) -> Tensor:
    """All frames of clips, shape ``(frame, mel)``; a clip shorter than a segment is repeated to fill one."""
    filled = [
        split_into_segments(log_mel, n_frames=n_frames)[0] if log_mel.shape[-1] < n_frames else log_mel
        for log_mel in map(torch.from_numpy, log_mels)
    ]
    return torch.cat([log_mel.T for log_mel in filled])


def _segments(clips: TrainingClips, chosen: Sequence[int], *, n_frames: int, scale: Scale) -> Batch:
    """Segments that cover the chosen clips."""
    if not chosen:
        nothing = torch.empty(0, clips.spectrograms[0].input.shape[0], n_frames)
        return nothing, nothing, torch.from_numpy(clips.conditions[:0])
    mean, deviation = scale
    pairs = [clips.spectrograms[index] for index in chosen]
    inputs = [split_into_segments(torch.from_numpy(pair.input), n_frames=n_frames) for pair in pairs]
    references = [split_into_segments(torch.from_numpy(pair.reference), n_frames=n_frames) for pair in pairs]
    scaled, scaled_references = (
        torch.cat(segments).sub_(mean[index, :, None]).div_(deviation[index, :, None])
        for index, segments in enumerate((inputs, references))
    )
    counts = torch.tensor([len(group) for group in inputs])
    return scaled, scaled_references, torch.from_numpy(clips.conditions[list(chosen)]).repeat_interleave(counts, dim=0)


def _held_out_clips(clips: TrainingClips, *, share: float, seed: int) -> list[int]:
    """At least one recording of each group that has five or more, so that each counts when training is stopped."""
    group_of = dict(zip(clips.recordings, clips.groups, strict=True))
    rng = np.random.default_rng((seed, len(group_of)))
    chosen: set[int] = set()
    for group in sorted(set(clips.groups)):
        members = [recording for recording, name in group_of.items() if name == group]
        if share > 0.0 and len(members) >= _FEWEST_TO_HOLD_OUT:
            count = min(max(1, round(share * len(members))), len(members) - 1)
            chosen |= {int(recording) for recording in rng.choice(members, size=count, replace=False)}
    return [index for index, recording in enumerate(clips.recordings) if recording in chosen]


def _held_out_positions(n_positions: int, *, share: float, seed: tuple[int, int]) -> NDArray[Any]:
    """True at each position of a clip that is held out; the same ones in all that came from a recording."""
    n_held_out = min(round(share * n_positions), n_positions - 1)
    return np.random.default_rng(seed).permutation(n_positions) < n_held_out
