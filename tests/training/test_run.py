"""From a folder of recordings to detectors: what is refused, what is said, and what survives a kill."""

import copy
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pydantic import BaseModel

from soundness.detectors.bulk_scoring import score, score_clip
from soundness.detectors.saving import load, load_detector
from soundness.errors import AudioError, BundleError, DataError, OutputError, SettingsError
from soundness.representations.protocol import network_plan
from soundness.separation.saving import load_separator, save_separator
from soundness.separation.separator import Separator
from soundness.settings.loading import load_settings, system_names
from soundness.settings.separation import SeparatorSettings
from soundness.training.run import train

RATE = 16_000

pytestmark = pytest.mark.usefixtures("mixture_seconds")


@pytest.fixture
def run(tmp_path, small):
    """Trains into a folder of its own."""

    def run(data, *overrides, system="log-mel-knn", out="run", **options):
        return train(data, tmp_path / out, system=small(system, *overrides), **options)

    return run


def noise(n_samples, *, n_channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal((n_samples, n_channels))


def wave(seed=0, n_samples=8_000):
    return noise(n_samples, seed=seed).T.astype(np.float32)


def notes_of(detector):
    return "\n".join(detector.summary.notes)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("system", system_names())
def test_a_run_leaves_a_detector_that_is_the_one_returned(fan, run, tmp_path, system):
    (detector,) = run(fan, system=system, seed=3)
    again = load_detector(tmp_path / "run" / "fan.soundness")
    assert [again.score(wave(seed)) for seed in range(3)] == [detector.score(wave(seed)) for seed in range(3)]
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    summary = detector.summary
    assert (summary.system, summary.seed, summary.n_clips) == (system, 3, {"source": 8, "target": 4})
    assert summary.seconds.keys() == {"reading", "separating", "fitting", "scoring"}
    assert summary.versions.keys() >= {"python", "soundness", "torch", "numpy"}
    training, has_network = detector.settings.training, network_plan(detector.settings) is not None
    # 12 clips of 19 positions, 2 of them held out: 204 segments, 13 batches of 16 or less, 40 times.
    n_steps = 13 * 40 if training is not None and training.n_epochs is not None else 30 * has_network
    assert (summary.n_steps, summary.n_parameters > 0) == (n_steps, has_network)
    assert (summary.train_loss is not None, summary.held_out_loss is not None) == (has_network, training is not None)
    assert detector.machine_type == "fan"


def test_normal_clips_score_below_anomalous_ones(fan, detectors):
    for detector in detectors.values():
        scores = {path.name: score_clip(detector, path) for path in sorted((fan / "test").iterdir())}
        normal = [score for name, score in scores.items() if "normal" in name]
        anomalous = [score for name, score in scores.items() if "anomaly" in name]
        assert len(normal) == len(anomalous) == 4
        assert max(normal) < min(anomalous)


def test_the_conditions_are_those_of_the_training_clips(detectors):
    summary = detectors["conditional"].summary
    assert summary.conditions == ("source vel_0", "source vel_1", "target vel_0", "target vel_1")
    assert summary.conditioned_on == ("attributes", "domain")
    assert detectors["log-mel-knn"].summary.conditions == ()


def test_an_unconditional_system_is_told_nothing(fan, run):
    (detector,) = run(fan, "autoencoder.is_conditional=false", system="conditional")
    assert detector.summary.conditions == ()
    assert detector.summary.conditioned_on == ()
    assert detector.representation.vectors(detector.spectrograms(wave())).shape == (1, 16)


EXPECTING = ("scorer.whitening=shrunk", "scorer.is_standardised=true", "scorer.anomaly_width=2")


@pytest.mark.parametrize(
    ("system", "changes", "width"),
    [("log-mel-knn", (), 2.0), ("conditional", (), 2.0), ("conditional", ("representation=latent",), 0.0)],
)
def test_a_scorer_expects_changes_where_vectors_are_spectra(fan, run, system, changes, width):
    (detector,) = run(fan, *EXPECTING, *changes, system=system)
    assert detector.scorer.bank.settings.anomaly_width == width
    assert any("anomaly_width does not count" in note for note in detector.summary.notes) == (width == 0.0)


# What every setting changes


EMBEDDING = ("representation=discriminative-embedding", "autoencoder=false", "training=false")
BASE = {
    "scorer.shrinkage": ("scorer.whitening=shrunk",),
    "scorer.eigenvalue_floor": ("scorer.whitening=shrunk",),
    "scorer.is_standardised": ("scorer.whitening=shrunk",),
    "scorer.anomaly_width": ("scorer.whitening=shrunk", "scorer.is_standardised=true"),
    "scorer.anomaly_level": ("scorer.whitening=shrunk", "scorer.is_standardised=true", "scorer.anomaly_width=3"),
    "scorer.level": ("scorer.whitening=shrunk", "scorer.is_standardised=true"),
    "log_mel.floor_reference": ("log_mel.floor_db=-20",),
    "scorer.n_density_neighbors": ("scorer.distance=density-ratio",),
    "training.patience": ("training.learning_rate=0.3", "training.max_steps=150"),
    "training.steps_per_epoch": ("training.learning_rate=0.3", "training.max_steps=150"),
    "audio.sample_rate": ("log_mel.fmax=4000",),
    "quantile": ("representation=quantile-log-mel", "autoencoder=false", "training=false"),
    "training.weights": ("training.learning_rate=0.3", "training.max_steps=150"),
}
CHANGES = {
    "audio.sample_rate": 8_000,
    "audio.channel": 1,
    "audio.clip_seconds": 0.15,
    "log_mel.n_fft": 1_024,
    "log_mel.hop_length": 128,
    "log_mel.n_mels": 32,
    "log_mel.frequency_scale": "linear",
    "log_mel.fmin": 300,
    "log_mel.fmax": 6_000,
    "log_mel.power": 1.0,
    "log_mel.floor_db": -20,
    "log_mel.floor_reference": "recording",
    "audio.is_dc_removed": "true",
    "autoencoder.is_conditional": "false",
    "autoencoder.segment_frames": 16,
    "autoencoder.channels": [8],
    "autoencoder.first_stride": 2,
    "autoencoder.latent_features": 2,
    "training.batch_size": 8,
    "training.learning_rate": 0.01,
    "training.max_steps": 20,
    "training.steps_per_epoch": 7,
    "training.patience": 1,
    "training.held_out": 0.4,
    "training.n_epochs": 2,
    "training.weights": "last",
    "autoencoder.is_standardised": "false",
    "autoencoder.is_overlapping": "true",
    "autoencoder.error": "signed",
    "poolings": ["quantile-0.7"],
    "scorer.normalization_order": "after-min",
    "scorer.n_neighbors": 2,
    "scorer.whitening": "shrunk",
    "scorer.shrinkage": 0.9,
    "scorer.eigenvalue_floor": 0.9,
    "scorer.is_standardised": "true",
    "scorer.anomaly_width": 3,
    "scorer.anomaly_level": 5,
    "scorer.level": "ignore",
    "scorer.distance": "mahalanobis",
    "scorer.n_density_neighbors": 2,
    "scorer.normalization": "quantile",
    "false_alarm_rate": 0.6,
    "quantile": 0.7,
    "embedding.segment_frames": 16,
    "embedding.channels": [8, 4],
    "embedding.spectrum_channels": [4, 4],
    "embedding.n_features": 4,
    "embedding.n_sub_clusters": 2,
    "embedding.mixup_share": 0.0,
    "embedding.is_transformed": "false",
    "embedding.batch_size": 8,
    "embedding.learning_rate": 0.01,
    "embedding.max_steps": 20,
}
BASE |= {key: EMBEDDING for key in CHANGES if key.startswith("embedding.")}
TESTED_ELSEWHERE = {
    "embedding.noise_share",  # needs noise-only clips: tested with the batches
    "embedding.noise_snr_db",  # the same
    "embedding.steps_per_epoch",  # from one checkpoint to the next: tested with the fitting
    "embedding.accelerator",  # there is one accelerator here
    "name",  # is for people
    "description",
    "training.accelerator",  # there is one accelerator here
    "autoencoder.name",  # a contract of all autoencoders
    "scorer.name",  # a contract of all scorers
    "scorer.members",  # goes with the scorer of several
    "scorer.peaks",  # goes with the scorer that joins tests
    "scorer.few_clips_price",  # the same
    "scorer.is_bounded",  # the same
    "scorer.narrow_width",  # goes with narrow changes
    "views",  # goes with log-mel
    "scorer.outlier_exponent",  # needs 60 clips: tested with the whitening
    "scorer.synthetic_neighbors",  # of a domain that is not the nearest here: tested with the scorers
    "scope",  # needs two machines
    "audio.rate",  # of tables of numbers: tested with their detectors
    "audio.columns",  # the same
    "representation",  # goes with other settings: the packaged systems differ in it
    "separation",  # needs a separator
    "calibration",  # changes p-values: tested with the calibration
    "calibration_share",  # goes with it
    "pseudo_labels",  # needs clips without attributes: tested with the labelling
    "dependence",  # needs copies: tested with the dependence
    "group_by",  # goes with it
    "screening",  # needs a clip that is not like the others: tested with the screening
    "calibration_blocks",  # needs an order in time: tested with the calibration
}


def leaves(model, prefix=""):
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SeparatorSettings):
            continue  # tested with the training of a separator
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, BaseModel) else [prefix + name]


