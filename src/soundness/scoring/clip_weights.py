"""Clips far from the others: they count less in a covariance, and what is near to them is not near to normal ones."""

from collections.abc import Sequence
from dataclasses import replace

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
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["clip_weights", "reference_excess", "weighted_vectors", "with_weights"]

_FEWEST_WEIGHTED = 60  # clips of a domain: with fewer, a covariance needs them all
_NEIGHBOR_SHARE = 0.05  # of the clips of a domain: as many similar ones are a state of the machine
_ROUNDS = 6
_KNEE = 0.7  # of the clips, which count in full
_SETTLED = 0.05  # change of a weight that makes no difference
_FEWEST_FAR = 8  # clips of a domain: with fewer, nothing tells what is far
_NOT_FAR = 0.85  # of the clips, which are references as they are
_ALIKE_SHARE = 0.02  # of the clips of a domain: as many faulty ones that are alike do not vouch for each other


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
            near = np.sqrt(_to_neighbor(squares, here, n_neighbors))
            changed[here] = np.minimum(
                1.0, (np.quantile(near, _KNEE) / np.maximum(near, 1e-300)) ** settings.outlier_exponent
            )
        weights, before = changed, weights
        if np.abs(weights - before).max() < _SETTLED:
            break
    return np.maximum(weights, 1e-6)


def with_weights(training: TrainingVectors, settings: ScorerSettings) -> TrainingVectors:
    """Clips with their `clip_weights`, which take some time: all that is whitened by these clips has them in common."""
    if settings.whitening == "none" or training.weights is not None:
        return training
    weights = clip_weights(training.own, training.clip_domains, training.applicable(settings))
    return replace(training, weights=weights)


def weighted_vectors(
    vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings, *, weights: Array | None = None
) -> Array:
    """Vectors as they count in the covariance, by their weights, or by `clip_weights`."""
    if weights is None:
        weights = clip_weights(vectors, domains, settings)
    return vectors if (weights == 1.0).all() else _weighted(vectors, domains, weights)[0]


def reference_excess(views: Sequence[TrainingVectors], settings: ScorerSettings) -> list[Array]:
    r"""Squared distance that is added to that of each clip, shape ``(clip,)`` for each view.

    A faulty clip among the normal ones makes near whatever is faulty like it. So a clip that is near to one that is far
    from all others counts as about as far from them as that one. With :math:`d_{iv}` the left-out distance of a clip to
    its :math:`k`-th nearest neighbour in its domain in a view, where :math:`k` is a fiftieth of the clips and at least
    1, :math:`m_v` its median over the domain and :math:`j_i^2` the mean of :math:`d_{iv}^2 / m_v^2` over the views, it
    is :math:`m_v^2 \max(0, j_i^2 - q^2)` with :math:`q` the 85 % quantile of :math:`j_i`: nothing for most clips.
    Domains of fewer than eight clips have none, and so has a scorer without ``outlier_exponent`` or without whitening.

    Parameters
    ----------
    views
        Views of the same clips.
    settings
        Settings of the scorer.
    """
    domains = views[0].clip_domains
    excess = [np.zeros(len(domains)) for _ in views]
    if views[0].applicable(settings).outlier_exponent == 0.0 or settings.whitening == "none":
        return excess
    nearest = [_left_out_neighbors(with_weights(view, settings), settings) for view in views]
    for domain in np.unique(domains):
        here = np.flatnonzero(domains == domain)
        medians = [float(np.median(squares[here])) for squares in nearest]
        used = [(squares[here], median) for squares, median in zip(nearest, medians, strict=True) if median > 0.0]
        if len(here) < _FEWEST_FAR or not used:
            continue
        joint = np.mean([squares / median for squares, median in used], axis=0)
        beyond = np.maximum(joint - np.quantile(joint, _NOT_FAR), 0.0)
        for own, median in zip(excess, medians, strict=True):
            own[here] = median * beyond
    return excess


def _left_out_neighbors(view: TrainingVectors, settings: ScorerSettings) -> Array:
    """Squared left-out distance of each clip to a near one of its domain that does not depend on it; 0 without one."""
    found = np.zeros(len(view.own))
    if np.ptp(view.own, axis=0).max() == 0.0:
        return found
    assert view.weights is not None
    squares = _left_out_squares(view.own, view.clip_domains, view.weights, view.applicable(settings))
    if view.dependent is not None:
        squares[view.dependent] = np.inf
    for domain in np.unique(view.clip_domains):
        here = np.flatnonzero(view.clip_domains == domain)
        found[here] = _to_neighbor(squares, here, max(1, round(_ALIKE_SHARE * len(here))))
    return np.where(np.isfinite(found), found, 0.0)


def _to_neighbor(squares: Array, here: NDArray[np.generic], n_neighbors: int) -> Array:
    """Squared distance of some clips to the last of their nearest neighbours among them, shape ``(some,)``."""
    found: Array = np.partition(squares[np.ix_(here, here)], n_neighbors - 1, axis=1)[:, n_neighbors - 1]
    return found


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
