"""Training of an embedding: it tells classes apart, can be repeated, and resumes to the last bit."""

import numpy as np
import pytest
import torch

from soundness.data.datasets import open_dataset
from soundness.errors import SettingsError
from soundness.representations.embedding_batches import EmbeddingClips
from soundness.representations.embedding_fitting import fit_embedding
from soundness.representations.protocol import FitContext, network_plan
from soundness.settings.loading import load_settings
from soundness.training.separation import decide_separation

N_MELS = 16


def clips_of(n_classes=2, n_clips=12, n_frames=24):
    """Each class is loud in a band of its own."""
    rng = np.random.default_rng(0)
    classes = np.arange(n_clips) % n_classes
    log_mels = [rng.normal(-50, 2, (N_MELS, n_frames)).astype(np.float32) for _ in classes]
    for log_mel, own in zip(log_mels, classes, strict=True):
        log_mel[4 * own] += 10
    return EmbeddingClips(log_mels, classes, ())


@pytest.fixture
def fit(tmp_path, small):
    def fit(*overrides, clips=None, seed=0, folder="work", **options):
        settings = small("discriminative", *overrides)
        return fit_embedding(clips or clips_of(), settings, FitContext(seed=seed, folder=tmp_path / folder, **options))

    return fit


def weights(result):
    return torch.cat([tensor.flatten().double() for tensor in result.network.state_dict().values()])


def test_classes_are_told_apart(fit):
    clips = clips_of()
    result = fit(
        "embedding.is_transformed=false",
        "embedding.max_steps=60",
        "embedding.mixup_share=0",
        "embedding.learning_rate=0.01",
        clips=clips,
    )
    segments = torch.from_numpy(np.stack([log_mel[:, :8] for log_mel in clips.log_mels]))
    with torch.inference_mode():
        spectra = torch.from_numpy(np.stack([log_mel.mean(axis=1) for log_mel in clips.log_mels]))
        embeddings = result.network(segments, spectra)
    similar = torch.nn.functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=2)
    is_same = torch.from_numpy(clips.classes[:, None] == clips.classes[None])
    assert similar[is_same].min() > similar[~is_same].max()


def test_the_result_tells_what_happened(fit):
    result = fit()
    assert (result.n_steps, result.n_classes, result.held_out_loss) == (30, 10, None)
    assert result.n_parameters == sum(p.numel() for p in result.network.parameters())
    assert not result.network.training
    torch.testing.assert_close(
        result.network.mean, torch.from_numpy(np.stack([own.mean(axis=1) for own in clips_of().log_mels]).mean(axis=0))
    )


def test_the_same_seed_gives_the_same_network_and_another_seed_another(fit):
    one, again, other = fit(seed=1), fit(seed=1), fit(seed=2)
    assert torch.equal(weights(one), weights(again))
    assert one.train_loss == again.train_loss
    assert not torch.equal(weights(one), weights(other))


def test_a_training_that_was_interrupted_goes_on_to_the_same_network(fit):
    def stop(done, _):
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(folder="interrupted", progress=stop)
    steps = []
    resumed = fit(folder="interrupted", resume=True, progress=lambda done, _: steps.append(done))
    assert steps == list(range(11, 31))
    whole = fit(folder="whole")
    assert torch.equal(weights(resumed), weights(whole))
    assert resumed.train_loss == whole.train_loss


def test_a_training_that_had_ended_is_taken_over(fit):
    whole = fit()
    again = fit(resume=True, progress=lambda *_: pytest.fail("nothing was left to train"))
    assert torch.equal(weights(again), weights(whole))
    assert (again.n_steps, again.train_loss) == (whole.n_steps, whole.train_loss)


def test_one_class_alone_has_its_transformations_told_apart(fit):
    assert fit("embedding.max_steps=4", clips=clips_of(n_classes=1)).n_classes == 5


def test_nothing_to_tell_apart_is_refused_by_name(fit):
    with pytest.raises(
        SettingsError, match=r"embedding\.is_transformed is false and all training clips are of one class"
    ):
        fit("embedding.is_transformed=false", clips=clips_of(n_classes=1))


def test_silence_alone_trains_to_a_finite_loss(fit):
    silence = EmbeddingClips([np.full((N_MELS, 20), -90.0, np.float32)] * 4, np.array([0, 1, 0, 1]), ())
    assert np.isfinite(fit(clips=silence).train_loss)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("autoencoder.latent_features=3", "'discriminative-embedding'; set autoencoder and training to false"),
        ("embedding.noise_snr_db=[3, 1]", r"noise_snr_db: 3 dB is more than 1 dB"),
        ("embedding.mixup_share=1.5", r"embedding\.mixup_share: .* less than or equal to 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(override, message):
    system = ["representation=discriminative-embedding"]
    if not override.startswith("autoencoder"):
        system += ["autoencoder=false", "training=false"]
    with pytest.raises(SettingsError, match=message):
        network_plan(load_settings("conditional", overrides=[*system, override]))


def test_what_is_separated_is_no_target_of_an_embedding(fan, small):
    settings = small("discriminative", "separation=target=separated")
    with pytest.raises(SettingsError, match="for a network that reconstructs"):
        decide_separation(open_dataset(fan), settings, has_separator=True)
