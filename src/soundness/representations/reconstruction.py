"""Representations by an autoencoder: the reconstruction error of a clip, or its latent, pooled over time."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soundness.audio.log_mel import Spectrograms
from soundness.data.clips import Condition
from soundness.errors import SettingsError
from soundness.files.sealed import rebuilt_network
from soundness.files.stored_values import floats
from soundness.representations.autoencoder_batches import TrainingClips
from soundness.representations.autoencoders import (
    FitResult,
    Reconstructor,
    autoencoder_settings,
    deciding_settings,
    new_reconstructor,
    overlapping_segments,
    split_into_segments,
)
from soundness.representations.conditions import ConditionEncoder
from soundness.representations.protocol import FitContext, Fitted, MachineSpectrograms, NetworkPlan
from soundness.representations.statistics import pooled
from soundness.settings.fields import Pooling
from soundness.settings.system import SystemSettings

__all__ = ["ERRORS", "SMALLEST_SQUARE", "Latent", "ReconstructionError"]

_ROWS_AT_A_TIME = 256  # of an hour-long clip, so that its feature maps fit into memory
_MOST_CONDITIONS = 100_000
SMALLEST_SQUARE = 1e-4  # where a residual crosses zero, its logarithm would drown all others

ERRORS: dict[str, Callable[[Tensor], Tensor]] = {
    "squared": lambda residual: residual.square(),
    "signed": lambda residual: residual,
    "log": lambda residual: 10 * residual.square().clamp(min=SMALLEST_SQUARE).log10(),
}
"""Functions of the residual of each band and frame."""


class ReconstructionError:
    """A clip becomes its reconstruction error per mel band, pooled over time, once under each training condition.

    Parameters
    ----------
    reconstructor
        Trained, in evaluation mode.
    conditions
        Encoded conditions under which a clip is reconstructed, shape ``(condition, feature)``.
    segment_frames
        Frames that the network reconstructs at a time.
    is_overlapping
        True if segments begin at each frame, False if they follow each other.
    error
        A key of `ERRORS`.
    poolings
        Poolings of the error over time, see `soundness.representations.statistics.pooled`: a view each, one after the
        other in a vector.
    """

    _is_of_bands = True  # each value of a view belongs to a band

    def __init__(
        self,
        reconstructor: Reconstructor,
        conditions: Tensor,
        *,
        segment_frames: int,
        is_overlapping: bool = False,
        error: str = "squared",
        poolings: Sequence[Pooling] = ("mean",),
    ) -> None:
        self.reconstructor = reconstructor.eval()
        self.conditions = conditions
        self.segment_frames = segment_frames
        self.is_overlapping = is_overlapping
        self.error = error
        self.poolings = tuple(poolings)

    @classmethod
    def fit(
        cls, machines: Sequence[MachineSpectrograms], settings: SystemSettings, context: FitContext
    ) -> list[Fitted]:
        """Train one network on all clips of all machines, and on their separated copies where there are any."""
        own = [condition for machine in machines for condition in machine.conditions]
        is_conditional = autoencoder_settings(settings).is_conditional
        encoder = ConditionEncoder(tuple(sorted(set(own))) if is_conditional else ())
        clips = _training_clips(machines, own, encoder)
        network = _fit_network(clips, settings, context)
        return [cls._of_machine(machine, settings, encoder, network) for machine in machines]

    @classmethod
    def network_plan(cls, settings: SystemSettings) -> NetworkPlan:
        """Description of the autoencoder."""
        autoencoder, training = settings.autoencoder, settings.training
        if autoencoder is None or training is None:
            raise SettingsError(f"representation {settings.representation!r} needs autoencoder and training settings")
        return NetworkPlan(
            name=f"{autoencoder.name} autoencoder",
            trained_with=deciding_settings(settings),
            segment_frames=autoencoder.segment_frames,
            is_conditional=autoencoder.is_conditional,
            is_reconstruction=True,
            has_frame_covariances=cls._has_frame_covariances(settings),
            n_steps=training.max_steps if training.n_epochs is None else partial(_steps_of_epochs, settings),
            seconds_per_step=partial(_seconds_per_step, settings),
            check=partial(_check, settings),
        )

    @classmethod
    def _has_frame_covariances(cls, settings: SystemSettings) -> bool:
        """True if a clip becomes the mean of its residual frames with their sign."""
        is_signed = autoencoder_settings(settings).error == "signed"
        return cls._is_of_bands and is_signed and settings.poolings == ("mean",)

    @classmethod
    def _of_machine(
        cls, machine: MachineSpectrograms, settings: SystemSettings, encoder: ConditionEncoder, network: FitResult
    ) -> Fitted:
        """Representation of one machine: the network under the conditions that occur on it."""
        conditions = tuple(sorted(set(machine.conditions))) if encoder.n_features > 0 else ()
        encoded = encoder.encode(conditions) if conditions else np.zeros((1, 0), np.float32)
        representation = cls.from_network(network.reconstructor, encoded, settings)
        has_covariances = cls._has_frame_covariances(settings)
        return Fitted(
            representation=representation,
            conditions=conditions,
            encoder=encoder if autoencoder_settings(settings).is_conditional else None,
            network=network,
            frame_covariances=_frame_covariances(machine, representation, conditions) if has_covariances else None,
            view_sizes=tuple(view.shape[-1] for view in representation.views(machine.spectrograms[0])),
            n_bands=settings.log_mel.n_mels if cls._is_of_bands else 0,
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`, for a system with an autoencoder."""
        weights = {name: array for name, array in arrays.items() if name != "conditions"}
        conditions = _conditions(arrays)
        shape = (2, settings.log_mel.n_mels)
        scale = {name: torch.from_numpy(floats(arrays, name, shape, single=True)) for name in ("mean", "deviation")}
        reconstructor = rebuilt_network(
            lambda: new_reconstructor(settings, n_conditions=conditions.shape[1], **scale), weights
        )
        return cls.from_network(reconstructor, conditions, settings)

    @classmethod
    def from_network(
        cls, reconstructor: Reconstructor, conditions: NDArray[np.float32], settings: SystemSettings
    ) -> Self:
        """Use a network that was trained with these settings."""
        autoencoder = autoencoder_settings(settings)
        return cls(
            reconstructor,
            torch.from_numpy(conditions),
            segment_frames=autoencoder.segment_frames,
            is_overlapping=autoencoder.is_overlapping,
            error=autoencoder.error,
            poolings=settings.poolings,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights, scale and encoded conditions, by name."""
        weights = {name: tensor.numpy() for name, tensor in self.reconstructor.state_dict().items()}
        return {**weights, "conditions": self.conditions.numpy()}

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Views of a clip, one after the other, shape ``(condition, feature)``."""
        return np.concatenate(self.views(clip), axis=-1)

    def views(self, clip: Spectrograms) -> list[NDArray[np.float32]]:
        """The error pooled over time in each way, shape ``(condition, feature)`` each."""
        errors = ERRORS[self.error](self.residuals(clip, self.conditions))
        return [self._pooled(errors, pooling, n_frames=clip.reference.shape[-1]) for pooling in self.poolings]

    def error_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Squared error under the condition that explains the clip best, shape ``(mel, frame)``."""
        maps = self.error_maps(clip)
        best: NDArray[np.float32] = maps[_best_condition(maps)]
        return best

    def error_maps(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Squared error of each band and frame under each condition, shape ``(condition, mel, frame)``."""
        return self._squares(self.residuals(clip, self.conditions), n_frames=clip.reference.shape[-1])

    def deviation_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Residual under the condition that explains the clip best, with its sign, shape ``(mel, frame)``."""
        residuals, n_frames = self.residuals(clip, self.conditions), clip.reference.shape[-1]
        best = _best_condition(self._squares(residuals, n_frames=n_frames))
        return self._concatenated(residuals[best][None], n_frames=n_frames)[0].numpy()

    @property
    def band_deviations(self) -> NDArray[np.float32]:
        """Deviation of each band over all training frames, dB, shape ``(mel,)``."""
        return self.reconstructor.deviation[1].numpy()

    def residuals(self, clip: Spectrograms, conditions: Tensor) -> Tensor:
        """Residual of each segment under each condition, shape ``(condition, segment, mel, frame)``."""
        network = self.reconstructor.autoencoder
        return self._by_segment(clip, conditions, lambda segments, references, own: references - network(segments, own))

    @torch.inference_mode()
    def _by_segment(
        self, clip: Spectrograms, conditions: Tensor, function: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Values of a function of each segment under each condition, shape ``(condition, segment, ...)``."""
        split = overlapping_segments if self.is_overlapping else split_into_segments
        scaled = self.reconstructor.scaled(torch.from_numpy(clip.input), torch.from_numpy(clip.reference))
        segments, references = (split(log_mel, n_frames=self.segment_frames) for log_mel in scaled)
        n_segments, n_conditions = len(segments), len(conditions)
        if n_conditions == 1:  # nothing needs to be copied
            every = (segments, references, conditions.expand(n_segments, -1))
            parts = [
                function(*rows) for rows in zip(*(torch.split(part, _ROWS_AT_A_TIME) for part in every), strict=True)
            ]
        else:
            parts = [
                function(segments[row % n_segments], references[row % n_segments], conditions[row // n_segments])
                for row in torch.split(torch.arange(n_conditions * n_segments), _ROWS_AT_A_TIME)
            ]
        found = torch.cat(parts)
        return found.reshape(n_conditions, n_segments, *found.shape[1:])

    def _pooled(self, errors: Tensor, pooling: Pooling, *, n_frames: int) -> NDArray[np.float32]:
        """One view of errors of shape ``(condition, segment, mel, frame)``.

        Each frame counts once; in the mean, as in the official baseline's, each segment where they overlap.
        """
        if self.is_overlapping and pooling == "mean":
            return errors.mean(dim=(1, 3)).numpy()
        (view,) = pooled(self._concatenated(errors, n_frames=n_frames).numpy(), [pooling])
        return view

    def _squares(self, residuals: Tensor, *, n_frames: int) -> NDArray[np.float32]:
        squares: NDArray[np.float32] = self._concatenated(residuals.square(), n_frames=n_frames).numpy()
        return squares

    def _concatenated(self, segments: Tensor, *, n_frames: int) -> Tensor:
        join = _join_overlapping if self.is_overlapping else _join_segments
        return join(segments, n_frames=n_frames)


class Latent(ReconstructionError):  # noqa: N818  # not an exception
    """A clip becomes the bottleneck's activations, pooled over its segments; parameters as of `ReconstructionError`.

    The error map is that of the reconstruction.
    """

    _is_of_bands = False

    def views(self, clip: Spectrograms) -> list[NDArray[np.float32]]:
        """The activations pooled over segments in each way, shape ``(condition, feature)`` each."""
        network: Any = self.reconstructor.autoencoder  # which has an encoder: `new_reconstructor` has seen to it
        latent = self._by_segment(clip, self.conditions, lambda segments, _, own: network.encode(segments, own))
        return pooled(latent.transpose(1, 2).numpy(), self.poolings)  # of (condition, latent, segment)


def _best_condition(maps: NDArray[np.float32]) -> int:
    """Index of the condition that explains a clip best, from squared errors of shape ``(condition, mel, frame)``."""
    return int(maps.mean(axis=(1, 2)).argmin())


def _join_overlapping(segments: Tensor, *, n_frames: int) -> Tensor:
    """Mean of each frame over the segments that hold it, shape ``(condition, mel, n_frames)``."""
    n_conditions, n_segments, n_mels, length = segments.shape
    total = segments.new_zeros(n_conditions, n_mels, n_segments + length - 1)
    count = segments.new_zeros(n_segments + length - 1)
    for offset in range(length):
        total[..., offset : offset + n_segments] += segments[..., offset].transpose(1, 2)
        count[offset : offset + n_segments] += 1
    return (total / count)[..., :n_frames]


def _join_segments(segments: Tensor, *, n_frames: int) -> Tensor:
    """Undo `split_into_segments`: ``(condition, segment, mel, frame)`` to ``(condition, mel, n_frames)``."""
    whole = segments[:, :-1].transpose(1, 2).flatten(2)  # (condition, mel, frame of all but the last segment)
    rest = n_frames - whole.shape[-1]
    last = segments[:, -1, :, :rest] if whole.shape[-1] == 0 else segments[:, -1, :, -rest:]
    return torch.cat([whole, last], dim=-1)


def _training_clips(
    machines: Sequence[MachineSpectrograms], conditions: Sequence[Condition], encoder: ConditionEncoder
) -> TrainingClips:
    """All clips of all machines, and their separated copies under the conditions of their recordings."""
    originals = [clip for machine in machines for clip in machine.spectrograms]
    copies = [clip for machine in machines for clip in machine.copies]  # of every clip, or of none
    recordings = [index % len(originals) for index in range(len(originals) + len(copies))]
    return TrainingClips(
        [*originals, *copies],
        encoder.encode(conditions[index] for index in recordings),
        [f"{conditions[index].machine_type} {conditions[index].domain}" for index in recordings],
        recordings,
    )


def _fit_network(clips: TrainingClips, settings: SystemSettings, context: FitContext) -> FitResult:
    from soundness.representations.autoencoder_fitting import fit_reconstructor  # loads Lightning

    fit = fit_reconstructor if context.networks is None else context.networks.fit
    return fit(clips, settings, context)


def _steps_of_epochs(settings: SystemSettings, seconds: float) -> int:
    """Batches of a training by epochs, on clips of a total length."""
    training = settings.training
    assert training is not None  # `network_plan` has seen to it
    assert training.n_epochs is not None
    n_positions = (1 - training.held_out) * seconds * settings.audio.sample_rate / settings.log_mel.hop_length
    return training.n_epochs * math.ceil(n_positions / training.batch_size)


def _seconds_per_step(settings: SystemSettings) -> float:
    from soundness.representations.autoencoder_fitting import seconds_per_step  # loads Lightning

    return seconds_per_step(settings)


def _check(settings: SystemSettings) -> None:
    from soundness.representations.autoencoder_fitting import check_network  # loads Lightning

    check_network(settings)


def _frame_covariances(
    machine: MachineSpectrograms, residual: ReconstructionError, conditions: tuple[Condition, ...]
) -> NDArray[np.float64]:
    """Covariance of each domain's residual frames, each clip under its own condition, shape ``(domain, mel, mel)``."""
    domains = [clip.domain or "" for clip in machine.clips]
    own = [conditions.index(condition) if conditions else 0 for condition in machine.conditions]
    return np.stack(
        [_covariance(machine, residual, own, [d == domain for d in domains]) for domain in sorted(set(domains))]
    )


def _covariance(
    machine: MachineSpectrograms, residual: ReconstructionError, own: Sequence[int], chosen: Sequence[bool]
) -> NDArray[np.float64]:
    """Covariance of the residual frames of the chosen clips, of which one is in memory at a time."""
    n_mels = residual.reconstructor.mean.shape[1]
    count, total, products = 0, np.zeros(n_mels), np.zeros((n_mels, n_mels))
    for clip, condition, is_chosen in zip(machine.spectrograms, own, chosen, strict=True):
        if is_chosen:
            left = residual.residuals(clip, residual.conditions[condition : condition + 1])  # (1, segment, mel, frame)
            frames = left[0].transpose(1, 2).reshape(-1, n_mels).numpy().astype(np.float64)
            count, total, products = count + len(frames), total + frames.sum(axis=0), products + frames.T @ frames
    mean = total / count
    covariance: NDArray[np.float64] = (products - count * np.outer(mean, mean)) / max(1, count - 1)
    return covariance


def _conditions(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Encoded conditions from a file; without features where a network is not conditional."""
    found = arrays["conditions"]
    if found.ndim == 2 and found.shape[1] == 0 and 0 < len(found) <= _MOST_CONDITIONS:
        return found.astype(np.float32)
    return floats(arrays, "conditions", (None, None), single=True, low=0.0, high=1.0)
