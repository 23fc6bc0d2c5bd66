"""How each representation is fitted to the machines that share it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from soundness.autoencoders import ReconstructionError
from soundness.conditions import Condition, ConditionEncoder
from soundness.detector import Representation
from soundness.errors import SettingsError
from soundness.fitting import FitResult, TrainingClips, fit_reconstructor
from soundness.hearing import Heard
from soundness.log_mel_statistics import MeanLogMel, QuantileLogMel, band_statistics
from soundness.settings import AutoencoderSettings, SystemSettings

__all__ = ["FITTERS", "FitContext", "Fitted"]


@dataclass(frozen=True, slots=True)
class FitContext:
    """How a representation is fitted, beside the system's settings.

    Parameters
    ----------
    seed
        Of everything random.
    folder
        Checkpoints and logs go below it.
    resume
        Go on from the last checkpoint there.
    progress
        Is told how many batches are done, and of how many at the most; ``None`` for a silent training.
    """

    seed: int
    folder: Path
    resume: bool
    progress: Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A representation that is ready to use, and what the scorer must know of it.

    Parameters
    ----------
    representation
        Of one machine.
    conditions
        The condition of each of its vectors, in order; empty where one vector counts for every domain.
    encoder
        What the network was told of a condition; ``None`` where it was told nothing.
    network
        How its network was trained; ``None`` without one.
    """

    representation: Representation
    conditions: tuple[Condition, ...] = ()
    encoder: ConditionEncoder | None = None
    network: FitResult | None = None


def fit_mean_log_mel(heard: Sequence[Heard], settings: SystemSettings, context: FitContext) -> list[Fitted]:  # noqa: ARG001  # as all fitters
    """Nothing is trained; only the error map has a scale, which each machine's clips give."""
    return [Fitted(MeanLogMel(mean=mean, deviation=deviation)) for mean, deviation in _scales(heard, settings)]


def fit_quantile_log_mel(heard: Sequence[Heard], settings: SystemSettings, context: FitContext) -> list[Fitted]:  # noqa: ARG001  # as all fitters
    """As `fit_mean_log_mel`."""
    return [
        Fitted(QuantileLogMel(mean=mean, deviation=deviation, quantile=settings.quantile))
        for mean, deviation in _scales(heard, settings)
    ]


def _scales(heard: Sequence[Heard], settings: SystemSettings) -> list[tuple[Tensor, Tensor]]:
    if settings.autoencoder is not None:
        raise SettingsError(f"representation {settings.representation!r} has no network; set autoencoder=false, too")
    return [band_statistics([clip.wanted for clip in machine.spectrograms]) for machine in heard]


def fit_reconstruction_error(heard: Sequence[Heard], settings: SystemSettings, context: FitContext) -> list[Fitted]:
    """Train one network on all clips of all machines given, and on their separated copies where there are any."""
    if settings.autoencoder is None or settings.training is None:
        raise SettingsError(f"representation {settings.representation!r} needs autoencoder and training settings")
    own = [condition for machine in heard for condition in machine.conditions]
    encoder = ConditionEncoder(tuple(sorted(set(own))) if settings.autoencoder.is_conditional else ())
    originals = [clip for machine in heard for clip in machine.spectrograms]
    copies = [clip for machine in heard for clip in machine.copies]  # of every clip, or of none
    recordings = [index % len(originals) for index in range(len(originals) + len(copies))]
    clips = TrainingClips(
        [*originals, *copies],
        encoder.encode(own[index] for index in recordings),
        [f"{own[index].machine_type} {own[index].domain}" for index in recordings],
        recordings,
    )
    network = fit_reconstructor(
        clips,
        settings,
        seed=context.seed,
        folder=context.folder,
        resume=context.resume,
        progress=context.progress,
    )
    return [_reconstruction_error(machine, settings.autoencoder, encoder, network) for machine in heard]


FITTERS: dict[str, Callable[[Sequence[Heard], SystemSettings, FitContext], list[Fitted]]] = {
    "reconstruction-error": fit_reconstruction_error,
    "mean-log-mel": fit_mean_log_mel,
    "quantile-log-mel": fit_quantile_log_mel,
}
"""How each of `soundness.detector.REPRESENTATIONS` is fitted to the machines that share it."""


def _reconstruction_error(
    heard: Heard, settings: AutoencoderSettings, encoder: ConditionEncoder, network: FitResult
) -> Fitted:
    """One machine's share of a network: the conditions that occur on it."""
    conditions = tuple(sorted(set(heard.conditions))) if encoder.n_features > 0 else ()
    encoded = encoder.encode(conditions) if conditions else torch.zeros(1, 0)
    representation = ReconstructionError(network.reconstructor, encoded, segment_frames=settings.segment_frames)
    return Fitted(representation, conditions, encoder if settings.is_conditional else None, network)
