"""Training clips without attributes get labels from their sound, and nothing else changes."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from soundness.audio.log_mel import Spectrograms
from soundness.data.datasets import open_dataset
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.errors import AudioError, DataError, OutputError
from soundness.training.labelling import Labeller, band_moments, lacking_attributes, spectral_shapes
from soundness.training.preparation.clips import read_machine
from soundness.training.run import train

RATE = 16_000


@pytest.fixture(scope="module")
def nameless(tmp_path_factory, write_machine):
    """A fan of two speeds whose names say nothing of them: 30 source clips, 4 target clips."""
    return write_machine(tmp_path_factory.mktemp("nameless"), n_source=30, n_target=4, n_test=2, attributes=False)


@pytest.fixture(scope="module")
def halls(tmp_path_factory, write_machine):
    """The same fan beside a pump with attributes."""
    root = tmp_path_factory.mktemp("halls")
    write_machine(root, "fan", n_source=30, n_target=4, attributes=False)
    write_machine(root, "pump", seed=1)
    return root


def labelled(folder, settings, machine="fan", seed=0):
    """A machine's clips, without and with labels."""
    machines = open_dataset(folder).machines
    reader = RecordingReader(FrontEnd(settings))
    before = read_machine(machines[machine], reader, advance=lambda: None)
    labeller = Labeller(machines.values(), settings, seed=seed)
    (found,) = labeller.labelled([before], reader, advance=lambda _: lambda: None)
    return before, found


def attributes_of(heard):
    return [condition.attributes for condition in heard.conditions]


def speeds(heard):
    """0 or 1: the speeds take turns in the names of `write_machine`."""
    return [int(clip.path.stem.split("_")[5]) % 2 for clip in heard.clips]


def test_shape_and_moments_are_those_of_the_bands_over_time():
    log_mel = np.float32([[1.0, 3.0], [-6.0, -6.0]])
    clip = Spectrograms(log_mel, np.zeros((2, 2), np.float32))
    assert spectral_shapes([clip]).tolist() == [[4.0, -4.0]]  # means 2 and -6, whose mean is -2
    assert band_moments([clip, clip]).tolist() == [[2.0, -6.0, 1.0, 0.0]] * 2


def test_clusters_tell_the_speeds_apart_and_the_rest_of_a_condition_stays(nameless, small):
    before, after = labelled(nameless, small("conditional", "separation=off"))
    found = attributes_of(after)
    source = [label for label, clip in zip(found, after.clips, strict=True) if clip.domain == "source"]
    assert len({*zip(speeds(after)[:30], source, strict=True)}) == 2 == len(set(source))
    assert set(found) == {"cluster_1", "cluster_2", "cluster_3"}  # of four target clips no clusters are sought
    assert [replace(condition, attributes="") for condition in after.conditions] == list(before.conditions)
    assert after.pseudo_labelled == tuple(range(34))
    assert after.notes[:-1] == before.notes
    assert after.notes[-1].startswith("pseudo-labels by clusters for 34 of 34 clips: source cluster_1 15, ")
    assert (after.clips, after.spectrograms) == (before.clips, before.spectrograms)


@pytest.mark.parametrize("way", ["auto", "clusters", "classifier"])
def test_a_machine_with_attributes_is_left_alone(fan, small, way):
    before, after = labelled(fan, small("conditional", f"pseudo_labels={way}"))
    assert after == before


@pytest.mark.parametrize(
    ("system", "override"),
    [
        ("conditional", "pseudo_labels=off"),
        ("conditional", "autoencoder.is_conditional=false"),
        ("log-mel-knn", "pseudo_labels=clusters"),
    ],
)
def test_where_nothing_is_told_there_are_no_labels(nameless, small, system, override):
    before, after = labelled(nameless, small(system, override))
    assert after == before


def test_sections_tell_clips_apart_without_labels(nameless):
    clips = open_dataset(nameless).machines["fan"].train
    assert lacking_attributes(clips) == list(range(34))
    assert lacking_attributes((*clips[1:], replace(clips[0], section="section_01"))) == []
    assert lacking_attributes((*clips[1:], replace(clips[0], attributes="vel_1"))) == list(range(33))


def test_labels_depend_on_the_sound_and_not_on_names_or_test_clips(nameless, small, tmp_path):
    settings = small("conditional", "separation=off")
    _, before = labelled(nameless, settings)
    renamed = {}
    for domain, count in (("source", 30), ("target", 4)):
        order = np.random.default_rng(0).permutation(count)
        for index, number in enumerate(order):
            old = f"section_00_{domain}_train_normal_{index:04d}_noAttribute.wav"
            renamed[old] = f"section_00_{domain}_train_normal_{number + 500:04d}_.wav"
    (tmp_path / "fan" / "train").mkdir(parents=True)
    for old, new in renamed.items():
        shutil.copy(nameless / "train" / old, tmp_path / "fan" / "train" / new)
    _, after = labelled(tmp_path / "fan", settings)
    found = dict(zip((clip.path.name for clip in after.clips), attributes_of(after), strict=True))
    assert [found[renamed[clip.path.name]] for clip in before.clips] == attributes_of(before)
    assert len(set(found.values())) == 3


