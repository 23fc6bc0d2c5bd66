"""One fit loop for every network that Lightning trains: quiet, interruptible, resumable, checked before it starts."""

import logging
import shutil
import signal
import threading
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Generic, Protocol, TypeVar

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from soundness.aliases import CountProgress
from soundness.errors import OutputError, SettingsError

__all__ = [
    "CHECKPOINT_KEYS",
    "TIMED_STEPS",
    "Batches",
    "EpochTraining",
    "check_accelerator",
    "count_parameters",
    "fit",
    "last_checkpoint",
    "quiet_lightning",
    "read_tensors",
    "time_step",
]

TIMED_STEPS = 4

CHECKPOINT_KEYS = ("state_dict", "optimizer_states", "loops", "callbacks", "global_step")

_DAMAGED = (RuntimeError, EOFError, UnpicklingError, ValueError, TypeError, LookupError, AttributeError, OSError)

_NOT_ABOUT_THIS_TRAINING = (
    ".*LeafSpec.*",  # Lightning's own use of torch
    ".*does not have many workers.*",  # a batch is one look-up in memory
    ".*exists and is not empty.*",  # on purpose, in a training that is resumed
    ".*dirpath has changed.*",  # nothing of the old folder is asked for
    ".*no pre-optimization state was saved.*",  # a checkpoint is that of the end of an epoch
)

Batch = TypeVar("Batch")
Batch_co = TypeVar("Batch_co", covariant=True)


class Batches(Protocol[Batch_co]):
    """Batches of a training; those of an epoch depend on the seed and on the epoch's number alone."""

    n_steps: int
    """Batches of the whole training, at the most."""
    steps_per_epoch: int
    """Batches from one validation, and one checkpoint, to the next."""

    def epoch(self, index: int) -> Iterator[Batch_co]:
        """The batches of an epoch, counted from 0."""


class EpochTraining(pl.LightningModule, Generic[Batch]):
    """Training by Adam in which all batches of an epoch are one step of Lightning's.

    Lightning's own work between two steps takes as long as a batch of a small network does.

    Parameters
    ----------
    batches
        Batches of the training.
    learning_rate
        Of Adam.
    progress
        Called with the number of batches done and the largest total.
    """

    def __init__(self, batches: Batches[Batch], *, learning_rate: float, progress: CountProgress | None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.batches = batches
        self.learning_rate = learning_rate
        self.progress = progress
        self._losses = torch.empty(0)  # of the epoch so far

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """Loss of a batch, which training makes small."""

    def training_step(self, epoch: list[int], index: int) -> None:  # noqa: ARG002  # Lightning's
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)  # there is one
        # A loss as torch returns it holds the memory of all its squares: its value alone is kept.
        losses = torch.zeros(self.batches.steps_per_epoch, device=self.device)
        n_done = 0
        for n_done, batch in enumerate(self.batches.epoch(epoch[0]), start=1):
            loss = self.loss(batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            optimizer.step()
            losses[n_done - 1] = loss.detach()
            if self.progress is not None:
                self.progress(self.global_step, self.batches.n_steps)
        self._losses = losses[:n_done].cpu()
        self.log("train_loss", self.train_loss, on_step=False, on_epoch=True, batch_size=1)

    @property
    def train_loss(self) -> float:
        """Mean over the batches of the last epoch."""
        return float(self._losses.mean())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["losses"] = self._losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._losses = checkpoint["losses"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, fused=True)

    def train_dataloader(self) -> DataLoader[list[int]]:
        return DataLoader([[self.current_epoch]], batch_size=None)  # type: ignore[arg-type]  # a list is a Dataset


def fit(
    module: pl.LightningModule,
    folder: Path,
    *,
    resume: bool,
    accelerator: str,
    max_steps: int,
    checkpoint_steps: int | None,
    callbacks: Sequence[Callback] = (),
    gradient_norm: float | None = None,
) -> int:
    """Train a module; its checkpoints and logs lie in a folder.

    Parameters
    ----------
    module
        Its batches come anew with each epoch.
    folder
        Emptied, unless the training is resumed.
    resume
        Go on from the last checkpoint, where there is one.
    accelerator
        Such as ``cpu``.
    max_steps
        Steps of the optimizer, at the most; -1 for no limit.
    checkpoint_steps
        Steps between two checkpoints; ``None`` to validate after each epoch, with a checkpoint after each validation.
    callbacks
        Further callbacks.
    gradient_norm
        Largest norm of a gradient; ``None`` for no limit.

    Returns
    -------
    int
        Steps that were taken.

    Raises
    ------
    OutputError
        If the checkpoint is damaged.
    KeyboardInterrupt
        On Ctrl-C, as everywhere.
    """
    last = last_checkpoint(folder)
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    keeper = ModelCheckpoint(
        last.parent,
        last.stem,
        enable_version_counter=False,
        save_on_train_epoch_end=False,  # Lightning resumes exactly from the end of a validation, or of a batch
        every_n_train_steps=checkpoint_steps,
    )
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            max_steps=max_steps,
            max_epochs=-1,
            callbacks=[*callbacks, keeper],
            logger=CSVLogger(folder, name="logs"),  # a version for each start, so that resuming loses no log
            gradient_clip_val=gradient_norm,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=None if checkpoint_steps is None else 0,
            log_every_n_steps=1,
            reload_dataloaders_every_n_epochs=1,
        )
        _run(trainer, module, checkpoint=last if last.exists() else None)
    return trainer.global_step


def last_checkpoint(folder: Path) -> Path:
    """Path of the checkpoint from which a training is resumed."""
    return folder / "checkpoints" / "last.ckpt"


def _run(trainer: pl.Trainer, module: pl.LightningModule, *, checkpoint: Path | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if checkpoint is not None:
        read_tensors(checkpoint, keys=CHECKPOINT_KEYS)
    try:
        trainer.fit(module, ckpt_path=None if checkpoint is None else str(checkpoint))
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def read_tensors(path: Path, *, keys: Iterable[str]) -> dict[str, Any]:
    """Content of a checkpoint or of another file of PyTorch.

    Parameters
    ----------
    path
        The file.
    keys
        Names that its content must have.

    Raises
    ------
    OutputError
        If it was cut or altered.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        if set(keys) <= found.keys():
            return dict(found)
    except _DAMAGED:
        pass
    raise OutputError(f"{path}: damaged; remove it, and --resume begins this network anew")


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's advice and notices, which are not about this training."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _NOT_ABOUT_THIS_TRAINING:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)


def check_accelerator(name: str, *, setting: str) -> None:
    """Refuse an accelerator, such as ``gpu``, that Lightning cannot use on this machine.

    Raises
    ------
    SettingsError
        If there is none; the message begins with the name of the setting.
    """
    try:
        with quiet_lightning():
            pl.Trainer(accelerator=name, devices=1, logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise SettingsError(f"{setting}: {name!r}: {str(error).splitlines()[0]}") from None


def count_parameters(network: nn.Module) -> int:
    """Number of trained parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def time_step(network: nn.Module, compute: Callable[[], Tensor]) -> float:
    """Time of a training step in seconds, the fastest of `TIMED_STEPS` steps; its loss is the mean of squares."""
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.perf_counter()
        optimizer.zero_grad()
        compute().square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
