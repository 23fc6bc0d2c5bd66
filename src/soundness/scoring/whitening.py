r"""Whitening: float64 NumPy.

Vectors are multiplied by the inverse square root of their covariance about their domain's mean, so that a deviation
counts the more, the less normal clips vary in its direction. The root is symmetric: each whitened feature stays as
close to the feature it came from as whitening allows, so that squared differences can be told of single bands.

Where a scorer's ``anomaly_width`` says how anomalies change a spectrum, the matrix is not the inverse covariance but
that of the likelihood ratio, see `soundness.scoring.expected_changes`, and its root is symmetric, too.

Distances between the clips that a covariance was fitted on are too small. `CrossFit` gives the whitening as it would be
without one of them, exactly, at the price of a product of a vector and a matrix: with the scatter :math:`T = U \Theta
U^T`, a clip at :math:`v` from its domain's mean, :math:`n_d` clips in that domain and :math:`c = n_d / (n_d - 1)`, the
scatter without the clip is :math:`T - c v v^T`; shrunk, it is diagonal in :math:`U` but for a term of rank one, whose
inverse is that of Sherman and Morrison.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError
from soundness.scoring.expected_changes import expected_changes, likelihood_ratio_factor
from soundness.settings.scoring import ScorerSettings

__all__ = ["CrossFit", "Embedding", "Whitening", "ledoit_wolf_shrinkage", "whitening_matrix"]

Embedding = Callable[[Array], Array]
"""Vectors, shape ``(..., feature)``, to points whose Euclidean distances are those of whitened vectors."""

_FEWEST_FOR_A_DOMAIN = 3
_FEWEST_FOR_LEDOIT_WOLF = 5
_LARGEST_SCALED = 0.2
_NO_VARIANCE = 1e-10  # times the variance of all clips: what rounding leaves of clips that do not differ
_HARDLY_VARIES = 1e-6  # times the variance of all clips: below, too many digits are lost
_CONSTANT = 1e-10  # times the mean square: what rounding leaves of a feature that does not vary


class Whitening:
    """What vectors are multiplied by, for each domain.

    Parameters
    ----------
    roots
        Shape ``(1, feature, feature)`` for all domains, or ``(domain, feature, feature)``.
    is_own
        Whether a domain is whitened by its own covariance, shape ``(domain,)``.
    """

    def __init__(self, roots: Array, is_own: NDArray[np.bool_]) -> None:
        self.roots = roots
        self.is_own = is_own

    @classmethod
    def fit(
        cls, vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings, *, n_domains: int | None = None
    ) -> Self | None:
        """Fit to normal clips, shape ``(clip, feature)``; ``None`` where the settings ask for no whitening.

        There are ``n_domains``, of which the last may have no clip; ``None`` for those that have one.
        """
        if settings.whitening == "none":
            return None
        pools = _pools(vectors, domains, settings, n_domains=n_domains)
        distinct = pools if settings.whitening_scope == "per-domain" else pools[:1]
        is_own = np.array([len(np.unique(domains[pool])) == 1 for pool in pools])
        return cls(np.stack([_root(vectors[pool], domains[pool], settings) for pool in distinct]), is_own)

    def of_domain(self, vectors: Array, domain: int) -> Array:
        """Whitened vectors, shape ``(..., feature)``, as they are compared with those of a domain."""
        whitened: Array = vectors @ self.roots[domain if len(self.roots) > 1 else 0]
        return whitened


class CrossFit:
    """The whitening as it would be without one of the clips that it was fitted on.

    Parameters
    ----------
    vectors
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    settings
        Of the scorer.
    """

    def __init__(self, vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> None:
        self._n_domains = 1 + int(domains.max())
        self._pools: list[_Pool | None] = [None] * self._n_domains
        self._rows: list[NDArray[np.int64]] = []
        if settings.whitening == "none":
            return
        pools = _pools(vectors, domains, settings)
        made: dict[bytes, _Pool] = {}
        for domain, pool in enumerate(pools):
            if pool.tobytes() not in made:
                made[pool.tobytes()] = _Pool(vectors[pool], domains[pool], settings)
            self._pools[domain] = made[pool.tobytes()]
        self._rows = [np.flatnonzero(pool) for pool in pools]

    def prepared(self, vectors: Array) -> list[Array]:
        """Vectors, shape ``(..., feature)``, as an embedding of each domain takes them."""
        done: dict[int, Array] = {}
        for pool in self._pools:
            if id(pool) not in done:
                done[id(pool)] = vectors if pool is None or pool.basis is None else vectors @ pool.basis
        return [done[id(pool)] for pool in self._pools]

    def without(self, clip: int) -> list[Embedding]:
        """For each domain, how prepared vectors are to be compared where one clip is left out."""
        done: dict[int, Embedding] = {}
        for domain, pool in enumerate(self._pools):
            if pool is not None and id(pool) not in done:
                (inside,) = np.nonzero(self._rows[domain] == clip)
                done[id(pool)] = pool.without(int(inside[0]) if len(inside) else None)
        return [_as_they_are if pool is None else done[id(pool)] for pool in self._pools]


class _Pool:
    """Clips that are whitened together."""

    def __init__(self, vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> None:
        self._vectors, self._domains, self._settings = vectors, domains, settings
        self._centred = _centred(vectors, domains)
        _, index, counts = np.unique(domains, return_inverse=True, return_counts=True)
        self._n_beside = counts[index]  # clips of the same domain, itself included
        self._n_domains = len(counts)
        self._products = self._centred.T @ self._centred if settings.whitening != "diagonal" else None
        self.basis: Array | None = None
        if self._products is not None and not settings.is_standardised:
            values, self.basis = np.linalg.eigh(self._products)
            self._scatter = np.maximum(values, 0.0)
            self._rotated = self._centred @ self.basis
        self._total = float(np.square(self._centred).sum())

    @cached_property
    def _with_all(self) -> Embedding:
        return self._fitted(np.ones(len(self._vectors), np.bool_))

    def without(self, clip: int | None) -> Embedding:
        """How vectors, multiplied by `basis` where there is one, are compared where one clip is left out."""
        if clip is None or not self._varies_without(clip):
            return self._with_all
        others = np.arange(len(self._vectors)) != clip
        if self._products is None:
            return self._fitted(others)
        if self.basis is None:
            return self._standardised(clip, others)
        shrinkage = _shrinkage(self._vectors[others], self._domains[others], self._settings)
        if shrinkage < self._settings.eigenvalue_floor:  # some eigenvalues may be floored: no such short cut
            return self._fitted(others)
        return self._downdated(clip, shrinkage)

    def _varies_without(self, clip: int) -> bool:
        left = self._total - self._gain(clip) * float(np.square(self._centred[clip]).sum())
        return left > _NO_VARIANCE * self._total

    def _gain(self, clip: int) -> float:
        count = int(self._n_beside[clip])
        return count / (count - 1) if count > 1 else 0.0

    def _fitted(self, chosen: NDArray[np.bool_]) -> Embedding:
        vectors, domains = self._vectors[chosen], self._domains[chosen]
        if self._settings.whitening == "diagonal":
            deviations = _deviations(vectors, domains)
            return lambda vectors: vectors / deviations
        root = _root(vectors, domains, self._settings)
        matrix = root if self.basis is None else self.basis.T @ root
        return lambda vectors: vectors @ matrix

    def _standardised(self, clip: int, others: NDArray[np.bool_]) -> Embedding:
        """By the covariance without the clip, which is less by a product of rank one, in units of its deviations."""
        assert self._products is not None
        domains, direction = self._domains[others], self._centred[clip]
        products = self._products - self._gain(clip) * np.outer(direction, direction)
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
        matrix = np.linalg.inv(np.linalg.cholesky(shrunk)).T
        changes = _changes(len(matrix), self._settings)
        factor = matrix if changes is None else likelihood_ratio_factor(matrix, changes)
        return lambda vectors: vectors @ factor

    def _downdated(self, clip: int, shrinkage: float) -> Embedding:
        """Sherman and Morrison: a scale of each rotated feature, and one more feature for the clip's direction."""
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


