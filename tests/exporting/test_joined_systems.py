"""Exports of systems with tests beside the sound as a whole agree, at other rates, of few clips and on real sounds."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import soundness
from further_views import (
    RATE,
    joined_settings,
    machine_noise,
    modulated,
    with_drops,
    with_knocks,
    with_tone,
    write_normal,
)
from soundness.detectors.exported import ExportedDetector
from soundness.exporting.write import export_detector

CHANGES = {
    "events": lambda waveform: with_knocks(waveform, (0.62, 1.9, 3.1)),
    "drops": lambda waveform: with_drops(waveform, (1.2, 2.8)),
    "tone": lambda waveform: with_tone(waveform, 1_234),
    "modulation": lambda waveform: modulated(waveform, 30),
    "nothing": lambda waveform: waveform,
}


def exported(data, settings, folder, *, check=()):
    (detector,) = soundness.train(data, folder / "run", system=settings)
    made = export_detector(detector, folder / "export", check=check)
    return detector, ExportedDetector.load(made.graph), made


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joined")
    detector, export, _ = exported(write_normal(folder / "fan"), joined_settings(), folder)
    return detector, export


@pytest.mark.parametrize("kind", CHANGES)
def test_score_and_reason_of_an_export_are_those_of_the_detector(pair, kind, tmp_path):
    detector, export = pair
    path = tmp_path / f"{kind}.wav"
    soundfile.write(path, CHANGES[kind](machine_noise(200)), RATE, subtype="FLOAT")
    found, expected = export.score_recording(path), detector.score_recording(path)
    assert found.anomaly_score == pytest.approx(expected.anomaly_score, rel=1e-5, abs=1e-5)
    assert found.verdict == expected.verdict == ("normal" if kind == "nothing" else "anomalous")
    assert export.reason(path) == detector.reason(path)


def test_the_shortest_clip_agrees(pair):
    detector, export = pair
    clip = machine_noise(201)[:1_024].astype(np.float32)
    assert export.score(clip, sample_rate=RATE) == pytest.approx(detector.score(clip, sample_rate=RATE), abs=1e-5)


def test_domains_of_few_clips_agree(write_machine, tmp_path):
    data = write_machine(tmp_path, n_source=8, n_target=2, n_test=3)
    _, _, made = exported(data, joined_settings(), tmp_path, check=data / "test")
    assert made.n_clips == 6
    assert made.largest_difference < 1e-5


def test_a_system_at_48_khz_agrees(tmp_path):
    rate = ("audio.sample_rate=48000", "log_mel.n_fft=3072", "log_mel.hop_length=1536", "log_mel.fmax=24000")
    data = write_normal(tmp_path / "fan", n_clips=6, seconds=2.0, rate=48_000)
    _, _, made = exported(data, joined_settings(*rate), tmp_path, check=data)
    assert made.n_clips == 6
    assert made.largest_difference < 1e-5


def test_real_recordings_with_planted_changes_agree_and_are_explained(real_data, tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
    try:
        from plants import KINDS, plant
    finally:
        sys.path.pop(0)
    files = sorted((real_data / "mimii_fan" / "normal").glob("*.wav"))
    (tmp_path / "fan").mkdir()
    for file in files[4:]:
        (tmp_path / "fan" / file.name).symlink_to(file)
    detector, export, made = exported(tmp_path / "fan", joined_settings(), tmp_path, check=files[:4])
    assert made.largest_difference < 1e-4
    waveform, rate = soundfile.read(files[0])
    starts = {
        ("modulation-107", 4.0): "modulated at 107 Hz, in all bands",
        ("high-modulation-20", 4.0): "modulated at 20 Hz, mostly from 2.0 kHz to 8.0 kHz",
        ("gap-3x200", 20.0): "sound drops 3 times at ",
        ("knock-10-periodic", 20.0): "",
    }
    for (name, strength), start in starts.items():
        planted = plant(waveform, KINDS[name], strength, sample_rate=rate, rng=np.random.default_rng(1))
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, planted, rate, subtype="FLOAT")
        found, expected = export.score_recording(path), detector.score_recording(path)
        assert found.anomaly_score == pytest.approx(expected.anomaly_score, rel=1e-4)
        assert found.verdict == "anomalous"
        assert export.reason(path).startswith(start)
    assert "periodic events every 1.00 s" in export.reason(tmp_path / "knock-10-periodic.wav")
