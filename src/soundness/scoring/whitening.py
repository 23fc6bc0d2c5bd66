r"""Whitening: float64 NumPy.

Vectors are multiplied by the inverse square root of their covariance about their domain's mean, so that a deviation
counts the more, the less normal clips vary in its direction. The root is symmetric: each whitened feature stays as
close to the feature it came from as whitening allows, so that squared differences can be assigned to single bands.

Where a scorer's ``anomaly_width`` describes how anomalies change a spectrum, the matrix is not the inverse covariance
but that of the likelihood ratio, see `soundness.scoring.expected_changes`, and its root is symmetric, too.

Distances between the clips that a covariance was fitted on are too small. `CrossFit` gives the whitening without one of
them, exactly, at the price of a product of a vector and a matrix: with the scatter :math:`T = U \Theta U^T`, a clip at
:math:`v` from its domain's mean, :math:`n_d` clips in that domain and :math:`c = n_d / (n_d - 1)`, the scatter without
the clip is :math:`T - c v v^T`; shrunk, it is diagonal in :math:`U` but for a term of rank one, whose inverse is that
of Sherman and Morrison. Several clips that depend on each other are left out together, by a fit to the others.

With ``outlier_exponent``, clips count the less in a covariance, the farther they are from others: see `clip_weights`.
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError
from soundness.scoring.expected_changes import expected_changes, likelihood_ratio_factor
from soundness.settings.scoring import ScorerSettings

__all__ = ["CrossFit", "Embedding", "clip_weights", "ledoit_wolf_shrinkage", "shrunk_inverse_root", "whitening_matrix"]

Embedding = Callable[[Array], Array]
"""Vectors, shape ``(..., feature)``, to points whose Euclidean distances are those of whitened vectors."""

_FEWEST_FOR_LEDOIT_WOLF = 5
_LARGEST_SCALED = 0.2
_NO_VARIANCE = 1e-10  # times the variance of all clips: what rounding leaves of clips that do not differ
_HARDLY_VARIES = 1e-6  # times the variance of all clips: below, too many digits are lost
_GAIN_DB = 10.0  # of recordings, where it is to be ignored: so much that more would change nothing
_FEWEST_WEIGHTED = 60  # clips of a domain: with fewer, a covariance needs them all
_NEIGHBOR_SHARE = 0.05  # of the clips of a domain: as many similar ones are a state of the machine
_ROUNDS = 6
_KNEE = 0.7  # of the clips, which count in full
_SETTLED = 0.05  # change of a weight that makes no difference
_CONSTANT = 1e-10  # times the mean square: what rounding leaves of a feature that does not vary


def whitening_matrix(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array | None:
    """Matrix that vectors are multiplied by, shape ``(feature, feature)``; ``None`` where settings ask for none.

    Parameters
    ----------
    vectors
        Normal clips, shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    settings
        Settings of the scorer.

    Raises
    ------
    DataError
        If no two clips of a domain differ, so that there is nothing to whiten by.
    """
    return None if settings.whitening == "none" else _root(_counted(vectors, domains, settings), domains, settings)


class CrossFit:
    """Whitening without one of the clips that it was fitted on, or without several.

    Parameters
    ----------
    vectors
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    settings
        Settings of the scorer.
    """

    def __init__(self, vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> None:
        self._vectors, self._domains, self._settings = vectors, domains, settings
        self._basis: Array | None = None
        if settings.whitening == "none":
            return
        vectors = self._vectors = _counted(vectors, domains, settings)
        self._centred = _centred(vectors, domains)
        _, index, counts = np.unique(domains, return_inverse=True, return_counts=True)
        self._n_beside = counts[index]  # clips of the same domain, itself included
        self._n_domains = len(counts)
        self._products = self._centred.T @ self._centred
        if not settings.is_standardised:
            values, self._basis = np.linalg.eigh(self._products)
            self._scatter = np.maximum(values, 0.0)
            self._rotated = self._centred @ self._basis
        self._total = float(np.square(self._centred).sum())

    def prepared(self, vectors: Array) -> Array:
        """Vectors, shape ``(..., feature)``, as the embeddings of `without` take them."""
        return vectors if self._basis is None else vectors @ self._basis

    def without(self, clip: int) -> Embedding:
        """Embedding of prepared vectors for comparison where one clip is left out."""
        if self._settings.whitening == "none":
            return lambda vectors: vectors
        if not self._varies_without(clip):
            return self.with_all
        others = np.arange(len(self._vectors)) != clip
        if self._settings.is_standardised:
            direction = self._centred[clip]
            return self._standardised(self._products - self._gain(clip) * np.outer(direction, direction), others)
        shrinkage = _shrinkage(self._vectors[others], self._domains[others], self._settings)
        if shrinkage < self._settings.eigenvalue_floor:  # some eigenvalues may be floored: no such short cut
            return self._fitted(others)
        return self._downdated(clip, shrinkage)

    def without_all(self, left_out: NDArray[np.bool_]) -> Embedding:
        """Embedding of prepared vectors where several clips are left out, those of ``left_out``, shape ``(clip,)``."""
        if self._settings.whitening == "none":
            return lambda vectors: vectors
        others = ~left_out
        centred = _centred(self._vectors[others], self._domains[others])
        if float(np.square(centred).sum()) <= _NO_VARIANCE * self._total:
            return self.with_all
        return (
            self._standardised(centred.T @ centred, others) if self._settings.is_standardised else self._fitted(others)
        )

    @cached_property
    def with_all(self) -> Embedding:
        """Embedding of prepared vectors by all clips."""
        return self._fitted(np.ones(len(self._vectors), np.bool_))

    def _varies_without(self, clip: int) -> bool:
        left = self._total - self._gain(clip) * float(np.square(self._centred[clip]).sum())
        return left > _NO_VARIANCE * self._total

    def _gain(self, clip: int) -> float:
        count = int(self._n_beside[clip])
        return count / (count - 1) if count > 1 else 0.0

    def _fitted(self, chosen: NDArray[np.bool_]) -> Embedding:
        root = _root(self._vectors[chosen], self._domains[chosen], self._settings)
        matrix = root if self._basis is None else self._basis.T @ root
        return lambda vectors: vectors @ matrix

    def _standardised(self, products: Array, others: NDArray[np.bool_]) -> Embedding:
        """Embedding by the covariance of the other clips, the sum of whose products is given, in its deviations."""
        domains = self._domains[others]
        squares = np.diag(products)
        if (squares <= _HARDLY_VARIES * np.diag(self._products)).any():
            return self._fitted(others)
        scaled = (
            self._vectors[others] / np.sqrt(squares) if self._settings.whitening == "ledoit-wolf" else self._vectors
        )
        shrinkage = _shrinkage(scaled[: len(domains)], domains, self._settings)
        if shrinkage < self._settings.eigenvalue_floor:  # some eigenvalues may be floored
            return self._fitted(others)
        shrunk = ((1 - shrinkage) * products + shrinkage * np.diag(squares)) / _freedom(domains)
        shrunk += _gain_variance(self._settings)
        matrix = np.linalg.inv(np.linalg.cholesky(shrunk)).T
        changes = _changes(len(matrix), self._settings)
        factor = matrix if changes is None else likelihood_ratio_factor(matrix, changes)
        return lambda vectors: vectors @ factor

    def _downdated(self, clip: int, shrinkage: float) -> Embedding:
        """Sherman and Morrison's formula: a scale for each rotated feature, and a feature for the clip's direction."""
        gain, direction = self._gain(clip), self._rotated[clip]
        n_domains = self._n_domains - (self._n_beside[clip] == 1)
        freedom = max(1, len(self._vectors) - 1 - n_domains)
        trace = self._scatter.sum() - gain * float(direction @ direction)
        share = (1 - shrinkage) / freedom
        inverse = 1.0 / (share * self._scatter + shrinkage * trace / freedom / len(self._scatter))
        aside = direction * inverse
        weight = share * gain / (1.0 - share * gain * float(direction @ aside))
        scale, extra = np.sqrt(inverse), np.sqrt(weight) * aside
        return lambda vectors: np.concatenate([vectors * scale, (vectors @ extra)[..., None]], axis=-1)


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


def _left_out_squares(vectors: Array, domains: NDArray[np.int64], weights: Array, settings: ScorerSettings) -> Array:
    """Squared distance of each clip, left out of the covariance, to others of its domain, shape ``(clip, clip)``."""
    counted, own = _weighted(vectors, domains, weights)
    centred = vectors - own  # about the weighted means
    deviations = _deviations(counted, domains)
    shrinkage = _shrinkage(counted / deviations, domains, settings)
    products = counted - own
    covariance = products.T @ products / _freedom(domains)
    shrunk = (1.0 - shrinkage) * covariance + shrinkage * np.diag(np.square(deviations)) + _gain_variance(settings)
    changes = _changes(len(shrunk), settings)
    counts = np.square(_scales(weights, domains)) * len(domains) / max(1, len(domains) - 1)  # about the mean without it
    gains = (1.0 - shrinkage) / _freedom(domains) * counts
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


def _counted(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array:
    """Vectors as they count in the covariance."""
    weights = clip_weights(vectors, domains, settings)
    return vectors if (weights == 1.0).all() else _weighted(vectors, domains, weights)[0]


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


def shrunk_inverse_root(
    vectors: Array,
    domains: NDArray[np.int64],
    *,
    shrinkage: float,
    eigenvalue_floor: float = 0.0,
    further: Array | float = 0.0,
) -> Array:
    r"""Inverse square root of the shrunk within-domain covariance.

    With :math:`S` the covariance of the vectors about their domain's mean, :math:`d` features and shrinkage
    :math:`\lambda`, it is :math:`((1 - \lambda) S + \lambda \, \mathrm{tr}(S) / d \; I)^{-1/2}`.

    Parameters
    ----------
    vectors
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    shrinkage
        Between 0 and 1.
    eigenvalue_floor
        Smallest eigenvalue of the shrunk covariance, in their mean.
    further
        Covariance that is added after shrinking.

    Returns
    -------
    Array
        Symmetric, shape ``(feature, feature)``.

    Raises
    ------
    DataError
        If no two clips of a domain differ, so that there is nothing to whiten by.
    """
    _check_varies(vectors, domains)
    centred = _centred(vectors, domains)
    covariance = centred.T @ centred / _freedom(domains)
    variance = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk + further)
    values = np.maximum(values, eigenvalue_floor * variance)
    inverse_root: Array = (directions / np.sqrt(values)) @ directions.T
    return inverse_root


def ledoit_wolf_shrinkage(centred: Array) -> float:
    """Share of a covariance that is best replaced by its mean variance, between 0 and 1.

    Parameters
    ----------
    centred
        Vectors about their mean, shape ``(clip, feature)``.

    References
    ----------
    .. [1] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
       Multivariate Analysis 88(2), 2004, section 3.3.
    """
    n_clips, n_features = centred.shape
    smaller = centred.T @ centred if n_features <= n_clips else centred @ centred.T
    squares = np.square(centred).sum(axis=1)
    products = float(np.square(smaller).sum()) / n_clips**2  # squared Frobenius norm of the covariance
    mean = float(squares.sum()) / n_clips / n_features
    noise = (float(np.square(squares).sum()) / n_clips - products) / (n_features * n_clips)
    spread = products / n_features - mean**2
    return 1.0 if spread <= 0.0 else min(max(noise, 0.0) / spread, 1.0)


def _root(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array:
    """Matrix that vectors are multiplied by, shape ``(feature, feature)``."""
    _check_varies(vectors, domains)
    deviations = _deviations(vectors, domains) if settings.is_standardised else np.ones(vectors.shape[1])
    scaled = vectors if not settings.is_standardised else vectors / deviations
    shrinkage = _shrinkage(scaled, domains, settings)
    gain = _gain_variance(settings) / np.outer(deviations, deviations)
    floor = settings.eigenvalue_floor
    matrix = shrunk_inverse_root(scaled, domains, shrinkage=shrinkage, eigenvalue_floor=floor, further=gain)
    changes = _changes(len(matrix), settings)
    if changes is not None:
        factor = likelihood_ratio_factor(matrix, changes / deviations[:, None])
        directions, lengths, _ = np.linalg.svd(factor, full_matrices=False)
        matrix = (directions * lengths) @ directions.T  # symmetric, so that features stay close to their bands
    return matrix / deviations[:, None] if settings.is_standardised else matrix


def _gain_variance(settings: ScorerSettings) -> float:
    """Covariance of any two features by a gain that is the same in all of them; 0 where the level is kept.

    Distances hardly depend on a gain then, and lose less than if each clip's own level were taken off: the level is the
    weighted mean of the features that vary least about it.
    """
    return 0.0 if settings.level == "keep" else _GAIN_DB**2


def _changes(n_features: int, settings: ScorerSettings) -> Array | None:
    """Factor of the expected changes, see `expected_changes`; ``None`` where none are expected."""
    if settings.anomaly_width == 0.0:
        return None
    return expected_changes(n_features, width=settings.anomaly_width, level=settings.anomaly_level)


def _shrinkage(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> float:
    """Share of the covariance that is replaced."""
    if settings.whitening == "scaled":
        return float(min(_LARGEST_SCALED, settings.shrinkage * vectors.shape[1] / _freedom(domains)))
    if settings.whitening == "ledoit-wolf" and len(vectors) >= _FEWEST_FOR_LEDOIT_WOLF:
        return ledoit_wolf_shrinkage(_centred(vectors, domains))
    return settings.shrinkage


def _deviations(vectors: Array, domains: NDArray[np.int64]) -> Array:
    """Deviation of each feature about its domain's mean; 1 where it does not vary, shape ``(feature,)``."""
    variances = np.square(_centred(vectors, domains)).sum(axis=0) / _freedom(domains)
    is_constant = variances <= _CONSTANT**2 * np.square(vectors).mean(axis=0)
    deviations: Array = np.sqrt(np.where(is_constant, 1.0, variances))
    return deviations


def _freedom(domains: NDArray[np.int64]) -> int:
    return max(1, len(domains) - len(np.unique(domains)))


def _check_varies(vectors: Array, domains: NDArray[np.int64]) -> None:
    if not any(np.ptp(vectors[domains == label], axis=0).any() for label in np.unique(domains)):
        raise DataError(
            "no two training clips of a domain differ in what the system reads of them: copies of one recording, or "
            "sound that lies below the floor of the spectrogram"
        )


def _centred(vectors: Array, domains: NDArray[np.int64]) -> Array:
    """Vectors about their domain's mean, shape ``(clip, feature)``."""
    centred = np.empty_like(vectors)
    for label in np.unique(domains):
        here = domains == label
        centred[here] = vectors[here] - vectors[here].mean(axis=0)
    return centred
