"""Each recording is scored by the detector of its machine, and notes say what was left out or assumed."""

from dataclasses import replace
from pathlib import Path

import pytest

from soundness.data.clips import describe_clip
from soundness.detectors.assignment import assign
from soundness.errors import DataError


@pytest.fixture
def fan_detector(detectors):
    return detectors["log-mel-knn"]


def clip(path, machine_type="fan", split="test"):
    return describe_clip(Path(path), machine_type=machine_type, split=split)


def machines(assigned):
    return [(each.path.name, detector.machine_type) for each, detector in assigned]


def test_several_detectors_take_the_clips_of_their_machines(fan_detector):
    both = {"fan": fan_detector, "pump": replace(fan_detector, machine_type="pump")}
    assigned, notes = assign([clip("a.wav", "pump"), clip("b.wav", "fan")], both)
    assert machines(assigned) == [("a.wav", "pump"), ("b.wav", "fan")]
    assert notes == []


def test_one_detector_takes_all_recordings(fan_detector):
    assigned, notes = assign([clip("a.wav", ""), clip("b.wav", "pump")], {"fan": fan_detector})
    assert machines(assigned) == [("a.wav", "fan"), ("b.wav", "fan")]
    assert notes == ["pump: scored by the detector of fan"]


def test_one_detector_beside_clips_of_its_own_machine_takes_the_nameless_and_leaves_others(fan_detector):
    clips = [clip("a.wav", "fan"), clip("b.wav", ""), clip("c.wav", "pump")]
    assigned, notes = assign(clips, {"fan": fan_detector})
    assert machines(assigned) == [("a.wav", "fan"), ("b.wav", "fan")]
    assert notes == ["pump: no detector, not scored"]


def test_training_clips_of_a_data_set_are_left_out_with_a_note(fan_detector):
    assigned, notes = assign([clip("a.wav", "fan", "train"), clip("b.wav", "")], {"fan": fan_detector})
    assert machines(assigned) == [("b.wav", "fan")]
    assert notes[0].startswith("fan: has no test clips, and its training clips, which a detector knows, are not scored")


def test_training_clips_alone_are_refused(fan_detector):
    with pytest.raises(DataError, match=r"fan: has no test clips.*; name their folder itself to score them"):
        assign([clip("fan/normal/a.wav", "fan", "train")], {"fan": fan_detector})


def test_a_machine_is_known_by_any_of_its_folders(fan_detector):
    both = {"fan": fan_detector, "pump": replace(fan_detector, machine_type="pump")}
    assigned, notes = assign([clip("a.wav", "hall/pump"), clip("b.wav", "fan/left")], both)
    assert machines(assigned) == [("a.wav", "pump"), ("b.wav", "fan")]
    assert notes == []


def test_recordings_without_any_detector_are_refused(fan_detector):
    both = {"fan": fan_detector, "pump": replace(fan_detector, machine_type="pump")}
    with pytest.raises(DataError, match="no detector for valve; there are detectors for fan, pump"):
        assign([clip("a.wav", "valve")], both)


def test_two_recordings_of_one_name_get_keys_of_their_own(fan_detector):
    clips = [replace(clip(path), key=key) for path, key in (("d/b/x.wav", "b/x.wav"), ("d/a/x.wav", "a/x.wav"))]
    clips += [replace(clip("e/b/y.wav"), key="b/y.wav"), clip("f/z.wav"), clip("g/z.wav")]
    assigned, _ = assign(clips, {"fan": fan_detector})
    assert [each.key for each, _ in assigned] == ["b/x.wav", "a/x.wav", "y.wav", "f/z.wav", "g/z.wav"]


def test_nothing_is_refused(fan_detector):
    with pytest.raises(DataError, match="nothing to score"):
        assign([], {"fan": fan_detector})


def test_normal_recordings_beside_a_folder_of_anomalous_ones_are_named(fan_detector, tmp_path):
    for name in ("a.wav", "faulty/b.wav"):
        (tmp_path / "fan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fan" / name).touch()
    _, notes = assign([clip(tmp_path / "fan/faulty/b.wav")], {"fan": fan_detector})
    assert notes == [
        f"recordings in {tmp_path / 'fan'} itself: count as training clips, which are not scored; name the files, too, "
        "to score them"
    ]
