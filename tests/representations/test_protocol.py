"""Each representation is fitted to its clips under their conditions."""

from collections import Counter

import numpy as np
import pytest
import soundfile
import torch

from soundness.data.datasets import open_dataset
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.errors import SettingsError
from soundness.representations.autoencoders import new_reconstructor
from soundness.representations.protocol import FitContext, find_representation, network_plan
from soundness.training.labelling import Labeller
from soundness.training.preparation.clips import read_machine

RATE = 16_000


@pytest.fixture
def context(tmp_path):
    return FitContext(seed=0, folder=tmp_path / "work")


@pytest.fixture(scope="module")
def ten_conditions(tmp_path_factory):
    """A machine whose ten training clips have an attribute each."""
    folder = tmp_path_factory.mktemp("data") / "fan" / "train"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(10):
        path = folder / f"section_00_source_train_normal_{index:04d}_vel_{index}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(6_400), RATE)
    return folder.parent


def clips_in(folder, settings, separator=None):
    reader = RecordingReader(FrontEnd(settings, separator))
    return [read_machine(machine, reader, advance=lambda: None) for machine in open_dataset(folder).machines.values()]


@pytest.mark.parametrize("separation", ["off", "augment"])
def test_a_recording_is_held_out_with_its_copy(ten_conditions, small, separator, context, separation):
    # The weights that read a clip's condition change only if the clip, or its copy, was among the batches.
    settings = small("conditional", f"separation={separation}", "training.held_out=0.3", "training.max_steps=60")
    clips = clips_in(ten_conditions, settings, separator if separation == "augment" else None)
    assert len(clips[0].copies) == (10 if separation == "augment" else 0)
    (fitted,) = find_representation("reconstruction-error").fit(clips, settings, context)
    trained = fitted.network.reconstructor
    torch.manual_seed(0)
    untrained = new_reconstructor(settings, n_conditions=10, mean=trained.mean, deviation=trained.deviation)
    before, after = (network.autoencoder.encoder[0].weight[:, 1:] for network in (untrained, trained))
    assert Counter((before == after).flatten(2).all(dim=2).all(dim=0).tolist()) == {True: 3, False: 7}


def test_copies_are_trained_on_under_the_condition_of_their_recording(ten_conditions, small, separator, context):
    settings = small("conditional", "separation=augment", "training.held_out=0")
    (clips,) = clips_in(ten_conditions, settings, separator)
    (fitted,) = find_representation("reconstruction-error").fit([clips], settings, context)
    assert [str(condition) for condition in fitted.conditions] == [f"source vel_{index}" for index in range(10)]
    frames = np.concatenate([clip.input for clip in (*clips.spectrograms, *clips.copies)], axis=1, dtype=np.float64)
    np.testing.assert_allclose(fitted.network.reconstructor.mean[0], frames.mean(axis=1), rtol=1e-6)


def test_machines_that_share_a_network_have_conditions_of_their_own(hall, small, context):
    settings = small("conditional", "scope=shared", "separation=off")
    fan, pump = find_representation("reconstruction-error").fit(clips_in(hall, settings), settings, context)
    assert fan.network is pump.network
    assert len(fan.conditions) == len(pump.conditions) == 4
    assert not set(fan.conditions) & set(pump.conditions)


def test_frame_covariances_are_numpys_of_each_domains_residual_frames(fan, small, context):
    settings = small("baseline-mahalanobis", "autoencoder.is_conditional=true")
    (clips,) = clips_in(fan, settings)
    (fitted,) = find_representation("reconstruction-error").fit([clips], settings, context)
    residual = fitted.representation
    assert fitted.frame_covariances.shape == (2, 16, 16)
    for index, domain in enumerate(("source", "target")):
        frames = []
        for clip, spectrograms in zip(clips.clips, clips.spectrograms, strict=True):
            if clip.domain == domain:
                own = [str(condition) for condition in fitted.conditions].index(f"{domain} {clip.attributes}")
                segments = torch.from_numpy(np.stack([spectrograms.input[:, i : i + 8] for i in range(19)]))
                encoded = residual.conditions[own].expand(19, -1)
                with torch.inference_mode():
                    frames.append(residual.reconstructor(segments, segments, encoded).transpose(1, 2).reshape(-1, 16))
        expected = np.cov(torch.cat(frames).numpy().astype(np.float64), rowvar=False)
        np.testing.assert_allclose(fitted.frame_covariances[index], expected, rtol=1e-4, atol=1e-6)


def test_settings_that_do_not_go_with_a_representation_are_refused(small):
    with pytest.raises(SettingsError, match="'mean-log-mel' has no network; set autoencoder=false"):
        network_plan(small("conditional", "representation=mean-log-mel"))
    with pytest.raises(SettingsError, match="'reconstruction-error' needs autoencoder and training settings"):
        network_plan(small("log-mel-knn", "representation=reconstruction-error"))
    with pytest.raises(SettingsError, match="'discriminative-embedding'; set autoencoder and training to false"):
        network_plan(small("conditional", "representation=discriminative-embedding"))


def test_an_embedding_is_one_network_of_all_machines_with_the_noise_of_any(hall, small, context):
    settings = small("discriminative")
    fan, pump = find_representation("discriminative-embedding").fit(clips_in(hall, settings), settings, context)
    assert fan.network is pump.network
    assert fan.network.n_classes == 2 * 2 * 5  # machines, speeds and transformations; the domain is no class
    assert (fan.conditions, fan.encoder) == ((), None)
    assert not np.array_equal(fan.representation.mean, pump.representation.mean)
    assert fan.notes == pump.notes
    assert "4 class(es) of clips apart x 5 transformations (as it is," in fan.notes[0]
    assert "5 noise-only clips are mixed in" in fan.notes[0]


def test_noise_is_read_only_where_it_is_asked_for(hall, small):
    counts = {
        overrides: [len(machine.noise) for machine in clips_in(hall, small(*overrides))]
        for overrides in (("discriminative",), ("discriminative", "embedding.noise_share=0"), ("log-mel-knn",))
    }
    assert list(counts.values()) == [[0, 5], [0, 0], [0, 0]]


def test_clips_without_attributes_are_told_apart_by_pseudo_labels(tmp_path, write_machine, small, context):
    settings = small("discriminative", "pseudo_labels=clusters")
    folder = write_machine(tmp_path / "data", n_source=12, n_target=0, attributes=False)
    (machine,) = open_dataset(folder).machines.values()
    clips = Labeller([machine], settings, seed=0).labelled(
        clips_in(folder, settings), RecordingReader(FrontEnd(settings)), advance=lambda _: None
    )
    (fitted,) = find_representation("discriminative-embedding").fit(clips, settings, context)
    labels = {condition.attributes for condition in clips[0].conditions}
    assert len(labels) > 1
    assert fitted.network.n_classes == 5 * len(labels)
