"""A detector with further views of a clip does all that others do, and its other views score as without them."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
import soxr

import soundness
from monitored import hum_at
from soundness.audio.log_mel_cache import LogMelCache
from soundness.detectors.explaining.explanation import explain_clip
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader, read_recording
from soundness.detectors.saving import load_detector
from soundness.exporting.write import export_detector
from soundness.monitoring.enrolment import enroll
from soundness.reports.explained_clip import explain_recording

RATE = 44_100
VIEWS = 'views=["modulation","tones"]'


def settings_of(small, *overrides):
    members = 'scorer.members=[{view=0,distance="nearest"},{view=1,distance="density-ratio",normalization="min"}]'
    return small("soundness", "views=[]", 'scorer.name="fused"', "scorer.peaks=[]", members, *overrides)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views") / "fan"
    for seed in range(10):
        hum_at(folder / f"{seed}.wav", 400 + 4 * seed, seed, rate=RATE)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory, data, small):
    """Detectors of the same clips with further views and without, and the file of the former."""
    out = tmp_path_factory.mktemp("views") / "run"
    (with_views,) = soundness.train(data, out, system=settings_of(small, VIEWS))
    (without,) = soundness.train(data, out.parent / "without", system=settings_of(small))
    return with_views, without, out / f"{with_views.machine_type}.soundness"


def test_a_detector_keeps_its_views_in_its_file(run, data):
    detector, _, file = run
    assert detector.representation.view_sizes == (16, 16, 640, 4_089)
    assert detector.scorer.sizes.tolist() == [16, 16, 640, 4_089]
    again = load_detector(file)
    path = data / "0.wav"
    assert again.score_recording(path) == detector.score_recording(path)
    waveform = read_recording(path, detector.settings)
    vectors, expected = (one.representation.vectors(one.spectrograms(waveform)) for one in (again, detector))
    assert np.array_equal(vectors, expected)
    assert np.isfinite(vectors).all()


def test_members_of_other_views_score_as_without_them(run, data):
    with_views, without, _ = run
    for path in sorted(data.iterdir())[:3]:
        waveform = read_recording(path, without.settings)
        own, other = (one.representation.vectors(one.spectrograms(waveform))[0] for one in (with_views, without))
        assert np.array_equal(own[:32], other)
    assert without.front_end.details(waveform) is None
    assert without.spectrograms(waveform).details is None


def test_a_reader_gives_the_details_of_the_sound_that_is_scored(data, small, tmp_path):
    settings = settings_of(small, VIEWS)
    front_end, path = FrontEnd(settings), data / "0.wav"
    sound = front_end.sound(read_recording(path, settings), "original")
    expected = front_end.details(sound)
    cache = LogMelCache(tmp_path / "cache")
    RecordingReader(FrontEnd(settings_of(small)), cache).read(path)  # which keeps none
    for _ in range(2):
        reader = RecordingReader(FrontEnd(settings), cache)
        for found in (reader.read(path), *reader.windows(path, clip_seconds=10.0)):
            assert np.array_equal(found.spectrograms.details.envelopes, expected.envelopes)
            assert np.array_equal(found.spectrograms.details.long_spectra, expected.long_spectra)
    assert RecordingReader(FrontEnd(settings_of(small)), cache).read(path).details is None


def test_a_system_that_denoises_has_details_of_the_machine(small, separator, waveform):
    front_end = FrontEnd(settings_of(small, VIEWS, "separation=denoise"), separator)
    found = front_end.spectrograms(waveform)
    machine = front_end.sound(waveform, "separated")
    assert np.array_equal(found.details.envelopes, front_end.details(machine).envelopes)


def test_an_explanation_shares_the_score_among_the_bands(run, tmp_path):
    detector, *_ = run
    path = hum_at(tmp_path / "other.wav", 900, 50, rate=RATE)
    explained = explain_recording(detector, path, normal=None)
    assert explained.explanation.shares.shape == explained.explanation.log_mel.shape
    clip = detector.spectrograms(read_recording(path, detector.settings))
    vectors = detector.representation.vectors(clip).astype(np.float64)
    expected = detector.scorer.contributions(vectors)[:32].reshape(2, 16).sum(axis=0)
    np.testing.assert_allclose(explain_clip(detector, clip).bands, expected, rtol=1e-6)
    assert "of 2 views" in explained.explanation.meaning


def test_bands_that_cannot_be_compared_are_not_there_in_further_views(run, data, tmp_path):
    detector, *_ = run
    samples, _ = soundfile.read(data / "0.wav")
    path = tmp_path / "slow.wav"
    soundfile.write(path, soxr.resample(samples, RATE, 16_000), 16_000)
    clip = next(iter(detector.windows(path))).spectrograms
    vectors = detector.representation.vectors(clip)[0]
    known_hz = detector.form.comparable_hz(16_000, used_rate=16_000)
    assert known_hz == 7_200.0
    assert np.isfinite(vectors[:32]).all()
    modulation, tones = vectors[32:672], vectors[672:]
    assert np.isnan(modulation[:256]).all()
    assert np.isfinite(modulation[256:512]).all()
    assert np.isfinite(tones[:3_500]).all()
    assert np.isnan(tones[-400:]).all()
    found = detector.score_recording(path)
    assert np.isfinite(found.anomaly_score)
    resampled = read_recording(path, detector.settings)
    assert detector.score(resampled[0], sample_rate=16_000) == found.anomaly_score
    assert explain_recording(detector, path, normal=None).score.anomaly_score == found.anomaly_score


def test_new_clips_are_enrolled_and_a_change_of_level_is_named(run, tmp_path):
    detector, *_ = run
    fresh = [hum_at(tmp_path / f"{seed}.wav", 900, seed, rate=RATE) for seed in range(100, 106)]
    enrolled = enroll(detector, fresh, condition="fast", force=True).detector
    assert enrolled.score_recording(fresh[0]).anomaly_score < detector.score_recording(fresh[0]).anomaly_score
    loud = hum_at(tmp_path / "loud.wav", 410, 7, rate=RATE, gain=0.05)
    assert "quieter" in detector.reason(loud)


def test_its_export_agrees(run, data, tmp_path):
    detector, *_ = run
    found = export_detector(replace(detector, cache=None), tmp_path, check=data)
    assert found.n_clips == 10
    assert found.largest_difference < 1e-5
