"""A separator learns, keeps to its time, and is the same whenever it is repeated or resumed."""

import csv
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundness.errors import SettingsError
from soundness.separation.fitting import fit_separator
from soundness.separation.losses import si_snr
from soundness.separation.mixtures import Recipe
from soundness.settings.separation import SeparatorSettings

RATE = 16_000

pytestmark = pytest.mark.usefixtures("few_blocks")


def tones(n_clips=3, *, seconds=0.5):
    time = np.arange(round(seconds * RATE)) / RATE
    return [(0.2 * np.sin(2 * np.pi * (500 + 200 * index) * time)).astype(np.float32) for index in range(n_clips)]


def noises(n_clips=3, *, seconds=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return [0.1 * rng.standard_normal(round(seconds * RATE), dtype=np.float32) for _ in range(n_clips)]


def recipe(*, is_noisy_target=False):
    return Recipe("fan", tones(), noises(), is_noisy_target=is_noisy_target)


EPOCH = 5  # steps


@pytest.fixture
def fit(tmp_path, small_separator, monkeypatch):
    """Fits with epochs of a few steps, at whose ends there are checkpoints, and references are refreshed."""
    monkeypatch.setattr("soundness.separation.fitting._STEPS_PER_EPOCH", EPOCH)

    def fit(*overrides, recipes=None, seed=0, folder="work", **options):
        recipes = [recipe()] if recipes is None else recipes
        return fit_separator(recipes, small_separator(*overrides), seed=seed, folder=tmp_path / folder, **options)

    return fit


def weights(result):
    return torch.cat([tensor.flatten() for tensor in result.network.state_dict().values()])


def same(one, other):
    return torch.equal(weights(one), weights(other)) and one.n_steps == other.n_steps


class StopError(Exception):
    """What ends a training in a test."""


class Interrupting(list):
    """Clips, of which only so many are read before the training is interrupted."""

    def __init__(self, clips, *, after, error=StopError):
        super().__init__(clips)
        self.n_left = after
        self.error = error

    def __getitem__(self, index):
        self.n_left -= 1
        if self.n_left < 0:
            raise self.error
        return super().__getitem__(index)


# Learning


@pytest.mark.slow
def test_a_tone_is_told_from_noise(fit):
    result = fit("max_steps=60", "snr_db=[0, 0]", "learning_rate=0.005")
    tone, noise = (torch.from_numpy(clip)[None] for clip in (tones(1)[0], noises(1, seed=9)[0]))
    noise *= tone.norm() / noise.norm()
    with torch.inference_mode():
        machine, rest = result.network((tone + noise)[None])[0]
    assert si_snr(tone + noise, tone).item() == pytest.approx(0.0, abs=0.5)
    assert si_snr(machine, tone[0]).item() > 8.0
    assert si_snr(rest, noise[0]).item() > 8.0


@pytest.mark.slow
def test_the_loss_falls_and_is_logged(fit, tmp_path):
    fit(f"max_steps={6 * EPOCH}", "learning_rate=0.01")
    (file,) = (tmp_path / "work").glob("logs/version_0/metrics.csv")
    with file.open(newline="") as rows:
        losses = [float(row["train_loss"]) for row in csv.DictReader(rows) if row["train_loss"]]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 3.0


def test_the_result_tells_what_happened(fit):
    result = fit()
    assert result.n_steps == 6
    assert 0.0 < result.seconds < 60.0
    assert not result.network.training
    assert all(tensor.device.type == "cpu" for tensor in result.network.state_dict().values())


def test_every_weight_is_trained(fit):
    before = dict(fit("max_steps=1").network.named_parameters())
    after = dict(fit("max_steps=6").network.named_parameters())
    assert [name for name in before if torch.equal(before[name], after[name])] == []


# Exactness


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(fit):
    one, again, other = fit(seed=1), fit(seed=1), fit(seed=2)
    assert same(one, again)
    assert not torch.equal(weights(one), weights(other))


def test_the_state_of_the_global_random_generators_does_not_matter(fit):
    torch.manual_seed(1)
    np.random.seed(1)
    one = fit()
    torch.manual_seed(2)
    np.random.seed(2)
    assert same(fit(), one)


CHANGES = {
    "size": ("cpu", "gpu"),
    "basis": ("stft", "learned"),
    "n_fft": (1024, 512),
    "causal": ("false", "true"),
    "batch_size": (2, 3),
    "crop_seconds": ("[0.2, 0.3]", "[0.1, 0.3]"),
    "snr_db": ("[-5, 5]", "[0, 5]"),
    "gain_db": ("[-10, 10]", "[0, 10]"),
    "log_mel_weight": (0.2, 0.0),
    "learning_rate": (0.001, 0.01),
    "gradient_norm": (5.0, 0.001),
    "minutes": (1000, 1e-6),
    "max_steps": (6, 7),
    "refinement_channels": (8, 4),
    "refresh_steps": ("[]", f"[{EPOCH}]"),
    "sample_rate": (16_000, 8_000),
}
TESTED_ELSEWHERE = {
    "channel",  # with the training from a data set, like the next two
    "held_out",
    "most_training_clips",
    "accelerator",  # there is one here
}


def test_each_setting_is_among_those_that_are_changed():
    assert set(SeparatorSettings.model_fields) == CHANGES.keys() | TESTED_ELSEWHERE


@pytest.mark.parametrize("key", CHANGES)
def test_each_setting_changes_the_weights(fit, key):
    base = [f"max_steps={2 * EPOCH}"] if key == "refresh_steps" else []  # references are refreshed between epochs
    recipes = [recipe(is_noisy_target=True)]
    before, after = (
        weights(fit(*base, f"{key}={value}", recipes=recipes, folder=str(value))) for value in CHANGES[key]
    )
    assert before.shape != after.shape or not torch.equal(before, after)


# Resuming


@pytest.mark.parametrize("error", [StopError, KeyboardInterrupt])
@pytest.mark.parametrize("n_steps", [2, 7])  # in the first epoch, and in the second
def test_a_training_that_is_interrupted_and_resumed_gives_the_same_weights(fit, n_steps, error):
    whole = fit("max_steps=9", "refresh_steps=[]", folder="whole")
    own = recipe()
    stopping = replace(own, references=Interrupting(own.references, after=2 * n_steps, error=error))
    with pytest.raises(error):
        fit("max_steps=9", "refresh_steps=[]", folder="parts", recipes=[stopping])
    assert same(fit("max_steps=9", "refresh_steps=[]", folder="parts", resume=True), whole)


@pytest.mark.slow
@pytest.mark.parametrize("n_steps", [8, 12, 17])  # before, between and after the refreshes
def test_a_training_whose_references_were_refreshed_is_resumed_with_the_same_ones(fit, n_steps):
    settings = ("max_steps=18", "refresh_steps=[6, 12]")  # at the ends of epochs, so after 10 and 15
    noisy = recipe(is_noisy_target=True)
    whole = fit(*settings, folder="whole", recipes=[noisy])
    stopping = replace(noisy, noises=Interrupting(noisy.noises, after=2 * n_steps))
    with pytest.raises(StopError):
        fit(*settings, folder="parts", recipes=[stopping])
    resumed = fit(*settings, folder="parts", recipes=[noisy], resume=True)
    assert same(resumed, whole)


def test_a_training_that_was_interrupted_by_its_progress_is_resumed(fit):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(progress=stop)
    assert same(fit(resume=True), fit(folder="whole"))


def test_a_finished_training_is_not_trained_again(fit):
    whole = fit(f"max_steps={2 * EPOCH}")
    nothing = replace(recipe(), references=Interrupting([], after=0))
    assert same(fit(f"max_steps={2 * EPOCH}", resume=True, recipes=[nothing]), whole)


def test_a_training_that_died_after_its_last_checkpoint_is_resumed(fit):
    whole = fit(f"max_steps={EPOCH + 1}")
    assert same(fit(f"max_steps={EPOCH + 1}", resume=True), whole)


def test_the_time_before_an_interruption_counts(fit):
    whole = fit(f"max_steps={2 * EPOCH}")
    resumed = fit(f"max_steps={2 * EPOCH}", resume=True)
    assert resumed.seconds >= 0.9 * whole.seconds


def test_resuming_where_nothing_was_begun_begins(fit):
    assert same(fit(resume=True, folder="new"), fit(folder="whole"))


def test_starting_anew_forgets_an_earlier_training(fit):
    first = fit(f"max_steps={EPOCH + 1}")
    fit(f"max_steps={EPOCH + 1}", seed=5)
    assert same(fit(f"max_steps={EPOCH + 1}"), first)


# Fine-tuning


def test_a_training_begins_with_the_weights_that_it_is_given(fit):
    before = fit(seed=3)
    after = fit("learning_rate=1e-12", start=before.network.state_dict())
    torch.testing.assert_close(weights(after), weights(before))
    assert not torch.allclose(weights(fit("learning_rate=1e-12")), weights(before))


@pytest.mark.parametrize("override", ["size=gpu", "basis=learned", "n_fft=512"])
def test_weights_of_another_network_are_refused(fit, override):
    start = fit(override).network.state_dict()
    with pytest.raises(SettingsError, match="the separator to start from is of another size, basis or kind"):
        fit(start=start)


# Noisy references


@pytest.mark.slow
def test_references_are_refreshed_only_where_they_are_noisy(fit):
    settings = (f"max_steps={2 * EPOCH}",)
    for is_noisy_target in (False, True):
        never, once = (
            weights(fit(*settings, f"refresh_steps={steps}", recipes=[recipe(is_noisy_target=is_noisy_target)]))
            for steps in ("[]", f"[{EPOCH}]")
        )
        assert torch.equal(never, once) != is_noisy_target


@pytest.mark.slow
def test_a_clean_reference_beside_noisy_ones_stays(fit):
    # The clean recipe's references raise when they are read as a whole, which a refresh would do.
    clean = replace(recipe(), machine_type="valve", references=WithoutIteration(tones()))
    settings = (f"max_steps={2 * EPOCH}", f"refresh_steps=[{EPOCH}]")
    fit(*settings, recipes=[clean, recipe(is_noisy_target=True)])
    noisy = replace(clean, is_noisy_target=True)
    with pytest.raises(StopError):
        fit(*settings, recipes=[noisy])


class WithoutIteration(list):
    """Clips that are drawn one by one, never all."""

    def __iter__(self):
        raise StopError


# Time


def test_training_ends_when_its_time_is_up(fit):
    started = time.monotonic()
    result = fit("max_steps=100000", "minutes=0.01")
    assert 0 < result.n_steps < 1_000
    assert 0.5 < result.seconds < 5.0
    assert time.monotonic() - started < 20.0


def test_even_the_smallest_time_is_enough_for_a_step(fit):
    result = fit("max_steps=100000", "minutes=1e-6")
    assert result.n_steps == 1
    assert torch.isfinite(weights(result)).all()


def test_progress_is_told_in_seconds_until_all_are_over(fit):
    calls = []
    fit("minutes=0.05", progress=lambda *what: calls.append(what))
    assert calls[0][0] <= 3
    assert calls[-1] == (3, 3)
    assert {total for _, total in calls} == {3}


# What is refused


def test_a_training_that_diverges_is_refused(fit):
    with pytest.raises(SettingsError, match=r"diverged.*learning_rate"):
        fit("learning_rate=1e30", "max_steps=8")


def test_silence_trains_to_finite_weights(fit):
    silent = Recipe("fan", [np.zeros(8_000, np.float32)], noises(), is_noisy_target=False)
    assert torch.isfinite(weights(fit(recipes=[silent]))).all()


def test_clips_shorter_than_a_crop_are_used(fit):
    short = Recipe("fan", tones(seconds=0.01), noises(1, seconds=0.001), is_noisy_target=False)
    assert torch.isfinite(weights(fit(recipes=[short]))).all()


@pytest.mark.slow
def test_noisy_references_that_wait_are_not_drawn_before_they_were_refreshed(fit):
    clean = recipe()
    waiting = replace(recipe(is_noisy_target=True), machine_type="valve", is_waiting=True)
    settings = (f"max_steps={EPOCH}", f"refresh_steps=[{EPOCH}]")
    assert same(fit(*settings, recipes=[clean, waiting]), fit(*settings, recipes=[clean]))
    longer = (f"max_steps={2 * EPOCH}", f"refresh_steps=[{EPOCH}]")
    assert not same(fit(*longer, recipes=[clean, waiting]), fit(*longer, recipes=[clean]))
