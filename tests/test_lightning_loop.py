"""Lightning trains quietly, ends with Ctrl-C as everything does, and is asked before anything starts."""

import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.utils.data import DataLoader

from soundness.errors import OutputError, SettingsError
from soundness.lightning_loop import (
    EpochTraining,
    check_accelerator,
    fit,
    last_checkpoint,
    quiet_lightning,
    read_tensors,
)


class Line(pl.LightningModule):
    """One weight that learns to be 1, in epochs of 20 steps; `at_step` is called at each step."""

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


@pytest.fixture
def fitted(tmp_path):
    def fitted(module, *, resume=False, max_steps=20, checkpoint_steps=20, **options):
        return fit(
            module,
            tmp_path / "fit",
            resume=resume,
            accelerator="cpu",
            max_steps=max_steps,
            checkpoint_steps=checkpoint_steps,
            **options,
        )

    return fitted


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_module_is_trained(fitted):
    module = Line()
    assert fitted(module) == 20
    assert module.weight.item() == pytest.approx(1 - 0.8**20)  # each step leaves 0.8 of what is missing


def test_a_module_is_trained_on_from_its_checkpoint(fitted, tmp_path):
    fitted(Line())
    assert last_checkpoint(tmp_path / "fit").exists()
    module = Line()
    assert fitted(module, resume=True, max_steps=40) == 40
    assert module.weight.item() == pytest.approx(1 - 0.8**40)


def test_a_training_that_is_not_resumed_begins_anew_in_an_empty_folder(fitted, tmp_path):
    fitted(Line())
    (tmp_path / "fit" / "left.txt").write_text("")
    module = Line()
    assert fitted(module, max_steps=10) == 10
    assert module.weight.item() == pytest.approx(1 - 0.8**10)
    assert not (tmp_path / "fit" / "left.txt").exists()


def test_a_checkpoint_is_written_after_each_validation_where_no_steps_are_said(fitted, tmp_path):
    class Validated(Line):
        def validation_step(self, batch, index):  # noqa: ARG002  # Lightning's
            self.checkpoints_before = [*getattr(self, "checkpoints_before", []), last_checkpoint(folder).exists()]

        def val_dataloader(self):
            return DataLoader(torch.zeros(1, 1))

    folder, module = tmp_path / "fit", Validated()
    fitted(module, max_steps=60, checkpoint_steps=None)
    assert module.checkpoints_before == [False, True, True]


def test_a_gradient_is_no_longer_than_its_largest_norm(fitted):
    module = Line()
    fitted(module, max_steps=1, gradient_norm=0.5)
    assert module.weight.item() == pytest.approx(0.1 * 0.5)  # and not 0.1 * 2


def test_callbacks_are_called(fitted):
    steps = []

    class Count(Callback):
        def on_train_batch_end(self, trainer, *args):  # noqa: ARG002  # Lightning's
            steps.append(trainer.global_step)

    fitted(Line(), max_steps=3, callbacks=[Count()])
    assert steps == [1, 2, 3]


class Numbers:
    n_steps, steps_per_epoch = 5, 2

    def epoch(self, index):
        yield from [torch.tensor(float(number)) for number in range(2 * index, min(2 * index + 2, self.n_steps))]


class Follow(EpochTraining):
    """A weight that follows the numbers 0 to 4, a batch each."""

    def __init__(self, progress=None):
        super().__init__(Numbers(), learning_rate=0.1, progress=progress)
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def loss(self, batch):
        self.seen.append(batch.item())
        return (self.weight - batch).square()


def test_an_epoch_is_one_step_of_lightnings_and_each_of_its_batches_one_of_the_optimizer(fitted):
    calls = []
    module = Follow(lambda *numbers: calls.append(numbers))
    assert fitted(module, max_steps=5, checkpoint_steps=2) == 5
    assert module.seen == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert calls == [(step, 5) for step in range(1, 6)]


def test_the_loss_is_the_mean_over_the_last_epoch(fitted):
    module, weight = Follow(), torch.nn.Parameter(torch.zeros(()))
    fitted(module, max_steps=5, checkpoint_steps=2)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    for number in range(5):
        loss = (weight - number).square()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert module.weight.item() == weight.item()
    assert module.train_loss == loss.item()  # the last epoch has one batch


def test_ctrl_c_is_a_keyboard_interrupt(fitted):
    with pytest.raises(KeyboardInterrupt):
        fitted(Line(interrupt))


@pytest.mark.parametrize("at_step", [lambda: None, interrupt])
def test_ctrl_c_is_answered_afterwards_as_before(fitted, at_step):
    before = signal.getsignal(signal.SIGINT)
    with suppress(KeyboardInterrupt):
        fitted(Line(at_step))
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_of_the_training_passes(fitted):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fitted(Line(fail))


def test_a_training_may_run_in_a_thread(fitted):
    module, errors = Line(), []

    def train():
        try:
            fitted(module)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the thread would swallow it
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert errors == []
    assert module.weight.item() > 0.9


def test_lightning_is_loaded_to_train_alone():
    modules = ["representations.reconstruction", "representations.embeddings", "separation.separator"]
    imports = "; ".join(f"import soundness.{module}" for module in [*modules, "detectors.saving"])
    program = f"import sys; {imports}; sys.exit('pytorch_lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


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


def test_other_warnings_pass():
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


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: bytes(1000), lambda _: b""])
def test_a_damaged_checkpoint_is_refused_by_name(fitted, tmp_path, damage):
    fitted(Line())
    checkpoint = last_checkpoint(tmp_path / "fit")
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(OutputError, match=r"last\.ckpt: damaged; remove it, and --resume begins"):
        fitted(Line(), resume=True)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "a.pt")
    assert list(read_tensors(tmp_path / "a.pt", keys=["weights"])) == ["weights"]
    with pytest.raises(OutputError, match=r"a\.pt: damaged"):
        read_tensors(tmp_path / "a.pt", keys=["state_dict"])
