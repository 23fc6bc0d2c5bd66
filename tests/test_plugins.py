"""A user's own part comes by import path, and is refused by name where it does not fit its role."""

import re
import sys

import pytest

from soundness.benchmarking.jobs import is_random
from soundness.benchmarking.submission_package import describe_system
from soundness.data.datasets import open_dataset
from soundness.detectors.saving import load_detector
from soundness.errors import BundleError, SettingsError
from soundness.plugins import ALLOWED_VARIABLE, find_part, methods_of
from soundness.representations.protocol import find_representation
from soundness.scoring.baselines import MeanScorer
from soundness.scoring.protocol import Scorer
from soundness.scoring.scorers import SCORERS, find_scorer
from soundness.training.duration import expected_seconds
from soundness.training.run import train

MODULE = """
from dataclasses import replace

import numpy as np
import torch

from soundness.representations.protocol import Fitted, NetworkFit, NetworkPlan
from soundness.representations.statistics import MeanLogMel
from soundness.scoring.baselines import MeanScorer


class Plain(torch.nn.Module):
    def __init__(self, settings, *, n_mels, n_conditions):
        super().__init__()
        self.layer = torch.nn.Linear(n_mels + n_conditions, n_mels)

    def forward(self, segments, conditions):
        expanded = conditions[:, None].expand(-1, segments.shape[2], -1)
        return self.layer(torch.cat([segments.transpose(1, 2), expanded], dim=2)).transpose(1, 2)


class LargestBand(MeanLogMel):
    @classmethod
    def fit(cls, machines, settings, context):
        bands = np.zeros(settings.log_mel.n_mels, np.float32)
        return [Fitted(representation=cls(mean=bands, deviation=bands + 1)) for machine in machines]

    def vectors(self, clip):
        return clip.reference.mean(axis=-1).max()[None, None]


class Network(LargestBand):
    @classmethod
    def fit(cls, machines, settings, context):
        network = NetworkFit(n_parameters=3, n_steps=7, train_loss=0.5)
        return [replace(fitted, network=network) for fitted in super().fit(machines, settings, context)]

    @classmethod
    def network_plan(cls, settings):
        return NetworkPlan(name="small network", segment_frames=20, n_steps=7, seconds_per_step=lambda: 2.0)


class InTensors(LargestBand):
    def vectors(self, clip):
        return torch.from_numpy(super().vectors(clip))


class NotFitted:
    from_arrays, arrays, vectors = MeanLogMel.from_arrays, MeanLogMel.arrays, MeanLogMel.vectors
    error_map, network_plan = MeanLogMel.error_map, MeanLogMel.network_plan


class Highest(MeanScorer):
    def score(self, vectors):
        return float(vectors.max())


class Deaf:
    def score(self, vectors):
        return 0.0


class Cramped(MeanScorer):
    def score(self):
        return 0.0


class NoModule:
    def __init__(self, settings, *, n_mels, n_conditions):
        pass

    def forward(self, segments, conditions):
        pass


class Narrow(torch.nn.Module):
    def __init__(self, settings):
        super().__init__()

    def forward(self, segments, conditions):
        return segments


number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module of a user's own, which is imported nowhere so far."""
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield name
    sys.modules.pop(name, None)


