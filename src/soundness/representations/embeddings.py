"""Networks that classify machines and their conditions, the loss that trains them, and the embedding of a clip."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.autoencoders import split_into_segments
from soundness.representations.embedding_batches import TRANSFORMATIONS, EmbeddingClips
from soundness.representations.protocol import FitContext, Fitted, MachineSpectrograms, NetworkFit, NetworkPlan
from soundness.representations.statistics import band_statistics
from soundness.settings.embedding import EmbeddingSettings
from soundness.settings.system import SystemSettings

__all__ = [
    "DiscriminativeEmbedding",
    "EmbeddingFit",
    "EmbeddingNetwork",
    "SubClusterCentres",
    "adapted_scale",
    "new_embedding_network",
    "sub_cluster_loss",
]

_ROWS_AT_A_TIME = 64  # of an hour-long clip, so that its feature maps fit into memory
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


class DiscriminativeEmbedding:
    """A clip becomes its embedding, of unit length, so that the distance of two clips depends on the angle alone.

    Parameters
    ----------
    network
        Trained, in evaluation mode.
    mean, deviation
        Statistics of each band over all training frames of the machine, dB, shape ``(mel,)``; they scale the error
        map alone.
    segment_frames
        Frames that the network reads at a time; a clip's embedding is the mean of those of its segments.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        *,
        mean: NDArray[np.float32],
        deviation: NDArray[np.float32],
        segment_frames: int,
    ) -> None:
        self.network = network.eval()
        self.mean = mean
        self.deviation = deviation
        self.segment_frames = segment_frames

    @classmethod
    def fit(
        cls, machines: Sequence[MachineSpectrograms], settings: SystemSettings, context: FitContext
    ) -> list[Fitted]:
        """Train one network to tell apart all conditions of all machines; noise of one machine is mixed into all.

        A class is a machine with its section and its attributes, or the pseudo-label in their place. The domain is no
        class: where attributes are recorded, they say more.
        """
        from soundness.representations.embedding_fitting import fit_embedding  # loads Lightning

        clips = _clips_of(machines)
        network = fit_embedding(clips, settings, context)
        notes = _notes(clips, network)
        n_frames = settings.embedding.segment_frames
        fitted = []
        for machine in machines:
            mean, deviation = band_statistics([clip.input for clip in machine.spectrograms])
            embedding = cls(network.network, mean=mean, deviation=deviation, segment_frames=n_frames)
            fitted.append(Fitted(representation=embedding, network=network, notes=notes))
        return fitted

    @classmethod
    def network_plan(cls, settings: SystemSettings) -> NetworkPlan:
        """Description of the embedding network."""
        if settings.autoencoder is not None:
            raise SettingsError(f"representation is {settings.representation!r}; set autoencoder and training to false")
        embedding = settings.embedding
        return NetworkPlan(
            name=settings.representation,
            trained_with=embedding.model_dump(mode="json"),
            segment_frames=embedding.segment_frames,
            is_conditional=True,
            has_noise=embedding.noise_share > 0.0,
            n_steps=embedding.max_steps,
            seconds_per_step=partial(_seconds_per_step, settings),
            check=partial(_check, settings),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        mean, deviation = (arrays[f"machine_{name}"] for name in ("mean", "deviation"))
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if not name.startswith("machine_")}
        scale = {name: tensors[name] for name in ("mean", "deviation", "spread")}
        network = new_embedding_network(settings, **scale)
        network.load_state_dict(tensors)
        return cls(network, mean=mean, deviation=deviation, segment_frames=settings.embedding.segment_frames)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Weights, and the scale of the error map, by name."""
        weights = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        return {**weights, "machine_mean": self.mean, "machine_deviation": self.deviation}

    @torch.inference_mode()
    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """The embedding, shape ``(1, 2 * n_features)``."""
        log_mel = torch.from_numpy(clip.input)
        segments = split_into_segments(log_mel, n_frames=self.segment_frames)
        of_change = torch.cat([self.network.embed_change(part) for part in torch.split(segments, _ROWS_AT_A_TIME)])
        of_spectrum = self.network.embed_spectra(log_mel.mean(dim=-1)[None])
        features = torch.cat([of_change.mean(dim=0, keepdim=True), of_spectrum], dim=1)
        embedding: NDArray[np.float32] = normalize(features, dim=1).numpy()
        return embedding

    def error_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Squared distance from the band's mean, in its deviations, shape ``(mel, frame)``: an embedding has no map."""
        squares: NDArray[np.float32] = np.square((clip.input - self.mean[:, None]) / self.deviation[:, None])
        return squares


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


def _clips_of(machines: Sequence[MachineSpectrograms]) -> EmbeddingClips:
    """All clips of all machines with their classes, their separated copies, and the noise of any machine."""
    own = [(c.machine_type, c.section, c.attributes) for machine in machines for c in machine.conditions]
    names = sorted(set(own))
    classes = [names.index(name) for name in own]
    originals = [clip.input for machine in machines for clip in machine.spectrograms]
    copies = [clip.input for machine in machines for clip in machine.copies]  # of every clip, or of none
    return EmbeddingClips(
        [*originals, *copies],
        np.array(classes + classes[: len(copies)]),
        [noise for machine in machines for noise in machine.noise],
    )


def _notes(clips: EmbeddingClips, network: EmbeddingFit) -> tuple[str, ...]:
    n_own = len(np.unique(clips.classes))
    ways = f" x {len(TRANSFORMATIONS)} transformations ({', '.join(TRANSFORMATIONS)})"
    classes = f"the network tells {n_own} class(es) of clips apart{ways if network.n_classes > n_own else ''}"
    noise = f"{len(clips.noise)} noise-only clips are mixed in" if clips.noise else "no noise-only clips to mix in"
    return (
        f"{classes}; {noise}",
        "the network was trained on the calibration clips: expect more false alarms than asked for",
    )


def _seconds_per_step(settings: SystemSettings) -> float:
    from soundness.representations.embedding_fitting import seconds_per_step  # loads Lightning

    return seconds_per_step(settings)


def _check(settings: SystemSettings) -> None:
    from soundness.representations.embedding_fitting import check_embedding  # loads Lightning

    check_embedding(settings)
