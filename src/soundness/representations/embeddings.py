"""Embedding of a clip by a network that classifies machines and their conditions."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.files.sealed import rebuilt_network
from soundness.files.stored_values import floats
from soundness.representations.autoencoders import split_into_segments
from soundness.representations.embedding_batches import TRANSFORMATIONS, EmbeddingClips
from soundness.representations.embedding_networks import (
    EmbeddingFit,
    EmbeddingNetwork,
    new_embedding_network,
)
from soundness.representations.protocol import FitContext, Fitted, MachineSpectrograms, NetworkPlan
from soundness.representations.statistics import band_statistics
from soundness.settings.system import SystemSettings

__all__ = ["DiscriminativeEmbedding"]

_ROWS_AT_A_TIME = 64  # of an hour-long clip, so that its feature maps fit into memory


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
        shape = (settings.log_mel.n_mels,)
        mean, deviation = (floats(arrays, f"machine_{name}", shape, single=True) for name in ("mean", "deviation"))
        weights = {name: array for name, array in arrays.items() if not name.startswith("machine_")}
        scale = {
            "mean": torch.from_numpy(floats(arrays, "mean", shape, single=True)),
            "deviation": torch.from_numpy(floats(arrays, "deviation", shape, single=True)),
            "spread": torch.from_numpy(floats(arrays, "spread", shape, single=True)),
        }
        network = rebuilt_network(lambda: new_embedding_network(settings, **scale), weights)
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