def test_each_setting_is_among_those_that_are_changed():
    assert set(leaves(load_settings("conditional"))) == CHANGES.keys() | TESTED_ELSEWHERE


@pytest.fixture(scope="module")
def stereo_fan(tmp_path_factory, write_machine):
    folder = write_machine(tmp_path_factory.mktemp("stereo"), n_source=12, n_target=6, seconds=0.3)
    for index, path in enumerate(sorted((folder / "train").iterdir())):
        near = soundfile.read(path)[0]
        soundfile.write(path, np.column_stack([near, noise(len(near), seed=index)]), RATE)
    return folder


@pytest.mark.parametrize("key", CHANGES)
def test_each_setting_changes_the_detector(stereo_fan, run, key):
    base = BASE.get(key, ())
    rate = CHANGES[key] if key == "audio.sample_rate" else RATE
    (before,) = run(stereo_fan, *base, system="conditional", out="before")
    (after,) = run(stereo_fan, *base, f"{key}={CHANGES[key]}", system="conditional", out="after")
    clips = [noise(n, n_channels=2, seed=seed).T.astype(np.float32) for seed, n in ((1, 8_000), (2, 9_000))]
    found = [
        [*(detector.score(clip[:, :: RATE // r]) for clip in clips), detector.threshold.value]
        for detector, r in ((before, RATE), (after, rate))
    ]
    assert found[0] != found[1]
    assert np.isfinite(found).all()


def test_the_channel_of_the_settings_is_learned_and_scored(stereo_fan, run, tmp_path, write_machine):
    (detector,) = run(stereo_fan, "audio.channel=1", out="second")
    mono = write_machine(tmp_path / "mono", n_source=12, n_target=6, seconds=0.3)
    for path in (mono / "train").iterdir():
        soundfile.write(path, soundfile.read(stereo_fan / "train" / path.name)[0][:, 1], RATE)
    (alone,) = run(mono, out="alone")
    assert detector.score(np.concatenate([wave(1), wave(2)])) == alone.score(wave(2))


def test_the_seed_matters_and_the_same_seed_gives_the_same_scores(fan, run):
    scores = [
        [detector.score(wave()) for detector in run(fan, system="conditional", seed=seed, out=out)]
        for seed, out in ((1, "a"), (1, "b"), (2, "c"))
    ]
    assert scores[0] == scores[1] != scores[2]


def test_test_clips_are_not_read(fan, run, tmp_path):
    copy = shutil.copytree(fan, tmp_path / "fan")
    (with_test,) = run(copy, out="with")
    for path in (copy / "test").iterdir():
        path.write_bytes(b"never read")
    (without,) = run(copy, out="without")
    assert with_test.score(wave()) == without.score(wave())


# What is refused


def test_a_machine_that_is_not_there_is_refused_with_those_that_are(fan, run, tmp_path):
    with pytest.raises(DataError, match="no machine 'pump'; there are fan"):
        run(fan, machines=["pump"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("representation=dreams", "representation: no 'dreams'; there are .*mean-log-mel"),
        ("scorer.name=dreams", r"scorer\.name: no 'dreams'; there are nearest-neighbors"),
        ("autoencoder.name=dreams", r"autoencoder\.name: no 'dreams'; there are convolutional"),
        (
            "scorer=mahalanobis",
            r"'mahalanobis' needs the covariance of single frames.*autoencoder\.error=signed and poolings=\[\"mean\"\]",
        ),
        ("autoencoder.channels=[4,4,4]", r"autoencoder\.segment_frames is 8; 3 layers need a multiple of 16"),
        ("autoencoder=false", "autoencoder and training go together"),
        ("training=false", "autoencoder and training go together"),
    ],
)
def test_a_part_that_does_not_exist_or_fit_is_refused_by_name(fan, run, override, message):
    with pytest.raises(SettingsError, match=message):
        run(fan, override, system="conditional")


def test_anomalous_clips_are_refused(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    (folder / "train" / "section_00_source_train_anomaly_0099.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"anomaly_0099\.wav: labelled anomalous"):
        run(folder)


def test_fewer_than_three_clips_are_refused(tmp_path, write_machine, run):
    with pytest.raises(DataError, match=r"2 training clip\(s\) of fan; at least 3"):
        run(write_machine(tmp_path / "data", n_source=2, n_target=0))


def test_two_clips_of_one_name_are_refused(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[0]
    soundfile.write(path.with_suffix(".flac"), noise(8_000), RATE)
    with pytest.raises(DataError, match=f"{path.stem}.*the same name as"):
        run(folder)


@pytest.mark.parametrize("content", [b"", b"no audio", "cut"])
def test_a_clip_that_cannot_be_read_is_named(tmp_path, write_machine, run, content):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[3]
    path.write_bytes(path.read_bytes()[:2_000] if content == "cut" else content)
    with pytest.raises(AudioError, match=re.escape(f"{path}: ")) as caught:
        run(folder)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run").glob("*.soundness"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_clip_with_samples_that_are_no_numbers_is_named(tmp_path, write_machine, run, value):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[3]
    samples = noise(8_000)
    samples[4_000] = value
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=re.escape(str(path))):
        run(folder)


def test_a_clip_so_loud_that_its_spectrum_overflows_is_named(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[3]
    soundfile.write(path, 1e25 * noise(8_000), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=re.escape(str(path))):
        run(folder)


def test_a_clip_recorded_too_slowly_is_refused_before_the_first_is_heard(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[-1]
    soundfile.write(path, noise(8_000), 8_000)
    with pytest.raises(AudioError, match=rf"{re.escape(path.name)}: recorded at 8000 Hz"):
        run(folder)
    assert not (tmp_path / "run").exists()


# What is said


def test_a_machine_without_target_clips_is_trained_and_says_so(tmp_path, write_machine, run):
    for system in system_names():
        (detector,) = run(write_machine(tmp_path / "data", n_target=0), system=system, out=system)
        assert "no target-domain clips" in notes_of(detector)
        assert np.isfinite(detector.score(wave()))


def test_a_machine_without_attributes_is_conditioned_on_the_domain_and_says_so(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data", attributes=False)
    (detector,) = run(folder, "pseudo_labels=off", system="conditional")
    assert "no attributes: the network is conditioned on the domain only" in detector.summary.notes
    assert detector.summary.conditioned_on == ("domain",)
    assert detector.summary.conditions == ("source", "target")


def test_a_folder_of_recordings_without_any_of_it_is_trained_and_says_so(tmp_path, run):
    folder = tmp_path / "compressor"
    folder.mkdir()
    for index in range(6):
        soundfile.write(folder / f"{index}.wav", noise(8_000, seed=index), RATE)
    (detector,) = run(folder, system="conditional")
    assert detector.machine_type == "compressor"
    assert detector.summary.n_clips == {"": 6}
    assert "no domains" in notes_of(detector)
    assert "the network is not conditioned" in notes_of(detector)


def test_silence_short_clips_and_few_target_clips_are_noted(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data", n_target=2)
    paths = sorted((folder / "train").iterdir())
    soundfile.write(paths[0], np.zeros(8_000), RATE)
    soundfile.write(paths[1], noise(1_000), RATE)
    (detector,) = run(folder, system="conditional")
    assert f"1 training clip(s) without any sound, not learned: {paths[0].name}" in detector.summary.notes
    assert f"shorter than one segment of 8 frames, repeated to fill it: {paths[1].name}" in notes_of(detector)
    assert "2 target clip(s) support no false-alarm rate below 1/3" in notes_of(detector)
    assert re.search("a domain has 2 clip.*those of all domains", notes_of(detector))
    assert np.isfinite(detector.score(wave()))


@pytest.mark.parametrize("system", system_names())
def test_clips_of_mixed_lengths_are_trained_on(tmp_path, write_machine, run, system):
    folder = write_machine(tmp_path / "data")
    for index, path in enumerate(sorted((folder / "train").iterdir())):
        soundfile.write(path, noise(600 + 1_700 * index, seed=index), RATE)
    (detector,) = run(folder, system=system)
    assert np.isfinite(detector.threshold.value)


def test_identical_clips_have_finite_scores(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    for path in (folder / "train").iterdir():
        soundfile.write(path, noise(8_000), RATE)
    for system in ("log-mel-knn", "conditional"):
        (detector,) = run(folder, system=system, out=system)
        assert np.isfinite([detector.score(wave(1)), detector.threshold.value]).all()
    with pytest.raises(DataError, match="no two training clips of a domain differ"):
        run(folder, system="log-mel-whitened", out="whitened")


def test_one_clip_of_each_of_three_domains_has_finite_scores(tmp_path, run):
    folder = tmp_path / "fan" / "train"
    folder.mkdir(parents=True)
    for index, name in enumerate(("section_00_source_train_0000", "section_00_target_train_0000", "x")):
        soundfile.write(folder / f"{name}.wav", noise(8_000, seed=index), RATE)
    (detector,) = run(folder.parent)
    assert np.isfinite([detector.score(wave(9)), detector.threshold.value]).all()


def test_progress_counts_the_clips(fan, run):
    told = []
    run(fan, progress=lambda *what: told.append(what))
    assert {(what, total) for what, _, total in told} == {("reading fan", 12)}
    assert sorted(done for _, done, _ in told) == list(range(1, 13))


def test_progress_counts_the_batches_of_a_training(fan, run):
    told = []
    run(fan, system="conditional", progress=lambda *what: told.append(what))
    assert [what for what in told if not what[0].startswith("reading")] == [
        ("training fan", step, 30) for step in range(1, 31)
    ]


# Several machines


@pytest.fixture(scope="module")
def two_machines(tmp_path_factory, write_machine):
    root = tmp_path_factory.mktemp("two")
    write_machine(root, "fan")
    write_machine(root, "pump", seed=1)
    return root


def test_each_machine_has_a_network_of_its_own(two_machines, run, tmp_path):
    detectors = run(two_machines, system="conditional")
    assert [detector.machine_type for detector in detectors] == ["fan", "pump"]
    assert load(tmp_path / "run").keys() == {"fan", "pump"}
    (alone,) = run(two_machines, system="conditional", machines=["pump"], out="alone")
    assert detectors[1].score(wave()) == alone.score(wave())
    weights = [d.representation.arrays()["autoencoder.to_latent.weight"] for d in detectors]
    assert not np.array_equal(*weights)


def test_one_network_is_shared_by_all_machines_where_that_is_asked_for(two_machines, run, tmp_path):
    run(two_machines, "scope=shared", system="conditional")
    fan, pump = load(tmp_path / "run").values()
    one, other = fan.representation.arrays(), pump.representation.arrays()
    shared = one.keys() - {"conditions"}
    assert len(shared) > 5
    assert all(np.array_equal(one[name], other[name]) for name in shared)
    assert one["conditions"].shape == other["conditions"].shape == (4, 8)  # machine 2, attributes 4, domain 2
    assert not np.array_equal(one["conditions"], other["conditions"])
    assert fan.summary.conditioned_on == ("machine_type", "attributes", "domain")
    assert fan.score(wave()) != pump.score(wave())
    assert fan.summary.n_clips == {"source": 8, "target": 4}


# The run's folder


def test_a_run_that_is_there_is_not_replaced_unasked(fan, run, tmp_path):
    run(fan)
    before = contents(tmp_path / "run")
    with pytest.raises(OutputError, match=r"run: exists already; --overwrite replaces it, --resume goes on"):
        run(fan)
    assert contents(tmp_path / "run") == before


def test_an_empty_folder_is_no_hindrance(fan, run, tmp_path):
    (tmp_path / "run").mkdir()
    assert len(run(fan)) == 1


def test_a_run_that_died_before_it_had_learned_anything_is_no_hindrance(tmp_path, write_machine, run):
    folder = write_machine(tmp_path / "data")
    path = sorted((folder / "train").iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:2_000])
    with pytest.raises(AudioError, match="truncated"):
        run(folder)
    path.write_bytes(whole)
    assert len(run(folder)) == 1


def test_overwriting_replaces_a_run(fan, run, tmp_path):
    run(fan, seed=1)
    run(fan, seed=2, existing="replace")
    assert load_detector(tmp_path / "run" / "fan.soundness").summary.seed == 2


def test_overwriting_removes_the_detectors_of_the_earlier_run(two_machines, run, tmp_path):
    run(two_machines)
    run(two_machines, machines=["pump"], existing="replace")
    assert load(tmp_path / "run").keys() == {"pump"}


def test_overwriting_keeps_the_earlier_detectors_until_the_new_ones_are_there(fan, run, tmp_path, write_machine):
    run(fan)
    before = contents(tmp_path / "run")
    bad = write_machine(tmp_path / "bad", seed=1)
    clip = next(iter(sorted((bad / "train").iterdir())))
    samples, rate = soundfile.read(clip, dtype="float32")
    samples[100] = np.nan
    soundfile.write(clip, samples, rate, subtype="FLOAT")
    with pytest.raises(AudioError, match="no numbers"):
        run(bad, existing="replace")
    assert contents(tmp_path / "run") == before


def test_a_folder_that_is_no_run_is_never_overwritten(fan, run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"run: exists, and is not the folder of a training"):
        run(fan, existing="replace")
    assert contents(tmp_path / "run") == {"thesis.txt": b"mine"}


def test_a_file_is_never_overwritten(fan, run, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputError, match=r"run: "):
        run(fan, existing="replace")
    assert (tmp_path / "run").read_text() == "mine"


def test_overwriting_deletes_nothing_of_anybody_else(fan, run, tmp_path):
    run(fan, system="conditional")
    strange = {"thesis.txt": b"mine", "figures/map.png": b"mine too", "scores/a.csv": b"x"}
    for name, content in strange.items():
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_bytes(content)
    run(fan, system="conditional", existing="replace")
    after = contents(tmp_path / "run")
    assert {name: after.get(name) for name in strange} == strange


def test_overwriting_keeps_a_detector_that_the_run_did_not_make(fan, run, tmp_path):
    run(fan)
    shutil.copy(tmp_path / "run" / "fan.soundness", tmp_path / "run" / "my_best.soundness")
    run(fan, existing="replace")
    assert (tmp_path / "run" / "my_best.soundness").exists()


def test_resuming_a_finished_run_gives_its_detectors(fan, run, tmp_path):
    (before,) = run(fan, system="conditional")
    written = contents(tmp_path / "run")
    (after,) = run(fan, system="conditional", existing="resume")
    assert after.score(wave()) == before.score(wave())
    assert contents(tmp_path / "run") == written


def test_resuming_trains_the_machines_that_are_missing_and_no_others(two_machines, run, tmp_path):
    whole = run(two_machines, system="conditional")
    kept = (tmp_path / "run" / "fan.soundness").stat().st_mtime_ns
    (tmp_path / "run" / "pump.soundness").unlink()
    again = run(two_machines, system="conditional", existing="resume")
    assert (tmp_path / "run" / "fan.soundness").stat().st_mtime_ns == kept
    assert [d.score(wave()) for d in again] == [d.score(wave()) for d in whole]


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        ((), {"seed": 1}, "another seed"),
        (("scorer.n_neighbors=2",), {}, "another settings"),
        ((), {"system": "log-mel-whitened"}, "another system"),
        ((), {"machines": ["fan"]}, "another machine_types"),
    ],
)
def test_resuming_something_else_is_refused_by_name(two_machines, run, tmp_path, overrides, options, message):
    run(two_machines)
    before = contents(tmp_path / "run")
    with pytest.raises(OutputError, match=f"run: was started with {message}"):
        run(two_machines, *overrides, existing="resume", **options)
    assert contents(tmp_path / "run") == before


def test_another_description_of_the_same_system_is_resumed(two_machines, run, tmp_path):
    run(two_machines)
    kept = (tmp_path / "run" / "fan.soundness").stat().st_mtime_ns
    run(two_machines, "description=Says the same.", existing="resume")
    assert (tmp_path / "run" / "fan.soundness").stat().st_mtime_ns == kept


def test_resuming_a_folder_that_is_no_run_is_refused(fan, run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"run: "):
        run(fan, existing="resume")
    (tmp_path / "run" / "run.json").write_text("{")
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run"):
        run(fan, existing="resume")


def test_resuming_where_nothing_was_begun_begins(fan, run):
    assert len(run(fan, existing="resume")) == 1


TRAIN = """
import json, sys, torch
from soundness.settings.system import SystemSettings
from soundness.training.run import train
torch.set_num_threads(1)
data, out, settings = sys.argv[1:]
train(data, out, system=SystemSettings.model_validate(json.loads(settings)), seed=4)
"""


@pytest.mark.slow
def test_a_training_that_is_killed_and_resumed_ends_like_one_that_was_not(fan, run, small, tmp_path):
    overrides = ("training.max_steps=600", "training.steps_per_epoch=10", "training.patience=1000")
    options = {"system": "conditional", "seed": 4}
    arguments = [str(fan), str(tmp_path / "run"), json.dumps(small("conditional", *overrides).model_dump(mode="json"))]
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    try:
        while not list((tmp_path / "run").rglob("last.ckpt")):
            assert process.poll() is None, "ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not list((tmp_path / "run").glob("*.soundness"))
    with pytest.raises(OutputError, match="another seed"):
        run(fan, *overrides, **options | {"seed": 5}, existing="resume")
    with pytest.raises(OutputError, match="another settings"):
        run(fan, *overrides, "training.batch_size=8", **options, existing="resume")
    (resumed,) = run(fan, *overrides, **options, existing="resume")
    (whole,) = run(fan, *overrides, **options, out="whole")
    assert resumed.summary.n_steps == whole.summary.n_steps == 600
    assert resumed.summary.train_loss == pytest.approx(whole.summary.train_loss, abs=1e-6)
    assert resumed.summary.held_out_loss == pytest.approx(whole.summary.held_out_loss, abs=1e-6)
    for seed in range(4):
        assert resumed.score(wave(seed)) == pytest.approx(whole.score(wave(seed)), rel=1e-5, abs=1e-5)


# Separation


MODES = ("augment", "denoise", "target=separated")


@pytest.mark.parametrize("mode", MODES)
def test_a_network_is_trained_with_what_was_separated(fan, run, tmp_path, separator_file, separator, mode):
    (detector,) = run(fan, f"separation={mode}", system="conditional", separator=separator_file)
    (plain,) = run(fan, "separation=off", system="conditional", out="plain")
    assert detector.score(wave()) != plain.score(wave())
    assert np.isfinite([detector.score(wave()), detector.threshold.value]).all()
    summary = detector.summary
    assert (summary.separation, plain.summary.separation) == (mode, "off")
    assert summary.separator_seconds == separator.summary.seconds > 0.0
    assert plain.summary.separator_seconds is None
    assert summary.seconds["separating"] > 0.0
    assert plain.summary.seconds["separating"] == 0.0
    again = load_detector(tmp_path / "run" / "fan.soundness")
    assert (again.separator is None) == (mode == "augment")
    assert again.score(wave()) == detector.score(wave())
    assert plain.separator is None


@pytest.mark.parametrize("mode", MODES)
def test_the_memory_bank_holds_one_vector_for_each_recording(fan, run, separator_file, mode):
    (detector,) = run(fan, f"separation={mode}", system="conditional", separator=separator_file)
    (plain,) = run(fan, "separation=off", system="conditional", out="plain")
    counts = [len(found.scorer.arrays()["own"]) for found in (detector, plain)]
    assert counts == [12, 12]
    assert detector.summary.n_clips == {"source": 8, "target": 4}


def test_in_augment_mode_the_scale_of_the_network_is_that_of_recordings_and_copies(fan, run, separator_file):
    (augmented,) = run(fan, "separation=augment", system="conditional", separator=separator_file)
    (plain,) = run(fan, "separation=off", system="conditional", out="plain")
    means = [found.representation.arrays()["mean"] for found in (augmented, plain)]
    assert not np.allclose(*means)
    for mean in means:
        np.testing.assert_array_equal(mean[0], mean[1])


def test_in_target_mode_what_is_read_and_what_is_reconstructed_have_scales_of_their_own(fan, run, separator_file):
    (detector,) = run(fan, "separation='target=separated'", system="conditional", separator=separator_file)
    (plain,) = run(fan, "separation=off", system="conditional", out="plain")
    (denoised,) = run(fan, "separation=denoise", system="conditional", separator=separator_file, out="denoised")
    mean = detector.representation.arrays()["mean"]
    np.testing.assert_array_equal(mean[0], plain.representation.arrays()["mean"][0])
    np.testing.assert_array_equal(mean[1], denoised.representation.arrays()["mean"][1])
    assert not np.allclose(mean[0], mean[1])


@pytest.mark.parametrize("system", system_names())
def test_every_system_scores_what_was_separated_where_it_is_told_to(fan, run, tmp_path, separator_file, system):
    (detector,) = run(fan, "separation=denoise", system=system, separator=separator_file)
    (plain,) = run(fan, "separation=off", system=system, out="plain")
    assert detector.score(wave()) != plain.score(wave())
    assert load_detector(tmp_path / "run" / "fan.soundness").score(wave()) == detector.score(wave())


def without_network():
    return [name for name in system_names() if network_plan(load_settings(name)) is None]


@pytest.mark.parametrize("system", without_network())
@pytest.mark.parametrize("mode", ["augment", "target=separated"])
def test_training_a_network_that_is_not_there_is_refused(fan, run, tmp_path, separator_file, system, mode):
    with pytest.raises(SettingsError, match=f"separation={mode} is for the training of a network; this system has no"):
        run(fan, f"separation={mode}", system=system, separator=separator_file)
    assert not (tmp_path / "run").exists()


def test_a_separator_that_is_not_used_is_refused(fan, run, tmp_path, separator_file):
    with pytest.raises(SettingsError, match="a separator comes with separation=off"):
        run(fan, "separation=off", separator=separator_file)
    assert not (tmp_path / "run").exists()


def test_a_separator_of_another_rate_is_refused(fan, run, tmp_path, separator_file):
    slow = ("audio.sample_rate=8000", "log_mel.fmax=4000", "separation=denoise")
    with pytest.raises(SettingsError, match=r"hall\.soundness: a separator for 16000 Hz; audio\.sample_rate is 8000"):
        run(fan, *slow, separator=separator_file)
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_separator_is_refused(fan, run, runs, tmp_path):
    with pytest.raises(BundleError, match="holds a detector; expected a separator"):
        run(fan, "separation=denoise", separator=runs["log-mel-knn"] / "fan.soundness")
    with pytest.raises(BundleError, match="none: cannot be read"):
        run(fan, "separation=denoise", separator=tmp_path / "none")
    assert not (tmp_path / "run").exists()


def test_data_that_no_separator_can_be_trained_on_are_refused_where_one_is_needed(fan, run):
    with pytest.raises(DataError, match="no supplemental clips of noise alone"):
        run(fan, "separation=augment", system="conditional")


def test_left_to_itself_a_network_is_augmented_where_a_separator_is_given(fan, run, separator_file):
    (detector,) = run(fan, system="conditional", separator=separator_file)
    assert detector.summary.separation == "augment"
    (asked,) = run(fan, "separation=augment", system="conditional", separator=separator_file, out="asked")
    assert asked.score(wave()) == detector.score(wave())


def test_left_to_itself_a_network_is_trained_as_ever_where_there_is_nothing_to_separate_with(fan, run):
    (detector,) = run(fan, system="conditional")
    assert detector.summary.separation == "off"
    assert "no noise-only clips to train a separator with: separation is off" in detector.summary.notes
    (asked,) = run(fan, "separation=off", system="conditional", out="asked")
    assert "separation is off" not in notes_of(asked)
    assert asked.score(wave()) == detector.score(wave())


@pytest.mark.parametrize("system", without_network())
def test_left_to_itself_a_system_without_a_network_does_not_separate(hall, run, system):
    detector, _ = run(hall, system=system)
    assert detector.summary.separation == "off"
    assert "separation is off" not in notes_of(detector)


@pytest.mark.slow
def test_a_run_without_a_separator_trains_its_own_and_resumes(hall, run, tmp_path):
    detectors = run(hall, "separator.max_steps=4", system="conditional")
    own = load_separator(tmp_path / "run" / "training" / "separator.soundness")
    for detector in detectors:
        assert detector.summary.separation == "augment"
        assert detector.summary.separator_seconds == own.summary.seconds > 0.0
    assert own.summary.n_steps == 4
    assert own.summary.machine_types == ("fan", "pump")
    shutil.copy(tmp_path / "run" / "training" / "separator.soundness", tmp_path / "own.soundness")
    (given,) = run(hall, system="conditional", machines=["fan"], separator=tmp_path / "own.soundness", out="given")
    assert given.score(wave()) == detectors[0].score(wave())
    (tmp_path / "run" / "pump.soundness").unlink()
    again = run(hall, "separator.max_steps=4", system="conditional", existing="resume")
    assert [d.score(wave()) for d in again] == [d.score(wave()) for d in detectors]


@pytest.mark.slow
def test_a_run_that_was_interrupted_while_its_separator_was_trained_is_resumed(hall, run):
    def stop(what, *_):
        if what.startswith("training the separator"):
            raise KeyboardInterrupt

    options = {"system": "conditional", "machines": ["pump"]}
    with pytest.raises(KeyboardInterrupt):
        run(hall, "separator.max_steps=4", progress=stop, **options)
    with pytest.raises(OutputError, match=r"run: exists already; --overwrite replaces it, --resume goes on"):
        run(hall, "separator.max_steps=4", **options)
    (resumed,) = run(hall, "separator.max_steps=4", existing="resume", **options)
    (whole,) = run(hall, "separator.max_steps=4", out="whole", **options)
    assert resumed.score(wave()) == whole.score(wave())
    (anew,) = run(hall, "separator.max_steps=4", existing="replace", **options)
    assert anew.score(wave()) == whole.score(wave())


def test_a_run_whose_separator_could_not_be_trained_is_no_hindrance(tmp_path, write_hall, run):
    data = write_hall(tmp_path / "data")
    path = sorted((data / "pump" / "supplemental").iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:2_000])
    options = {"system": "log-mel-knn", "machines": ["fan"]}
    with pytest.raises(AudioError, match=re.escape(f"{path}: truncated")):
        run(data, "separation=denoise", **options)
    path.write_bytes(whole)
    assert len(run(data, "separation=denoise", **options)) == 1


def test_resuming_with_another_separator_is_refused(fan, run, separator_file, separator, tmp_path):
    run(fan, "separation=denoise", separator=separator_file)
    network = copy.deepcopy(separator.network)
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    other = Separator(network, settings=separator.settings, summary=separator.summary)
    save_separator(other, tmp_path / "other.soundness")
    with pytest.raises(OutputError, match="run: was started with another separator"):
        run(fan, "separation=denoise", separator=tmp_path / "other.soundness", existing="resume")


def test_the_expected_time_of_a_training_is_logged(fan, run, separator_file, caplog):
    caplog.set_level("INFO", logger="soundness.training")
    run(fan, system="conditional")
    run(fan, system="conditional", separator=separator_file, out="with")
    assert len(caplog.messages) == 2
    assert all(re.fullmatch(r"expected to take up to \d+ (s|min) \(.*\d+ (s|min)\)", line) for line in caplog.messages)


def test_the_time_of_a_separator_is_a_part_of_what_is_logged(hall, run, caplog):
    caplog.set_level("INFO", logger="soundness.training")

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(hall, "separator.minutes=300", system="conditional", progress=stop)
    (line,) = caplog.messages
    assert line == "expected to take up to 300 min (training the separator 300 min)"


# Real recordings


@pytest.fixture(scope="module")
def toycar(real_data, tmp_path_factory) -> Path:
    """A slice of the toy car: 20 + 10 training clips, 4 test clips of each kind."""
    root = tmp_path_factory.mktemp("toycar") / "ToyCar"
    for split, pattern, count in (
        ("train", "section_00_source_*", 20),
        ("train", "section_00_target_*", 10),
        *(
            ("test", f"section_00_{d}_test_{label}_*", 4)
            for d in ("source", "target")
            for label in ("normal", "anomaly")
        ),
    ):
        (root / split).mkdir(parents=True, exist_ok=True)
        paths = sorted((real_data / "toycar" / "ToyCar" / split).glob(pattern))[:count]
        assert len(paths) == count
        for path in paths:
            shutil.copy(path, root / split / path.name)
    return root


def rows(folder):
    """Score, as it was written, by file name."""
    (path,) = folder.glob("anomaly_score_*.csv")
    with path.open(newline="") as file:
        return dict(csv.reader(file))


@pytest.mark.slow
@pytest.mark.parametrize("system", ["conditional", "log-mel-whitened"])
def test_clips_under_blind_names_have_the_same_scores_to_the_last_bit(toycar, tmp_path, system):
    few = ("training.max_steps=10", "training.steps_per_epoch=5", "training.batch_size=16")
    settings = load_settings(system, overrides=few if system == "conditional" else ())
    (detector,) = train(toycar, tmp_path / "run", system=settings)
    paths = sorted((toycar / "test").iterdir())
    order = np.random.default_rng(0).permutation(len(paths))
    blind = tmp_path / "blind"
    blind.mkdir()
    names = {}
    for number, index in enumerate(order):
        names[paths[index].name] = f"section_00_{number:04d}.wav"
        shutil.copy(paths[index], blind / names[paths[index].name])
    detectors = {"ToyCar": detector}
    score(detectors, [toycar], tmp_path / "named", n_workers=1)
    score(detectors, [blind], tmp_path / "nameless", n_workers=2)
    named, nameless = rows(tmp_path / "named"), rows(tmp_path / "nameless")
    assert len(named) == len(set(named.values())) == 16
    assert {names[name]: score for name, score in named.items()} == nameless
    for path in paths[:3]:
        assert float(named[path.name]) == score_clip(load_detector(tmp_path / "run" / "ToyCar.soundness"), path)
