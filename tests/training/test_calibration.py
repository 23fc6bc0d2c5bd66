"""Calibration clips are those that nothing was fitted on, or it is said that they are not."""

import shutil

import numpy as np
import pytest

from monitored import record
from soundness.data.datasets import open_dataset
from soundness.detectors.bulk_scoring import score_clip
from soundness.detectors.saving import load_detector, save_detector
from soundness.errors import DataError
from soundness.settings.loading import load_settings
from soundness.training.calibration import split_machine
from soundness.training.run import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("held") / "fan"
    for seed in range(20):
        domain = "source" if seed < 14 else "target"
        record(folder / "train" / f"section_00_{domain}_train_normal_{seed:04d}_a_1.wav", seed)
    return folder


def split(data, *overrides, seed=0):
    machine = open_dataset(data).machines["fan"]
    return split_machine(machine, load_settings("log-mel-knn", overrides=overrides), seed=seed)


def counts(machine):
    domains = [clip.domain for clip in machine.train]
    return domains.count("source"), domains.count("target")


def test_nothing_is_held_out_unless_it_is_asked_for(data):
    kept, held_out = split(data)
    assert counts(kept) == (14, 6)
    assert held_out.train == ()


@pytest.mark.parametrize(("share", "expected"), [("0.2", (3, 2)), ("0.5", (7, 3)), ("0.01", (2, 2)), ("0.99", (11, 3))])
def test_a_share_of_each_domain_is_held_out_and_enough_are_left(data, share, expected):
    kept, held_out = split(data, "calibration=held-out", f"calibration_share={share}")
    assert counts(held_out) == expected
    assert counts(kept) == (14 - expected[0], 6 - expected[1])
    assert {clip.path for clip in kept.train}.isdisjoint(clip.path for clip in held_out.train)


def test_the_seed_decides_which_clips_are_held_out(data):
    chosen = [split(data, "calibration=held-out", seed=seed)[1].train for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_domain_of_too_few_clips_cannot_be_held_out(data, tmp_path):
    shutil.copytree(data, tmp_path / "fan")
    for path in sorted((tmp_path / "fan" / "train").glob("*target*"))[:2]:
        path.unlink()
    with pytest.raises(DataError, match=r"4 target training clip\(s\) of fan; calibration=held-out needs at least 5"):
        split(tmp_path / "fan", "calibration=held-out")


@pytest.mark.parametrize("system", ["log-mel-whitened", "conditional"])
def test_held_out_clips_calibrate_a_detector_that_was_trained_without_them(data, small, tmp_path, system):
    settings = small(system, "calibration=held-out", "separation=off")
    (detector,) = train(data, tmp_path / "run", system=settings, seed=3)
    _, held_out = split_machine(open_dataset(data).machines["fan"], settings, seed=3)
    scores = {"source": [], "target": []}
    for clip in held_out.train:
        scores[clip.domain].append(score_clip(detector, clip.path))
    for domain, values in scores.items():
        np.testing.assert_allclose(detector.calibration.scores[domain], sorted(values), rtol=1e-6)
    assert detector.calibration.origin == "held-out"
    assert detector.summary.n_clips == {"source": 11, "target": 4}
    bare = tmp_path / "bare" / "fan" / "train"
    bare.mkdir(parents=True)
    for clip in open_dataset(data).machines["fan"].train:
        if clip not in held_out.train:
            shutil.copy(clip.path, bare)
    (alone,) = train(tmp_path / "bare", tmp_path / "run2", system=small(system, "separation=off"), seed=3)
    path = held_out.train[0].path
    assert score_clip(alone, path) == score_clip(detector, path)  # as if they had never been there
    assert alone.threshold.value != detector.threshold.value


@pytest.mark.parametrize(
    ("system", "origin"),
    [("log-mel-whitened", "left-out"), ("conditional", "trained-on"), ("discriminative", "trained-on")],
)
def test_left_out_clips_say_whether_a_network_has_heard_them(data, small, tmp_path, system, origin):
    settings = small(system, "separation=off")
    (detector,) = train(data, tmp_path / "run", system=settings)
    assert detector.calibration.origin == origin
    assert detector.calibration.n_clips == {"source": 14, "target": 6}
    assert detector.calibration.notes[0] in detector.summary.notes
    save_detector(detector, tmp_path / "d.soundness")
    read = load_detector(tmp_path / "d.soundness")
    for domain, scores in detector.calibration.scores.items():
        assert read.calibration.scores[domain].tolist() == scores.tolist()
    assert (read.calibration.origin, read.calibration.notes) == (origin, detector.calibration.notes)
