"""Networks that tell classes apart: log-mel to embedding, and the sub-cluster AdaCos loss."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from soundness.errors import SettingsError
from soundness.representations.protocol import NetworkFit
from soundness.settings.embedding import EmbeddingSettings
from soundness.settings.system import SystemSettings

__all__ = [
    "EmbeddingFit",
    "EmbeddingNetwork",
    "SubClusterCentres",
    "adapted_scale",
    "new_embedding_network",
    "sub_cluster_loss",
]

_KERNEL = 5  # bands, of the branch that reads a spectrum


class EmbeddingNetwork(nn.Module):
    """Two branches: one reads the changes of a segment over time, the other the clip's long-time spectrum.

    No layer has a bias of its own, and the centres of the loss are not trained, so that there is no trivial solution.

    Parameters
    ----------
    settings
        Widths of the layers.
    n_mels
        Bands of the log-mel.
    mean, deviation
        Statistics of the long-time spectra of the training clips, dB, shape ``(mel,)``.
    spread
        Deviation of a band about its mean over time, dB, shape ``(mel,)``.

    References
    ----------
    .. [1] K. Wilkinghoff, "Design choices for learning embeddings from auxiliary tasks for domain generalization in
       anomalous sound detection", ICASSP 2023.
    """

    mean: Tensor
    deviation: Tensor
    spread: Tensor

    def __init__(
        self, settings: EmbeddingSettings, *, n_mels: int, mean: Tensor, deviation: Tensor, spread: Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.register_buffer("spread", spread)
        channels, factor = settings.channels, 2 ** len(settings.channels)
        for name, size in (("log_mel.n_mels", n_mels), ("embedding.segment_frames", settings.segment_frames)):
            if size % factor != 0:
                raise SettingsError(f"{name} is {size}; {len(channels)} layers need a multiple of {factor}")
        self.of_change = nn.Sequential(*_change_layers(channels))
        self.project_change = nn.Linear(2 * channels[-1] * n_mels // factor, settings.n_features, bias=False)
        self.of_spectrum = nn.Sequential(*_spectrum_layers(settings.spectrum_channels))
        n_bands = math.ceil(n_mels / 2 ** len(settings.spectrum_channels))
        self.project_spectrum = nn.Linear(n_bands * settings.spectrum_channels[-1], settings.n_features, bias=False)

    def forward(self, segments: Tensor, spectra: Tensor) -> Tensor:
        """Embedding of each segment with its clip's spectrum, shape ``(batch, 2 * n_features)``.

        Parameters
        ----------
        segments
            Log-mel, dB, shape ``(batch, mel, frame)``.
        spectra
            Mean log-mel of the whole clip, dB, shape ``(batch, mel)``.
        """
        return torch.cat([self.embed_change(segments), self.embed_spectra(spectra)], dim=1)

    def embed_change(self, segments: Tensor) -> Tensor:
        """Embedding of the changes of segments about their means over time, shape ``(batch, n_features)``."""
        changes = (segments - segments.mean(dim=-1, keepdim=True)) / self.spread[:, None]  # (batch, mel, frame)
        maps = self.of_change(changes[:, None].contiguous(memory_format=torch.channels_last))
        pooled = torch.cat([maps.mean(dim=-1), maps.amax(dim=-1)], dim=1)  # (batch, 2 * channel, mel')
        embedding: Tensor = self.project_change(pooled.flatten(1))
        return embedding

    def embed_spectra(self, spectra: Tensor) -> Tensor:
        """Embedding of long-time spectra, shape ``(batch, n_features)``."""
        standardised = (spectra - self.mean) / self.deviation  # (batch, mel)
        embedding: Tensor = self.project_spectrum(self.of_spectrum(standardised[:, None]).flatten(1))
        return embedding


class SubClusterCentres(nn.Module):
    """Centres of the sub-clusters of each class, random and never trained, and the scale of the loss.

    Parameters
    ----------
    n_classes
        At least two.
    n_sub_clusters
        Number of sub-clusters of each class.
    n_features
        Number of features of an embedding.
    """

    directions: Tensor
    scale: Tensor

    def __init__(self, *, n_classes: int, n_sub_clusters: int, n_features: int) -> None:
        super().__init__()
        directions = normalize(torch.randn(n_classes, n_sub_clusters, n_features), dim=-1)
        self.register_buffer("directions", directions)
        self.register_buffer("scale", torch.tensor(math.sqrt(2) * math.log(n_classes * n_sub_clusters - 1)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosine of the angle between embeddings and centres, shape ``(batch, class, sub-cluster)``."""
        cosines = normalize(embeddings, dim=1) @ self.directions.flatten(0, 1).T  # (batch, class * sub-cluster)
        return cosines.reshape(-1, *self.directions.shape[:2])


