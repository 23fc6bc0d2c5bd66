"""Expected changes by anomalies: the likelihood ratio by its definition, and its effect on scores."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import multivariate_normal

from soundness.errors import DataError
from soundness.scoring.expected_changes import expected_changes, likelihood_ratio_factor
from soundness.scoring.joining.fused import FusedScorer
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import TrainingVectors
from soundness.scoring.scorers import SCORERS
from soundness.scoring.whitening import whitening_matrix
from soundness.settings.loading import load_settings
from soundness.settings.scoring import MemberSettings, ScorerSettings

N_BANDS = 24
WHITENED = {"whitening": "scaled", "shrinkage": 0.05, "is_standardised": True}
EXPECTING = WHITENED | {"anomaly_width": 3.0, "anomaly_level": 0.2}


def spectra(n_clips, *, seed=0):
    """Levels vary, and each band beside, some more than others."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal((n_clips, 1))
    return (level + rng.standard_normal((n_clips, N_BANDS))) * np.linspace(0.5, 4, N_BANDS)


def training_of(n_clips, *, n_bands=N_BANDS):
    return TrainingVectors.from_vectors(spectra(n_clips), n_bands=n_bands)


def fitted(n_clips=40, *, n_bands=N_BANDS, **settings):
    return NearestNeighborScorer.fit(
        training_of(n_clips, n_bands=n_bands), ScorerSettings(normalization="min", **settings)
    )


def test_changes_are_a_factor_of_their_covariance():
    factor = expected_changes(20, width=2.5, level=0.3)
    apart = np.subtract.outer(np.arange(20), np.arange(20))
    np.testing.assert_allclose(factor @ factor.T, 0.09 * np.exp(-(apart**2) / (2 * 2.5**2)), atol=1e-7)
    assert factor.shape[1] < 20
    with pytest.raises(ValueError, match="read-only"):
        factor[0, 0] = 1.0


def test_squared_lengths_are_twice_the_log_likelihood_ratio_but_for_a_constant():
    rng = np.random.default_rng(1)
    root = rng.standard_normal((12, 12))
    covariance = root @ root.T + np.eye(12)
    changes = expected_changes(12, width=2.0, level=1.5)
    factor = likelihood_ratio_factor(np.linalg.inv(np.linalg.cholesky(covariance)).T, changes)
    differences = rng.standard_normal((5, 12))
    normal = multivariate_normal(np.zeros(12), covariance)
    anomalous = multivariate_normal(np.zeros(12), covariance + changes @ changes.T)
    ratio = 2 * (anomalous.logpdf(differences) - normal.logpdf(differences))
    squares = np.square(differences @ factor).sum(axis=1)
    np.testing.assert_allclose(squares - squares[0], ratio - ratio[0], rtol=1e-9)


def test_the_root_is_symmetric_among_standardised_features_and_says_the_same_as_the_factor():
    vectors, domains = spectra(40), np.zeros(40, np.int64)
    expecting = ScorerSettings(**EXPECTING)
    root = whitening_matrix(vectors, domains, expecting)
    plain = whitening_matrix(vectors, domains, ScorerSettings(**WHITENED))
    factor = likelihood_ratio_factor(plain, expected_changes(N_BANDS, width=3.0, level=0.2))
    np.testing.assert_allclose(root @ root.T, factor @ factor.T, atol=1e-9)
    deviations = vectors.std(axis=0, ddof=1)
    np.testing.assert_allclose(deviations[:, None] * root, (deviations[:, None] * root).T, atol=1e-9)


def test_anything_anywhere_expected_is_whitened_distance():
    vectors = spectra(3, seed=9)
    anything = fitted(**WHITENED, anomaly_width=0.01, anomaly_level=1000.0)
    plain = fitted(**WHITENED)
    for vector in vectors:
        assert anything.score(vector[None]) == pytest.approx(plain.score(vector[None]), rel=1e-4)


def test_a_change_of_bands_that_lie_together_counts_for_more_than_one_of_as_many_apart():
    together, apart = np.zeros(N_BANDS), np.zeros(N_BANDS)
    together[9:14] = 1.0
    apart[[2, 7, 12, 17, 22]] = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    clip = spectra(40)[0]

    def ratio(scorer):
        return scorer.score((clip + together)[None]) / scorer.score((clip + apart)[None])

    assert ratio(fitted(**EXPECTING)) > 2 * ratio(fitted(**WHITENED))


def test_anomalies_among_neighbouring_bands_are_found_more_often():
    rng = np.random.default_rng(5)
    normal, anomalous = spectra(200, seed=6), spectra(200, seed=7)
    bump = np.exp(-0.5 * np.square((np.arange(N_BANDS) - rng.integers(4, 20, size=200)[:, None]) / 3.0))
    anomalous += 1.5 * bump * np.linspace(0.5, 4, N_BANDS)

    def auc(scorer):
        quiet, loud = ([scorer.score(vector[None]) for vector in some] for some in (normal, anomalous))
        return float(np.mean(np.less.outer(quiet, loud)))

    assert auc(fitted(200, **EXPECTING)) > auc(fitted(200, **WHITENED)) + 0.05