def whitening_matrix(
    vectors: Array, domains: NDArray[np.int64], *, shrinkage: float, eigenvalue_floor: float = 0.0
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
    covariance = _covariance(vectors, domains)
    variance = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk)
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
    """What vectors are multiplied by, shape ``(feature, feature)``."""
    _check_varies(vectors, domains)
    if settings.whitening == "diagonal":
        return np.diag(1.0 / _deviations(vectors, domains))
    deviations = _deviations(vectors, domains) if settings.is_standardised else np.ones(vectors.shape[1])
    scaled = vectors if not settings.is_standardised else vectors / deviations
    shrinkage = _shrinkage(scaled, domains, settings)
    matrix = whitening_matrix(scaled, domains, shrinkage=shrinkage, eigenvalue_floor=settings.eigenvalue_floor)
    changes = _changes(len(matrix), settings)
    if changes is not None:
        factor = likelihood_ratio_factor(matrix, changes / deviations[:, None])
        directions, lengths, _ = np.linalg.svd(factor, full_matrices=False)
        matrix = (directions * lengths) @ directions.T  # symmetric, so that features stay close to their bands
    return matrix / deviations[:, None] if settings.is_standardised else matrix


def _changes(n_features: int, settings: ScorerSettings) -> Array | None:
    """Where the features are bands of which something is expected: see `expected_changes`."""
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
    """Of each feature about its domain's mean; 1 for one that does not vary, shape ``(feature,)``."""
    variances = np.square(_centred(vectors, domains)).sum(axis=0) / _freedom(domains)
    is_constant = variances <= _CONSTANT**2 * np.square(vectors).mean(axis=0)
    deviations: Array = np.sqrt(np.where(is_constant, 1.0, variances))
    return deviations


def _covariance(vectors: Array, domains: NDArray[np.int64]) -> Array:
    centred = _centred(vectors, domains)
    covariance: Array = centred.T @ centred / _freedom(domains)
    return covariance


def _freedom(domains: NDArray[np.int64]) -> int:
    return max(1, len(domains) - len(np.unique(domains)))


def _check_varies(vectors: Array, domains: NDArray[np.int64]) -> None:
    if not any(np.ptp(vectors[domains == label], axis=0).any() for label in np.unique(domains)):
        raise DataError("no two training clips of a domain differ; whitening needs clips that vary")


def _centred(vectors: Array, domains: NDArray[np.int64]) -> Array:
    """Vectors about their domain's mean, shape ``(clip, feature)``."""
    centred = np.empty_like(vectors)
    for label in np.unique(domains):
        here = domains == label
        centred[here] = vectors[here] - vectors[here].mean(axis=0)
    return centred


def _pools(
    vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings, *, n_domains: int | None = None
) -> list[NDArray[np.bool_]]:
    """For each domain, which clips its whitening is fitted on."""
    everything = np.ones(len(vectors), np.bool_)
    pools = []
    for domain in range(1 + int(domains.max()) if n_domains is None else n_domains):
        here = domains == domain
        is_own = settings.whitening_scope == "per-domain" and here.sum() >= _FEWEST_FOR_A_DOMAIN
        pools.append(here if is_own and np.ptp(vectors[here], axis=0).any() else everything)
    return pools


def _as_they_are(vectors: Array) -> Array:
    return vectors
