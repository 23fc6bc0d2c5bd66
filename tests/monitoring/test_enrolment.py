"""New normal clips join a detector; dangerous ones ask first."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import soundness
from conftest import SMALL_NETWORK
from monitored import RATE, SMALL_EARS, hum_at, record
from soundness.detectors.saving import load_detector, save_detector
from soundness.errors import AudioError, DataError, SettingsError
from soundness.monitoring.enrolment import enroll
from soundness.scoring.baselines import MeanScorer


@pytest.fixture
def detector(trained):
    return load_detector(trained)


@pytest.fixture
def fresh(tmp_path):
    """A new condition: a hum of another pitch."""
    return [hum_at(tmp_path / "fresh" / f"{seed}.wav", 900, seed) for seed in range(100, 108)]


def test_a_new_condition_is_odd_before_and_normal_after(detector, fresh, tmp_path):
    enrolment = enroll(detector, fresh, condition="speed_2", domain="target")
    assert all(clip.p_value <= 2 / 25 for clip in enrolment.clips)
    other = soundness.score_clip(enrolment.detector, hum_at(tmp_path / "other.wav", 900, 200))
    assert enrolment.detector.p_value(other) > 0.1
    odd = soundness.score_clip(enrolment.detector, hum_at(tmp_path / "odd.wav", 2500, 201))
    assert enrolment.detector.p_value(odd) == enrolment.detector.calibration.smallest
    assert enrolment.detector.summary.n_clips == {"source": 24, "target": 8}
    assert enrolment.detector.calibration.n_clips == {"source": 24, "target": 8}
    assert len(enrolment.detector.normal_clips) == 32
    assert detector.calibration.n_clips == {"source": 24}  # the one before is as it was


def test_calibration_is_by_scores_beside_the_other_new_clips(detector, fresh):
    enrolment = enroll(detector, fresh, condition="speed_2")
    assert enrolment.domain == "speed_2"
    rest = enroll(detector, fresh[1:], condition="speed_2").detector
    assert enrolment.clips[0].score_beside == pytest.approx(soundness.score_clip(rest, fresh[0]), abs=1e-9)
    beside = sorted(clip.score_beside for clip in enrolment.clips)
    assert enrolment.detector.calibration.scores["speed_2"].tolist() == beside


def test_enrolling_is_nearly_training_with_the_clips(detector, fresh, trained, tmp_path):
    shutil.copytree(trained.parents[1] / "data", tmp_path / "both")
    for index, path in enumerate(fresh):
        shutil.copy(path, tmp_path / "both" / "fan" / "train" / f"section_00_target_train_normal_{index:04d}_b.wav")
    (both,) = soundness.train(
        tmp_path / "both", tmp_path / "run", system=soundness.load_settings("log-mel-whitened", overrides=SMALL_EARS)
    )
    enrolled = enroll(detector, fresh, condition="b", domain="target").detector
    assert np.allclose(enrolled.scorer.bank.whitened, both.scorer.bank.whitened, atol=1e-6)
    assert np.allclose(enrolled.scorer.left_out[24:], both.scorer.left_out[24:], atol=1e-6)


def test_a_clip_unlike_the_other_new_ones_asks_for_force(detector, fresh, tmp_path):
    odd = hum_at(tmp_path / "odd.wav", 3000, 70)
    with pytest.raises(
        DataError,
        match=r"odd\.wav: highly anomalous, and unlike the other 8 new clips, with a band from .*: score .*p-value",
    ):
        enroll(detector, [*fresh, odd], condition="b")
    forced = enroll(detector, [*fresh, odd], condition="b", force=True)
    assert [clip.path.name for clip in forced.clips if clip.danger] == ["odd.wav"]


def test_few_odd_clips_cannot_speak_for_each_other(detector, fresh):
    with pytest.raises(DataError, match=r"highly anomalous, and 1 other new clip.s. cannot tell what is new"):
        enroll(detector, fresh[:2], condition="b")


def test_few_clips_that_are_not_odd_join(detector, tmp_path):
    usual = record(tmp_path / "usual.wav", 500)
    enrolment = enroll(detector, [usual], condition="b", domain="source")
    assert enrolment.detector.summary.n_clips == {"source": 25}


def test_a_name_that_says_anomaly_asks_for_force(detector, fresh):
    named = fresh[0].rename(fresh[0].with_name("section_00_source_test_anomaly_0001_b.wav"))
    with pytest.raises(DataError, match="its name calls it anomalous"):
        enroll(detector, [named, *fresh[1:]], condition="b")


def test_recordings_that_are_there_are_refused(detector, fresh, trained):
    known = trained.parents[1] / "data" / "fan" / "train" / "section_00_source_train_normal_0003_a.wav"
    with pytest.raises(
        DataError, match=r"0003_a\.wav: the same recording as train/.*0003_a\.wav, which is normal clip 4 of 24"
    ):
        enroll(detector, [*fresh, known], condition="b")


def test_a_recording_that_comes_twice_counts_once(detector, fresh, tmp_path):
    copy = shutil.copy(fresh[0], tmp_path / f"{fresh[0].stem} - Copy.wav")
    found = enroll(detector, [*fresh, copy], condition="b")
    assert len(found.clips) == len(fresh)
    assert "1 of 9 recordings is a copy of others" in found.notes[0]


def test_silence_other_channels_and_other_rates_are_refused_by_name(detector, fresh, tmp_path):
    with pytest.raises(AudioError, match=r"silent\.wav: digital silence"):
        enroll(detector, [*fresh, hum_at(tmp_path / "silent.wav", 900, 1, gain=0.0)], condition="b")
    with pytest.raises(AudioError, match=r"two\.wav: 2 channel.s.; the normal clips of this detector have 1"):
        enroll(detector, [*fresh, hum_at(tmp_path / "two.wav", 900, 1, n_channels=2)], condition="b")
    with pytest.raises(AudioError, match=r"slow\.wav: recorded at 8000 Hz"):
        enroll(detector, [*fresh, hum_at(tmp_path / "slow.wav", 900, 1, rate=8000)], condition="b")


def test_upsampled_recordings_ask_for_force(detector, fresh, tmp_path):
    sound, _ = soundfile.read(fresh[0])
    spectrum = np.fft.rfft(sound)
    spectrum[len(spectrum) // 2 :] = 0.0
    soundfile.write(tmp_path / "up.wav", np.fft.irfft(spectrum, len(sound)), RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"up\.wav: nothing above \d+ Hz, where normal clips have sound"):
        enroll(detector, [*fresh[1:], tmp_path / "up.wav"], condition="b")


def test_a_condition_needs_a_name(detector, fresh):
    with pytest.raises(SettingsError, match="condition: no name"):
        enroll(detector, fresh, condition=" ")


def test_a_scorer_that_keeps_no_clips_says_so(detector, fresh):
    detector = replace(detector, scorer=MeanScorer(np.zeros(0)))
    with pytest.raises(SettingsError, match="MeanScorer keeps no normal clips that"):
        enroll(detector, fresh, condition="b")


def test_a_network_reads_new_clips_as_the_known_condition_that_suits_them_best(write_machine, tmp_path):
    write_machine(tmp_path / "data", n_source=12, n_target=0)
    overrides = [*SMALL_EARS, *SMALL_NETWORK, "separation=off"]
    (before,) = soundness.train(
        tmp_path / "data", tmp_path / "run", system=soundness.load_settings("conditional", overrides=overrides)
    )
    fresh = [hum_at(tmp_path / "fresh" / f"{seed}.wav", 900, seed) for seed in range(5)]
    enrolment = enroll(before, fresh, condition="b", domain="target", force=True)
    vectors = [
        before.representation.vectors(before.spectrograms(soundfile.read(path)[0][None].astype(np.float32)))
        for path in fresh
    ]
    own = int(np.linalg.norm(np.stack(vectors), axis=2).sum(axis=0).argmin())
    assert enrolment.detector.scorer.bank.domain_conditions.tolist() == [[True, True], [own == 0, own == 1]]
    assert any(f"reads them as {before.summary.conditions[own]}" in note for note in enrolment.notes)
    save_detector(enrolment.detector, tmp_path / "b.soundness")
    again = load_detector(tmp_path / "b.soundness")
    assert soundness.score_clip(again, fresh[0]) == soundness.score_clip(enrolment.detector, fresh[0])
    assert soundness.score_clip(again, fresh[0]) < soundness.score_clip(before, fresh[0])
    assert enrolment.detector.calibration.origin == "trained-on"
