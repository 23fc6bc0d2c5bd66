"""Shares of an explanation add up to the score, and its map is the difference from normal."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.audio.log_mel import band_centres
from soundness.detectors.explaining.explanation import explain_clip, smoothed
from soundness.detectors.reader import read_recording
from soundness.reports.explained_clip import explain_recording
from soundness.representations.statistics import MeanLogMel
from soundness.settings.loading import system_names


def test_shares_of_the_default_scorer_add_up_to_the_squared_distance(workshop_detector, anomalous_clip):
    clip = workshop_detector.spectrograms(read_recording(anomalous_clip, workshop_detector.settings))
    explanation = explain_clip(workshop_detector, clip)
    vector = clip.reference.mean(axis=-1).astype(np.float64)
    bank = workshop_detector.scorer.bank
    distances = np.linalg.norm(bank.whitened - vector @ bank.whitening, axis=1)
    assert explanation.total == pytest.approx(distances.min() ** 2, rel=1e-6)
    assert explanation.shares.sum() == pytest.approx(explanation.total)
    assert explanation.shares.min() >= 0
    assert explanation.nearest[0] == distances.argmin()
    assert "squared distance, whitened, from the nearest normal clip" in explanation.meaning


def test_the_map_is_measured_from_the_nearest_normal_clip(workshop_detector, workshop, anomalous_clip):
    clip = workshop_detector.spectrograms(read_recording(anomalous_clip, workshop_detector.settings))
    explanation = explain_clip(workshop_detector, clip)
    name = workshop_detector.normal_clips.names[explanation.nearest[0]]
    assert name.startswith("normal/clip_1")
    normal = workshop_detector.spectrograms(
        read_recording(workshop / "fan" / name, workshop_detector.settings)
    ).reference.mean(axis=-1)
    excess = clip.reference - normal[:, None]
    np.testing.assert_allclose(explanation.excess_db, excess, atol=1e-3)
    scale = workshop_detector.representation.deviation[:, None]
    np.testing.assert_allclose(explanation.deviations, excess / scale, atol=1e-3)


@pytest.mark.parametrize("system", system_names())
def test_every_system_is_explained_and_says_what_its_shares_are(detectors, fan, system):
    detector = detectors[system]
    path = next((fan / "test").glob("*anomaly*"))
    explained = explain_recording(detector, path, normal=None)
    explanation = explained.explanation
    assert explanation.shares.shape == explanation.log_mel.shape == explanation.deviations.shape
    assert explanation.shares.sum() == pytest.approx(explanation.total)
    assert explained.score.anomaly_score == detector.score(read_recording(path, detector.settings))
    if system == "baseline-mse":
        assert explanation.total == pytest.approx(explained.score.anomaly_score)
        assert explanation.meaning == "parts of the score: they add up to it"
        assert "mean log-mel" in explanation.nearest_by
    if system in ("conditional", "baseline-mse"):
        clip = detector.spectrograms(read_recording(path, detector.settings))
        if not detector.settings.autoencoder.is_overlapping:
            errors = detector.representation.error_map(clip)
            np.testing.assert_allclose(np.square(explanation.deviations), errors, rtol=1e-4, atol=1e-6)
    assert explained.nearest.name in detector.normal_clips.names
    assert 1 <= len(explained.regions) <= 2


def test_a_scorer_and_a_representation_that_tell_nothing_of_bands_are_explained_by_the_error_map(detectors, fan):
    class Silent:
        def from_arrays(self):
            """Not used."""

        def vectors(self, clip):
            return np.ones((1, 3)) * clip.reference.mean()

        def error_map(self, clip):
            return np.abs(clip.reference - clip.reference.mean())

    detector = detectors["log-mel-knn"]
    path = next((fan / "test").glob("*anomaly*"))
    clip = detector.spectrograms(read_recording(path, detector.settings))

    class Deaf(type(detector.scorer)):
        def nearest(self, vectors, n_clips):  # noqa: ARG002  # as all scorers
            return np.zeros(1, np.int64)

    changed = replace(
        detector,
        representation=Silent(), scorer=Deaf(detector.scorer.bank, left_out=detector.scorer.left_out,
                                             settings=detector.scorer.settings)
    )  # fmt: skip
    explanation = explain_clip(changed, clip)
    assert explanation.excess_db is None
    np.testing.assert_allclose(explanation.bands, changed.representation.error_map(clip).mean(axis=1), rtol=1e-5)
    assert explanation.meaning.startswith("not parts of the score")


def test_views_of_a_clip_are_added_band_by_band(detectors, fan):
    class Twice(MeanLogMel):
        def vectors(self, clip):
            return np.tile(super().vectors(clip), 2)

    detector = detectors["log-mel-knn"]
    bank = detector.scorer.bank
    path = next((fan / "test").glob("*anomaly*"))
    clip = detector.spectrograms(read_recording(path, detector.settings))
    once = explain_clip(detector, clip)
    assert "views" not in once.meaning
    doubled = type(bank).from_arrays({**bank.arrays(), "own": np.tile(bank.own, (1, 2))}, detector.settings.scorer)
    scorer = type(detector.scorer)(doubled, left_out=detector.scorer.left_out, settings=detector.settings.scorer)
    representation = Twice(mean=detector.representation.mean, deviation=detector.representation.deviation)
    twice = explain_clip(replace(detector, representation=representation, scorer=scorer), clip)
    np.testing.assert_allclose(twice.bands, 2 * once.bands)
    assert "of 2 views of the clip together" in twice.meaning


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 99])
def test_smoothing_is_the_mean_of_the_frames_around(n_frames):
    values = np.random.default_rng(0).standard_normal((2, 7))
    size = min(n_frames, 7)
    for frame in range(7):
        around = values[:, max(0, frame - size // 2) : min(7, frame - size // 2 + size)]
        np.testing.assert_allclose(smoothed(values, n_frames)[:, frame], around.mean(axis=1))


def test_bands_of_a_detector_are_those_of_its_log_mel(workshop_detector):
    assert len(band_centres(workshop_detector.settings.log_mel)) == workshop_detector.normal_clips.means.shape[1]
