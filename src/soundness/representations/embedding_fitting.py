"""Training of the embedding with Lightning: in memory, one network from the clips of all machines that share it."""

import math

import numpy as np
import torch
from torch import Tensor

from soundness.aliases import CountProgress
from soundness.errors import SettingsError
from soundness.lightning_loop import TIMED_STEPS, EpochTraining, check_accelerator, count_parameters, fit, time_step
from soundness.representations.embedding_batches import EmbeddingBatch, EmbeddingBatches, EmbeddingClips
from soundness.representations.embedding_networks import (
    EmbeddingFit,
    EmbeddingNetwork,
    SubClusterCentres,
    adapted_scale,
    new_embedding_network,
    sub_cluster_loss,
)
from soundness.representations.protocol import FitContext
from soundness.representations.statistics import band_statistics
from soundness.settings.embedding import EmbeddingSettings
from soundness.settings.system import SystemSettings

__all__ = ["check_embedding", "fit_embedding", "seconds_per_step"]


def fit_embedding(clips: EmbeddingClips, settings: SystemSettings, context: FitContext) -> EmbeddingFit:
    """Train a system's embedding on normal clips of all machines that share the network.

    Raises
    ------
    SettingsError
        If sizes do not fit, there is one class and no transformation is to tell apart, or the training diverges.
    """
    module = _new_training(clips, settings, context)
    n_steps = fit(
        module,
        context.folder,
        resume=context.resume,
        accelerator=settings.embedding.accelerator,
        max_steps=module.batches.n_steps,
        checkpoint_steps=module.batches.steps_per_epoch,
    )
    if not math.isfinite(module.train_loss):
        raise SettingsError("the training diverged: its loss is no number; a smaller embedding.learning_rate may help")
    return EmbeddingFit(
        network=module.network.cpu().eval(),
        n_classes=module.batches.n_classes,
        n_parameters=count_parameters(module.network),
        n_steps=n_steps,
        train_loss=module.train_loss,
    )


def _check_classes(clips: EmbeddingClips, settings: EmbeddingSettings) -> None:
    """Refuse a training of a single class."""
    if not settings.is_transformed and len(np.unique(clips.classes)) == 1:
        raise SettingsError(
            "embedding.is_transformed is false and all training clips are of one class, so there is nothing to tell "
            "apart: several machines with scope=shared, attributes, or embedding.is_transformed=true are needed"
        )


def check_embedding(settings: SystemSettings) -> None:
    """Refuse settings of an embedding that no training should start with.

    Raises
    ------
    SettingsError
        If sizes do not fit, or there is no such accelerator.
    """
    bands = torch.ones(settings.log_mel.n_mels)
    with torch.random.fork_rng(devices=[]):
        new_embedding_network(settings, mean=bands, deviation=bands, spread=bands)
    check_accelerator(settings.embedding.accelerator, setting="embedding.accelerator")


def seconds_per_step(settings: SystemSettings) -> float:
    """Time of a batch on this machine, in seconds, measured on noise."""
    embedding, n_mels = settings.embedding, settings.log_mel.n_mels
    bands = torch.ones(n_mels)
    with torch.random.fork_rng(devices=[]):
        network = new_embedding_network(settings, mean=bands, deviation=bands, spread=bands)
        clips = [torch.randn(n_mels, embedding.segment_frames).numpy() for _ in range(2)]
    timed = embedding.model_copy(update={"max_steps": TIMED_STEPS, "steps_per_epoch": TIMED_STEPS})
    batches = EmbeddingBatches(EmbeddingClips(clips, np.arange(2), clips), timed, seed=0).epoch(0)

    def embeddings() -> Tensor:
        batch = next(batches)
        found: Tensor = network(batch.segments, batch.spectra)
        return found

    return time_step(network, embeddings)


def _new_training(clips: EmbeddingClips, settings: SystemSettings, context: FitContext) -> "_Training":
    embedding = settings.embedding
    _check_classes(clips, embedding)
    batches = EmbeddingBatches(clips, embedding, seed=context.seed)
    mean, deviation = band_statistics([log_mel.mean(axis=-1, keepdims=True) for log_mel in clips.log_mels])
    _, spread = band_statistics([log_mel - log_mel.mean(axis=-1, keepdims=True) for log_mel in clips.log_mels])
    found = {"mean": mean, "deviation": deviation, "spread": spread}
    scale = {name: torch.from_numpy(values) for name, values in found.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        network = new_embedding_network(settings, **scale)
        centres = SubClusterCentres(
            n_classes=batches.n_classes, n_sub_clusters=embedding.n_sub_clusters, n_features=2 * embedding.n_features
        )
    return _Training(network, centres, batches, learning_rate=embedding.learning_rate, progress=context.progress)


class _Training(EpochTraining[EmbeddingBatch]):
    """Sub-cluster AdaCos."""

    batches: EmbeddingBatches

    def __init__(
        self,
        network: EmbeddingNetwork,
        centres: SubClusterCentres,
        batches: EmbeddingBatches,
        *,
        learning_rate: float,
        progress: CountProgress | None,
    ) -> None:
        super().__init__(batches, learning_rate=learning_rate, progress=progress)
        self.network = network
        self.centres = centres

    def loss(self, batch: EmbeddingBatch) -> Tensor:
        """See `EpochTraining`; the scale of the loss is adapted first."""
        segments, spectra, labels = (part.to(self.device) for part in (batch.segments, batch.spectra, batch.labels))
        cosines = self.centres(self.network(segments, spectra))
        self.centres.scale.copy_(adapted_scale(cosines, labels, scale=self.centres.scale))
        return sub_cluster_loss(cosines, labels, scale=self.centres.scale.clone())

    def training_step(self, epoch: list[int], index: int) -> None:
        super().training_step(epoch, index)
        self.log("scale", self.centres.scale, on_step=False, on_epoch=True, batch_size=1)
