"""How each representation is fitted to the machines that share it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import CountProgress
from soundness.data.clips import Condition
from soundness.errors import SettingsError
from soundness.plugins import find_part, methods_of
from soundness.representations.conditions import ConditionEncoder
from soundness.representations.protocol import MachineSpectrograms, Representation
from soundness.representations.statistics import MeanLogMel, PooledLogMel, QuantileLogMel, band_statistics
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.representations.autoencoders import FitResult
    from soundness.representations.embedding_batches import EmbeddingClips
    from soundness.representations.embeddings import EmbeddingFit
    from soundness.representations.network_cache import NetworkCache
    from soundness.representations.reconstruction import ReconstructionError

__all__ = ["FITTERS", "FitContext", "Fitted", "find_fitter"]


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
    networks
        Where trained networks are kept between systems; ``None`` to keep none.
    """

    seed: int
    folder: Path
    resume: bool
    progress: CountProgress | None
    networks: "NetworkCache | None" = None


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
    frame_covariances
        See `soundness.scoring.scorers.TrainingVectors`; the domains in alphabetical order.
    view_sizes, n_bands
        See there.
    notes
        What a person should know of how it was fitted.
    """

    representation: Representation
    conditions: tuple[Condition, ...] = ()
    encoder: ConditionEncoder | None = None
    network: "FitResult | EmbeddingFit | None" = None
    frame_covariances: NDArray[np.float64] | None = None
    view_sizes: tuple[int, ...] = ()
    n_bands: int = 0
    notes: tuple[str, ...] = ()


def fit_mean_log_mel(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,  # noqa: ARG001  # as all fitters
) -> list[Fitted]:
    """Nothing is trained; only the error map has a scale, which each machine's clips give."""
    return [
        Fitted(MeanLogMel(mean=mean, deviation=deviation), n_bands=len(mean))
        for mean, deviation in _scales(heard, settings)
    ]


def fit_quantile_log_mel(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,  # noqa: ARG001  # as all fitters
) -> list[Fitted]:
    """As `fit_mean_log_mel`."""
    return [
        Fitted(QuantileLogMel(mean=mean, deviation=deviation, quantile=settings.quantile), n_bands=len(mean))
        for mean, deviation in _scales(heard, settings)
    ]


def fit_pooled_log_mel(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,  # noqa: ARG001  # as all fitters
) -> list[Fitted]:
    """As `fit_mean_log_mel`, with several views of a clip."""
    found = []
    for mean, deviation in _scales(heard, settings):
        pooled = PooledLogMel(mean=mean, deviation=deviation, poolings=settings.poolings)
        found.append(Fitted(pooled, view_sizes=pooled.view_sizes, n_bands=len(mean)))
    return found


