"""An explained clip has its nearest normal recording, and notes."""

from dataclasses import replace

import numpy as np
import soundfile

from monitored import TONE_HZ, write_fan
from soundness.detectors.reader import read_recording
from soundness.detectors.saving import load_detector, save_detector
from soundness.monitoring.enrolment import enroll
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_page import score_scale


def test_normal_clips_survive_the_file_and_older_files_do_without_them(workshop_detector, anomalous_clip, tmp_path):
    kept = workshop_detector.normal_clips
    assert len(kept.names) == len(kept.means) == 12
    assert kept.nearest(kept.means[3] + 0.001, 2)[0] == 3
    assert kept.concatenate(kept).names[12:] == kept.names
    older = replace(workshop_detector, normal_clips=None)
    save_detector(older, tmp_path / "older.soundness")
    explained = explain_recording(load_detector(tmp_path / "older.soundness"), anomalous_clip, normal=None)
    assert explained.nearest is None
    assert any("did not remember its clips" in note for note in explained.notes)
    assert explained.explanation.normality == "the mean of all training frames"
    assert explained.regions[0].fmin < TONE_HZ < explained.regions[0].fmax


def test_the_nearest_recording_is_found_by_name_and_checked_by_level(
    workshop_detector, workshop, anomalous_clip, tmp_path
):
    elsewhere = tmp_path / "moved.wav"
    elsewhere.write_bytes(anomalous_clip.read_bytes())
    (note,) = explain_recording(workshop_detector, elsewhere, normal=None).notes
    assert "is not found beside the clip; name its folder with --normal" in note
    found = explain_recording(workshop_detector, elsewhere, normal=workshop)
    assert found.notes == ()
    assert found.nearest.log_mel.shape[0] == 32
    impostor = tmp_path / "normal" / found.nearest.name.rpartition("/")[2]
    impostor.parent.mkdir()
    impostor.write_bytes(anomalous_clip.read_bytes())
    other = explain_recording(workshop_detector, elsewhere, normal=tmp_path)
    assert other.nearest is None
    assert "the recording of that name is another one" in other.notes[0]


def test_of_a_training_clip_nobody_can_tell(workshop_detector, workshop, tmp_path):
    copy = tmp_path / "copy.wav"
    copy.write_bytes((workshop / "fan" / "normal" / "clip_103.wav").read_bytes())
    explained = explain_recording(workshop_detector, copy, normal=workshop)
    assert explained.score.verdict == "cannot tell"
    assert explained.sentences == ("The detector was trained on it, so it looks more normal than it is.",)
    assert explained.checks == ("Explain a recording that the detector was not trained on.",)
    assert explained.regions == ()


def test_an_enrolled_clip_that_is_the_nearest_has_its_name_and_its_recording(
    workshop_detector, anomalous_clip, tmp_path
):
    later = tmp_path / "later" / "monday.wav"
    later.parent.mkdir()
    samples, rate = soundfile.read(anomalous_clip)
    soundfile.write(later, 0.97 * samples, rate)
    enrolled = enroll(workshop_detector, [later], condition="b", force=True).detector
    explained = explain_recording(enrolled, anomalous_clip, normal=tmp_path)
    assert explained.nearest.name == "later/monday.wav"
    assert explained.notes == ()


def test_the_separated_machine_sound_is_explained(separating_detector, fan):
    path = next((fan / "test").glob("*anomaly*"))
    explained = explain_recording(separating_detector, path, normal=None)
    waveform = read_recording(path, separating_detector.settings)
    np.testing.assert_array_equal(explained.machine_sound, separating_detector.separator.separate(waveform)[0, 0])
    assert explained.nearest is not None


def test_the_p_value_of_a_short_recording_is_explained_by_clips_of_its_length(workshop_detector, tmp_path):
    samples, rate = soundfile.read(write_fan(tmp_path / "whole", seed=300))
    short = workshop_detector.lengths.short
    for seconds in short:
        path = tmp_path / f"{seconds}.wav"
        soundfile.write(path, samples[: round(seconds * rate)], rate)
        explained = explain_recording(workshop_detector, path, normal=None)
        score, (scores,) = explained.score, short[seconds].used.values()
        n_above = int((scores >= score.anomaly_score).sum())
        assert (1 + n_above) / (1 + len(scores)) == score.p_value
        assert f"of {len(scores)} normal clips {n_above or 'none'} scored" in explained.p_value_words
        others = workshop_detector.calibration.used.values()
        assert [(own >= score.anomaly_score).sum() for own in others] != [n_above]  # of whole clips
        marks = score_scale(explained)["normal"]
        assert len(marks) == len(set(scores.tolist()))
