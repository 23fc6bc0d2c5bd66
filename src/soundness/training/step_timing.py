"""How long a batch of a network takes, here and now."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from soundness.errors import SettingsError
from soundness.representations.autoencoders import new_reconstructor
from soundness.representations.embedding_batches import EmbeddingBatches, EmbeddingClips
from soundness.representations.embeddings import new_embedding_network
from soundness.settings.system import SystemSettings

__all__ = ["seconds_per_step"]

_TIMED_STEPS = 4


def seconds_per_step(settings: SystemSettings) -> float:
    """Time that a batch takes here and now, measured on noise: what a forecast of the training is made from.

    Raises
    ------
    SettingsError
        If the system has no network or its network does not fit the settings.
    """
    if settings.is_embedding:
        return _seconds_per_embedding_step(settings)
    if settings.training is None or settings.autoencoder is None:
        raise SettingsError("a network is trained; training is false")
    bands = torch.ones(2, settings.log_mel.n_mels)
    with torch.random.fork_rng(devices=[]):
        network = new_reconstructor(settings, n_conditions=4, mean=bands, deviation=bands)
        shape = (settings.training.batch_size, settings.log_mel.n_mels, settings.autoencoder.segment_frames)
        segments = torch.randn(shape)
    conditions = torch.zeros(len(segments), 4)
    return _timed(network, lambda: network(segments, segments, conditions))


def _seconds_per_embedding_step(settings: SystemSettings) -> float:
    """As `seconds_per_step`, with the batches, of noise."""
    embedding, n_mels = settings.embedding, settings.log_mel.n_mels
    bands = torch.ones(n_mels)
    with torch.random.fork_rng(devices=[]):
        network = new_embedding_network(settings, mean=bands, deviation=bands, spread=bands)
        clips = [torch.randn(n_mels, embedding.segment_frames).numpy() for _ in range(2)]
    timed = embedding.model_copy(update={"max_steps": _TIMED_STEPS, "steps_per_epoch": _TIMED_STEPS})
    batches = EmbeddingBatches(EmbeddingClips(clips, np.arange(2), clips), timed, seed=0).epoch(0)

    def embeddings() -> Tensor:
        batch = next(batches)
        found: Tensor = network(batch.segments, batch.spectra)
        return found

    return _timed(network, embeddings)


def _timed(network: nn.Module, compute: Callable[[], Tensor]) -> float:
    """The fastest of a few steps that make what is computed small."""
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    seconds = []
    for _ in range(_TIMED_STEPS):
        started = time.perf_counter()
        optimizer.zero_grad()
        compute().square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
