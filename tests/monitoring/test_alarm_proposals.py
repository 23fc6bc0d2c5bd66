"""A rule is proposed where it can be trusted, and refused, with what can be, where it cannot."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from monitored import RATE, hum, record
from soundness.detectors.bulk_scoring import score_clip
from soundness.errors import AudioError, DataError, SettingsError
from soundness.monitoring.alarm_proposals import p_values_of, propose_alarms, with_correlations
from soundness.monitoring.alarm_rules import AlarmRequest, candidate_rules
from soundness.scoring.decisions.calibration import Calibration

REQUEST = AlarmRequest(false_alarms="1/hour", clip_every="10s", longest=6)


def calibrated_by(detector, *, origin="fresh", **counts):
    rng = np.random.default_rng(0)
    scores = {name: rng.normal(size=count) for name, count in counts.items()}
    return detector.calibrated(Calibration.from_scores(scores, origin=origin))


def proposed(detector, p_values=()):
    return propose_alarms(detector, REQUEST, p_values=p_values, rng=np.random.default_rng(0))


def test_without_a_recording_it_is_said_that_independence_is_taken_on_trust(calibrated):
    proposal = proposed(calibrated_by(calibrated[0], source=200, target=40))
    assert proposal.replay is None
    assert proposal.rule.bound_per_day <= 24.0
    assert any("has not been checked; --recording" in note for note in proposal.notes)
    assert any(
        note.startswith("single clips would raise 8.78/hour at the least") for note in proposal.notes
    )  # 360 / 41


def test_a_recording_of_independent_clips_confirms_the_rule(calibrated):
    detector = calibrated_by(calibrated[0], normal=200)
    p_values = np.random.default_rng(1).uniform(size=4_000).tolist()
    proposal = proposed(detector, p_values)
    without = proposed(detector).rule
    assert (proposal.rule.n_anomalous, proposal.rule.n_clips) == (without.n_anomalous, without.n_clips)
    assert proposal.rule.p_value == pytest.approx(without.p_value, rel=0.2)
    assert np.abs(proposal.rule.correlations).max() < 0.1
    assert proposal.replay.n_clips == 4_000
    assert proposal.replay.per_day <= 24.0


def test_a_rule_that_fails_on_the_recording_is_passed_over_for_one_that_does_not(calibrated):
    detector = calibrated_by(calibrated[0], normal=2_000)
    p_values = np.random.default_rng(1).uniform(0.2, 1.0, size=4_000)
    first = proposed(detector).rule
    for _ in range(4):  # bursts that are just long enough for the first rule, whose bound counts with them
        for start in range(0, 4_000, 310):
            p_values[start : start + first.n_anomalous] = first.p_value
        first = candidate_rules(detector.calibration, with_correlations(REQUEST, p_values.tolist()))[0]
    proposal = proposed(detector, p_values.tolist())
    assert proposal.rule != first
    assert proposal.replay.n_alarms == 0 or proposal.replay.per_day <= 24.0
    assert any(f"{first} would have kept to the rate by its bound" in note for note in proposal.notes)


def test_a_recording_on_which_every_rule_fails_is_told_of(calibrated):
    p_values = np.where(np.arange(4_000) % 100 < 20, 0.0002, 0.9).tolist()
    with pytest.raises(SettingsError, match=r"1/hour cannot be kept on the recording.*40 alarm\(s\) in 4000 clips"):
        proposed(calibrated_by(calibrated[0], normal=5_000), p_values)


def test_a_recording_too_short_for_the_rate_says_what_it_supports(calibrated):
    proposal = proposed(calibrated_by(calibrated[0], normal=200), [0.9] * 60)
    (note,) = [note for note in proposal.notes if "60 clips in a row support no rate below" in note]
    assert "18/hour" in note  # none in ten minutes: 2.996 of a Poisson count


def test_clips_that_the_network_was_trained_on_promise_nothing(calibrated):
    with pytest.raises(SettingsError, match=r"clips that its network was trained on.*soundness calibrate"):
        proposed(calibrated_by(calibrated[0], origin="trained-on", normal=500))


def test_a_detector_of_an_earlier_version_is_not_calibrated(calibrated):
    detector = replace(calibrated[0], calibration=None)
    with pytest.raises(SettingsError, match="is not calibrated; soundness calibrate"):
        proposed(detector)


def test_a_folder_is_replayed_in_the_order_of_its_names_and_a_long_recording_in_pieces(calibrated, tmp_path):
    detector = calibrated[0]
    pieces = [hum(700 + seed, is_anomalous=seed == 2, seconds=0.5) for seed in range(4)]
    for index in (2, 0, 3, 1):
        record(tmp_path / "clips" / f"{index}.wav")
        soundfile.write(tmp_path / "clips" / f"{index}.wav", pieces[index], RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "long.wav", np.concatenate([*pieces, hum(9, seconds=0.2)]), RATE, subtype="FLOAT")
    of_clips = p_values_of(detector, [tmp_path / "clips"], clip_every_seconds=0.5)
    assert of_clips == [detector.p_value(score_clip(detector, tmp_path / "clips" / f"{i}.wav")) for i in range(4)]
    assert p_values_of(detector, [tmp_path / "long.wav"], clip_every_seconds=0.5) == of_clips
    assert of_clips[2] == 1 / 25


def test_a_recording_of_the_training_is_refused_under_any_name(calibrated, tmp_path):
    path = record(tmp_path / "mine.wav", 3)
    with pytest.raises(
        DataError, match=r"mine\.wav: the same recording as .*0003.*, which the detector was trained on"
    ):
        p_values_of(calibrated[0], [path], clip_every_seconds=0.4)


def test_a_recording_that_is_labelled_anomalous_is_refused(calibrated, tmp_path):
    path = record(tmp_path / "section_00_source_test_anomaly_0000_a.wav")
    with pytest.raises(DataError, match="false alarms are counted on normal recordings"):
        p_values_of(calibrated[0], [path], clip_every_seconds=0.4)


def test_clips_shorter_than_a_frame_are_refused(calibrated, tmp_path):
    with pytest.raises(SettingsError, match=r"a clip every 0\.01 s: shorter than one frame of 512 samples"):
        p_values_of(calibrated[0], [record(tmp_path / "a.wav")], clip_every_seconds=0.01)


def test_a_recording_without_the_channel_is_named(calibrated, tmp_path):
    settings = calibrated[0].settings.model_copy(
        update={"audio": calibrated[0].settings.audio.model_copy(update={"channel": 1})}
    )
    with pytest.raises(AudioError, match=r"a\.wav: 1 channel\(s\)"):
        p_values_of(replace(calibrated[0], settings=settings), [record(tmp_path / "a.wav")], clip_every_seconds=0.5)
