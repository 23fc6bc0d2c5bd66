"""Training learns, stops in time, keeps the best weights, and is the same whenever it is repeated or resumed."""

import csv
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundness.audio.log_mel import Spectrograms
from soundness.errors import SettingsError
from soundness.representations.autoencoder_fitting import TrainingClips, check_network, fit_reconstructor
from soundness.representations.autoencoders import AUTOENCODERS, new_reconstructor, split_into_segments
from soundness.representations.protocol import FitContext

N_MELS = 16


def structured_clips(n_clips=12, *, n_frames=40, seed=0, noise=1.0):
    """Clips with one of two spectra, which its condition names, the same in every frame but for noise."""
    rng = np.random.default_rng(seed)
    spectra = np.array([20 * np.sin(np.arange(N_MELS)), 20 * np.cos(np.arange(N_MELS))]) - 50
    kinds = np.arange(n_clips) % 2
    log_mels = [spectra[kind][:, None] + noise * rng.standard_normal((N_MELS, n_frames)) for kind in kinds]
    return TrainingClips(
        as_they_are([log_mel.astype(np.float32) for log_mel in log_mels]),
        np.eye(2, dtype=np.float32)[kinds],
        ["fan source"] * n_clips,
        range(n_clips),
    )


def as_they_are(log_mels):
    """Clips whose log-mels are both read and reconstructed."""
    return [Spectrograms(log_mel, log_mel) for log_mel in log_mels]


@pytest.fixture
def fit(tmp_path, small):
    def fit(*overrides, clips=None, seed=0, folder="work", **options):
        clips = structured_clips() if clips is None else clips
        settings = small("conditional", *overrides)
        return fit_reconstructor(clips, settings, FitContext(seed=seed, folder=tmp_path / folder, **options))

    return fit


def weights(result):
    return torch.cat([tensor.flatten().double() for tensor in result.reconstructor.state_dict().values()])


def logged(folder, column):
    with max(folder.glob("logs/version_*/metrics.csv")).open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def same(one, other):
    return torch.equal(weights(one), weights(other)) and (one.n_steps, one.train_loss, one.held_out_loss) == (
        other.n_steps,
        other.train_loss,
        other.held_out_loss,
    )


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_the_loss_falls_where_there_is_something_to_learn(fit, tmp_path, name):
    result = fit(f"autoencoder.name={name}", "training.max_steps=200", "training.learning_rate=0.01")
    losses = logged(tmp_path / "work", "train_loss")
    # Standardised, a network that reconstructs nothing has a loss of about 1; the noise alone leaves 1/200.
    assert losses[0] > 2 * result.train_loss
    assert result.train_loss < 0.3
    assert result.held_out_loss < 0.3


def test_the_result_tells_what_happened(fit):
    result = fit()
    assert result.n_steps == 30
    assert result.n_parameters == sum(p.numel() for p in result.reconstructor.parameters())
    assert not result.reconstructor.training
    assert all(tensor.device.type == "cpu" for tensor in result.reconstructor.state_dict().values())


def test_training_stops_early_when_the_held_out_loss_no_longer_falls(fit, tmp_path):
    result = fit("training.learning_rate=0.3", "training.max_steps=1000", "training.patience=2")
    losses = logged(tmp_path / "work", "held_out_loss")
    assert result.n_steps < 1_000
    assert result.n_steps == 10 * len(losses)
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 2


@pytest.mark.parametrize("n_steps", [100, 150])
def test_the_weights_kept_are_those_of_the_smallest_held_out_loss(fit, tmp_path, n_steps):
    # All clips are alike, so whichever is held out, its loss can be worked out from any.
    log_mel = (-50 + 20 * np.outer(np.sin(np.arange(N_MELS)), np.sin(np.arange(40) / 4))).astype(np.float32)
    clips = TrainingClips(as_they_are([log_mel] * 10), np.ones((10, 1), np.float32), ["fan source"] * 10, range(10))
    result = fit("training.learning_rate=0.05", f"training.max_steps={n_steps}", clips=clips)
    losses = logged(tmp_path / "work", "held_out_loss")
    assert losses[-1] > 1.01 * min(losses)
    assert result.held_out_loss == pytest.approx(min(losses), rel=1e-6)
    segments = split_into_segments(torch.from_numpy(log_mel), n_frames=8)
    with torch.inference_mode():
        conditions = torch.ones(len(segments), 1)
        loss = result.reconstructor(segments, segments, conditions).square().mean()
    assert loss.item() == pytest.approx(result.held_out_loss, rel=1e-5)


