"""An export is calibrated, tested for drift, given a rule, explained and extended as the detector's own file is."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

import soundness
from monitored import SMALL_EARS, hum_at, record
from soundness.detectors.bulk_scoring import load_any
from soundness.detectors.saving import load, load_detector
from soundness.errors import BundleError, DataError, OutputError, SettingsError
from soundness.exporting.write import export_detector
from soundness.monitoring.alarm_proposals import alarms
from soundness.monitoring.alarm_rules import AlarmRequest
from soundness.monitoring.drift_report import drift
from soundness.monitoring.enrolment import enroll
from soundness.monitoring.recalibration import calibrate
from soundness.reports.explanation import explain


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A detector of the default system, trained by 24 clips: its file, its export and its recordings."""
    root = tmp_path_factory.mktemp("places")
    for seed in range(24):
        record(root / "normal" / f"{seed:02d}.wav", seed)
    for seed in range(100, 112):
        record(root / "fresh" / f"{seed}.wav", seed)
    record(root / "anomalous.wav", 5, is_anomalous=True)
    (detector,) = soundness.train(
        root / "normal", root / "run", system=soundness.load_settings("soundness", overrides=SMALL_EARS)
    )
    export_detector(detector, root / "export")
    return root


@pytest.fixture(scope="module")
def own(places):
    return next((places / "run").glob("*.soundness"))


@pytest.fixture(scope="module")
def graph(places):
    return next((places / "export").glob("*.onnx"))


def test_a_detector_without_a_network_is_rebuilt_from_its_export_to_the_last_bit(own, graph, places):
    before, (after,) = load_detector(own), load(graph).values()
    for path in sorted((places / "fresh").iterdir()):
        assert after.score_recording(path) == before.score_recording(path)
    for name in ("settings", "threshold", "summary", "form", "alarm_rule", "machine_type"):
        assert getattr(after, name) == getattr(before, name)
    assert after.normal_clips.about() == before.normal_clips.about()
    for name, array in before.normal_clips.arrays().items():
        np.testing.assert_array_equal(after.normal_clips.arrays()[name], array)


@pytest.mark.parametrize("place", ["folder", "graph", "metadata"])
def test_fresh_clips_calibrate_it(place, own, graph, places, tmp_path):
    path = {"folder": graph.parent, "graph": graph, "metadata": graph.with_suffix(".json")}[place]
    found = calibrate(path, places / "fresh", tmp_path / "new.soundness")
    expected = calibrate(own, places / "fresh")
    assert found.threshold == expected.threshold
    assert found.calibration.notes == expected.calibration.notes
    for name, scores in expected.calibration.scores.items():
        np.testing.assert_array_equal(found.calibration.scores[name], scores)
    assert found.lengths.short.keys() == expected.lengths.short.keys()
    assert load_detector(tmp_path / "new.soundness").threshold == expected.threshold


def test_what_is_made_of_an_export_is_a_detectors_file(graph, places, tmp_path):
    for name in ("new.onnx", "new.json"):
        with pytest.raises(
            OutputError, match=r"the file of a detector \(\.soundness\) is expected, of which soundness"
        ):
            calibrate(graph, places / "fresh", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_training_clip_is_known_under_another_name(own, graph, places, tmp_path):
    copy = tmp_path / "new.wav"
    copy.write_bytes((places / "normal" / "03.wav").read_bytes())
    (exported,) = load_any(graph).values()
    found, expected = exported.score_recording(copy), load_detector(own).score_recording(copy)
    assert found.trained_on == expected.trained_on == "normal/03.wav"
    assert found.verdict == expected.verdict == "cannot tell"
    assert exported.score_recording(places / "fresh" / "100.wav").trained_on == ""
    report = soundness.score(graph, copy)
    assert report.n_known == 1
    assert report.notes[0].startswith("one of these is a clip that the detector was trained on")
    with pytest.raises(DataError, match=r"the same recording as normal/03\.wav"):
        calibrate(graph, [copy, places / "fresh"])


def test_drift_is_measured(own, graph, places, tmp_path):
    louder = [hum_at(tmp_path / f"{seed}.wav", 400, seed, gain=2.0) for seed in range(50, 58)]
    for clips in (louder, places / "fresh"):
        assert drift(graph, clips).as_json() == drift(own, clips).as_json()
    assert drift(graph, louder).drift.answer == "microphone gain changed"


def test_alarms_are_planned(own, graph, places, tmp_path):
    request = AlarmRequest(false_alarms="1/hour", clip_every="10min", longest=6)
    for recordings in ((), places / "fresh"):
        found = alarms(graph, request, recordings=recordings, out=tmp_path / "ruled.soundness", overwrite=True)
        assert found == alarms(own, request, recordings=recordings)
    assert load_detector(tmp_path / "ruled.soundness").alarm_rule == found.rule


def test_a_recording_is_explained(own, graph, places, tmp_path):
    files = [
        explain(path, places / "anomalous.wav", tmp_path / path.suffix[1:], normal=places / "normal")
        for path in (graph, own)
    ]
    found, expected = (replace(each, page=each.page.read_text(), picture=each.picture.read_bytes()) for each in files)
    assert found == expected
    assert found.score.verdict == "anomalous"


def test_clips_are_enrolled(own, graph, tmp_path):
    new = [hum_at(tmp_path / "new" / f"{seed}.wav", 900, seed) for seed in range(100, 108)]
    found, expected = (enroll(path, new, condition="faster", force=True).detector for path in (graph, own))
    assert found.threshold == expected.threshold
    np.testing.assert_array_equal(found.calibration.scores["faster"], expected.calibration.scores["faster"])


def test_of_a_network_an_export_has_the_graph_alone(detectors, fan, tmp_path):
    export_detector(detectors["unconditional"], tmp_path)
    with pytest.raises(BundleError, match="the export of a detector with a network or a separator, of which it holds"):
        explain(tmp_path, next((fan / "test").iterdir()), tmp_path / "why")
    (exported,) = load_any(tmp_path).values()
    known = next((fan / "train").iterdir())
    assert exported.score_recording(known).trained_on == f"train/{known.name}"


def test_a_part_that_is_missing_is_named(graph, places, tmp_path):
    import onnx
    from onnx.helper import set_model_props

    model, about = onnx.load(graph), json.loads(graph.with_suffix(".json").read_text())
    set_model_props(model, {each.key: each.value for each in model.metadata_props if each.key == "soundness"})
    content = model.SerializeToString()
    (tmp_path / "fan.onnx").write_bytes(content)
    (tmp_path / "fan.json").write_text(json.dumps(about | {"sha256": hashlib.sha256(content).hexdigest()}))
    assert soundness.score(tmp_path, places / "fresh").n_scored == 12
    with pytest.raises(BundleError, match=r'its graph carries no "parts".*: export the detector anew'):
        drift(tmp_path, places / "fresh")


def test_an_export_of_what_keeps_no_clips_recognises_none_and_says_so(own, places, tmp_path):
    export_detector(replace(load_detector(own), normal_clips=None), tmp_path)
    (exported,) = load_any(tmp_path).values()
    assert exported.score_recording(places / "normal" / "03.wav").trained_on == ""
    with pytest.raises(SettingsError, match="holds no band statistics of its training clips"):
        drift(tmp_path, places / "fresh")
