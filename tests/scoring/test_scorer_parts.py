"""Whitenings, distances and normalizations of a scorer: by hand, by scikit-learn, and as a contract of all together."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage

from soundness.errors import DataError, SettingsError
from soundness.scoring import whitening
from soundness.scoring.distances import DISTANCES, DensityRatio
from soundness.scoring.memory_bank import MemoryBank, left_out_distances
from soundness.scoring.normalization import new_normalization
from soundness.scoring.scorers import SCORERS, FusedScorer, NearestNeighborScorer, TrainingVectors
from soundness.settings.scoring import MemberSettings
from soundness.settings.system import ScorerSettings

WHITENINGS = {
    "none": {},
    "shrunk": {"whitening": "shrunk"},
    "ledoit-wolf": {"whitening": "ledoit-wolf"},
    "floored": {"whitening": "shrunk", "shrinkage": 0.01, "eigenvalue_floor": 0.3},
    "scaled": {"whitening": "scaled", "shrinkage": 0.01, "is_standardised": True},
    "standardised": {"whitening": "shrunk", "is_standardised": True},
    "standardised-ledoit-wolf": {"whitening": "ledoit-wolf", "is_standardised": True},
    "expecting": {"whitening": "scaled", "is_standardised": True, "anomaly_width": 1.5, "anomaly_level": 0.5},
}
NORMALIZATIONS = ("none", "min", "z-score", "quantile")
WITH_WHITENINGS = [(distance, whitening, "z-score") for distance, whitening in product(DISTANCES, WHITENINGS)]
WITH_NORMALIZATIONS = [
    (distance, "shrunk", normalization) for distance, normalization in product(DISTANCES, NORMALIZATIONS)
]
CONTRACT = [
    *(("nearest-neighbors", *parts) for parts in sorted({*WITH_WHITENINGS, *WITH_NORMALIZATIONS})),
    *(("fused", distance, "shrunk", "quantile") for distance in DISTANCES),
]


def settings_of(name, distance, whitening_name, normalization, **changes):
    chosen = WHITENINGS[whitening_name] | changes
    return ScorerSettings(name=name, distance=distance, normalization=normalization, n_density_neighbors=3, **chosen)


def training_of(*n_clips, n_features=5, seed=0, spread=1.0):
    """Two conditions for each domain, two views, and all of it a spectrum."""
    rng = np.random.default_rng(seed)
    domains = np.repeat(np.arange(len(n_clips)), n_clips)
    conditions = np.repeat(np.arange(len(n_clips)), 2)
    own = 2 * domains + rng.integers(2, size=len(domains))
    vectors = (
        spread
        * rng.standard_normal((len(domains), len(conditions), n_features))
        @ np.diag(np.linspace(0.5, 3, n_features))
    )
    vectors += 3 * domains[:, None, None]
    return TrainingVectors(
        vectors=vectors,
        own_conditions=own,
        clip_domains=domains,
        condition_domains=conditions,
        view_sizes=(2, n_features - 2),
        n_bands=n_features,
    )


def vectors_of(*n_clips, **options):
    training = training_of(*n_clips, **options)
    return training.own, training.clip_domains


# The contract


@pytest.mark.parametrize(
    ("name", "distance", "whitening_name", "normalization"), CONTRACT, ids=["-".join(parts) for parts in CONTRACT]
)
class TestEveryCombination:
    @pytest.fixture
    def chosen(self, name, distance, whitening_name, normalization):
        return settings_of(name, distance, whitening_name, normalization)

    def test_scores_are_finite_rebuilt_to_the_last_bit_and_higher_far_away(self, chosen):
        training = training_of(8, 5)
        scorer = SCORERS[chosen.name].fit(training, chosen)
        left_out = scorer.left_out_scores()
        assert left_out.shape == (13,)
        assert np.isfinite(left_out).all()
        again = SCORERS[chosen.name].from_arrays(scorer.arrays(), chosen)
        assert again.left_out_scores().tolist() == left_out.tolist()
        queries = training_of(3, 3, seed=4).vectors
        assert [again.score(query) for query in queries] == [scorer.score(query) for query in queries]
        assert again.notes() == scorer.notes()
        far = [scorer.score(training.vectors[0] + shift) for shift in (0, 20, 40, 80)]
        assert far[0] < far[1] < far[2] < far[3]
        known = np.array([scorer.score(clip) for clip in training.vectors])
        assert (left_out > known).mean() > 0.5

    def test_the_order_of_the_training_clips_does_not_matter(self, chosen):
        training = training_of(8, 5)
        order = np.random.default_rng(0).permutation(13)
        shuffled = replace(
            training.subset(np.ones(13, bool)),
            vectors=training.vectors[order],
            own_conditions=training.own_conditions[order],
            clip_domains=training.clip_domains[order],
        )
        one, other = (SCORERS[chosen.name].fit(clips, chosen) for clips in (training, shuffled))
        for query in training_of(2, 2, seed=5).vectors:
            assert other.score(query) == pytest.approx(one.score(query), rel=1e-7, abs=1e-7)

    def test_few_clips_many_features_constant_ones_and_lone_clips_give_finite_scores(self, chosen):
        for counts in ((3,), (5, 1), (2, 2), (10, 3)):
            training = training_of(*counts, n_features=24)
            training.vectors[..., 3] = 7.0
            scorer = SCORERS[chosen.name].fit(training, chosen)
            scores = [scorer.score(training.vectors[0] + shift) for shift in (0.0, 0.1, 50.0)]
            assert np.isfinite(scores).all()
            assert np.isfinite(scorer.left_out_scores()).all()
            assert scores[2] > scores[0]

    def test_identical_clips_are_compared_or_refused_by_name(self, chosen):
        training = replace(training_of(4, 3), vectors=np.full((7, 4, 5), 2.0))
        if chosen.whitening != "none":
            with pytest.raises(DataError, match="no two training clips of a domain differ"):
                SCORERS[chosen.name].fit(training, chosen)
            return
        scorer = SCORERS[chosen.name].fit(training, chosen)
        scores = [scorer.score(training.vectors[0] + shift) for shift in (0.0, 0.1, 50.0)]
        assert np.isfinite([*scores, *scorer.left_out_scores()]).all()
        assert scores[0] < scores[1] < scores[2]

    def test_the_nearest_clip_is_the_clip_itself_and_contributions_point_to_what_was_changed(self, chosen):
        training = training_of(8, 5)
        scorer = SCORERS[chosen.name].fit(training, chosen)
        for clip in (0, 6, 10):
            nearest = scorer.nearest(training.vectors[clip], 4)
            assert nearest[0] == clip
            assert len(set(nearest.tolist())) == 4
        odd = training.vectors[2].copy()
        odd[:, 4] += 60.0
        contributions = scorer.contributions(odd)
        assert contributions.shape == (5,)
        assert (contributions >= 0).all()
        assert contributions[4] > 0.9 * contributions.max()  # whitening by few clips mixes features

    def test_clips_that_join_are_no_longer_odd(self, chosen):
        training, new = training_of(8, 5), training_of(6, seed=9)
        shape = (6, 4, 5)
        fresh = TrainingVectors(
            vectors=np.broadcast_to(new.vectors[:, :1] + 30.0, shape).copy(),
            own_conditions=np.zeros(6, int),
            clip_domains=np.full(6, 0 if chosen.normalization == "none" else 2),
            condition_domains=training.condition_domains,
            view_sizes=training.view_sizes,
        )
        scorer = SCORERS[chosen.name].fit(training, chosen)
        query = np.broadcast_to(training_of(1, seed=10).vectors[:, :1] + 30.0, (1, 4, 5))[0]
        joined = scorer.enrolled(fresh)
        assert joined.score(query) < scorer.score(query)
        again = SCORERS[chosen.name].from_arrays(joined.arrays(), chosen)
        assert again.score(query) == joined.score(query)
        assert joined.nearest(query, 1)[0] >= 13
        assert np.isfinite(joined.score(training.vectors[0]))


# Whitening


@pytest.mark.parametrize("shape", [(40, 6), (6, 40), (7, 7)])
def test_the_shrinkage_of_ledoit_and_wolf_is_scikit_learns(shape):
    vectors = np.random.default_rng(0).standard_normal(shape) @ np.diag(np.linspace(0.1, 4, shape[1]))
    centred = vectors - vectors.mean(axis=0)
    expected = ledoit_wolf_shrinkage(centred, assume_centered=True)
    assert whitening.ledoit_wolf_shrinkage(centred) == pytest.approx(expected, rel=1e-10)


def test_whitening_by_ledoit_and_wolf_is_scikit_learns_inverse_root():
    vectors, domains = vectors_of(40, n_features=6)
    centred = vectors - vectors.mean(axis=0)
    covariance = ledoit_wolf(centred, assume_centered=True)[0] * 40 / 39
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="ledoit-wolf"))
    np.testing.assert_allclose(root @ covariance @ root, np.eye(6), atol=1e-9)


def test_eigenvalues_are_floored_at_a_share_of_their_mean():
    vectors = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.01], [0.0, -0.01]])  # variances 6 and 1/15,000, mean 3
    root = whitening.shrunk_inverse_root(vectors, np.zeros(4, int), shrinkage=1e-12, eigenvalue_floor=0.5)
    np.testing.assert_allclose(root, np.diag([6**-0.5, 1.5**-0.5]), rtol=1e-4)


def test_standardised_whitening_does_not_depend_on_units():
    training = training_of(12, 6)
    units = np.array([1e-3, 1.0, 1e3, 1e5, 1e-6])
    other = replace(training, vectors=training.vectors * units)
    chosen = ScorerSettings(whitening="shrunk", is_standardised=True)
    one, two = (NearestNeighborScorer.fit(clips, chosen) for clips in (training, other))
    query = training_of(1, 1, seed=3).vectors[0]
    assert two.score(query * units) == pytest.approx(one.score(query), rel=1e-6)
    plain = [NearestNeighborScorer.fit(c, ScorerSettings(whitening="shrunk")) for c in (training, other)]
    assert plain[1].score(query * units) != pytest.approx(plain[0].score(query), rel=1e-2)


@pytest.mark.parametrize("whitening_name", WHITENINGS)
@pytest.mark.parametrize("counts", [(9, 4), (12, 1), (4, 3, 5), (3,)])
def test_a_clip_is_left_out_as_if_it_had_never_been_there(whitening_name, counts):
    training = training_of(*counts, n_features=7)
    chosen = settings_of("nearest-neighbors", "nearest", whitening_name, "z-score")
    (found,) = left_out_distances([MemoryBank.from_training(training, chosen)], training)
    for clip in range(len(training.vectors)):
        kept = np.arange(len(training.vectors)) != clip
        domains = np.unique(training.clip_domains[kept])
        if len(domains) < len(counts):
            continue  # without a domain there is no bank with as many
        bank = MemoryBank.from_training(training.subset(kept), chosen)
        np.testing.assert_allclose(found[clip], bank.distances(training.vectors[clip]), rtol=1e-8)


# Distances

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])  # to the two nearest others: 1 3, 1 2, 2 3, 4 6; spreads 2 1.5 2.5 5


def test_density_ratio_by_hand():
    queries = np.array([[9.0], [-4.0]])
    # 9 is 9 8 6 2 away, -4 is 4 5 7 11 away.
    ratio = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2))
    assert ratio.spreads.tolist() == [2.0, 1.5, 2.5, 5.0]
    np.testing.assert_allclose(ratio.distances(queries), [2 / 5, 4 / 2])
    two = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2, n_neighbors=2))
    np.testing.assert_allclose(two.distances(queries), [(2 / 5 + 6 / 2.5) / 2, (4 / 2 + 11 / 5) / 2])


def test_a_clip_that_is_left_out_is_nobodys_neighbour():
    # Without 1: 0 is 3 and 7 from the others, 3 is 3 and 4, 7 is 4 and 7. Left out, 1 is 1 2 6 away.
    ratio, left_out = DensityRatio.from_references(LINE, ScorerSettings(n_density_neighbors=2)), LINE[:, 0] == 1.0
    assert ratio.spreads_without(left_out).tolist() == [5.0, 3.5, 5.5]
    np.testing.assert_allclose(ratio.distances_without(LINE[1:2], LINE, left_out), [1 / 5])


def test_a_lone_clip_has_the_spread_of_the_largest_domain():
    chosen = ScorerSettings(n_density_neighbors=2)
    largest = DensityRatio.from_references(LINE, chosen)
    lone = DensityRatio.from_references(np.array([[100.0]]), chosen, largest=largest)
    np.testing.assert_allclose(lone.distances(np.array([[111.0]])), [11 / 2.75])


def test_mahalanobis_distance_to_the_mean_is_scipys():
    vectors, domains = vectors_of(25)
    chosen = ScorerSettings(distance="mahalanobis", whitening="shrunk", normalization="min")
    scorer = NearestNeighborScorer.fit(TrainingVectors.from_vectors(vectors, domains), chosen)
    covariance = np.cov(vectors, rowvar=False)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / 5 * np.eye(5)
    query = np.arange(5.0)
    apart = query - vectors.mean(axis=0)
    assert scorer.score(query[None]) ** 2 == pytest.approx(apart @ np.linalg.solve(shrunk, apart), rel=1e-9)
    assert scorer.contributions(query[None]).sum() == pytest.approx(scorer.score(query[None]) ** 2, rel=1e-9)


# Normalizations


def test_quantiles_by_hand():
    normalization = new_normalization("quantile", np.array([1.0, 3.0, 2.0]), np.zeros(3, int), n_domains=1)
    # -log(3/4), -log(2/4), -log(1/4) at 1, 2, 3; beyond: the mean above the median, 3, less the median, 2.
    at = normalization(np.array([[1.0], [2.0], [2.5], [3.0], [5.0], [0.0]]))[:, 0]
    logs = -np.log([0.75, 0.5, 0.25])
    np.testing.assert_allclose(at, [*logs[:2], logs[1:].mean(), logs[2], logs[2] + 2, logs[0] - 1])


def test_without_normalization_the_domains_are_one_and_with_the_minimum_they_are_not():
    training = TrainingVectors.from_vectors(np.array([[0.0], [2.0], [5.0], [6.0]]), np.array([0, 0, 1, 1]))
    scores = {
        normalization: NearestNeighborScorer.fit(
            training, ScorerSettings(normalization=normalization, n_neighbors=2)
        ).score(np.array([[4.0]]))
        for normalization in ("none", "min")
    }
    assert scores == {"none": 1.5, "min": 1.5}  # 1 and 2 away; (2 + 4) / 2 and (1 + 2) / 2
    query = np.array([[3.0]])
    one, two = (
        NearestNeighborScorer.fit(training, ScorerSettings(normalization=normalization, n_neighbors=2)).score(query)
        for normalization in ("none", "min")
    )
    assert (one, two) == (1.5, 2.0)  # 1 and 2 away; (1 + 3) / 2 and (2 + 3) / 2


def test_synthetic_references_lie_between_neighbours_of_the_smaller_domain():
    training = TrainingVectors.from_vectors(
        np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [14.0], [24.0]]), [0, 0, 0, 0, 1, 1, 1]
    )
    bank = MemoryBank.from_training(training, ScorerSettings(synthetic_neighbors=1))
    assert bank.domain_distances[1].references[:, 0].tolist() == [10.0, 14.0, 24.0, 12.0, 19.0]
    assert bank.domain_distances[0].references[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert bank.distances(np.array([[19.5]]))[1] == 0.5
    # Left out, 14 takes 12 and 19 with it: 4 from 10.
    (left_out,) = left_out_distances([bank], training)
    assert left_out[5, 1] == 4.0


# Alone, fused, refused


@pytest.mark.parametrize(
    ("vectors", "domains", "message"),
    [
        (np.zeros(3), None, r"vectors of shape \(3,\); expected \(clip, feature\)"),
        (np.zeros((0, 3)), None, r"vectors of shape \(0, 3\)"),
        (np.array([[1.0], [np.nan]]), None, r"1 vector\(s\) are not finite"),
        (np.zeros((3, 2)), [0, 2, 2], r"domains \[0, 2\] of 3 clip\(s\); expected 0, 1"),
        (np.zeros((3, 2)), [0, 0], r"of 2 clip\(s\)"),
    ],
)
def test_vectors_that_cannot_be_scored_are_refused(vectors, domains, message):
    with pytest.raises(DataError, match=message):
        TrainingVectors.from_vectors(vectors, domains)


def test_one_clip_alone_is_refused():
    with pytest.raises(DataError, match="1 training clip; to compare normal clips with each other takes 2"):
        NearestNeighborScorer.fit(TrainingVectors.from_vectors(np.ones((1, 3))), ScorerSettings())


def test_fused_scores_are_the_mean_of_the_views():
    training = training_of(10, 6)
    query = training_of(1, 1, seed=7).vectors[0]
    views = []
    for part in (slice(0, 2), slice(2, 5)):
        view = replace(training, vectors=training.vectors[..., part], view_sizes=())
        scorer = NearestNeighborScorer.fit(view, ScorerSettings())
        left_out = scorer.left_out_scores()
        views.append((scorer.score(query[:, part]) - left_out.mean()) / left_out.std())
    fused = FusedScorer.fit(training, ScorerSettings(name="fused"))
    assert fused.score(query) == pytest.approx(np.mean(views), rel=1e-12)


MEMBERS = (
    MemberSettings(view=0, distance="nearest", normalization="z-score"),
    MemberSettings(view=0, distance="density-ratio", normalization="min"),
    MemberSettings(view=1, distance="density-ratio", normalization="min"),
)


def test_members_look_at_their_view_in_their_way():
    training = training_of(10, 6)
    query = training_of(1, 1, seed=7).vectors[0]
    chosen = ScorerSettings(name="fused", whitening="shrunk", members=MEMBERS)
    found = []
    for member in MEMBERS:
        part = (slice(0, 2), slice(2, 5))[member.view]
        view = replace(training, vectors=training.vectors[..., part], view_sizes=())
        own = ScorerSettings(whitening="shrunk", distance=member.distance, normalization=member.normalization)
        scorer = NearestNeighborScorer.fit(view, own)
        left_out = scorer.left_out_scores()
        found.append((scorer.score(query[:, part]) - left_out.mean()) / left_out.std())
    fused = FusedScorer.fit(training, chosen)
    assert fused.score(query) == pytest.approx(np.mean(found), rel=1e-12)
    assert FusedScorer.from_arrays(fused.arrays(), chosen).score(query) == fused.score(query)


def test_where_there_are_no_views_members_see_all_and_twins_count_once():
    training = replace(training_of(10, 6), view_sizes=())
    fused = FusedScorer.fit(training, ScorerSettings(name="fused", members=MEMBERS))
    assert [scorer.settings.distance for scorer in fused.scorers] == ["nearest", "density-ratio"]
    assert fused.sizes.tolist() == [5]


def test_a_member_whose_view_is_not_there_is_refused():
    chosen = ScorerSettings(name="fused", members=(MemberSettings(view=2),))
    with pytest.raises(SettingsError, match=r"scorer\.members: view 2 \(counted from 0\) of 2 views"):
        FusedScorer.fit(training_of(5, 5), chosen)


def test_scaled_shrinkage_is_a_share_of_features_over_clips():
    vectors, domains = vectors_of(12, 6)  # 5 features, 16 degrees of freedom
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="scaled", shrinkage=0.1))
    expected = whitening.shrunk_inverse_root(vectors, domains, shrinkage=0.1 * 5 / 16)
    np.testing.assert_allclose(root, expected, rtol=1e-12)
    root = whitening.whitening_matrix(vectors, domains, ScorerSettings(whitening="scaled", shrinkage=1.0))
    np.testing.assert_allclose(root, whitening.shrunk_inverse_root(vectors, domains, shrinkage=0.2), rtol=1e-12)


@pytest.mark.parametrize("name", ["mean", "mahalanobis"])
def test_scorers_without_clips_refuse_by_name_what_needs_them(name):
    training = replace(training_of(5), frame_covariances=np.array([np.diag([1.0, 2.0, 3.0, 4.0, 5.0])]))
    scorer = SCORERS[name].fit(training, ScorerSettings(name=name))
    clip = training.vectors[0]
    with pytest.raises(SettingsError, match="Scorer keeps no normal clips, so none of 3 is the nearest"):
        scorer.nearest(clip, 3)
    with pytest.raises(SettingsError, match="Scorer keeps no normal clips that 5 could join"):
        scorer.enrolled(training)
    assert scorer.contributions(clip).sum() == pytest.approx(scorer.score(clip))


def test_contributions_of_a_whitened_distance_add_up_to_its_square():
    training = training_of(20, 8)
    chosen = ScorerSettings(whitening="shrunk", normalization="min")
    scorer = NearestNeighborScorer.fit(training, chosen)
    query = training_of(1, 1, seed=7).vectors[0]
    assert scorer.contributions(query).sum() == pytest.approx(scorer.score(query) ** 2, rel=1e-12)


def test_clips_cannot_join_a_domain_or_with_features_that_do_not_fit():
    scorer = NearestNeighborScorer.fit(training_of(5, 4), ScorerSettings())
    with pytest.raises(DataError, match="domain 3; expected one of 0 to 2"):
        scorer.enrolled(replace(training_of(5, 4), clip_domains=np.full(9, 3)))
    with pytest.raises(DataError, match=r"vectors of shape \(4, 6\); expected \(condition, feature\) \(4, 5\)"):
        scorer.enrolled(training_of(5, 4, n_features=6))


def test_clips_join_a_fused_scorer_one_member_of_which_tells_no_domains_apart():
    training = training_of(8, 8)
    members = (MemberSettings(view=0, normalization="none"), MemberSettings(view=1))
    scorer = FusedScorer.fit(training, ScorerSettings(name="fused", members=members))
    new = replace(training_of(8, 8, seed=1), clip_domains=np.full(16, 2))
    assert scorer.enrolled(new).scorers[0].bank.own.shape == (32, 2)


def test_views_are_as_large_as_a_vector():
    with pytest.raises(DataError, match=r"view_sizes \(2, 2\); expected at least 1 each, 5 features in all"):
        TrainingVectors.from_vectors(np.eye(5), view_sizes=(2, 2))
