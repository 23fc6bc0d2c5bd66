"""Exported detectors say what their originals say, and nothing that does not is written or run."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from soundness.audio.reading import list_audio
from soundness.detectors.bulk_scoring import score
from soundness.detectors.exported import ExportedDetector, load_exports
from soundness.detectors.saving import save_detector
from soundness.errors import AudioError, BundleError, DataError, ExportError, OutputError
from soundness.evaluation.score_files import read_scores
from soundness.exporting.features import pooled
from soundness.exporting.graph import Graph
from soundness.exporting.scorers import anomaly_score
from soundness.exporting.separator import separated
from soundness.exporting.write import TOLERANCE, export, export_detector
from soundness.representations.statistics import MeanLogMel
from soundness.representations.statistics import pooled as pooled_by_numpy
from soundness.scoring.scorers import SCORERS, TrainingVectors
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.separator import Separator
from soundness.settings.loading import load_settings, system_names
from soundness.settings.system import ScorerSettings


def run_graph(graph, **given):
    """The outputs of a graph, by the library that did not make it."""
    session = onnxruntime.InferenceSession(graph.model({}).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)


@pytest.fixture(scope="module")
def exported(detectors, tmp_path_factory):
    """The export of a small detector, and the folder it lies in."""
    folder = tmp_path_factory.mktemp("export")
    export_detector(detectors["log-mel-whitened"], folder)
    return folder


EXPORTED = [name for name in system_names() if load_settings(name).representation != "discriminative-embedding"]


@pytest.mark.parametrize("system", EXPORTED)
def test_each_system_scores_recordings_as_its_export_does(system, detectors, fan, tmp_path):
    detector = detectors[system]
    made = export_detector(detector, tmp_path, check=[fan / "test"])
    assert made.n_clips == len(list_audio(fan / "test"))
    assert made.largest_difference <= TOLERANCE
    own = ExportedDetector.load(made.graph)
    for clip in list_audio(fan / "test"):
        heard = own.read(clip)
        wanted, answer = detector.score(heard[None]), own.run(heard)
        assert answer.scores[0] == pytest.approx(wanted, rel=1e-4, abs=1e-4)
        assert answer.p_values[0] == detector.p_value(wanted)
        np.testing.assert_allclose(answer.error_maps[0], detector.error_map(heard[None]), rtol=1e-3, atol=1e-3)


def test_a_detector_that_separates_takes_its_separator_along(separating_detector, fan, tmp_path):
    made = export_detector(separating_detector, tmp_path, check=[fan / "test"])
    assert made.n_clips > 0
    assert ExportedDetector.load(made.graph).about["separation"] == "denoise"


@pytest.mark.parametrize("basis", ["stft", "learned"])
@pytest.mark.parametrize("is_causal", [False, True], ids=["looking-ahead", "causal"])
def test_separators_are_exact_on_recordings_of_a_chunk_and_longer(basis, is_causal, small_separator):
    torch.manual_seed(0)
    settings = small_separator(f"basis={basis}", f"causal={str(is_causal).lower()}", "sample_rate=1000")
    separator = Separator(ConvTasNet(settings), settings=settings, summary=None)
    graph = Graph()
    graph.output(
        "machine", separated(separator, graph.input("waveform", np.float32, ["c", "t"])), np.float32, ["c", "t"]
    )
    for n_samples in (1_024, 61_003):  # a chunk is 30 s
        sound = np.random.default_rng(n_samples).normal(scale=0.1, size=(1, n_samples)).astype(np.float32)
        (found,) = run_graph(graph, waveform=sound)
        np.testing.assert_allclose(found, separator.separate(sound)[0], atol=1e-5)


SCORERS_TO_EXPORT = [
    {"distance": "nearest"},
    {"distance": "density-ratio", "normalization": "quantile"},
    {"distance": "mahalanobis", "whitening": "ledoit-wolf"},
    {"distance": "nearest", "n_neighbors": 3, "normalization": "quantile", "normalization_order": "after-min"},
    {
        "distance": "density-ratio",
        "n_neighbors": 2,
        "whitening": "shrunk",
        "is_standardised": True,
        "normalization": "min",
    },
    {"distance": "nearest", "whitening": "shrunk", "normalization": "none", "synthetic_neighbors": 2},
    {"name": "fused", "distance": "density-ratio", "whitening": "shrunk", "normalization": "min"},
    {"distance": "nearest", "whitening": "shrunk", "is_standardised": True, "anomaly_width": 1.0},
    {
        "distance": "density-ratio",
        "whitening": "ledoit-wolf",
        "is_standardised": True,
        "anomaly_width": 2.0,
    },
    {"name": "fused"},
    {"name": "mean"},
]


@pytest.mark.parametrize("chosen", SCORERS_TO_EXPORT, ids=str)
def test_every_scorer_is_exact_in_a_graph(chosen):
    rng = np.random.default_rng(3)
    settings = ScorerSettings(**chosen)
    training = TrainingVectors.from_vectors(
        rng.normal(size=(40, 6)) * np.arange(1, 7),
        np.repeat([0, 1], [32, 8]),
        view_sizes=(4, 2) if settings.name == "fused" else (),
        n_bands=4 if settings.name == "fused" else 6,
    )
    scorer = SCORERS[settings.name].fit(training, settings)
    graph = Graph()
    vectors = graph.input("vectors", np.float64, ["clip", 1, 6])
    graph.output("score", anomaly_score(scorer, vectors), np.float64, ["clip"])
    clips = np.concatenate([3 * rng.normal(size=(20, 1, 6)), training.vectors[:3], np.full((1, 1, 6), 1e3)])
    (found,) = run_graph(graph, vectors=clips)
    np.testing.assert_allclose(found, [scorer.score(clip) for clip in clips], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pooling", ["mean", "quantile-0.3", "quantile-0.95"])
@pytest.mark.parametrize("n_frames", [1, 2, 11, 100])
def test_every_pooling_is_exact_in_a_graph(pooling, n_frames):
    graph = Graph()
    values = graph.input("values", np.float32, ["clip", "mel", "frame"])
    graph.output("view", pooled(values, (pooling,)), np.float64, ["clip", 1, "feature"])
    sound = np.random.default_rng(1).normal(-50, 5, (2, 3, n_frames)).astype(np.float32)
    (found,) = run_graph(graph, values=sound)
    np.testing.assert_allclose(found[:, 0], pooled_by_numpy(sound, [pooling])[0], atol=2e-5)


def test_clips_of_one_length_can_be_scored_together(exported):
    own = load_exports(exported)["fan"]
    clips = np.random.default_rng(0).normal(scale=0.1, size=(5, 7_001)).astype(np.float32)
    together, alone = own.run(clips), [own.run(clip) for clip in clips]
    np.testing.assert_allclose(together.scores, [answer.scores[0] for answer in alone], rtol=1e-9)
    assert together.error_maps.shape == (5, *alone[0].error_maps.shape[1:])


def test_scores_of_the_command_are_those_of_the_original(detectors, exported, fan, tmp_path):
    save_detector(detectors["log-mel-whitened"], tmp_path / "fan.soundness")
    by_torch = score(tmp_path / "fan.soundness", [fan], tmp_path / "torch")
    by_onnx = score(exported, [fan], tmp_path / "onnx", runtime="onnx")
    assert by_onnx.n_scored == by_torch.n_scored == 8
    assert by_onnx.notes == by_torch.notes
    (own,), (wanted,) = read_scores(tmp_path / "onnx"), read_scores(tmp_path / "torch")
    assert own.file_names == wanted.file_names
    np.testing.assert_allclose(own.anomaly_scores, wanted.anomaly_scores, rtol=1e-4, atol=1e-4)
    assert own.decisions.tolist() == wanted.decisions.tolist()
    names = sorted(path.name for path in (tmp_path / "torch").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "onnx").iterdir())
    p_values = "p_value_fan_section_00_test.csv"
    assert (tmp_path / "onnx" / p_values).read_text() == (tmp_path / "torch" / p_values).read_text()


def test_recordings_are_scored_where_there_is_no_torch(exported, fan, tmp_path):
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'safetensors', 'matplotlib']));"
        "import soundness;"
        f"print(soundness.score({str(exported)!r}, [{str(fan)!r}], {str(tmp_path / 'out')!r}, runtime='onnx').n_scored)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "8"


@pytest.mark.parametrize("name", ["fan.onnx", "fan.json"])
def test_what_was_altered_is_refused(name, exported, tmp_path):
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / name
    if name == "fan.json":
        about = json.loads(file.read_text())
        about["threshold"]["value"] += 1.0
        file.write_text(json.dumps(about))
    else:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    with pytest.raises(BundleError, match=r"fan\.onnx: altered since it was exported"):
        load_exports(tmp_path)


def test_a_part_that_cannot_be_exported_is_named(detectors, tmp_path):
    class Loudness(MeanLogMel):
        """A part of somebody's own."""

    detector = detectors["log-mel-knn"]
    own = detector.representation
    changed = replace(detector, representation=Loudness(mean=own.mean, deviation=own.deviation))
    with pytest.raises(
        ExportError, match=r"the representation .*Loudness cannot be exported; what can be is MeanLogMel"
    ):
        export_detector(changed, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_says_something_else_is_not_written(detectors, tmp_path):
    detector = detectors["log-mel-knn"]
    changed = replace(detector, settings=detector.settings.model_copy(update={"log_mel": _wider(detector)}))
    vars(changed)["front_end"] = detector.front_end  # the original still computes the bands that it did before
    with pytest.raises(ExportError, match=r"noise: the detector's score is .*, its export's .* nothing is written"):
        export_detector(changed, tmp_path)
    assert not list(tmp_path.iterdir())


def _wider(detector):
    return detector.settings.log_mel.model_copy(update={"fmin": 300.0})


def test_what_is_too_short_or_not_there_is_one_line(exported, tmp_path):
    own = load_exports(exported)["fan"]
    with pytest.raises(AudioError, match=r"samples of shape \(1, 10\); expected \(clip, time\), 512 or more"):
        own.run(np.zeros(10, np.float32))
    with pytest.raises(BundleError, match="holds no exported detector"):
        load_exports(tmp_path)
    with pytest.raises(BundleError, match="no such file or folder"):
        load_exports(tmp_path / "nothing")


def test_an_export_that_is_there_is_kept(detectors, exported, tmp_path):
    before = (exported / "fan.onnx").read_bytes()
    with pytest.raises(OutputError, match=r"fan\.onnx: exists already"):
        export_detector(detectors["log-mel-knn"], exported)
    assert (exported / "fan.onnx").read_bytes() == before
    with pytest.raises(DataError, match="holds no recordings"):
        export_detector(detectors["log-mel-knn"], tmp_path / "new", check=[tmp_path])
    with pytest.raises(DataError, match="mistyped: no such file or folder"):
        export_detector(detectors["log-mel-knn"], tmp_path / "new", check=[tmp_path / "mistyped"])


def test_exports_of_a_run_go_by_the_names_of_its_machines(detectors, tmp_path):
    save_detector(detectors["log-mel-quantile"], tmp_path / "run" / "fan.soundness")
    (made,) = export(tmp_path / "run", tmp_path / "out")
    assert [made.graph.name, made.about.name] == ["fan.onnx", "fan.json"]