def test_the_classifier_gives_classes_of_the_other_machine(halls, small):
    # Both machines hum at the same pitches, so the speed is recognised.
    _, after = labelled(halls, small("conditional", "pseudo_labels=classifier", "separation=off"))
    assert attributes_of(after)[:30] == [f"pump vel_{speed}" for speed in speeds(after)[:30]]
    assert "pseudo-labels by classifier for 34 of 34 clips" in after.notes[-1]
    _, alone = labelled(halls, small("conditional", "pseudo_labels=classifier", "separation=off"), machine="pump")
    assert alone.pseudo_labelled == ()


def test_clips_of_a_machine_that_is_partly_labelled_get_its_own_labels(write_machine, small, tmp_path):
    write_machine(tmp_path, n_source=20)
    for index in (0, 1, 2, 3, 4, 5):
        path = tmp_path / "fan" / "train" / f"section_00_source_train_normal_{index:04d}_vel_{index % 2}.wav"
        path.rename(path.with_name(f"section_00_source_train_normal_{index:04d}_noAttribute.wav"))
    settings = small("conditional", "separation=off")
    _, after = labelled(tmp_path / "fan", settings)
    source = [label for label, clip in zip(attributes_of(after), after.clips, strict=True) if clip.domain == "source"]
    assert source == [f"vel_{speed}" for speed in (0, 1) * 10]
    assert len(after.pseudo_labelled) == 6
    assert all(after.clips[index].attributes == "" for index in after.pseudo_labelled)
    assert "pseudo-labels by classifier for 6 of 24 clips: source vel_0 3, source vel_1 3 (" in after.notes[-1]


def test_a_classifier_without_another_machine_is_refused_before_anything_is_written(nameless, small, tmp_path):
    settings = small("conditional", "pseudo_labels=classifier", "separation=off")
    with pytest.raises(DataError) as caught:
        train(nameless, tmp_path / "run", system=settings)
    assert str(caught.value) == (
        f"{nameless}: pseudo_labels=classifier needs another machine whose clips have attributes, to label those of "
        f"fan; the data set has none; pseudo_labels=clusters needs none"
    )
    assert not (tmp_path / "run").exists()


def test_a_teacher_whose_clip_cannot_be_used_is_refused_by_name(halls, small, tmp_path):
    data = shutil.copytree(halls, tmp_path / "halls")
    path = sorted((data / "pump" / "train").iterdir())[0]
    path.write_bytes(b"no sound")
    settings = small("conditional", "pseudo_labels=classifier", "separation=off")
    with pytest.raises(AudioError, match=path.name):
        train(data, tmp_path / "run", system=settings, machines=["fan"])


# A whole training


@pytest.mark.slow
@pytest.mark.parametrize("separation", ["off", "augment"])
def test_the_summary_tells_the_labels_and_their_sizes(nameless, small, tmp_path, separation, separator_file):
    settings = small("conditional", f"separation={separation}")
    given = separator_file if separation == "augment" else None
    (detector,) = train(nameless, tmp_path / "run", system=settings, separator=given)
    summary = detector.summary
    assert summary.conditions == ("source cluster_1", "source cluster_2", "target cluster_3")
    assert summary.conditioned_on == ("attributes", "domain")
    assert summary.pseudo_labels == {"source cluster_1": 15, "source cluster_2": 15, "target cluster_3": 4}
    assert sum(summary.pseudo_labels.values()) == sum(summary.n_clips.values())
    assert any("pseudo-labels by clusters" in note and "source cluster_1 15" in note for note in summary.notes)
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 8_000)).astype(np.float32)
    assert detector.representation.vectors(detector.spectrograms(wave)).shape == (3, 16)


@pytest.mark.slow
def test_machines_that_share_a_network_have_labels_of_their_own(halls, small, tmp_path):
    settings = small("conditional", "scope=shared", "separation=off", "pseudo_labels=classifier")
    fan, pump = train(halls, tmp_path / "run", system=settings)
    assert {"source pump vel_0", "source pump vel_1"} <= set(fan.summary.pseudo_labels)
    assert sum(fan.summary.pseudo_labels.values()) == 34
    assert pump.summary.pseudo_labels == {}
    assert pump.summary.conditions == ("source vel_0", "source vel_1", "target vel_0", "target vel_1")


@pytest.mark.slow
def test_one_machine_is_trained_with_the_labels_that_it_has_beside_others(halls, small, tmp_path):
    settings = small("conditional", "separation=off", "pseudo_labels=classifier")
    (alone,) = train(halls, tmp_path / "alone", system=settings, machines=["fan"])
    beside, _ = train(halls, tmp_path / "both", system=settings)
    assert alone.summary.pseudo_labels == beside.summary.pseudo_labels
    wave = 0.1 * np.random.default_rng(0).standard_normal((1, 8_000)).astype(np.float32)
    assert alone.score(wave) == beside.score(wave)


@pytest.mark.slow
def test_a_run_does_not_go_on_with_labels_from_other_clips(halls, small, tmp_path):
    data = shutil.copytree(halls, tmp_path / "halls")
    settings = small("conditional", "separation=off", "pseudo_labels=classifier")
    options = {"system": settings, "machines": ["fan"], "existing": "resume"}
    (before,) = train(data, tmp_path / "run", **options)
    (again,) = train(data, tmp_path / "run", **options)
    assert again.summary == before.summary
    extra = data / "pump" / "train" / "section_00_source_train_normal_0099_vel_7.wav"
    soundfile.write(extra, 0.1 * np.random.default_rng(0).standard_normal(6_400), RATE)
    with pytest.raises(OutputError, match="was started with another pseudo_labels"):
        train(data, tmp_path / "run", **options)
