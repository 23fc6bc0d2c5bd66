"""The test that gave a score is named, and what it found has the right times, frequencies and rates."""

import re
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import soundfile

import soundness
from further_views import (
    RATE,
    joined_settings,
    machine_noise,
    modulated,
    rhythm,
    with_drops,
    with_knocks,
    with_tone,
    write_normal,
)
from soundness.detectors.explaining.changes import Modulation, ShortChange, ToneChange
from soundness.detectors.explaining.explanation import explain_clip, regions_of
from soundness.detectors.explaining.line_places import tone_at
from soundness.detectors.explaining.measured_clip import MeasuredClip
from soundness.reports.explained_clip import explain_recording

KNOCKS = (0.62, 1.9, 3.1)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peaks")
    (detector,) = soundness.train(write_normal(folder / "fan"), folder / "run", system=joined_settings())
    return detector


@pytest.fixture
def explained(detector, tmp_path):
    """Explains a waveform: its regions, the explanation and the reason."""

    def explain(waveform):
        path = tmp_path / "clip.wav"
        soundfile.write(path, waveform, RATE, subtype="FLOAT")
        clip = detector.window(path, start_seconds=0.0).spectrograms
        explanation = explain_clip(detector, clip)
        assert detector.score_recording(path).verdict == "anomalous"
        return regions_of(detector, explanation), explanation, detector.reason(path)

    return explain


def test_events_have_their_times_and_frequencies(explained):
    (region, *_), explanation, reason = explained(with_knocks(machine_noise(100), KNOCKS))
    assert isinstance(region, ShortChange)
    assert region.name == "event"
    np.testing.assert_allclose(region.moments, np.array(KNOCKS) + 0.004, atol=0.03)
    assert region.fmin < 2_000 < region.fmax
    assert region.fmax < 4_000
    assert reason.startswith("3 short events at 0.6, 1.9 and 3.1 s for at most 80 ms each, ")
    assert explanation.tests.startswith("Of 5 tests, that of ")


def test_shares_point_at_the_events_and_nowhere_else(explained):
    regions, explanation, _ = explained(with_knocks(machine_noise(101), KNOCKS))
    frames = np.flatnonzero(explanation.frames)
    seconds = frames * 512 / RATE
    assert all(np.abs(seconds - moment).min() < 0.05 for moment in KNOCKS)
    assert all(min(abs(second - moment) for moment in KNOCKS) < 0.08 for second in seconds)
    first, last = regions[0].bands
    assert explanation.bands[first : last + 1].sum() == pytest.approx(explanation.total)
    assert explanation.shares.sum() == pytest.approx(explanation.total)
    assert explanation.shares.min() >= 0.0


def test_the_nearest_clip_is_so_by_the_sound_as_a_whole_whichever_test_gave_the_score(explained):
    _, explanation, _ = explained(with_knocks(machine_noise(100), KNOCKS))
    assert explanation.is_of_change
    assert explanation.nearest_by == "by the sound as a whole"


def test_what_short_normal_recordings_reach_is_no_finding_beside_another(detector):
    n_beside = n_above = 0
    for seed in range(20):
        waveform = with_knocks(machine_noise(300 + seed, seconds=2.1), [0.4], size=2.0)
        clip = detector.spectrograms(waveform.astype(np.float32)[None])
        explanation = explain_clip(detector, clip)
        nats = detector.scorer.nats(detector.vectors(clip))
        n_beside += any(isinstance(change, ToneChange) for change in explanation.changes)
        n_above += nats[-1] > detector.threshold.value
    assert n_beside <= 2 < n_above


def test_regular_events_have_a_period(explained):
    (region, *_), _, reason = explained(with_knocks(machine_noise(102), np.arange(0.3, 3.9, 0.52)))
    assert region.name == "periodic event"
    assert region.period_seconds == pytest.approx(0.52, abs=0.01)
    assert reason.startswith("7 periodic events every 0.52 s (1.9 a second), from 0.3 s to 3.4 s")
    assert "115 a minute" in region.check or "116 a minute" in region.check


def test_drops_of_the_sound_have_their_times(explained):
    (region, *_), _, reason = explained(with_drops(machine_noise(103), (1.2, 2.8)))
    assert region.name == "dropout"
    np.testing.assert_allclose(region.moments, (1.3, 2.9), atol=0.04)
    assert reason.startswith("sound drops 2 times at 1.3 and 2.9 s for ")
    assert "in all bands" in reason
    assert float(re.search(r"for (\d+) ms", reason)[1]) == pytest.approx(200, abs=40)


def test_a_tone_that_appears_has_its_frequency(explained):
    (region, *_), explanation, reason = explained(with_tone(machine_noise(104), 1_234))
    assert isinstance(region, ToneChange)
    assert region.name == "steady tone"
    assert region.hz == pytest.approx(1_234, abs=1)
    assert reason.startswith("a tone at 1,234 Hz appeared, ")
    assert len(np.flatnonzero(explanation.bands)) == 1
    assert region.fmin <= 1_234 <= region.fmax


def test_a_tone_that_is_gone_has_its_frequency(tmp_path):
    alone = 'scorer.peaks=[{kind="tone",view=5,is_two_sided=true,price=0.0}]'
    (detector,) = soundness.train(write_normal(tmp_path / "fan"), tmp_path / "run", system=joined_settings(alone))
    path = tmp_path / "clip.wav"
    soundfile.write(path, machine_noise(105, hum=False), RATE, subtype="FLOAT")
    clip = detector.window(path, start_seconds=0.0).spectrograms
    peak = detector.scorer.peak_of(detector.representation.vectors(clip).astype(np.float64), 0)
    assert detector.representation.detailed["tones"].hz(peak.feature) == pytest.approx(388, abs=2)
    assert peak.deviations < 0.0
    region = tone_at(MeasuredClip(detector, detector.representation, clip), peak).change
    assert isinstance(region, ToneChange)
    assert region.hz == pytest.approx(388, abs=1)
    assert str(region).startswith("a tone at 388 Hz is gone, ")


