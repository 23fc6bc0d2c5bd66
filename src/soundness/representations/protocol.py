"""Protocol of representations: a clip becomes a vector under each condition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import CountProgress
from soundness.audio.log_mel import Spectrograms
from soundness.data.clips import Clip, Condition
from soundness.plugins import find_part, methods_of
from soundness.representations.conditions import ConditionEncoder
from soundness.settings.system import SystemSettings

__all__ = [
    "REPRESENTATIONS",
    "FitContext",
    "Fitted",
    "MachineSpectrograms",
    "NetworkFit",
    "NetworkPlan",
    "NetworkStore",
    "Representation",
    "find_representation",
    "network_plan",
]


class Representation(Protocol):
    """Class of `REPRESENTATIONS`: turns a clip into the vectors that are scored."""

    @classmethod
    def fit(
        cls, machines: "Sequence[MachineSpectrograms]", settings: SystemSettings, context: "FitContext"
    ) -> "list[Fitted]":
        """Fit a representation of each machine; machines that come together share a network, if there is one."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild a representation from `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that was learned, by name."""

    def vectors(self, clip: Spectrograms) -> NDArray[np.floating]:
        """Vectors of one clip, shape ``(condition, feature)``."""

    def error_map(self, clip: Spectrograms) -> NDArray[np.floating]:
        """Deviation of each band and frame from normal, shape ``(mel, frame)``; higher is more anomalous."""

    @classmethod
    def network_plan(cls, settings: SystemSettings) -> "NetworkPlan | None":
        """Description of the network that `fit` trains; ``None`` if it trains none.

        Raises
        ------
        SettingsError
            If the settings do not go with the representation.
        """


REPRESENTATIONS: dict[str, type[Representation] | str] = {
    "reconstruction-error": "soundness.representations.reconstruction:ReconstructionError",
    "latent": "soundness.representations.reconstruction:Latent",
    "mean-log-mel": "soundness.representations.statistics:MeanLogMel",
    "quantile-log-mel": "soundness.representations.statistics:QuantileLogMel",
    "log-mel": "soundness.representations.statistics:PooledLogMel",
    "discriminative-embedding": "soundness.representations.embeddings:DiscriminativeEmbedding",
}
"""By name; an import path is loaded when it is needed, for some need PyTorch."""


def find_representation(name: str) -> type[Representation]:
    """The representation of a name, or a user's own by import path.

    Raises
    ------
    SettingsError
        If there is none, or it does not fit.
    """
    methods = methods_of(Representation)
    representation: type[Representation] = find_part(name, REPRESENTATIONS, key="representation", methods=methods)
    return representation


