"""A recording's score is finite, and notes say what a person may want to know."""

import numpy as np
import pytest
import soundfile

from soundness.detectors.verdicts.records import RecordingScore, cut_notes, recording_notes
from soundness.errors import AudioError


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_refused(score):
    with pytest.raises(AudioError, match=r"^its score is -?(nan|inf)$"):
        RecordingScore(anomaly_score=score, threshold=1.0, decision=0, p_value=None, notes=())


@pytest.mark.parametrize(
    ("has_sound", "n_samples", "segment_frames", "expected"),
    [
        (True, 1_792, 8, ()),  # 1 + 1792 / 256 = 8 frames
        (True, 1_791, 8, ("7 frames, shorter than one segment of 8: repeated to fill it",)),
        (True, 1_791, None, ()),
        (False, 1_792, 8, ("digital silence",)),
        (False, 512, 8, ("digital silence", "3 frames, shorter than one segment of 8: repeated to fill it")),
    ],
)
def test_silence_and_short_recordings_are_noted(has_sound, n_samples, segment_frames, expected):
    found = recording_notes(has_sound=has_sound, n_samples=n_samples, hop_length=256, segment_frames=segment_frames)
    assert found == expected


def test_a_recording_that_is_read_in_part_is_noted(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 8_000)
    assert cut_notes(tmp_path / "a.wav", 0.5) == ("only the first 0.5 s of 2 s were scored",)
    assert cut_notes(tmp_path / "a.wav", 2.0) == cut_notes(tmp_path / "a.wav", None) == ()


@pytest.mark.parametrize(
    ("decision", "cannot_tell", "verdict"),
    [(0, "", "normal"), (1, "", "anomalous"), (0, "digital silence", "cannot tell"), (1, "1 s long", "cannot tell")],
)
def test_a_verdict_is_given_only_where_a_decision_holds(decision, cannot_tell, verdict):
    found = RecordingScore(
        anomaly_score=0.5, threshold=1.0, decision=decision, p_value=None, notes=(), cannot_tell=cannot_tell
    )
    assert found.verdict == verdict
