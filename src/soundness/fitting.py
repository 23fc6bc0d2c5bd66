"""Training of the network with Lightning: batches, held-out clips, checkpoints, logs."""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from soundness.autoencoders import Reconstructor, new_reconstructor, split_into_segments
from soundness.errors import SettingsError
from soundness.features import Spectrograms
from soundness.lightning_runs import check_accelerator, quiet_lightning, run
from soundness.log_mel_statistics import band_statistics
from soundness.settings import SystemSettings, TrainingSettings

__all__ = ["FitResult", "TrainingClips", "check_network", "fit_reconstructor"]

_FEWEST_TO_HOLD_OUT = 5
_EVALUATION_ROWS = 256
_LAST = "last"


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """The normal clips that a network is trained on.

    Parameters
    ----------
    spectrograms
        Lengths may differ.
    conditions
        Encoded condition of each clip, shape ``(clip, feature)``.
    groups
        What the clips are held out by, so that each is represented: machine and domain, say. One entry a clip.
    recordings
        Which recording each clip came from: a recording is held out with all that came from it. One entry a clip.
    """

    spectrograms: Sequence[Spectrograms]
    conditions: Tensor
    groups: Sequence[str]
    recordings: Sequence[int]


@dataclass(frozen=True, slots=True)
class FitResult:
    """A trained network and how its training went; losses in squared deviations of a band."""

    reconstructor: Reconstructor
    n_steps: int
    train_loss: float
    held_out_loss: float | None

    @property
    def n_parameters(self) -> int:
        """Trained parameters of the network."""
        return sum(parameter.numel() for parameter in self.reconstructor.parameters())


