"""Fresh normal clips make other p-values and another threshold, and touch nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from monitored import record, rule
from soundness.detectors.bulk_scoring import score_clip
from soundness.errors import AudioError, DataError
from soundness.monitoring.recalibration import calibrate


@pytest.fixture
def fresh(tmp_path):
    return [record(tmp_path / "fresh" / f"{seed}.wav", seed) for seed in range(100, 112)]


def test_fresh_clips_replace_the_calibration_the_threshold_and_the_rule(calibrated, fresh):
    before = replace(calibrated[0], alarm_rule=rule())
    after = calibrate(before, [fresh[0].parent])
    scores = np.sort([score_clip(before, path) for path in fresh])
    assert after.calibration.scores.keys() == {""}
    assert after.calibration.scores[""].tolist() == scores.tolist()
    assert after.threshold.value == scores[-1]  # 13 * 0.1 = 1.3: one of 13 may lie above it, the new one
    assert after.calibration.origin == "fresh"
    assert after.alarm_rule is None
    assert before.alarm_rule is not None
    assert score_clip(after, fresh[0]) == score_clip(before, fresh[0])


def test_the_clips_of_one_domain_leave_the_others_as_they_are(calibrated, fresh):
    detector = calibrated[0]
    after = calibrate(detector, fresh, domain="target")
    assert after.calibration.n_clips == {"source": 24, "target": 12}
    assert after.calibration.scores["source"].tolist() == detector.calibration.scores["source"].tolist()
    assert after.calibration.origin == "left-out"  # as the weaker of the two
    assert calibrate(detector, fresh, domain="source").calibration.origin == "fresh"


def test_names_tell_domains_where_none_is_given(calibrated, fresh):
    renamed = [
        path.rename(path.with_name(f"section_00_{'source' if index < 7 else 'target'}_test_normal_{index:04d}_a.wav"))
        for index, path in enumerate(fresh)
    ]
    assert calibrate(calibrated[0], renamed).calibration.n_clips == {"source": 7, "target": 5}


def test_progress_is_told(calibrated, fresh):
    told = []
    calibrate(calibrated[0], fresh, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]


def test_clips_that_are_called_training_clips_are_noted(calibrated, fresh):
    assert not any("called training clips" in note for note in calibrate(calibrated[0], fresh).calibration.notes)
    fresh[0] = fresh[0].rename(fresh[0].with_name("section_00_source_train_normal_0000_a.wav"))
    notes = calibrate(calibrated[0], fresh, domain="source").calibration.notes
    assert notes[-1].startswith("1 clip(s) are called training clips (section_00_source_train_normal_0000_a.wav)")


def test_a_domain_that_is_lost_or_new_is_noted(calibrated, fresh):
    lost = calibrate(calibrated[0], fresh).calibration.notes
    assert "no clips of source: p-values no longer count it" in lost
    new = calibrate(calibrated[0], fresh, domain="Target").calibration.notes
    assert "Target: new beside source; a p-value is the largest over all of them" in new


def test_a_training_clip_under_another_name_is_refused(calibrated, fresh):
    detector, file = calibrated
    known = sorted((file.parents[1] / "data" / "fan" / "train").glob("*.wav"))[0]
    copy = fresh[0].with_name("mine.wav")
    copy.write_bytes(known.read_bytes())
    with pytest.raises(DataError, match=rf"mine\.wav: the same recording as .*{known.name}, which is normal clip 1"):
        calibrate(detector, [*fresh, copy])


def test_an_anomalous_clip_is_refused(calibrated, fresh):
    record(fresh[0].parent / "section_00_source_test_anomaly_0000_a.wav", is_anomalous=True)
    with pytest.raises(DataError, match=r"test_anomaly_0000_a\.wav: labelled anomalous; .* by normal clips alone"):
        calibrate(calibrated[0], [fresh[0].parent])


def test_a_clip_that_cannot_be_used_is_refused_by_name(calibrated, fresh):
    fresh[3].write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"103\.wav: not audio"):
        calibrate(calibrated[0], fresh)


def test_a_single_clip_is_too_few(calibrated, fresh):
    with pytest.raises(DataError, match="1 target clip to calibrate by; at least 2 are needed"):
        calibrate(calibrated[0], fresh[:1], domain="target")


def test_paths_may_come_one_by_one(calibrated, fresh):
    detector, _ = calibrated
    listed = calibrate(detector, fresh).calibration.scores
    iterated = calibrate(detector, iter(fresh)).calibration.scores
    assert {name: list(scores) for name, scores in iterated.items()} == {
        name: list(scores) for name, scores in listed.items()
    }