def test_where_features_are_no_bands_it_does_not_count_and_the_summary_says_so():
    scorer = fitted(n_bands=0, **EXPECTING)
    plain = fitted(n_bands=0, **WHITENED)
    (vector,) = spectra(1, seed=3)
    assert scorer.score(vector[None]) == plain.score(vector[None])
    assert "features are not the bands of a spectrum: scorer.anomaly_width does not count" in scorer.notes()
    assert plain.notes() == []
    again = NearestNeighborScorer.from_arrays(scorer.arrays(), scorer.settings)
    assert again.notes() == scorer.notes()
    joined = TrainingVectors.from_vectors(spectra(5, seed=8))
    assert scorer.enrolled(joined).score(vector[None]) == plain.enrolled(joined).score(vector[None])


def test_of_several_views_those_that_are_spectra_expect_changes():
    vectors = np.concatenate([spectra(30), spectra(30, seed=1)[:, :7]], axis=1)
    training = TrainingVectors.from_vectors(vectors, view_sizes=(N_BANDS, 7), n_bands=N_BANDS)
    members = (MemberSettings(view=0), MemberSettings(view=1))
    scorer = FusedScorer.fit(training, ScorerSettings(name="fused", members=members, **EXPECTING))
    assert [each.bank.settings.anomaly_width for each in scorer.scorers] == [3.0, 0.0]
    assert len(scorer.notes()) == 1
    again = SCORERS["fused"].from_arrays(scorer.arrays(), scorer.settings)
    assert again.score(vectors[:1]) == scorer.score(vectors[:1])


def test_left_out_and_enrolled_banks_expect_the_same():
    training, more = training_of(12), TrainingVectors.from_vectors(spectra(4, seed=2), n_bands=N_BANDS)
    settings = ScorerSettings(**EXPECTING)
    scorer = NearestNeighborScorer.fit(training, settings)
    (vector,) = spectra(1, seed=3)
    everybody = np.arange(12)
    others = NearestNeighborScorer.fit(training.subset(everybody != 4), settings)
    assert scorer.left_out[4, 0] == pytest.approx(others.bank.distances(training.vectors[4])[0], rel=1e-9)
    at_once = NearestNeighborScorer.fit(
        TrainingVectors.from_vectors(np.concatenate([training.own, more.own]), n_bands=N_BANDS), settings
    )
    assert scorer.enrolled(more).bank.distances(vector[None]) == pytest.approx(
        at_once.bank.distances(vector[None]), rel=1e-9
    )


@pytest.mark.parametrize("changes", [{"whitening": "none"}, {"is_standardised": False}])
def test_it_needs_a_covariance_of_standardised_features(changes):
    with pytest.raises(ValidationError, match=r"anomaly_width is 3, which needs is_standardised=true"):
        ScorerSettings(**(EXPECTING | changes))


@pytest.mark.parametrize("distance", ["nearest", "density-ratio", "mahalanobis"])
def test_shares_add_up_to_the_squared_distance_and_stay_with_their_band(distance):
    scorer = fitted(distance=distance, **EXPECTING)
    vector = spectra(1, seed=3)
    vector[0, 11] += 20.0
    shares = scorer.contributions(vector)
    plain = scorer.bank.domain_distances[0].contributions(vector[0] @ scorer.bank.whitening)
    assert shares.sum() == pytest.approx(plain.sum(), rel=1e-9)
    assert shares.argmax() == 11
    assert shares[11] / shares.sum() > 1.5 * plain[11] / plain.sum()


@pytest.mark.parametrize("n_bands", [-3, 23, 48])
def test_a_number_of_bands_that_no_view_has_is_refused(n_bands):
    with pytest.raises(DataError, match=rf"n_bands {n_bands}; expected 0, or the features of a view: 24"):
        training_of(5, n_bands=n_bands)


def test_a_band_that_never_varies_is_no_harm():
    vectors = spectra(12)
    vectors[:, 5] = -80.0
    scorer = NearestNeighborScorer.fit(
        TrainingVectors.from_vectors(vectors, n_bands=N_BANDS), ScorerSettings(**EXPECTING)
    )
    assert np.isfinite(scorer.left_out).all()
    assert np.isfinite(scorer.score(vectors[:1] + 1.0))
    assert any("is the same in all training clips" in note for note in scorer.notes())


def test_the_default_system_expects_changes_of_a_few_bands():
    scorer = load_settings("soundness", overrides=()).scorer
    assert (scorer.anomaly_width, scorer.anomaly_level) == (8.0, 0.1)
