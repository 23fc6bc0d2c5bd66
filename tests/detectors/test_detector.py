"""A detector scores one recording at a time, and its score depends on nothing else."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import soundfile
import torch

from soundness.audio.log_mel import LogMel, without_mean
from soundness.audio.log_mel_cache import LogMelCache
from soundness.detectors.bulk_scoring import score_clip
from soundness.errors import AudioError
from soundness.representations.protocol import REPRESENTATIONS, find_representation, network_plan
from soundness.settings.loading import system_names

SYSTEMS = system_names()


def noise(n_channels=1, *, seconds=0.5, seed=0):
    shape = (n_channels, round(16_000 * seconds))
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def using_channel(detector, channel):
    settings = detector.settings
    audio = settings.audio.model_copy(update={"channel": channel})
    return replace(detector, settings=settings.model_copy(update={"audio": audio}))


def test_every_representation_belongs_to_a_system_that_is_tested(detectors):
    assert {detectors[system].settings.representation for system in SYSTEMS} == set(REPRESENTATIONS) - {"latent"}


@pytest.mark.parametrize("system", SYSTEMS)
class TestEverySystem:
    def test_a_score_is_a_finite_float(self, detectors, system, waveform):
        score = detectors[system].score(waveform)
        assert type(score) is float
        assert np.isfinite(score)

    def test_a_score_does_not_depend_on_what_was_scored_before(self, detectors, system):
        detector = detectors[system]
        clips = [noise(seed=seed, seconds=0.3 + 0.2 * seed) for seed in range(4)]
        forwards = [detector.score(clip) for clip in clips]
        backwards = [detector.score(clip) for clip in reversed(clips)]
        assert forwards == backwards[::-1]
        assert len(set(forwards)) == 4

    def test_a_recording_is_not_changed_by_scoring_it(self, detectors, system, waveform):
        before = waveform.copy()
        detectors[system].score(waveform)
        detectors[system].error_map(waveform)
        assert np.array_equal(waveform, before)

    def test_a_strange_sound_scores_higher_than_a_normal_one(self, detectors, system, waveform):
        time = np.arange(waveform.shape[1]) / 16_000
        strange = waveform + 0.3 * np.sin(2 * np.pi * 3_500 * time).astype(np.float32)
        assert detectors[system].score(strange) > detectors[system].score(waveform)

    def test_only_the_channel_of_the_settings_counts(self, detectors, system):
        near, far = noise(seed=1), noise(seed=2)
        detector, both = detectors[system], np.concatenate([near, far])
        assert detector.score(both) == detector.score(near)
        assert using_channel(detector, 1).score(both) == detector.score(far)
        assert detector.score(near) != detector.score(far)

    def test_a_recording_without_the_channel_is_refused(self, detectors, system, waveform):
        detector = using_channel(detectors[system], 1)
        for use in (detector.score, detector.spectrograms, detector.error_map):
            with pytest.raises(AudioError, match=r"1 channel\(s\); channel 1 \(counted from 0\)"):
                use(waveform)

    def test_vectors_and_error_map_have_the_shapes_of_the_log_mel(self, detectors, system, waveform):
        detector = detectors[system]
        clip = detector.spectrograms(waveform)
        assert clip.input.shape == clip.reference.shape == (16, 1 + 8_000 // 256)
        vectors = detector.representation.vectors(clip)
        assert vectors.ndim == 2
        assert np.isfinite(vectors).all()
        error_map = detector.error_map(waveform)
        assert error_map.shape == clip.reference.shape
        assert error_map.dtype == np.float32
        assert (error_map >= 0).all()

    def test_the_log_mel_is_that_of_its_settings(self, detectors, system, waveform):
        detector = detectors[system]
        sound = without_mean(waveform) if detector.settings.audio.is_dc_removed else waveform
        expected = LogMel(detector.settings.log_mel, sample_rate=16_000)(sound[0])
        found = detector.spectrograms(waveform)
        assert np.array_equal(found.input, expected)
        assert np.array_equal(found.reference, expected)

    def test_a_loud_tone_stands_out_in_the_error_map_where_it_is(self, detectors, system, waveform):
        loud, time = waveform.copy(), np.arange(2_000) / 16_000
        loud[0, 4_000:6_000] += 0.5 * np.sin(2 * np.pi * 5_000 * time).astype(np.float32)
        change = detectors[system].error_map(loud) - detectors[system].error_map(waveform)
        heard = detectors[system].spectrograms(loud).input - detectors[system].spectrograms(waveform).input
        band, frame = np.unravel_index(change.argmax(), change.shape)
        assert heard[band, frame] > 20
        assert 4_000 - 512 <= frame * 256 <= 6_000 + 512

    def test_the_representation_survives_as_arrays_to_the_last_bit(self, detectors, system, waveform):
        detector = detectors[system]
        before, clip = detector.representation, detector.spectrograms(waveform)
        arrays = before.arrays()
        assert all(isinstance(array, np.ndarray) for array in arrays.values())
        after = find_representation(detector.settings.representation).from_arrays(arrays, detector.settings)
        assert np.array_equal(before.vectors(clip), after.vectors(clip))
        assert np.array_equal(before.error_map(clip), after.error_map(clip))

    def test_silence_has_a_finite_score_and_a_note(self, detectors, system):
        silence = np.zeros((1, 8_000), np.float32)
        assert np.isfinite(detectors[system].score(silence))
        assert detectors[system].notes(silence) == ("digital silence",)

    def test_an_ordinary_recording_has_no_notes(self, detectors, system, waveform):
        assert detectors[system].notes(waveform) == ()

    def test_silence_of_the_other_channel_is_not_noted(self, detectors, system, waveform):
        both = np.concatenate([waveform, np.zeros_like(waveform)])
        assert detectors[system].notes(both) == ()
        assert using_channel(detectors[system], 1).notes(both) == ("digital silence",)

    def test_the_threshold_itself_is_normal_and_anything_above_is_not(self, detectors, system):
        threshold = detectors[system].threshold.value
        above = np.nextafter(threshold, np.inf)
        assert [detectors[system].decide(score) for score in (threshold - 1, threshold, above)] == [0, 0, 1]

    def test_the_number_of_threads_does_not_change_a_score(self, detectors, system, waveform):
        alone = detectors[system].score(waveform)
        torch.set_num_threads(2)
        try:
            assert detectors[system].score(waveform) == alone
        finally:
            torch.set_num_threads(1)


def test_a_clip_shorter_than_a_segment_is_scored_with_a_note(detectors):
    short = noise(seconds=1_500 / 16_000)  # 1 + 1500 // 256 = 6 frames
    for detector in map(detectors.__getitem__, SYSTEMS):
        assert np.isfinite(detector.score(short))
        expected = [] if network_plan(detector.settings) is None else ["6 frames, shorter than one segment of 8"]
        assert [note.partition(":")[0] for note in detector.notes(short)] == expected


def test_a_clip_of_exactly_one_segment_has_no_note(detectors):
    assert detectors["conditional"].notes(noise(seconds=7 * 256 / 16_000)) == ()


# Recordings


def test_a_recording_scores_as_its_waveform_does(detectors, tmp_path, waveform):
    soundfile.write(tmp_path / "a.wav", waveform[0], 16_000, subtype="FLOAT")
    detector = detectors["log-mel-knn"]
    found = detector.score_recording(tmp_path / "a.wav")
    assert found.anomaly_score == detector.score(waveform)
    assert found.decision == detector.decide(found.anomaly_score)
    assert found.p_value == detector.p_value(found.anomaly_score)
    assert found.notes == ()


def test_a_recording_can_be_scored_by_its_beginning(detectors, tmp_path, waveform):
    soundfile.write(tmp_path / "a.wav", np.concatenate([waveform[0], waveform[0]]), 16_000, subtype="FLOAT")
    found = detectors["log-mel-knn"].score_recording(tmp_path / "a.wav", max_seconds=0.5)
    assert found.anomaly_score == detectors["log-mel-knn"].score(waveform)
    assert found.notes == ("only the first 0.5 s of 1 s were scored",)


def test_the_beginning_of_a_recording_is_not_kept_as_the_whole(detectors, tmp_path, waveform):
    path = tmp_path / "a.wav"
    half = waveform[0, : waveform.shape[1] // 2]
    soundfile.write(path, np.concatenate([half, 0.1 * half]), 16_000, subtype="FLOAT")
    detector = replace(detectors["log-mel-knn"], cache=LogMelCache(tmp_path / "cache"))
    whole = detectors["log-mel-knn"].score_recording(path).anomaly_score
    assert detector.score_recording(path, max_seconds=0.25).anomaly_score != whole
    assert detector.score_recording(path).anomaly_score == detector.score_recording(path).anomaly_score == whole
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_every_problem_of_a_recording_names_it(detectors, tmp_path, waveform):
    path = tmp_path / "a.wav"
    for samples, message in (
        (waveform[0], r"a\.wav: 1 channel\(s\); channel 1"),
        (1e38 * np.stack([waveform[0], waveform[0]], axis=1), r"a\.wav: too loud"),
        (np.stack([waveform[0, :100]] * 2, axis=1), r"a\.wav: 100 samples"),
    ):
        soundfile.write(path, samples, 16_000, subtype="FLOAT")
        for score in (
            using_channel(detectors["log-mel-knn"], 1).score_recording,
            partial(score_clip, using_channel(detectors["log-mel-knn"], 1)),
        ):
            with pytest.raises(AudioError, match=message) as raised:
                score(path)
            assert raised.value.path == path


def test_a_detector_with_other_settings_has_another_front_end(detectors, waveform):
    detector, both = detectors["log-mel-knn"], np.concatenate([waveform, noise(seconds=0.5)])
    assert detector.score(both) == detector.score(waveform)
    assert using_channel(detector, 1).score(both) != detector.score(waveform)


# Separation


def separating(detector, separator, mode):
    """The same detector with separation in front."""
    settings = detector.settings.model_copy(update={"separation": mode})
    return replace(detector, settings=settings, separator=separator)


@pytest.mark.parametrize(
    ("mode", "input_sound", "reference"),
    [("denoise", "machine", "machine"), ("target=separated", "recording", "machine")],
)
def test_what_is_separated_takes_its_place(detectors, separator, waveform, mode, input_sound, reference):
    detector = separating(detectors["conditional"], separator, mode)
    log_mel = LogMel(detector.settings.log_mel, sample_rate=16_000)
    expected = {
        "recording": log_mel(waveform[0]),
        "machine": log_mel(separator.separate(waveform)[0, 0]),
    }
    found = detector.spectrograms(waveform)
    assert np.array_equal(found.input, expected[input_sound])
    assert np.array_equal(found.reference, expected[reference])
    assert not np.array_equal(expected["recording"], expected["machine"])


def test_each_way_to_separate_gives_another_score(detectors, separator, waveform):
    detector = detectors["conditional"]
    modes = [separating(detector, separator, mode) for mode in ("denoise", "target=separated")]
    scores = [found.score(waveform) for found in (detector, *modes)]
    assert len(set(scores)) == 3
    assert np.isfinite(scores).all()


class TestADetectorThatSeparates:
    def test_its_score_does_not_depend_on_what_was_scored_before(self, separating_detector):
        clips = [noise(seed=seed, seconds=0.3 + 0.2 * seed) for seed in range(4)]
        forwards = [separating_detector.score(clip) for clip in clips]
        backwards = [separating_detector.score(clip) for clip in reversed(clips)]
        assert forwards == backwards[::-1]
        assert len(set(forwards)) == 4

    def test_only_the_channel_of_the_settings_counts(self, separating_detector):
        near, far = noise(seed=1), noise(seed=2)
        assert separating_detector.score(np.concatenate([near, far])) == separating_detector.score(near)

    def test_a_recording_is_not_changed_by_scoring_it(self, separating_detector, waveform):
        before = waveform.copy()
        separating_detector.score(waveform)
        assert np.array_equal(waveform, before)

    def test_silence_and_the_shortest_clip_have_finite_scores(self, separating_detector):
        for clip in (np.zeros((1, 8_000), np.float32), noise(seconds=512 / 16_000)):
            assert np.isfinite(separating_detector.score(clip))
            assert np.isfinite(separating_detector.error_map(clip)).all()

    def test_a_clip_longer_than_a_chunk_of_its_separator_is_scored(self, separating_detector):
        assert np.isfinite(separating_detector.score(noise(seconds=61)))