def network_plan(settings: SystemSettings) -> "NetworkPlan | None":
    """The network of a system, as its representation describes it; ``None`` in a system without one.

    Raises
    ------
    SettingsError
        If there is no such representation, or the settings do not go with it.
    """
    return find_representation(settings.representation).network_plan(settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network that is to be trained, or was.

    Parameters
    ----------
    name
        In descriptions of the system, such as "convolutional autoencoder".
    trained_with
        Settings of its own that its weights depend on, as plain values: systems that agree in these and in audio,
        log-mel, separation, pseudo-labels and scope have the same network. ``None`` if any setting may matter.
    segment_frames
        Frames that it reads at a time.
    is_conditional
        True if it is conditioned on attributes or learns to tell them apart.
    is_reconstruction
        True if it reads one log-mel and reconstructs another, which may be the same.
    has_noise
        True if noise-only supplemental clips are mixed in.
    has_frame_covariances
        True if the fit gives the covariance of single frames.
    n_steps
        Batches of a training at most, or a function that gives it from the length of all clips in seconds.
    seconds_per_step
        Measures the time that a batch takes on this machine, in seconds; ``None`` for a training of no time.
    check
        Raises `SettingsError` if no training should start with these settings.
    """

    name: str
    trained_with: Mapping[str, Any] | None = None
    segment_frames: int = 1
    is_conditional: bool = False
    is_reconstruction: bool = False
    has_noise: bool = False
    has_frame_covariances: bool = False
    n_steps: int | Callable[[float], int] = 0
    seconds_per_step: Callable[[], float] | None = None
    check: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFit:
    """Outcome of a network's training; the unit of losses is the training's own."""

    n_parameters: int
    n_steps: int
    train_loss: float
    held_out_loss: float | None = None


class NetworkStore(Protocol):
    """Trained networks kept between systems, such as `soundness.representations.network_cache.NetworkCache`."""

    def fit(self, clips: Any, settings: SystemSettings, context: "FitContext") -> Any:
        """Train a network on clips, or read the one that the same training gave before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitContext:
    """Circumstances of a fit, beside the system's settings.

    The same clips, settings and seed give the same network on the same machine, whether or not the training was
    interrupted and resumed.

    Parameters
    ----------
    seed
        Random seed.
    folder
        Folder of checkpoints and logs.
    resume
        Go on from the last checkpoint there.
    progress
        Called with the number of batches done and the largest total.
    networks
        Cache of trained networks; ``None`` for no cache.
    """

    seed: int
    folder: Path
    resume: bool = False
    progress: CountProgress | None = None
    networks: "NetworkStore | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A representation that is ready to use, with the properties of its vectors that a scorer needs.

    Parameters
    ----------
    representation
        Representation of one machine.
    conditions
        Condition of each of its vectors, in order; empty where one vector counts for every domain.
    encoder
        Conditions as the network reads them; ``None`` for a network that is not conditional.
    network
        Outcome of its network's training; ``None`` without one.
    frame_covariances
        See `soundness.scoring.protocol.TrainingVectors`; the domains in alphabetical order.
    view_sizes, n_bands
        See there.
    notes
        Notes on the fit for the user.
    left_out
        Representation for each training clip that was fitted without it, so that its vectors are those of a new clip;
        empty where all that was learned is too little to fit single clips.
    """

    representation: Representation
    conditions: tuple[Condition, ...] = ()
    encoder: ConditionEncoder | None = None
    network: NetworkFit | None = None
    frame_covariances: NDArray[np.float64] | None = None
    view_sizes: tuple[int, ...] = ()
    n_bands: int = 0
    notes: tuple[str, ...] = ()
    left_out: tuple[Representation, ...] = ()

    def representations(self, n_clips: int) -> tuple[Representation, ...]:
        """Representation of each training clip, the one without it where there is one."""
        return self.left_out or (self.representation,) * n_clips


@dataclass(frozen=True, slots=True)
class MachineSpectrograms:
    """Training clips of a machine, computed.

    Parameters
    ----------
    machine_type
        The machine's name.
    clips
        In the order of their names.
    spectrograms
        Input and reference of the representation, of each clip.
    copies
        The separated part of each clip, where it is further training material; empty elsewhere.
    notes
        Notes on the clips for the user.
    seconds
        Wall-clock time of reading and separating.
    separation_seconds
        Wall-clock time of separating alone.
    conditions
        Condition of each clip.
    pseudo_labelled
        Indices of the clips with a pseudo-label in the place of attributes.
    noise
        Log-mels of noise-only supplemental clips, where a network is trained with them; empty elsewhere.
    dependent
        See `soundness.scoring.protocol.TrainingVectors`.
    counts
        Recordings that each clip counts as, at most 1, where clips share sound; ``None`` where each is one.
    """

    machine_type: str
    clips: tuple[Clip, ...]
    spectrograms: tuple[Spectrograms, ...]
    copies: tuple[Spectrograms, ...]
    notes: tuple[str, ...]
    seconds: float
    separation_seconds: float
    conditions: tuple[Condition, ...]
    pseudo_labelled: tuple[int, ...] = ()
    noise: tuple[NDArray[np.float32], ...] = ()
    dependent: NDArray[np.bool_] | None = None
    counts: NDArray[np.float64] | None = None

    def subset(self, indices: Sequence[int]) -> "MachineSpectrograms":
        """The clips of these indices, before pseudo-labels are given."""
        return replace(
            self,
            clips=tuple(self.clips[index] for index in indices),
            spectrograms=tuple(self.spectrograms[index] for index in indices),
            copies=tuple(self.copies[index] for index in indices) if self.copies else (),
            conditions=tuple(self.conditions[index] for index in indices),
            dependent=None if self.dependent is None else self.dependent[np.ix_(indices, indices)],
            counts=None if self.counts is None else self.counts[list(indices)],
        )
