"""How long a training is expected to take, said before it begins."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from soundness.audio.reading import read_info
from soundness.data.datasets import Machine
from soundness.errors import SettingsError
from soundness.representations.autoencoders import new_reconstructor
from soundness.representations.embedding_batches import EmbeddingBatches, EmbeddingClips
from soundness.representations.embeddings import new_embedding_network
from soundness.settings.system import SystemSettings

__all__ = ["expected_seconds", "forecast", "seconds_per_step"]

_SECONDS_A_CLIP = 0.02
_SECONDS_A_SEPARATED_CLIP = 0.1


def forecast(settings: SystemSettings, groups: Sequence[Sequence[Machine]], *, trains_separator: bool) -> str:
    """How long a training is expected to take, in words."""
    parts = _parts(settings, groups)
    if trains_separator:
        parts = {"training the separator": 60 * settings.separator.minutes, **parts}
    total = sum(parts.values())
    largest = ", ".join(f"{what} {_words(value)}" for what, value in parts.items() if value > 0.1 * total)
    return f"expected to take up to {_words(total)} ({largest})"


def expected_seconds(settings: SystemSettings, machines: Sequence[Machine]) -> float:
    """How long the training of all these machines is expected to take, once there is a separator."""
    groups = [list(machines)] if settings.scope == "shared" else [[machine] for machine in machines]
    return sum(_parts(settings, groups).values())


def _parts(settings: SystemSettings, groups: Sequence[Sequence[Machine]]) -> dict[str, float]:
    n_clips = sum(len(machine.train) for group in groups for machine in group)
    parts = {"reading": n_clips * (_SECONDS_A_CLIP if settings.separation == "off" else _SECONDS_A_SEPARATED_CLIP)}
    if settings.has_network:
        n_steps = sum(_n_steps(settings, group) for group in groups)
        parts["training the network" + ("s" if len(groups) > 1 else "")] = n_steps * seconds_per_step(settings)
    return parts


def _n_steps(settings: SystemSettings, group: Sequence[Machine]) -> int:
    """Batches of a training, at the most; where each position is heard, from the lengths in the clips' headers."""
    training = settings.training
    if settings.is_embedding:
        return settings.embedding.max_steps
    if training is None or training.n_epochs is None:
        return 0 if training is None else training.max_steps
    seconds = sum(read_info(clip.path).seconds for machine in group for clip in machine.train)
    n_positions = (1 - training.held_out) * seconds * settings.audio.sample_rate / settings.log_mel.hop_length
    return training.n_epochs * math.ceil(n_positions / training.batch_size)


def _words(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


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
