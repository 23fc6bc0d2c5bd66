"""What a training of a network comes to; to know it takes no Lightning, which takes seconds to load."""

from dataclasses import dataclass

from torch import nn

from soundness.representations.autoencoders import Reconstructor
from soundness.representations.embeddings import EmbeddingNetwork
from soundness.separation.conv_tasnet import ConvTasNet

__all__ = ["EmbeddingFit", "FitResult", "SeparatorFit", "count_parameters"]


def count_parameters(network: nn.Module) -> int:
    """Trained parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained network and how its training went; losses in squared deviations of a band, or dB squared."""

    reconstructor: Reconstructor
    n_steps: int
    train_loss: float
    held_out_loss: float | None

    @property
    def n_parameters(self) -> int:
        """Trained parameters of the network."""
        return count_parameters(self.reconstructor)


@dataclass(frozen=True, slots=True)
class EmbeddingFit:
    """A trained network and how its training went; nothing is held out, and the last weights are kept."""

    network: EmbeddingNetwork
    n_classes: int
    n_steps: int
    train_loss: float
    held_out_loss: None = None

    @property
    def n_parameters(self) -> int:
        """Trained parameters of the network."""
        return count_parameters(self.network)


@dataclass(frozen=True, slots=True)
class SeparatorFit:
    """A trained network and how its training went."""

    network: ConvTasNet
    n_steps: int
    seconds: float