def test_without_held_out_clips_the_last_weights_are_kept(fit, tmp_path):
    result = fit("training.held_out=0", "training.max_steps=40")
    assert result.held_out_loss is None
    assert result.n_steps == 40
    assert logged(tmp_path / "work", "train_loss")[-1] == pytest.approx(result.train_loss, rel=1e-6)
    assert torch.equal(weights(fit("training.held_out=0", "training.max_steps=40", folder="again")), weights(result))


def test_groups_of_fewer_than_five_clips_are_not_held_out(fit):
    clips = structured_clips(8)
    few = replace(clips, groups=["source"] * 4 + ["target"] * 4)
    assert fit(clips=few).held_out_loss is None
    assert fit(clips=replace(clips, groups=["source"] * 5 + ["target"] * 3)).held_out_loss is not None


def test_clips_that_are_held_out_are_not_trained_on(fit, small):
    # Each clip has a condition of its own; the weights that read it change only if the clip was among the batches.
    clips = replace(structured_clips(10), conditions=np.eye(10, dtype=np.float32))
    trained = fit("training.held_out=0.3", clips=clips).reconstructor
    torch.manual_seed(0)
    scale = {"mean": trained.mean, "deviation": trained.deviation}
    untrained = new_reconstructor(small(), n_conditions=10, **scale)
    assert is_as_before(untrained, trained).sum().item() == 3


def is_as_before(untrained, trained):
    """Whether the weights of each condition are those before the training, shape ``(condition,)``."""
    before, after = (network.autoencoder.encoder[0].weight[:, 1:] for network in (untrained, trained))
    return (before == after).flatten(2).all(dim=2).all(dim=0)


def test_the_scale_is_that_of_all_clips(fit):
    clips = structured_clips()
    references = [3 * clip.input - 10 for clip in clips.spectrograms]
    pairs = [Spectrograms(clip.input, other) for clip, other in zip(clips.spectrograms, references, strict=True)]
    network = fit(clips=replace(clips, spectrograms=pairs)).reconstructor
    for index, log_mels in enumerate(([clip.input for clip in clips.spectrograms], references)):
        frames = np.concatenate(log_mels, axis=1, dtype=np.float64)
        np.testing.assert_allclose(network.mean[index], frames.mean(axis=1), rtol=1e-6)
        np.testing.assert_allclose(network.deviation[index], frames.std(axis=1), rtol=1e-6)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(fit):
    one, same_seed, other = fit(seed=1), fit(seed=1), fit(seed=2)
    assert same(one, same_seed)
    assert not torch.equal(weights(one), weights(other))


def test_the_state_of_the_global_random_generators_does_not_matter(fit):
    torch.manual_seed(1)
    np.random.seed(1)
    one = fit()
    torch.manual_seed(2)
    np.random.seed(2)
    assert same(fit(), one)


def test_the_conditions_matter(fit):
    clips = structured_clips()
    told_alike = replace(clips, conditions=np.ones((12, 2), np.float32))
    assert not torch.equal(weights(fit(clips=clips)), weights(fit(clips=told_alike)))


def test_a_network_can_be_told_nothing(fit):
    result = fit(clips=replace(structured_clips(), conditions=np.zeros((12, 0), np.float32)))
    assert np.isfinite(result.train_loss)


def test_clips_of_mixed_lengths_and_shorter_than_a_segment_are_used(fit):
    clips = structured_clips()
    cut = as_they_are([clip.input[:, : 1 + 7 * index] for index, clip in enumerate(clips.spectrograms)])
    assert np.isfinite(fit(clips=replace(clips, spectrograms=cut)).train_loss)


def test_a_single_clip_of_a_single_frame_trains(fit):
    clips = structured_clips(1, n_frames=1)
    assert np.isfinite(fit(clips=clips).train_loss)


def test_silence_alone_trains_to_finite_losses(fit):
    silence = as_they_are([np.full((N_MELS, 40), -90.0, np.float32)] * 12)
    result = fit(clips=replace(structured_clips(), spectrograms=silence))
    assert np.isfinite(result.train_loss)
    assert np.isfinite(weights(result).numpy()).all()