def sub_cluster_loss(cosines: Tensor, labels: Tensor, *, scale: Tensor) -> Tensor:
    r"""Cross-entropy of soft labels, where a class is as likely as its sub-clusters together.

    .. math:: L = -\frac{1}{N} \sum_i \sum_c y_{ic} \log
        \frac{\sum_k e^{s \cos\theta_{ick}}}{\sum_{c', k} e^{s \cos\theta_{ic'k}}}

    Parameters
    ----------
    cosines
        Shape ``(batch, class, sub-cluster)``.
    labels
        Share of each class, shape ``(batch, class)``; a row's sum is 1.
    scale
        :math:`s`.

    References
    ----------
    .. [1] K. Wilkinghoff, "Sub-cluster AdaCos: learning representations for anomalous sound detection", IJCNN 2021.
    """
    logits = scale * cosines
    log_likelihoods = logits.logsumexp(dim=2) - logits.flatten(1).logsumexp(dim=1, keepdim=True)
    return -(labels * log_likelihoods).sum(dim=1).mean()


@torch.no_grad()
def adapted_scale(cosines: Tensor, labels: Tensor, *, scale: Tensor) -> Tensor:
    r"""The scale of the next batch, which keeps the likelihoods neither flat nor saturated.

    .. math:: s_{t} = \frac{\log \frac{1}{N} \sum_i \sum_{c, k} e^{s_{t-1} \cos\theta_{ick}}}
        {\cos \min(\pi / 4, \theta_\mathrm{med})}

    All classes are in the sum, since a mixture belongs to several. :math:`\theta_\mathrm{med}` is the median over the
    batch of the angle to the nearest centre of a clip's class; of a mixture, the mean over its classes by their share.

    Parameters
    ----------
    cosines, labels, scale
        See `sub_cluster_loss`; ``scale`` is that of the batch before.

    References
    ----------
    .. [1] As in `sub_cluster_loss`.
    .. [2] X. Zhang et al., "AdaCos: adaptively scaling cosine logits for effectively learning deep face
       representations", CVPR 2019.
    """
    mean_log = (scale * cosines).flatten().logsumexp(dim=0) - math.log(len(cosines))
    angles = cosines.amax(dim=2).clamp(-1, 1).acos()  # (batch, class)
    median = (labels * angles).sum(dim=1).quantile(0.5)
    return mean_log / median.clamp(max=math.pi / 4).cos()


def new_embedding_network(
    settings: SystemSettings, *, mean: Tensor, deviation: Tensor, spread: Tensor
) -> EmbeddingNetwork:
    """An untrained network of a system; see `EmbeddingNetwork`.

    Raises
    ------
    SettingsError
        If sizes do not fit.
    """
    n_mels = settings.log_mel.n_mels
    return EmbeddingNetwork(settings.embedding, n_mels=n_mels, mean=mean, deviation=deviation, spread=spread)


def _change_layers(channels: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index, (n_in, n_out) in enumerate(itertools.pairwise((1, *channels))):
        size = 5 if index == 0 else 3
        convolution = nn.Conv2d(n_in, n_out, size, stride=2, padding=size // 2, bias=False)
        layers += [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]
    return layers


def _spectrum_layers(channels: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise((1, *channels)):
        convolution = nn.Conv1d(n_in, n_out, _KERNEL, stride=2, padding=_KERNEL // 2, bias=False)
        layers += [convolution, nn.BatchNorm1d(n_out), nn.ReLU()]
    return layers


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFit(NetworkFit):
    """A trained network and its training's outcome; nothing is held out, and the last weights are kept."""

    network: EmbeddingNetwork
    n_classes: int