def fit_reconstructor(
    clips: TrainingClips,
    settings: SystemSettings,
    *,
    seed: int,
    folder: Path,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FitResult:
    """Train a system's network.

    The same clips, settings and seed give the same network on the same machine, whether or not the training was
    interrupted and resumed.

    Parameters
    ----------
    clips
        Normal clips; a share of them is held out to stop early.
    settings
        Of a system with a network.
    seed
        Of the weights, the batches and the choice of held-out clips.
    folder
        Checkpoints and logs go below it.
    resume
        Go on from the last checkpoint in ``folder``, where there is one.
    progress
        Is told how many batches are done, and of how many at the most.

    Raises
    ------
    SettingsError
        If the system has no network or its network does not fit the settings.
    """
    if settings.training is None:
        raise SettingsError("a network is trained; training is false")
    given = band_statistics([clip.given for clip in clips.spectrograms])
    wanted = given if _is_same(clips) else band_statistics([clip.wanted for clip in clips.spectrograms])
    mean, deviation = (torch.stack(values) for values in zip(given, wanted, strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reconstructor = new_reconstructor(
            settings, n_conditions=clips.conditions.shape[1], mean=mean, deviation=deviation
        )
    held_out = _choose_held_out(clips, share=settings.training.held_out, seed=seed)
    module = _Training(reconstructor, clips, held_out, settings, seed=seed)
    checkpoints = folder / "checkpoints"
    last = checkpoints / f"{_LAST}.ckpt"
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    if last.exists() and (n_steps := _load_finished(module, last, settings.training)) is not None:
        return _result(module, n_steps=n_steps)
    with quiet_lightning():
        trainer = _new_trainer(
            settings.training, folder, checkpoints, has_held_out=len(held_out) > 0, progress=progress
        )
        run(trainer, module, checkpoint=last if last.exists() else None)
    return _result(module, n_steps=trainer.global_step)


def check_network(settings: SystemSettings) -> None:
    """Refuse settings of a network that no training should start with.

    Raises
    ------
    SettingsError
        If there is no such autoencoder or accelerator, or sizes do not fit.
    """
    if settings.training is None:
        raise SettingsError("a network is trained; training is false")
    bands = torch.ones(2, settings.log_mel.n_mels)
    with torch.random.fork_rng(devices=[]):
        new_reconstructor(settings, n_conditions=0, mean=bands, deviation=bands)
    check_accelerator(settings.training.accelerator, setting="training.accelerator")


class _SegmentBatches(Dataset[tuple[Tensor, ...]]):
    """The batches of one epoch; each depends on the seed and on its number alone.

    The frames of all clips lie in one tensor, so that a batch is one look-up.
    """

    def __init__(
        self,
        frames: tuple[Tensor, Tensor],
        clips: "_ClipTable",
        *,
        batch_size: int,
        n_frames: int,
        steps: range,
        seed: int,
    ) -> None:
        self.frames = frames  # what is given and what is wanted, (frame, mel) each
        self.clips = clips
        self.batch_size = batch_size
        self.n_frames = n_frames
        self.steps = steps
        self.seed = seed

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng((self.seed, self.steps[index]))
        chosen = rng.integers(len(self.clips.starts), size=self.batch_size)
        positions = rng.integers(self.clips.lengths[chosen] - self.n_frames + 1)
        first = torch.from_numpy(self.clips.starts[chosen] + positions)
        rows = first[:, None] + torch.arange(self.n_frames)  # (batch, frame)
        given = self.frames[0][rows].transpose(1, 2)  # (batch, mel, frame)
        wanted = given if self.frames[1] is self.frames[0] else self.frames[1][rows].transpose(1, 2)
        return given, wanted, self.clips.conditions[torch.from_numpy(chosen)]


@dataclass(frozen=True, slots=True)
class _ClipTable:
    """Where each clip starts among the frames of all, how long it is, and its condition."""

    starts: np.ndarray[Any, np.dtype[np.int64]]
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    conditions: Tensor


class _Training(pl.LightningModule):
    """Mean squared error on random segments; the held-out clips are cut into segments once."""

    def __init__(
        self,
        reconstructor: Reconstructor,
        clips: TrainingClips,
        held_out: Sequence[int],
        settings: SystemSettings,
        *,
        seed: int,
    ) -> None:
        super().__init__()
        assert settings.autoencoder is not None  # a reconstructor was built from it
        assert settings.training is not None
        self.reconstructor = reconstructor
        self.training_settings = settings.training
        self.n_frames = settings.autoencoder.segment_frames
        self.seed = seed
        self._losses: list[Tensor] = []  # of the epoch so far; none is logged in a training that is resumed at its end
        self._held_out_losses: list[
            tuple[float, int]
        ] = []  # of this look at the held-out clips, and of how many segments
        self.best_loss: float | None = None
        self._best_weights: dict[str, Tensor] = {}
        kept = [index for index in range(len(clips.spectrograms)) if index not in set(held_out)]
        self._frames, self._table = _table(clips, kept, n_frames=self.n_frames)
        self._held_out = _held_out_segments(clips, held_out, n_frames=self.n_frames)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        loss = self.reconstructor(*batch).square().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]), prog_bar=True)
        self._losses = [*(self._losses if index > 0 else []), loss.detach().cpu()]
        return loss  # type: ignore[no-any-return]  # torch types Module.__call__ as Any

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["losses"] = (self._losses, self.best_loss, self._best_weights)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._losses, self.best_loss, self._best_weights = checkpoint["losses"]

    def use_best_weights(self) -> None:
        """Go back to the weights with the smallest held-out loss, where anything was held out."""
        if self.best_loss is not None:
            self.reconstructor.load_state_dict(self._best_weights)

    @property
    def train_loss(self) -> float:
        """Mean over the batches of the last epoch."""
        return float(torch.stack(self._losses).mean())

    def validation_step(self, batch: list[Tensor], index: int) -> None:  # noqa: ARG002  # Lightning's
        loss = self.reconstructor(*batch).square().mean()
        self.log("held_out_loss", loss, batch_size=len(batch[0]), prog_bar=True)
        self._held_out_losses.append((float(loss), len(batch[0])))

    def on_validation_epoch_end(self) -> None:
        total = sum(count for _, count in self._held_out_losses)
        loss = sum(value * count for value, count in self._held_out_losses) / total
        self._held_out_losses = []
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss = loss
            self._best_weights = {name: value.clone() for name, value in self.reconstructor.state_dict().items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.training_settings.learning_rate, fused=True)

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        n_steps = _steps_per_epoch(self.training_settings)
        first = self.current_epoch * n_steps
        batches = _SegmentBatches(
            self._frames,
            self._table,
            batch_size=self.training_settings.batch_size,
            n_frames=self.n_frames,
            steps=range(first, min(first + n_steps, self.training_settings.max_steps)),
            seed=self.seed,
        )
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(*self._held_out), batch_size=_EVALUATION_ROWS)


class _Progress(Callback):
    def __init__(self, tell: Callable[[int, int], None]) -> None:
        self.tell = tell

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002  # Lightning's
        self.tell(trainer.global_step, trainer.max_steps)


def _table(clips: TrainingClips, kept: Sequence[int], *, n_frames: int) -> tuple[tuple[Tensor, Tensor], _ClipTable]:
    """All frames of some clips, given and wanted, and where each clip is among them."""
    chosen = [clips.spectrograms[index] for index in kept]
    given = _frames([clip.given for clip in chosen], n_frames=n_frames)
    wanted = given if _is_same(clips) else _frames([clip.wanted for clip in chosen], n_frames=n_frames)
    lengths = np.array([max(n_frames, clip.given.shape[-1]) for clip in chosen], dtype=np.int64)
    return (given, wanted), _ClipTable(np.cumsum(lengths) - lengths, lengths, clips.conditions[list(kept)])


