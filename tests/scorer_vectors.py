"""Vectors of normal clips that scorers are fitted to."""

import numpy as np

from soundness.scoring.memory_bank import left_out_distances
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.settings.scoring import ScorerSettings

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


def training_from(values, domains, *, own=None, condition_domains=(ANY_DOMAIN,)):
    """Training vectors of shape (clip, condition, feature) from nested lists."""
    values = np.array(values, dtype=np.float64)
    own = np.zeros(len(values), int) if own is None else np.array(own)
    return TrainingVectors(
        vectors=values,
        own_conditions=own,
        clip_domains=np.array(domains),
        condition_domains=np.array(condition_domains),
    )


def left_out(bank, training):
    """Left-out distances of the training clips to each domain."""
    (found,) = left_out_distances([bank], training)
    return found


def one_condition(values, domains):
    return training_from(np.array(values, dtype=np.float64)[:, None], domains)


def random_training(n_clips=(9, 4), *, n_features=5, conditions_per_domain=2, seed=0):
    rng = np.random.default_rng(seed)
    domains = np.repeat(np.arange(len(n_clips)), n_clips)
    condition_domains = np.repeat(np.arange(len(n_clips)), conditions_per_domain)
    own = domains * conditions_per_domain + rng.integers(conditions_per_domain, size=len(domains))
    vectors = rng.standard_normal((len(domains), len(condition_domains), n_features)) + 3 * domains[:, None, None]
    return TrainingVectors(
        vectors=vectors,
        own_conditions=own,
        clip_domains=domains,
        condition_domains=condition_domains,
        frame_covariances=random_covariances(len(n_clips), n_features),
        view_sizes=(2, n_features - 2),
    )


def random_covariances(n_domains, n_features):
    roots = np.random.default_rng(99).standard_normal((n_domains, n_features, 3 * n_features))
    return roots @ roots.transpose(0, 2, 1) / (3 * n_features)


def within(vectors, domains):
    """Vectors less their domain's mean."""
    return np.concatenate([vectors[domains == d] - vectors[domains == d].mean(axis=0) for d in np.unique(domains)])


LINE = [[0.0], [1.0], [3.0], [7.0], [100.0], [102.0], [106.0]]
LINE_DOMAINS = [0, 0, 0, 0, 1, 1, 1]
# Left-out distances, 1 neighbour: 1 1 2 4 | 2 2 4.  Means 2 and 8/3, variances 1.5 and 8/9.
MEANS, DEVIATIONS = (2.0, 8 / 3), (np.sqrt(1.5), np.sqrt(8 / 9))
