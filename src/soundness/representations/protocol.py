"""A representation: a clip becomes a vector under each condition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.data.clips import Clip, Condition
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    pass

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from soundness.plugins import find_part, methods_of
from soundness.representations.statistics import MeanLogMel, PooledLogMel, QuantileLogMel

if TYPE_CHECKING:  # loads PyTorch
    pass

__all__ = ["REPRESENTATIONS", "MachineSpectrograms", "Representation", "find_representation"]


class Representation(Protocol):
    """What stands in `REPRESENTATIONS`: what a clip becomes before it is scored."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild a representation from `arrays`."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that was learned, by name."""

    def vectors(self, clip: Spectrograms) -> NDArray[np.floating]:
        """Vectors of one clip, shape ``(condition, feature)``."""

    def error_map(self, clip: Spectrograms) -> NDArray[np.floating]:
        """How odd each band and frame is, shape ``(mel, frame)``; higher is odder."""


REPRESENTATIONS: dict[str, type[Representation] | str] = {
    "reconstruction-error": "soundness.representations.reconstruction:ReconstructionError",
    "latent": "soundness.representations.reconstruction:Latent",
    "mean-log-mel": MeanLogMel,
    "quantile-log-mel": QuantileLogMel,
    "log-mel": PooledLogMel,
    "discriminative-embedding": "soundness.representations.embeddings:DiscriminativeEmbedding",
}
"""By name, those that need PyTorch by their import path."""


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


@dataclass(frozen=True, slots=True)
class MachineSpectrograms:
    """A machine's training clips, as the rest of the training sees them.

    Parameters
    ----------
    machine_type
        The machine's name.
    clips
        In the order of their names.
    spectrograms
        What the representation gets of each clip.
    copies
        What was separated from each clip, where it is further training material; empty elsewhere.
    notes
        What is odd about the clips.
    seconds
        Wall-clock time that reading and separating took.
    separation_seconds
        The part of it that separating took.
    conditions
        What a network may be told of each clip.
    pseudo_labelled
        Which clips have a pseudo-label in the place of attributes.
    noise
        Log-mels of noise-only supplemental clips, where a network is trained with them; empty elsewhere.
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