def test_a_name_of_the_package_is_found_before_anything_is_imported():
    assert find_scorer("mean") is MeanScorer
    learning = {"fit", "from_arrays", "arrays", "score", "left_out_scores", "notes"}
    assert methods_of(Scorer).keys() == learning | {"nearest", "contributions", "enrolled"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "scorer={}:Deaf",
            r"scorer\.name: .*:Deaf lacks fit, from_arrays, arrays, left_out_scores, notes, nearest, "
            r"contributions, enrolled; its role",
        ),
        ("scorer={}:Cramped", r"scorer\.name: .*:Cramped: score is called as score\(self, vectors.*\)"),
        ("scorer={}:Absent", r"scorer\.name: .*: no class Absent in mine_"),
        ("scorer={}:number", r"scorer\.name: .*: no class number in mine_"),
        (
            "scorer=no_such_module:Mine",
            r"scorer\.name: no_such_module:Mine: No module named 'no_such_module'; .*PYTHONPATH",
        ),
        ("scorer=not a path:Mine", r"scorer\.name: 'not a path:Mine' is no import path; expected module:Class"),
        ("scorer=:Mine", r"scorer\.name: ':Mine' is no import path"),
        ("scorer={}:", r"scorer\.name: '.*:' is no import path"),
        ("autoencoder={}:NoModule", r"autoencoder\.name: .*:NoModule is no torch\.nn\.Module"),
        (
            "autoencoder={}:Narrow",
            r"autoencoder\.name: .*:Narrow: __init__ is called as __init__\(self, settings.*n_mels",
        ),
        ("representation={}:NotFitted", r"representation: .*:NotFitted lacks fit"),
        (
            "representation={}:Deaf",
            r"representation: .*:Deaf lacks fit, from_arrays, arrays, vectors, error_map, network",
        ),
    ],
)
def test_a_class_that_does_not_fit_is_refused_in_one_line(fan, small, tmp_path, mine, override, message):
    settings = small("conditional", override.format(mine))
    with pytest.raises(SettingsError, match=message) as caught:
        train(fan, tmp_path / "run", system=settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_part_of_ones_own_is_trained_saved_and_read_back(fan, small, tmp_path, mine, waveform):
    settings = small("conditional", f"autoencoder={mine}:Plain", f"scorer={mine}:Highest")
    (detector,) = train(fan, tmp_path / "run", system=settings)
    assert type(detector.scorer).__name__ == "Highest"
    assert (
        detector.summary.n_parameters == (16 + 4) * 16 + 16
    )  # conditioned on one of two speeds and one of two domains
    again = load_detector(tmp_path / "run" / "fan.soundness")
    assert again.settings.autoencoder.name == f"{mine}:Plain"
    assert again.score(waveform) == detector.score(waveform)


def test_a_representation_of_ones_own_brings_its_fit(fan, small, tmp_path, mine, waveform):
    settings = small("log-mel-knn", f"representation={mine}:LargestBand")
    (detector,) = train(fan, tmp_path / "run", system=settings)
    expected = detector.spectrograms(waveform).reference.mean(axis=-1).max()
    assert detector.representation.vectors(detector.spectrograms(waveform)).tolist() == [[float(expected)]]
    assert load_detector(tmp_path / "run" / "fan.soundness").score(waveform) == detector.score(waveform)


def test_a_representation_that_gives_tensors_is_refused_by_name(fan, small, tmp_path, mine):
    settings = small("log-mel-knn", f"representation={mine}:InTensors")
    message = "representation: InTensors.vectors gives a Tensor; expected a NumPy array of shape (condition, feature)"
    with pytest.raises(SettingsError, match=f"^{re.escape(message)}$"):
        train(fan, tmp_path / "run", system=settings)


def test_what_a_part_of_the_package_needs_and_lacks_is_no_fault_of_the_settings():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        find_part("ours", {"ours": "no_such_package.module:Part"}, key="representation", methods={})


def test_a_file_imports_nothing_that_was_not_allowed(fan, small, tmp_path, mine, waveform, monkeypatch):
    settings = small("log-mel-knn", f"scorer={mine}:Highest")
    (detector,) = train(fan, tmp_path / "run", system=settings)
    file = tmp_path / "run" / "fan.soundness"
    sys.modules.pop(mine)
    message = f"{file}: it needs {mine}:Highest, which is not part of soundness: import {mine} first, or set "
    with pytest.raises(BundleError, match=f"^{re.escape(message)}{ALLOWED_VARIABLE}={mine}"):
        load_detector(file)
    assert mine not in sys.modules
    monkeypatch.setenv(ALLOWED_VARIABLE, f"other, {mine}")
    assert load_detector(file).score(waveform) == detector.score(waveform)


def test_a_file_whose_part_is_gone_is_refused_by_name(fan, small, tmp_path, mine, monkeypatch):
    train(fan, tmp_path / "run", system=small("log-mel-knn", f"scorer={mine}:Highest"))
    sys.modules.pop(mine)
    (tmp_path / "modules" / f"{mine}.py").unlink()
    monkeypatch.setenv(ALLOWED_VARIABLE, mine)
    with pytest.raises(BundleError, match=rf"fan\.soundness: .*{mine}:Highest: No module named") as caught:
        load_detector(tmp_path / "run" / "fan.soundness")
    assert "\n" not in str(caught.value)


def test_a_module_that_fails_to_import_another_is_refused_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "leaning.py").write_text("import no_such_module_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="leaning:Mine: No module named 'no_such_module_at_all'"):
        find_part("leaning:Mine", SCORERS, key="scorer.name", methods={})


def test_the_representations_of_the_package_are_found_by_name():
    assert find_representation("mean-log-mel").__name__ == "MeanLogMel"
    with pytest.raises(SettingsError, match=r"representation: no 'dreams'; there are .*module:Class"):
        find_representation("dreams")


def test_a_representation_of_ones_own_with_a_network_is_treated_as_one(fan, small, tmp_path, mine, waveform):
    settings = small("log-mel-knn", f"representation={mine}:Network", "scope=shared")
    (detector,) = train(fan, tmp_path / "run", system=settings)
    assert (detector.summary.n_steps, detector.summary.n_parameters, detector.summary.train_loss) == (7, 3, 0.5)
    assert not detector.calibration.is_valid  # the network was trained on these clips
    assert is_random(settings)
    machines = list(open_dataset(fan).machines.values())
    assert expected_seconds(settings, machines) - expected_seconds(small("log-mel-knn"), machines) == 7 * 2.0
    assert "shorter than one segment of 20: repeated to fill it" in detector.notes(waveform[:, :2_000])[0]
    description = describe_system(settings, uses_attributes=False)
    assert description.machine_learning_method == f"small network, {settings.scorer.name}"


def test_a_system_without_a_network_has_none_to_share(fan, small, tmp_path):
    with pytest.raises(SettingsError, match="scope is 'shared', but there is no network to share"):
        train(fan, tmp_path / "run", system=small("log-mel-knn", "scope=shared"))
