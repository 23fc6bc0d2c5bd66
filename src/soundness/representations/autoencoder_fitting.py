"""Training of the autoencoder with Lightning: in memory, from clips to a network."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader

from soundness.aliases import CountProgress
from soundness.errors import SettingsError
from soundness.lightning_loop import (
    CHECKPOINT_KEYS,
    EpochTraining,
    check_accelerator,
    count_parameters,
    fit,
    last_checkpoint,
    read_tensors,
    time_step,
)
from soundness.representations.autoencoder_batches import (
    Batch,
    Batches,
    Scale,
    TrainingClips,
    has_one_spectrogram,
    training_batches,
)
from soundness.representations.autoencoders import FitResult, Reconstructor, new_reconstructor
from soundness.representations.protocol import FitContext
from soundness.representations.statistics import band_statistics
from soundness.settings.system import SystemSettings, TrainingSettings

__all__ = ["TrainingClips", "check_network", "fit_reconstructor", "seconds_per_step"]

_EVALUATION_ROWS = 256


def fit_reconstructor(clips: TrainingClips, settings: SystemSettings, context: FitContext) -> FitResult:
    """Train a system's network on normal clips, of which a share is held out to stop early.

    Raises
    ------
    SettingsError
        If the system has no network or its network does not fit the settings.
    """
    if settings.training is None:
        raise SettingsError("a network is trained; training is false")
    mean, deviation = _scale(clips, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(context.seed)
        reconstructor = new_reconstructor(
            settings, n_conditions=clips.conditions.shape[1], mean=mean, deviation=deviation
        )
    batches = training_batches(clips, settings, scale=(mean, deviation), seed=context.seed)
    training = settings.training
    module = _Training(reconstructor, batches, training, progress=context.progress)
    n_steps = _load_finished(module, last_checkpoint(context.folder), training) if context.resume else None
    if n_steps is None:
        has_held_out = len(batches.held_out[0]) > 0
        early = EarlyStopping("held_out_loss", patience=training.patience, check_on_train_epoch_end=False)
        n_steps = fit(
            module,
            context.folder,
            resume=context.resume,
            accelerator=training.accelerator,
            max_steps=batches.n_steps,
            checkpoint_steps=None if has_held_out else batches.steps_per_epoch,
            callbacks=[early] if has_held_out and training.weights == "best" else [],
        )
    return _result(module, n_steps=n_steps)


def check_network(settings: SystemSettings) -> None:
    """Refuse settings of a network that no training should start with.

    Raises
    ------
    SettingsError
        If there is no such autoencoder or accelerator, or sizes do not fit.
    """
    if settings.training is None or settings.autoencoder is None:
        raise SettingsError("a network is trained; training is false")
    bands = torch.ones(2, settings.log_mel.n_mels)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        network = new_reconstructor(settings, n_conditions=0, mean=bands, deviation=bands).eval().autoencoder
        segments = torch.zeros(2, settings.log_mel.n_mels, settings.autoencoder.segment_frames)
        found = network(segments, torch.zeros(2, 0)).shape
    if found != segments.shape:
        raise SettingsError(
            f"autoencoder.name: {settings.autoencoder.name} makes {tuple(found)} of segments of shape "
            f"{tuple(segments.shape)}; the same shape is needed"
        )
    check_accelerator(settings.training.accelerator, setting="training.accelerator")


def seconds_per_step(settings: SystemSettings) -> float:
    """Time of a batch on this machine, in seconds, measured on noise."""
    assert settings.training is not None  # the representation has seen to it
    assert settings.autoencoder is not None
    bands = torch.ones(2, settings.log_mel.n_mels)
    with torch.random.fork_rng(devices=[]):
        network = new_reconstructor(settings, n_conditions=4, mean=bands, deviation=bands)
        shape = (settings.training.batch_size, settings.log_mel.n_mels, settings.autoencoder.segment_frames)
        segments = torch.randn(shape)
    conditions = torch.zeros(len(segments), 4)
    return time_step(network, lambda: network(segments, segments, conditions))


def _scale(clips: TrainingClips, settings: SystemSettings) -> Scale:
    """Mean and deviation of each band, of the input and of the reference, shape ``(2, mel)`` each."""
    if settings.autoencoder is not None and not settings.autoencoder.is_standardised:
        shape = (2, settings.log_mel.n_mels)
        return torch.zeros(shape), torch.ones(shape)
    inputs = band_statistics([clip.input for clip in clips.spectrograms])
    references = inputs
    if not has_one_spectrogram(clips):
        references = band_statistics([clip.reference for clip in clips.spectrograms])
    mean, deviation = (torch.from_numpy(np.stack(values)) for values in zip(inputs, references, strict=True))
    return mean, deviation


class _Training(EpochTraining[Batch]):
    """Mean squared error of the residuals."""

    batches: Batches

    def __init__(
        self,
        reconstructor: Reconstructor,
        batches: Batches,
        training: TrainingSettings,
        *,
        progress: CountProgress | None,
    ) -> None:
        super().__init__(batches, learning_rate=training.learning_rate, progress=progress)
        self.reconstructor = reconstructor
        self.keeps_last = training.weights == "last"
        self.held_out_loss: float | None = None  # of the weights that are kept
        self._best_weights: dict[str, Tensor] = {}

    def loss(self, batch: Sequence[Tensor]) -> Tensor:
        """See `EpochTraining`."""
        segments, references, conditions = (part.to(self.device) for part in batch)
        return mse_loss(self.reconstructor.autoencoder(segments, conditions), references)

    def validation_step(self, look: int, index: int) -> None:  # noqa: ARG002  # Lightning's
        parts = (torch.split(part, _EVALUATION_ROWS) for part in self.batches.held_out)
        total = sum(float(self.loss(batch)) * len(batch[0]) for batch in zip(*parts, strict=True))
        loss = total / len(self.batches.held_out[0])
        self.log("held_out_loss", loss, batch_size=1)
        if self.keeps_last:
            self.held_out_loss = loss
        elif self.held_out_loss is None or loss < self.held_out_loss:
            self.held_out_loss = loss
            self._best_weights = {name: value.clone() for name, value in self.reconstructor.state_dict().items()}

    def val_dataloader(self) -> DataLoader[int]:
        return DataLoader([0], batch_size=None)  # type: ignore[arg-type]  # a list is a Dataset

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["best"] = (self.held_out_loss, self._best_weights)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.held_out_loss, self._best_weights = checkpoint["best"]

    def use_kept_weights(self) -> None:
        """Go back to the weights with the smallest held-out loss, unless the last ones are kept."""
        if self._best_weights:
            self.reconstructor.load_state_dict(self._best_weights)


def _load_finished(module: _Training, checkpoint: Path, training: TrainingSettings) -> int | None:
    """Take over a training that had stopped early before it was interrupted; its steps, or ``None`` if it goes on."""
    if not checkpoint.exists():
        return None
    content = read_tensors(checkpoint, keys=CHECKPOINT_KEYS)
    waits = [state["wait_count"] for name, state in content["callbacks"].items() if name.startswith("EarlyStopping")]
    if not any(wait >= training.patience for wait in waits):
        return None
    module.load_state_dict(content["state_dict"])
    module.on_load_checkpoint(content)
    return int(content["global_step"])


def _result(module: _Training, *, n_steps: int) -> FitResult:
    """The weights that are kept, and how the training went."""
    train_loss, held_out_loss = module.train_loss, module.held_out_loss
    if not math.isfinite(train_loss if held_out_loss is None else held_out_loss):
        raise SettingsError("the training diverged: its loss is no number; a smaller training.learning_rate may help")
    module.use_kept_weights()
    return FitResult(
        reconstructor=module.reconstructor.cpu().eval(),
        n_parameters=count_parameters(module.reconstructor),
        n_steps=n_steps,
        train_loss=train_loss,
        held_out_loss=held_out_loss,
    )