def _is_same(clips: TrainingClips) -> bool:
    """Whether the network reconstructs what it reads, so that one copy of it is enough."""
    return all(clip.wanted is clip.given for clip in clips.spectrograms)


def _frames(log_mels: Sequence[Tensor], *, n_frames: int) -> Tensor:
    """All frames of some clips, shape ``(frame, mel)``; a clip shorter than a segment is repeated to fill one."""
    filled = [
        split_into_segments(log_mel, n_frames=n_frames)[0] if log_mel.shape[-1] < n_frames else log_mel
        for log_mel in log_mels
    ]
    return torch.cat([log_mel.T for log_mel in filled])


def _held_out_segments(
    clips: TrainingClips, held_out: Sequence[int], *, n_frames: int
) -> tuple[Tensor, Tensor, Tensor]:
    if not held_out:
        nothing = torch.empty(0, clips.spectrograms[0].given.shape[0], n_frames)
        return nothing, nothing, clips.conditions[:0]
    given = [split_into_segments(clips.spectrograms[index].given, n_frames=n_frames) for index in held_out]
    wanted = [split_into_segments(clips.spectrograms[index].wanted, n_frames=n_frames) for index in held_out]
    counts = torch.tensor([len(group) for group in given])
    return torch.cat(given), torch.cat(wanted), clips.conditions[list(held_out)].repeat_interleave(counts, dim=0)


def _choose_held_out(clips: TrainingClips, *, share: float, seed: int) -> list[int]:
    """At least one recording of each group that has five or more, so that each is heard when training is stopped."""
    group_of = dict(zip(clips.recordings, clips.groups, strict=True))
    rng = np.random.default_rng((seed, len(group_of)))
    chosen: set[int] = set()
    for group in sorted(set(clips.groups)):
        members = [recording for recording, name in group_of.items() if name == group]
        if share > 0.0 and len(members) >= _FEWEST_TO_HOLD_OUT:
            count = min(max(1, round(share * len(members))), len(members) - 1)
            chosen |= {int(recording) for recording in rng.choice(members, size=count, replace=False)}
    return [index for index, recording in enumerate(clips.recordings) if recording in chosen]


def _steps_per_epoch(training: TrainingSettings) -> int:
    return min(training.steps_per_epoch, training.max_steps)


def _new_trainer(
    training: TrainingSettings,
    folder: Path,
    checkpoints: Path,
    *,
    has_held_out: bool,
    progress: Callable[[int, int], None] | None,
) -> pl.Trainer:
    monitor = "held_out_loss" if has_held_out else None
    n_steps = _steps_per_epoch(training)
    keeper = ModelCheckpoint(
        checkpoints,
        _LAST,
        enable_version_counter=False,
        save_on_train_epoch_end=False,  # Lightning resumes exactly from the end of a validation, or of a batch
        every_n_train_steps=None if has_held_out else n_steps,
    )
    callbacks: list[Callback] = [keeper]
    if monitor is not None:
        callbacks.append(EarlyStopping(monitor, patience=training.patience, check_on_train_epoch_end=False))
    if progress is not None:
        callbacks.append(_Progress(progress))
    return pl.Trainer(
        accelerator=training.accelerator,
        devices=1,
        max_steps=training.max_steps,
        callbacks=callbacks,
        logger=CSVLogger(folder, name="logs"),  # a version for each start, so that resuming loses no log
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=None if has_held_out else 0,
        log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1,
    )


def _load_finished(module: _Training, checkpoint: Path, training: TrainingSettings) -> int | None:
    """Take over a training that had stopped early before it was interrupted; its steps, or ``None`` if it goes on."""
    content = torch.load(checkpoint, weights_only=True, map_location="cpu")
    waits = [state["wait_count"] for name, state in content["callbacks"].items() if name.startswith("EarlyStopping")]
    if not any(wait >= training.patience for wait in waits):
        return None
    module.load_state_dict(content["state_dict"])
    module.on_load_checkpoint(content)
    return int(content["global_step"])


def _result(module: _Training, *, n_steps: int) -> FitResult:
    """The weights with the smallest held-out loss; the last ones where nothing is held out."""
    train_loss, held_out_loss = module.train_loss, module.best_loss
    if not math.isfinite(train_loss if held_out_loss is None else held_out_loss):
        raise SettingsError("the training diverged: its loss is no number; a smaller training.learning_rate may help")
    module.use_best_weights()
    return FitResult(module.reconstructor.cpu().eval(), n_steps, train_loss, held_out_loss)
