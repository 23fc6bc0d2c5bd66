"""What every training with Lightning shares: quiet, interruptible, and checked before it starts."""

import logging
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from soundness.errors import SettingsError

__all__ = ["TIMED_STEPS", "check_accelerator", "count_parameters", "quiet_lightning", "run", "time_step"]

TIMED_STEPS = 4

_NOT_ABOUT_THIS_TRAINING = (
    ".*LeafSpec.*",  # Lightning's own use of torch
    ".*does not have many workers.*",  # a batch is one look-up in memory
    ".*exists and is not empty.*",  # on purpose, in a training that is resumed
    ".*dirpath has changed.*",  # nothing of the old folder is asked for
    ".*no pre-optimization state was saved.*",  # a checkpoint is that of the end of an epoch
)


def run(trainer: pl.Trainer, module: pl.LightningModule, *, checkpoint: Path | None) -> None:
    """Train a module, from a checkpoint where there is one; Ctrl-C is `KeyboardInterrupt`, as everywhere."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, ckpt_path=None if checkpoint is None else str(checkpoint))
    except SystemExit:  # Lightning's answer to Ctrl-C
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice and notices, which are not about this training."""
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
    """Refuse an accelerator that Lightning cannot use here.

    Parameters
    ----------
    name
        Such as ``cpu``.
    setting
        Its key, for the message.

    Raises
    ------
    SettingsError
        If there is no such accelerator, or none on this machine.
    """
    try:
        with quiet_lightning():
            pl.Trainer(accelerator=name, devices=1, logger=False, enable_checkpointing=False)
    except (MisconfigurationException, ValueError, ImportError) as error:
        raise SettingsError(f"{setting}: {name!r}: {str(error).splitlines()[0]}") from None


def count_parameters(network: nn.Module) -> int:
    """Trained parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def time_step(network: nn.Module, compute: Callable[[], Tensor]) -> float:
    """Time of a training step in seconds, the fastest of `TIMED_STEPS` steps that make what is computed small."""
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    seconds = []
    for _ in range(TIMED_STEPS):
        started = time.perf_counter()
        optimizer.zero_grad()
        compute().square().mean().backward()  # type: ignore[no-untyped-call]  # torch's
        optimizer.step()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
