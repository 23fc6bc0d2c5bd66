"""Trained networks kept on disk, so that systems which differ only in how they score train one network."""

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from soundness.errors import OutputError
from soundness.files.atomic import whole_file
from soundness.files.run_folders import package_versions
from soundness.lightning_loop import count_parameters, read_tensors
from soundness.representations.autoencoder_batches import TrainingClips
from soundness.representations.autoencoders import FitResult, deciding_settings, new_reconstructor
from soundness.representations.protocol import FitContext
from soundness.settings.system import SystemSettings

__all__ = ["NetworkCache"]

_LOGGER = logging.getLogger(__name__)

_KEYS = ("weights", "n_conditions", "n_steps", "train_loss", "held_out_loss", "seconds")


class NetworkCache:
    """A folder of trained networks, each equal to the last bit to the outcome of another such training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds_spared = 0.0
        """Wall-clock time of the trainings whose networks were read instead."""

    def fit(self, clips: TrainingClips, settings: SystemSettings, context: FitContext) -> FitResult:
        """Train a network by `fit_reconstructor`, or read the one that the same training gave before."""
        file = self.folder / f"{_key(clips, settings, context.seed)}.pt"
        if (kept := self._kept(file, settings)) is not None:
            return kept
        from soundness.representations.autoencoder_fitting import fit_reconstructor

        started = time.perf_counter()
        fit = fit_reconstructor(clips, settings, context)
        seconds = time.perf_counter() - started
        self._keep(file, fit, n_conditions=clips.conditions.shape[1], seconds=seconds)
        return fit

    def _kept(self, file: Path, settings: SystemSettings) -> FitResult | None:
        if not file.exists():
            return None
        try:
            kept = read_tensors(file, keys=_KEYS)
        except OutputError as error:
            _LOGGER.warning("%s; it is trained again", error)
            return None
        weights = kept["weights"]
        with torch.random.fork_rng(devices=[]):
            reconstructor = new_reconstructor(
                settings, n_conditions=kept["n_conditions"], mean=weights["mean"], deviation=weights["deviation"]
            )
        reconstructor.load_state_dict(weights)
        self.seconds_spared += kept["seconds"]
        outcome = {name: kept[name] for name in ("n_steps", "train_loss", "held_out_loss")}
        return FitResult(reconstructor=reconstructor.eval(), n_parameters=count_parameters(reconstructor), **outcome)

    def _keep(self, file: Path, fit: FitResult, *, n_conditions: int, seconds: float) -> None:
        content = {
            "weights": fit.reconstructor.state_dict(),
            "n_conditions": n_conditions,
            "n_steps": fit.n_steps,
            "train_loss": fit.train_loss,
            "held_out_loss": fit.held_out_loss,
            "seconds": seconds,
        }
        with whole_file(file, is_durable=False) as partial:
            torch.save(content, partial)


def _key(clips: TrainingClips, settings: SystemSettings, seed: int) -> str:
    """Key of a training: a checksum of all that the network is made from."""
    digest = hashlib.sha256()
    for part in _parts(clips, settings, seed):
        digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()


def _parts(clips: TrainingClips, settings: SystemSettings, seed: int) -> Iterator[Any]:
    yield json.dumps(deciding_settings(settings)).encode()
    yield repr((seed, settings.log_mel.n_mels, list(clips.groups), list(clips.recordings), package_versions())).encode()
    yield repr(tuple(clips.conditions.shape)).encode()
    yield clips.conditions.tobytes()
    for clip in clips.spectrograms:
        yield repr(tuple(clip.input.shape)).encode()
        yield clip.input.tobytes()
        yield b"" if clip.reference is clip.input else clip.reference.tobytes()