def _scales(
    heard: Sequence[MachineSpectrograms], settings: SystemSettings
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    if settings.autoencoder is not None:
        raise SettingsError(f"representation {settings.representation!r} has no network; set autoencoder=false, too")
    return [band_statistics([clip.reference for clip in machine.spectrograms]) for machine in heard]


def fit_reconstruction_error(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,
) -> list[Fitted]:
    """Train one network on all clips of all machines given, and on their separated copies where there are any."""
    from soundness.representations.reconstruction import ReconstructionError

    return [_fitted(ReconstructionError, *share) for share in _shares(heard, settings, context)]


def fit_latent(heard: Sequence[MachineSpectrograms], settings: SystemSettings, context: FitContext) -> list[Fitted]:
    """As `fit_reconstruction_error`."""
    from soundness.representations.reconstruction import Latent

    return [replace(_fitted(Latent, *share), n_bands=0) for share in _shares(heard, settings, context)]


def fit_discriminative_embedding(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,
) -> list[Fitted]:
    """Train one network that tells all conditions of all machines given apart; noise of one machine is added to all.

    A class is a machine with its section and its attributes, or the pseudo-label in their place. The domain is none:
    it differs from the attributes only where nobody wrote down what differs.
    """
    from soundness.representations.embedding_batches import EmbeddingClips
    from soundness.representations.embedding_fitting import fit_embedding
    from soundness.representations.embeddings import DiscriminativeEmbedding

    own = [(c.machine_type, c.section, c.attributes) for machine in heard for c in machine.conditions]
    names = sorted(set(own))
    classes = [names.index(name) for name in own]
    originals = [clip.input for machine in heard for clip in machine.spectrograms]
    copies = [clip.input for machine in heard for clip in machine.copies]  # of every clip, or of none
    clips = EmbeddingClips(
        [*originals, *copies],
        np.array(classes + classes[: len(copies)]),
        [noise for machine in heard for noise in machine.noise],
    )
    network = fit_embedding(
        clips,
        settings,
        seed=context.seed,
        folder=context.folder,
        resume=context.resume,
        progress=context.progress,
    )
    notes = _embedding_notes(clips, network, n_own=len(names))
    n_frames = settings.embedding.segment_frames
    found = []
    for machine in heard:
        mean, deviation = band_statistics([clip.input for clip in machine.spectrograms])
        embedding = DiscriminativeEmbedding(network.network, mean=mean, deviation=deviation, segment_frames=n_frames)
        found.append(Fitted(embedding, network=network, notes=notes))
    return found


def _embedding_notes(clips: "EmbeddingClips", network: "EmbeddingFit", *, n_own: int) -> tuple[str, ...]:
    from soundness.representations.embedding_batches import TRANSFORMATIONS

    ways = f" x {len(TRANSFORMATIONS)} transformations ({', '.join(TRANSFORMATIONS)})"
    classes = f"the network tells {n_own} class(es) of clips apart{ways if network.n_classes > n_own else ''}"
    noise = f"{len(clips.noise)} noise-only clips are mixed in" if clips.noise else "no noise-only clips to mix in"
    return f"{classes}; {noise}", "the network has heard the training clips: expect more false alarms than asked for"


FITTERS: dict[str, Callable[[Sequence[MachineSpectrograms], SystemSettings, FitContext], list[Fitted]]] = {
    "reconstruction-error": fit_reconstruction_error,
    "latent": fit_latent,
    "mean-log-mel": fit_mean_log_mel,
    "quantile-log-mel": fit_quantile_log_mel,
    "log-mel": fit_pooled_log_mel,
    "discriminative-embedding": fit_discriminative_embedding,
}
"""How each of `soundness.representations.protocol.REPRESENTATIONS` is fitted to the machines that share it."""


def find_fitter(name: str) -> Callable[[Sequence[MachineSpectrograms], SystemSettings, FitContext], list[Fitted]]:
    """How the representation of a name is fitted: a user's own, by import path, has a function ``fit`` for it.

    Raises
    ------
    SettingsError
        If there is no such representation, or it does not fit.
    """
    methods = {"fit": fit_reconstruction_error, **methods_of(Representation)}
    found: Any = find_part(name, FITTERS, key="representation", methods=methods)
    fitter: Callable[[Sequence[MachineSpectrograms], SystemSettings, FitContext], list[Fitted]] = getattr(
        found, "fit", found
    )
    return fitter


def _shares(
    heard: Sequence[MachineSpectrograms],
    settings: SystemSettings,
    context: FitContext,
) -> "list[tuple[MachineSpectrograms, SystemSettings, ConditionEncoder, FitResult]]":
    """Each machine with the network that is trained on all of them."""
    from soundness.representations.autoencoder_batches import TrainingClips
    from soundness.representations.autoencoder_fitting import fit_reconstructor

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
    fit = fit_reconstructor if context.networks is None else context.networks.fit
    network = fit(
        clips,
        settings,
        seed=context.seed,
        folder=context.folder,
        resume=context.resume,
        progress=context.progress,
    )
    return [(machine, settings, encoder, network) for machine in heard]


def _fitted(
    kind: "type[ReconstructionError]",
    heard: MachineSpectrograms,
    settings: SystemSettings,
    encoder: ConditionEncoder,
    network: "FitResult",
) -> Fitted:
    """One machine's share of a network: the conditions that occur on it."""
    conditions = tuple(sorted(set(heard.conditions))) if encoder.n_features > 0 else ()
    encoded = encoder.encode(conditions) if conditions else np.zeros((1, 0), np.float32)
    representation = kind.of(network.reconstructor, encoded, settings)
    return Fitted(
        representation,
        conditions,
        encoder if settings.is_told_attributes else None,
        network,
        _frame_covariances(heard, representation, conditions) if settings.has_mean_residuals else None,
        tuple(view.shape[-1] for view in representation.views(heard.spectrograms[0])),
        settings.log_mel.n_mels,
    )


def _frame_covariances(
    heard: MachineSpectrograms, residual: "ReconstructionError", conditions: tuple[Condition, ...]
) -> NDArray[np.float64]:
    """Covariance of each domain's residual frames, each clip under its own condition, shape ``(domain, mel, mel)``."""
    domains = [clip.domain or "" for clip in heard.clips]
    own = [conditions.index(condition) if conditions else 0 for condition in heard.conditions]
    return np.stack(
        [_covariance(heard, residual, own, [d == domain for d in domains]) for domain in sorted(set(domains))]
    )


def _covariance(
    heard: MachineSpectrograms, residual: "ReconstructionError", own: Sequence[int], chosen: Sequence[bool]
) -> NDArray[np.float64]:
    """Covariance of the residual frames of some clips, of which one is held at a time."""
    n_mels = residual.reconstructor.mean.shape[1]
    count, total, products = 0, np.zeros(n_mels), np.zeros((n_mels, n_mels))
    for clip, condition, is_chosen in zip(heard.spectrograms, own, chosen, strict=True):
        if is_chosen:
            left = residual.residuals(clip, residual.conditions[condition : condition + 1])  # (1, segment, mel, frame)
            frames = left[0].transpose(1, 2).reshape(-1, n_mels).numpy().astype(np.float64)
            count, total, products = count + len(frames), total + frames.sum(axis=0), products + frames.T @ frames
    mean = total / count
    covariance: NDArray[np.float64] = (products - count * np.outer(mean, mean)) / max(1, count - 1)
    return covariance
