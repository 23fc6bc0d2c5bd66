"""Exported detectors score recordings without PyTorch, and refuse files that were altered."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from soundness.detectors.bulk_scoring import load_any, score
from soundness.detectors.exported import load_exports
from soundness.detectors.saving import save_detector
from soundness.errors import AudioError, BundleError, SettingsError
from soundness.evaluation.score_files import read_scores
from soundness.monitoring.watching.watch import watch


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
        f"print(soundness.score({str(exported)!r}, [{str(fan)!r}], {str(tmp_path / 'out')!r}).n_scored)"
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


def test_what_is_too_short_or_not_there_is_one_line(exported, tmp_path):
    own = load_exports(exported)["fan"]
    with pytest.raises(AudioError, match=r"samples of shape \(1, 10\); expected \(clip, time\), 512 or more"):
        own.run(np.zeros(10, np.float32))
    with pytest.raises(BundleError, match="holds no exported detector"):
        load_exports(tmp_path)
    with pytest.raises(BundleError, match="no such file or folder"):
        load_exports(tmp_path / "nothing")


def test_a_recording_is_scored_as_by_the_original_whole_or_in_part(detectors, exported, fan):
    original, own = detectors["log-mel-whitened"], load_exports(exported)["fan"]
    path = next((fan / "test").glob("*anomaly*"))
    for seconds in (None, 0.25):
        expected = original.score_recording(path, max_seconds=seconds)
        found = own.score_recording(path, max_seconds=seconds)
        assert found.anomaly_score == pytest.approx(expected.anomaly_score, rel=1e-4)
        assert (found.decision, found.p_value, found.notes) == (expected.decision, expected.p_value, expected.notes)
    assert own.calibration_note == original.calibration_note


def test_every_problem_of_a_recording_names_it(exported, tmp_path):
    path = tmp_path / "loud.wav"
    soundfile.write(path, np.full(8_000, 3e38), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"loud\.wav: too loud: its spectrum overflows") as raised:
        load_exports(exported)["fan"].score_recording(path)
    assert raised.value.path == path


def test_an_export_without_an_alarm_rule_says_how_to_get_one(exported):
    with pytest.raises(SettingsError, match="exported without an alarm rule; soundness alarms makes one"):
        load_exports(exported)["fan"].required_rule()


def test_arrays_are_scored_as_by_the_detector_whatever_their_type_and_shape(detectors, exported):
    detector, own = detectors["log-mel-whitened"], load_exports(exported)["fan"]
    rate = detector.settings.audio.sample_rate
    sound = (3_000 * np.random.default_rng(0).standard_normal(rate)).astype(np.int16)
    expected = detector.score(sound[None] / np.float32(32_768))
    for samples in (sound, sound[:, None], sound[None].astype(np.int32) << 16, sound / 32_768):
        for each in (detector, own):
            assert each.score(samples, sample_rate=rate) == pytest.approx(expected, rel=1e-4)
    for each in (detector, own):
        with pytest.raises(AudioError, match="samples of type complex"):
            each.score(sound * 1j)
        with pytest.raises(AudioError, match="recorded at 4000 Hz"):
            each.score(sound, sample_rate=4_000)


def test_exports_are_recognised(exported):
    graph = next(exported.glob("*.onnx"))
    for path in (exported, graph, graph.with_suffix(".json")):
        assert set(load_any(path)) == {"fan"}
    with pytest.raises(SettingsError, match="expected auto, torch or onnx"):
        load_any(exported, "tensorflow")


def test_a_folder_is_watched_by_an_export(exported, fan, tmp_path):
    counts = watch(fan / "test", detector=exported, log=tmp_path / "log.csv", once=True, poll_seconds=0.05)
    assert (counts.n_scored, counts.n_failed) == (8, 0)
