"""A report on drift says what moved and what to do, and refuses clips that cannot show it."""

from dataclasses import replace

import pytest

import soundness
from monitored import hum_at
from soundness.detectors.saving import load_detector
from soundness.errors import DataError, SettingsError
from soundness.monitoring.drift_report import drift


@pytest.fixture
def detector(trained):
    return load_detector(trained)


@pytest.fixture
def fresh(tmp_path):
    """A new condition: a hum of another pitch."""
    return [hum_at(tmp_path / "fresh" / f"{seed}.wav", 900, seed) for seed in range(100, 108)]


def test_a_louder_recording_asks_for_the_gain_back(detector, trained, tmp_path):
    louder = [hum_at(tmp_path / f"{seed}.wav", 400, seed, gain=2.0) for seed in range(8)]
    report = drift(detector, iter(louder))
    assert report.drift.answer == "microphone gain changed"
    assert report.finding == "all bands are 6.0 dB louder, and their quiet moments, too"
    assert "set its gain back by -6.0 dB" in report.recommendation
    assert report.as_json()["n_clips"] == 8
    assert soundness.drift(trained, louder).as_json() == report.as_json()


def test_another_pitch_is_a_new_condition_to_enroll(detector, fresh):
    report = drift(detector, fresh)
    assert (report.drift.answer, report.drift.advice) == ("new condition", "enroll")
    assert report.finding.startswith("bands moved apart from each other: ")


def test_drift_needs_band_statistics_and_normal_clips(detector, fresh):
    named = fresh[0].rename(fresh[0].with_name("section_00_source_test_anomaly_0001_b.wav"))
    with pytest.raises(DataError, match="labelled anomalous; drift is measured on normal clips"):
        drift(detector, [named])
    detector = replace(detector, normal_clips=None)
    with pytest.raises(SettingsError, match="holds no band statistics"):
        drift(detector, fresh[1:])


def test_copies_count_once_and_clips_of_the_training_are_named(detector, fresh, tmp_path):
    copy = tmp_path / "fresh" / f"{fresh[0].stem} - Copy.wav"
    copy.write_bytes(fresh[0].read_bytes())
    report = drift(detector, [*fresh, copy, hum_at(tmp_path / "mine.wav", 400, 3)])
    assert report.n_clips == len(fresh) + 1
    assert any("1 of 10 recordings is a copy of others" in note for note in report.notes)
    assert any("1 of 10 recordings are clips of the training (mine.wav)" in note for note in report.notes)
