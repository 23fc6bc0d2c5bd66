"""Lightning trains quietly, ends with Ctrl-C as everything does, and is asked before anything starts."""

import logging
import os
import signal
import threading
import warnings

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from soundness.errors import SettingsError
from soundness.lightning_loop import check_accelerator, quiet_lightning, run


class Line(pl.LightningModule):
    """One weight that learns to be 1; `at_step` is called at each step."""

    def __init__(self, at_step=lambda: None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.at_step = at_step

    def training_step(self, batch, index):  # noqa: ARG002  # Lightning's
        self.at_step()
        return (self.weight - 1).square().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(torch.zeros(20, 1))


def trainer(folder, **options):
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"max_epochs": 1, "enable_checkpointing": False, **options},
    )


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_module_is_trained(tmp_path):
    module = Line()
    with quiet_lightning():
        run(trainer(tmp_path), module, checkpoint=None)
    assert module.weight.item() == pytest.approx(1 - 0.8**20)  # each step leaves 0.8 of what is missing


def test_a_module_is_trained_on_from_its_checkpoint(tmp_path):
    with quiet_lightning():
        first = trainer(tmp_path)
        run(first, Line(), checkpoint=None)
        first.save_checkpoint(tmp_path / "last.ckpt")
        module = Line()
        run(trainer(tmp_path, max_epochs=2), module, checkpoint=tmp_path / "last.ckpt")
    assert module.weight.item() == pytest.approx(1 - 0.8**40)


def test_ctrl_c_is_a_keyboard_interrupt(tmp_path):
    with quiet_lightning(), pytest.raises(KeyboardInterrupt):
        run(trainer(tmp_path), Line(interrupt), checkpoint=None)


@pytest.mark.parametrize("at_step", [lambda: None, interrupt])
def test_ctrl_c_is_answered_afterwards_as_before(tmp_path, at_step):
    before = signal.getsignal(signal.SIGINT)
    try:
        with quiet_lightning():
            run(trainer(tmp_path), Line(at_step), checkpoint=None)
    except KeyboardInterrupt:
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_training_passes(tmp_path):
    def fail():
        raise ZeroDivisionError

    with quiet_lightning(), pytest.raises(ZeroDivisionError):
        run(trainer(tmp_path), Line(fail), checkpoint=None)


def test_a_training_may_run_in_a_thread(tmp_path):
    module, errors = Line(), []

    def train():
        try:
            run(trainer(tmp_path), module, checkpoint=None)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the thread would swallow it
            errors.append(error)

    with quiet_lightning():
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert errors == []
    assert module.weight.item() > 0.9


def test_lightning_is_quiet_and_loud_again_afterwards():
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with quiet_lightning():
        assert not logger.isEnabledFor(logging.INFO)
        with warnings.catch_warnings():
            warnings.simplefilter("error", append=True)
            warnings.warn("The loader does not have many workers which may be a bottleneck", stacklevel=1)
    assert logger.level == before
    with pytest.raises(ZeroDivisionError), quiet_lightning():
        raise ZeroDivisionError
    assert logger.level == before


def test_other_warnings_are_heard():
    with quiet_lightning(), pytest.warns(UserWarning, match="something else"):
        warnings.warn("something else", stacklevel=1)


@pytest.mark.parametrize("name", ["cpu", "auto"])
def test_an_accelerator_that_is_there_passes(name):
    check_accelerator(name, setting="accelerator")


@pytest.mark.parametrize("name", ["abacus", "tpu", ""])
def test_an_accelerator_that_is_not_there_is_refused_by_its_setting(name):
    with pytest.raises(SettingsError, match=f"training.accelerator: '{name}': .") as caught:
        check_accelerator(name, setting="training.accelerator")
    assert "\n" not in str(caught.value)