@pytest.mark.parametrize("hz", [5, 20, 107])
def test_a_modulation_has_its_rate(explained, hz):
    (region, *_), explanation, reason = explained(modulated(machine_noise(106), hz))
    assert isinstance(region, Modulation)
    assert region.rate == pytest.approx(hz, abs=0.5)
    assert re.match(rf"modulated at {hz}(\.\d)? Hz, in all bands", reason)
    assert "that of modulation gave the score" in explanation.tests


def test_a_modulation_of_high_bands_is_one_of_high_bands(explained):
    waveform = machine_noise(107)
    spectrum = np.fft.rfft(waveform)
    high = np.fft.irfft(spectrum * (np.fft.rfftfreq(len(waveform), 1 / RATE) > 3_000), len(waveform))
    (region, *_), _, reason = explained(waveform - high + modulated(high, 40))
    assert region.rate == pytest.approx(40, abs=0.5)
    assert "mostly from 2.0 kHz to 8.0 kHz" in reason


def test_a_broad_rise_is_that_of_the_sound_as_a_whole(explained):
    (region, *_), explanation, _ = explained(machine_noise(108) + 0.7 * machine_noise(208, hum=False))
    assert region.name == "broadband rise"
    assert explanation.tests.startswith("Of 5 tests, that of the sound as a whole gave the score")
    assert not explanation.is_of_change


def test_times_are_those_of_a_long_recording(detector, tmp_path):
    path = tmp_path / "long.wav"
    parts = [machine_noise(110 + index) for index in range(3)]
    parts[1] = with_knocks(parts[1], KNOCKS)
    soundfile.write(path, np.concatenate(parts), RATE, subtype="FLOAT")
    window = detector.score_recording(path).most_anomalous
    reason = detector.reason(path, start_seconds=window.start_seconds)
    times = [float(text) for text in re.findall(r"\d+\.\d", reason.split(" s ")[0])]
    assert times
    assert all(min(abs(4.0 + moment - time) for moment in KNOCKS) < 0.06 for time in times)


def test_a_user_may_test_a_band_view_by_its_largest_feature(tmp_path):
    settings = joined_settings('scorer.peaks=[{kind="tone",view=0,is_two_sided=true,price=0.0}]')
    (detector,) = soundness.train(write_normal(tmp_path / "fan", n_clips=6), tmp_path / "run", system=settings)
    path = tmp_path / "clip.wav"
    soundfile.write(path, with_tone(machine_noise(109), 3_000, size=0.2), RATE)
    assert detector.reason(path)


def test_an_event_that_is_missing_in_a_rhythm_is_told_from_a_drop(tmp_path):
    (tmp_path / "valve").mkdir()
    for seed in range(12):
        soundfile.write(tmp_path / "valve" / f"{seed:02}.wav", rhythm(seed), RATE)
    (detector,) = soundness.train(tmp_path / "valve", tmp_path / "run", system=joined_settings())
    path = tmp_path / "clip.wav"
    soundfile.write(path, rhythm(200, missing=(5,)), RATE, subtype="FLOAT")
    assert detector.reason(path).startswith("an event is missing at 2.5 s for ")
    explained = explain_recording(detector, path, normal=None)
    assert explained.kinds[0] == "missing event"
    soundfile.write(path, with_drops(rhythm(201), (2.38,), seconds=0.1), RATE, subtype="FLOAT")
    assert "missing" not in detector.reason(path)


def test_what_the_sound_as_a_whole_shows_beside_a_change_is_said_last(explained):
    waveform = machine_noise(120) + 0.5 * machine_noise(220, hum=False)
    regions, explanation, reason = explained(modulated(waveform, 30))
    assert explanation.is_of_change
    assert "of the sound as a whole" in explanation.tests.split(";")[1]
    assert (regions[0].name, regions[-1].name) == ("modulation", "broadband rise")
    assert reason.startswith("modulated at 30 Hz, in all bands")


def test_a_whistle_that_lasts_most_of_a_clip_is_told_and_not_the_quiet_beside_it(detector, tmp_path):
    waveform, path = machine_noise(140), tmp_path / "clip.wav"
    seconds = np.arange(len(waveform)) / RATE
    end = seconds[-1] * 0.65
    soundfile.write(path, np.where(seconds < end, with_tone(waveform, 1_600.0, size=0.1), waveform), RATE)
    scorer = copy(detector.scorer)
    scorer.prices = scorer.prices + np.array([7.0, 0.0, 0.0, 0.0, 7.0])  # so that the dropouts give the score
    dearer = replace(detector, scorer=scorer)
    clip = dearer.window(path, start_seconds=0.0).spectrograms
    assert scorer.peak(dearer.vectors(clip)).kind == "dropout"
    explanation, reason = explain_clip(dearer, clip), dearer.reason(path)
    assert not explanation.is_of_change
    (region, *_) = regions_of(dearer, explanation)
    assert region.excess_db > 10.0
    assert region.spans[-1][1] == pytest.approx(end, abs=0.1)
    assert reason.startswith("a tone near 1.6 kHz, ")
    assert "drop" not in reason
    assert "that of dropouts gave the score" in explanation.tests
