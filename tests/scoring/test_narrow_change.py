"""Largest change of one band beside what the others tell of it: by its definition, and what it finds."""

import numpy as np
import pytest

from soundness.scoring.expected_changes import narrow_changes
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings

N_BANDS = 20
NARROW = ScorerSettings(
    distance="narrow-change", normalization="min", whitening="shrunk", shrinkage=0.05, is_standardised=True
)


def spectra(n_clips, *, seed=0):
    """Levels vary much, in all bands together, and each band a little beside."""
    rng = np.random.default_rng(seed)
    return 5.0 * rng.standard_normal((n_clips, 1)) + 0.5 * rng.standard_normal((n_clips, N_BANDS)) - 60.0


def by_definition(clips, clip, *, width):
    centred = clips - clips.mean(axis=0)
    covariance = centred.T @ centred / (len(clips) - 1)
    covariance = 0.95 * covariance + 0.05 * np.diag(np.diag(covariance))
    inverse = np.linalg.inv(covariance)
    apart = clip - clips.mean(axis=0)
    changes = narrow_changes(N_BANDS, width=width)
    sizes = [abs(s @ inverse @ apart) / np.sqrt(s @ inverse @ s) for s in changes]
    return max(sizes) / np.sqrt(1 + 1 / len(clips))


@pytest.mark.parametrize("width", [0.0, 0.7, 3.0])
def test_a_score_and_those_left_out_are_by_definition(width):
    clips, new = spectra(40), spectra(1, seed=3)[0]
    settings = NARROW.model_copy(update={"narrow_width": width})
    scorer = NearestNeighborScorer.fit(TrainingVectors.from_vectors(clips, n_bands=N_BANDS), settings)
    assert scorer.score(new[None]) == pytest.approx(by_definition(clips, new, width=width), rel=1e-9)
    for clip in (0, 39):
        expected = by_definition(np.delete(clips, clip, axis=0), clips[clip], width=width)
        assert scorer.left_out_scores()[clip] == pytest.approx(expected, rel=1e-9)


def test_one_band_that_leaves_the_others_is_found_and_shown_and_a_level_is_not():
    scorer = NearestNeighborScorer.fit(TrainingVectors.from_vectors(spectra(60), n_bands=N_BANDS), NARROW)
    normal = spectra(1, seed=4)[0]
    narrow, louder = normal.copy(), normal + 6.0
    narrow[12] += 3.0
    usual = np.quantile(scorer.left_out_scores(), 0.9)
    assert scorer.score(narrow[None]) > 1.5 * usual
    assert scorer.score(louder[None]) < usual
    assert scorer.contributions(narrow[None]).argmax() == 12
    assert scorer.contributions(narrow[None]).sum() == pytest.approx(scorer.score(narrow[None]) ** 2, rel=1e-9)


def test_features_that_are_no_bands_are_looked_at_one_by_one():
    features = TrainingVectors.from_vectors(spectra(40))
    scorer = NearestNeighborScorer.fit(features, NARROW)
    alone = NARROW.model_copy(update={"narrow_width": 0.0})
    new = spectra(1, seed=7)
    assert scorer.score(new) == NearestNeighborScorer.fit(features, alone).score(new)
    again = NearestNeighborScorer.from_arrays(scorer.arrays(), NARROW)
    assert again.score(new) == scorer.score(new)