def test_a_recording_is_held_out_with_all_that_came_from_it(fit, small):
    # Each clip has a condition of its own; the weights that read it change only if the clip was among the batches.
    own = structured_clips(10)
    encoded = np.eye(20, dtype=np.float32)
    clips = TrainingClips([*own.spectrograms, *own.spectrograms], encoded, [*own.groups] * 2, [*range(10)] * 2)
    trained = fit("training.held_out=0.3", clips=clips).reconstructor
    torch.manual_seed(0)
    untrained = new_reconstructor(small(), n_conditions=20, mean=trained.mean, deviation=trained.deviation)
    is_held_out = is_as_before(untrained, trained)
    assert is_held_out.sum().item() == 6
    assert torch.equal(is_held_out[:10], is_held_out[10:])


def test_a_network_learns_to_reconstruct_the_reference(fit):
    clips = structured_clips()
    mirrored = [Spectrograms(clip.input, clip.input[::-1].copy()) for clip in clips.spectrograms]
    learned = ("training.max_steps=200", "training.learning_rate=0.01")
    result = fit(*learned, clips=replace(clips, spectrograms=mirrored))
    assert result.held_out_loss < 0.3
    segments = split_into_segments(torch.from_numpy(clips.spectrograms[0].input), n_frames=8)
    with torch.inference_mode():
        right, wrong = (
            result.reconstructor(segments, references, torch.tensor([[1.0, 0.0]]).expand(len(segments), -1))
            .square()
            .mean()
            for references in (segments.flip(1), segments)
        )
    assert right < 0.3 < wrong


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_training_may_end_within_an_epoch(fit, share):
    result = fit("training.max_steps=25", f"training.held_out={share}")
    assert result.n_steps == 25
    assert np.isfinite(result.train_loss)


def test_a_training_may_end_before_its_first_epoch_does(fit):
    result = fit("training.max_steps=4")
    assert result.n_steps == 4
    assert np.isfinite(result.held_out_loss)


def test_some_clips_are_left_to_train_on_however_many_are_held_out(fit):
    result = fit("training.held_out=0.95", clips=structured_clips(5))
    assert np.isfinite(result.train_loss)


def test_a_training_may_run_in_a_thread(fit):
    results = []
    thread = threading.Thread(target=lambda: results.append(fit()))
    with pytest.MonkeyPatch.context() as patch:
        errors = []
        patch.setattr(threading, "excepthook", lambda arguments: errors.append(arguments.exc_value))
        thread.start()
        thread.join()
    assert errors == []
    assert len(results) == 1


def test_progress_is_told_of_each_batch(fit):
    calls = []
    fit(progress=lambda *what: calls.append(what))
    assert calls == [(step, 30) for step in range(1, 31)]


def test_a_system_without_a_network_is_refused(tmp_path, small):
    with pytest.raises(SettingsError, match="training is false"):
        fit_reconstructor(structured_clips(), small("log-mel-knn"), FitContext(seed=0, folder=tmp_path))


# Epochs: each position of each clip once

EPOCHS = ("autoencoder.name=fully-connected", "training.n_epochs=4", "training.learning_rate=0.3")  # of 24 batches


def test_a_training_by_epochs_passes_every_position_once_an_epoch(fit, tmp_path):
    calls = []
    result = fit(*EPOCHS, progress=lambda *what: calls.append(what))
    # 12 clips of 40 - 8 + 1 positions, of each 3 held out: 360 segments, 23 batches of 16 or less.
    assert result.n_steps == 4 * 23
    assert calls == [(step, 92) for step in range(1, 93)]
    assert len(logged(tmp_path / "work", "train_loss")) == len(logged(tmp_path / "work", "held_out_loss")) == 4


def test_the_last_weights_are_kept_and_training_never_stops_early_where_that_is_asked_for(fit, tmp_path):
    asked = (*EPOCHS, "training.n_epochs=30", "training.patience=1")
    stopped = fit(*asked, folder="best")
    result = fit(*asked, "training.weights=last")
    losses = logged(tmp_path / "work", "held_out_loss")
    assert stopped.n_steps < result.n_steps == 30 * 23
    assert losses[-1] > min(losses)
    assert result.held_out_loss == pytest.approx(losses[-1], rel=1e-5)
    assert stopped.held_out_loss == pytest.approx(min(logged(tmp_path / "best", "held_out_loss")), rel=1e-5)


@pytest.mark.parametrize("weights_kept", ["best", "last"])
@pytest.mark.parametrize("held_out", [0.0, 0.1])
@pytest.mark.parametrize("n_done", [1, 4])
def test_a_training_by_epochs_that_is_resumed_gives_the_same_network(fit, weights_kept, held_out, n_done):
    changes = (*EPOCHS, f"training.weights={weights_kept}", f"training.held_out={held_out}")
    whole = fit(*changes, folder="whole")
    fit(*changes, f"training.n_epochs={n_done}", folder="parts")
    assert same(fit(*changes, folder="parts", resume=True), whole)


