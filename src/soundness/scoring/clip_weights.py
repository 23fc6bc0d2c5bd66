"""Weights of clips in a covariance: those that are far from the others count less."""

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.scoring.covariance import (
    covariance_shrinkage,
    degrees_of_freedom,
    expected_change_factor,
    feature_deviations,
    gain_variance,
)
from soundness.settings.scoring import ScorerSettings

__all__ = ["clip_weights", "weighted_vectors"]

_FEWEST_WEIGHTED = 60  # clips of a domain: with fewer, a covariance needs them all
_NEIGHBOR_SHARE = 0.05  # of the clips of a domain: as many similar ones are a state of the machine
_ROUNDS = 6
_KNEE = 0.7  # of the clips, which count in full
_SETTLED = 0.05  # change of a weight that makes no difference


def clip_weights(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array:
    r"""Weight of each clip in the covariance, in (0, 1], shape ``(clip,)``.

    With :math:`d_i` the left-out distance of a clip to its :math:`k`-th nearest neighbour in its domain, where
    :math:`k` is a twentieth of the clips and at least 2, and :math:`\tilde d` their 70 % quantile, the weight is
    :math:`\min(1, (\tilde d / d_i)^p)` with the exponent of the settings. Distances are by the covariance of the
    weighted clips, again and again until weights no longer change. Clips of a domain of fewer than 60 count alike.
    Parameters are those of `whitening_matrix`.
    """
    weights = np.ones(len(vectors))
    labels, counts = np.unique(domains, return_counts=True)
    large = [label for label in labels[counts >= _FEWEST_WEIGHTED] if np.ptp(vectors[domains == label], axis=0).any()]
    if settings.outlier_exponent == 0.0 or not large:
        return weights
    for _ in range(_ROUNDS):
        squares = _left_out_squares(vectors, domains, weights, settings)
        changed = np.ones(len(vectors))
        for label in large:
            here = domains == label
            n_neighbors = max(2, round(_NEIGHBOR_SHARE * here.sum()))
            near = np.sqrt(np.partition(squares[np.ix_(here, here)], n_neighbors - 1, axis=1)[:, n_neighbors - 1])
            changed[here] = np.minimum(
                1.0, (np.quantile(near, _KNEE) / np.maximum(near, 1e-300)) ** settings.outlier_exponent
            )
        weights, before = changed, weights
        if np.abs(weights - before).max() < _SETTLED:
            break
    return np.maximum(weights, 1e-6)


def weighted_vectors(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array:
    """Vectors as they count in the covariance."""
    weights = clip_weights(vectors, domains, settings)
    return vectors if (weights == 1.0).all() else _weighted(vectors, domains, weights)[0]


def _left_out_squares(vectors: Array, domains: NDArray[np.int64], weights: Array, settings: ScorerSettings) -> Array:
    """Squared distance of each clip, left out of the covariance, to others of its domain, shape ``(clip, clip)``."""
    counted, own = _weighted(vectors, domains, weights)
    centred = vectors - own  # about the weighted means
    deviations = feature_deviations(counted, domains)
    shrinkage = covariance_shrinkage(counted / deviations, domains, settings)
    products = counted - own
    covariance = products.T @ products / degrees_of_freedom(domains)
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * np.diag(np.square(deviations)) + gain_variance(settings)
    changes = expected_change_factor(len(shrunk), settings)
    counts = np.square(_scales(weights, domains)) * len(domains) / max(1, len(domains) - 1)  # about the mean without it
    gains = (1.0 - shrinkage) / degrees_of_freedom(domains) * counts
    found = _downdated_squares(centred, shrunk, gains)
    if changes is not None:
        found = np.maximum(found - _downdated_squares(centred, shrunk + changes @ changes.T, gains), 0.0)
    np.fill_diagonal(found, np.inf)
    return found


def _downdated_squares(centred: Array, covariance: Array, gains: Array) -> Array:
    """Squared distances between clips by a covariance that each of the first ones is taken out of."""
    products = centred @ np.linalg.solve(covariance, centred.T)
    own = np.diag(products)
    left = np.maximum(1.0 - gains * own, 1e-3)
    found: Array = own[:, None] + own - 2.0 * products + (gains / left)[:, None] * np.square(own[:, None] - products)
    return found


def _weighted(vectors: Array, domains: NDArray[np.int64], weights: Array) -> tuple[Array, Array]:
    """Vectors whose distance from their domain's weighted mean is that of their weight, and these means."""
    means = np.empty_like(vectors)
    for label in np.unique(domains):
        here = domains == label
        means[here] = np.average(vectors[here], axis=0, weights=weights[here])
    return means + _scales(weights, domains)[:, None] * (vectors - means), means


def _scales(weights: Array, domains: NDArray[np.int64]) -> Array:
    """Roots of weights whose mean is 1 in each domain, shape ``(clip,)``."""
    _, index, counts = np.unique(domains, return_inverse=True, return_counts=True)
    means = np.bincount(index, weights) / counts
    scales: Array = np.sqrt(weights / means[index])
    return scales
