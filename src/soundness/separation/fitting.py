"""Training of a separator with Lightning: batches of mixtures, time as the budget, references that get cleaner."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Timer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from soundness.aliases import CountProgress
from soundness.errors import SettingsError
from soundness.lightning_loop import fit
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.losses import LogMelDistance, separation_loss
from soundness.separation.mixtures import Mixer, Recipe
from soundness.separation.separator import SeparatorFit
from soundness.settings.separation import SeparatorSettings

__all__ = ["fit_separator"]

_STEPS_PER_EPOCH = 25
_WARM_UP_STEPS = 50


def fit_separator(
    recipes: Sequence[Recipe],
    settings: SeparatorSettings,
    *,
    seed: int,
    folder: Path,
    start: Mapping[str, Tensor] | None = None,
    resume: bool = False,
    progress: CountProgress | None = None,
) -> SeparatorFit:
    """Train a network to separate machines from noise.

    The learning rate falls with a half cosine to nothing, as the time or the steps run out, whichever ends first.

    Parameters
    ----------
    recipes
        Mixtures to train on.
    settings
        Settings of the network and of its training.
    seed
        Random seed of the weights and the mixtures.
    folder
        Folder of checkpoints and logs.
    start
        Weights to begin with, for fine-tuning; fresh ones where it is ``None``.
    resume
        Go on from the last checkpoint in ``folder``, where there is one; the time spent before it counts.
    progress
        Called with the number of seconds gone by and their total.

    Raises
    ------
    SettingsError
        If the training diverges, or ``start`` is of another network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvTasNet(settings)
    if start is not None:
        _take_over(network, start)
    timer = Timer(timedelta(minutes=settings.minutes), interval="step", verbose=False)
    module = _SeparatorTraining(network, recipes, settings, timer=timer, seed=seed)
    n_steps = fit(
        module,
        folder,
        resume=resume,
        accelerator=settings.accelerator,
        max_steps=-1 if settings.max_steps is None else settings.max_steps,
        checkpoint_steps=_STEPS_PER_EPOCH,
        callbacks=[timer] if progress is None else [timer, _Progress(progress, timer, total=60 * settings.minutes)],
        gradient_norm=settings.gradient_norm,
    )
    if not all(parameter.isfinite().all() for parameter in network.parameters()):
        raise SettingsError("the training diverged: its weights are no numbers; a smaller learning_rate may help")
    return SeparatorFit(network.cpu().eval(), n_steps, timer.time_elapsed())


def _take_over(network: ConvTasNet, weights: Mapping[str, Tensor]) -> None:
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise SettingsError("the separator to start from is of another size, basis or kind than the settings") from None


class _MixtureBatches(Dataset[Tensor]):
    """The batches of one epoch; each depends on the seed and on its number alone."""

    def __init__(self, mixer: Mixer, *, first: int, seed: int) -> None:
        self.mixer = mixer
        self.first = first
        self.seed = seed

    def __len__(self) -> int:
        return _STEPS_PER_EPOCH

    def __getitem__(self, index: int) -> Tensor:
        return self.mixer.batch(np.random.default_rng((self.seed, self.first + index)))


class _SeparatorTraining(pl.LightningModule):
    """Negative SI-SNR of machine and noise.

    Where a machine has no clean clips its references are noisy. The network cannot know which noise is the reference's
    own, so it removes part of that, too, and its estimates of the references are cleaner than they are. After each of
    `refresh_steps` these estimates, by a copy of the network (the teacher), replace the references. Noisy references of
    a machine that also has clean clips are used only after that.
    """

    def __init__(
        self, network: ConvTasNet, recipes: Sequence[Recipe], settings: SeparatorSettings, *, timer: Timer, seed: int
    ) -> None:
        super().__init__()
        self.network = network
        self.recipes = recipes
        self.settings = settings
        self.timer = timer
        self.seed = seed
        self.log_mel_distance = LogMelDistance(sample_rate=settings.sample_rate)
        self._n_refreshed = 0
        self._teacher: dict[str, Tensor] = {}
        self._mixer = Mixer([recipe for recipe in recipes if not recipe.is_waiting], settings)

    def training_step(self, references: Tensor, index: int) -> Tensor:  # noqa: ARG002  # Lightning's
        estimates = self.network(references.sum(dim=1, keepdim=True))
        loss = separation_loss(estimates, references)
        if self.settings.log_mel_weight > 0.0:
            loss = loss + self.settings.log_mel_weight * self.log_mel_distance(estimates, references)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(references))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate, fused=True)

    def train_dataloader(self) -> DataLoader[Tensor]:
        if any(recipe.is_noisy_target for recipe in self.recipes) and self._refreshes_due() > self._n_refreshed:
            self._n_refreshed = self._refreshes_due()
            self._teacher = {name: value.cpu().clone() for name, value in self.network.state_dict().items()}
            self._mixer = Mixer(self._cleaner_recipes(), self.settings)
        first = self.current_epoch * _STEPS_PER_EPOCH
        return DataLoader(_MixtureBatches(self._mixer, first=first, seed=self.seed), batch_size=None)

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:  # noqa: ARG002  # Lightning's
        rate = self.settings.learning_rate * (1 + math.cos(math.pi * self._fraction_done())) / 2
        rate *= min(1.0, (self.global_step + 1) / _WARM_UP_STEPS)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["teacher"] = (self._n_refreshed, self._teacher)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._n_refreshed, self._teacher = checkpoint["teacher"]
        if self._n_refreshed > 0:
            self._mixer = Mixer(self._cleaner_recipes(), self.settings)

    def _fraction_done(self) -> float:
        steps = 0.0 if self.settings.max_steps is None else self.global_step / self.settings.max_steps
        return min(1.0, max(steps, self.timer.time_elapsed() / (60 * self.settings.minutes)))

    def _refreshes_due(self) -> int:
        return sum(step <= self.global_step for step in self.settings.refresh_steps)

    def _cleaner_recipes(self) -> list[Recipe]:
        """The recipes, with the teacher's estimates in place of noisy references."""
        with torch.random.fork_rng(devices=[]):
            teacher = ConvTasNet(self.settings).to(self.device)
        teacher.load_state_dict(self._teacher)
        teacher.eval()
        return [
            replace(recipe, references=[_machine_in(clip, teacher) for clip in recipe.references])
            if recipe.is_noisy_target
            else recipe
            for recipe in self.recipes
        ]


@torch.inference_mode()
def _machine_in(clip: np.ndarray[Any, np.dtype[np.float32]], teacher: ConvTasNet) -> np.ndarray[Any, Any]:
    waveform = torch.from_numpy(clip)[None, None].to(next(teacher.parameters()).device)
    machine: np.ndarray[Any, Any] = teacher(waveform)[0, 0].cpu().numpy()
    return machine


class _Progress(Callback):
    """Reports the seconds that have gone by, once in a second."""

    def __init__(self, progress: CountProgress, timer: Timer, *, total: float) -> None:
        self.progress = progress
        self.timer = timer
        self.total = math.ceil(total)
        self._last_report = -math.inf

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002  # Lightning's
        if time.monotonic() - self._last_report >= 1.0:
            self._last_report = time.monotonic()
            self.progress(min(self.total, round(self.timer.time_elapsed())), self.total)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002  # Lightning's
        self.progress(self.total, self.total)