def test_a_network_may_hear_decibels_as_they_are(fit):
    result = fit(*EPOCHS, "autoencoder.is_standardised=false", "training.n_epochs=1", "training.learning_rate=1e-6")
    assert torch.equal(result.reconstructor.mean, torch.zeros(2, N_MELS))
    assert torch.equal(result.reconstructor.deviation, torch.ones(2, N_MELS))
    assert result.train_loss > 1_000  # squares of about -50 dB, of which nothing is reconstructed so far


def test_a_network_of_the_wrong_shape_is_refused_by_name(small, tmp_path, monkeypatch):
    (tmp_path / "wrong_network.py").write_text(
        "import torch\n"
        "class Shorter(torch.nn.Module):\n"
        "    def __init__(self, settings, *, n_mels, n_conditions):\n"
        "        super().__init__()\n"
        "    def forward(self, segments, conditions):\n"
        "        return segments[:, 1:]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        SettingsError, match=r"wrong_network:Shorter makes \(2, 15, 8\) of segments of shape \(2, 16, 8\)"
    ):
        check_network(small("conditional", "autoencoder=wrong_network:Shorter"))


@pytest.mark.parametrize("held_out", [0.0, 0.1])
@pytest.mark.parametrize("learning_rate", [0.001, 0.3])
@pytest.mark.parametrize("n_done", [10, 20, 30])
def test_a_training_that_is_resumed_gives_the_same_network(fit, learning_rate, n_done, held_out):
    changes = (f"training.learning_rate={learning_rate}", f"training.held_out={held_out}")
    whole = fit(*changes, "training.max_steps=40", folder="whole")
    fit(*changes, f"training.max_steps={n_done}", folder="parts")
    assert same(fit(*changes, "training.max_steps=40", folder="parts", resume=True), whole)


def test_a_training_that_died_after_its_last_checkpoint_is_resumed(fit):
    whole = fit()
    assert same(fit(resume=True), whole)


def test_a_training_that_died_after_it_had_stopped_early_is_resumed(fit):
    overrides = ("training.learning_rate=0.3", "training.max_steps=1000", "training.patience=2")
    whole = fit(*overrides)
    assert whole.n_steps < 1_000
    assert same(fit(*overrides, resume=True), whole)


def test_a_training_whose_folder_was_moved_is_resumed(fit, tmp_path):
    overrides = ("training.learning_rate=0.3", "training.patience=1000")
    whole = fit(*overrides, "training.max_steps=60")
    fit(*overrides, "training.max_steps=30", folder="half")
    (tmp_path / "half").rename(tmp_path / "moved")
    assert same(fit(*overrides, "training.max_steps=60", folder="moved", resume=True), whole)


def test_each_start_of_a_training_keeps_its_log(fit, tmp_path):
    fit("training.max_steps=20")
    fit("training.max_steps=30", resume=True)
    logs = sorted((tmp_path / "work").glob("logs/version_*/metrics.csv"))
    assert len(logs) == 2
    assert "train_loss" in logs[0].read_text()


def test_a_training_that_diverges_is_refused(fit):
    with pytest.raises(SettingsError, match=r"diverged.*training\.learning_rate"):
        fit("training.learning_rate=1e30")


@pytest.mark.parametrize("accelerator", ["abacus", "tpu"])
def test_an_accelerator_that_is_not_there_is_refused(small, accelerator):
    with pytest.raises(SettingsError, match=f"training.accelerator: '{accelerator}'"):
        check_network(small("conditional", f"training.accelerator={accelerator}"))


def test_resuming_where_nothing_was_begun_begins(fit):
    assert same(fit(resume=True, folder="new"), fit(folder="whole"))


def test_starting_anew_forgets_an_earlier_training(fit):
    first = fit()
    fit(seed=5)
    assert same(fit(), first)


def test_a_checkpoint_holds_the_losses_of_an_epoch_and_not_what_they_were_computed_from(fit, tmp_path):
    fit()
    content = torch.load(tmp_path / "work" / "checkpoints" / "last.ckpt", weights_only=True)
    losses = content["losses"]
    assert losses.shape == (10,)
    assert losses.untyped_storage().nbytes() == 4 * 10
