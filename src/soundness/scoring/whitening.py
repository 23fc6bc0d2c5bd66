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
from soundness.scoring.clip_weights import weighted_vectors
from soundness.scoring.covariance import (
    centred_by_domain,
    covariance_shrinkage,
    degrees_of_freedom,
    expected_change_factor,
    feature_deviations,
    gain_variance,
)
from soundness.scoring.expected_changes import likelihood_ratio_factor
from soundness.settings.scoring import ScorerSettings

__all__ = ["CrossFit", "Embedding", "shrunk_inverse_root", "whitening_matrix"]

Embedding = Callable[[Array], Array]
"""Vectors, shape ``(..., feature)``, to points whose Euclidean distances are those of whitened vectors."""

_NO_VARIANCE = 1e-10  # times the variance of all clips: what rounding leaves of clips that do not differ
_HARDLY_VARIES = 1e-6  # times the variance of all clips: below, too many digits are lost


def whitening_matrix(
    vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings, *, weights: Array | None = None
) -> Array | None:
    """Matrix that vectors are multiplied by, shape ``(feature, feature)``; ``None`` where settings ask for none.

    Parameters
    ----------
    vectors
        Normal clips, shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    settings
        Settings of the scorer.
    weights
        Weight of each clip, shape ``(clip,)``; ``None`` for `clip_weights`.

    Raises
    ------
    DataError
        If no two clips of a domain differ, so that there is nothing to whiten by.
    """
    if settings.whitening == "none":
        return None
    return _root(weighted_vectors(vectors, domains, settings, weights=weights), domains, settings)


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
    weights
        See `whitening_matrix`.
    """

    def __init__(
        self,
        vectors: Array,
        domains: NDArray[np.int64],
        settings: ScorerSettings,
        *,
        weights: Array | None = None,
    ) -> None:
        self._vectors, self._domains, self._settings = vectors, domains, settings
        self._basis: Array | None = None
        if settings.whitening == "none":
            return
        vectors = self._vectors = weighted_vectors(vectors, domains, settings, weights=weights)
        self._centred = centred_by_domain(vectors, domains)
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
        shrinkage = covariance_shrinkage(self._vectors[others], self._domains[others], self._settings)
        if shrinkage < self._settings.eigenvalue_floor:  # some eigenvalues may be floored: no such short cut
            return self._fitted(others)
        return self._downdated(clip, shrinkage)

    def without_all(self, left_out: NDArray[np.bool_]) -> Embedding:
        """Embedding of prepared vectors where several clips are left out, those of ``left_out``, shape ``(clip,)``."""
        if self._settings.whitening == "none":
            return lambda vectors: vectors
        others = ~left_out
        centred = centred_by_domain(self._vectors[others], self._domains[others])
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
        shrinkage = covariance_shrinkage(scaled[: len(domains)], domains, self._settings)
        if shrinkage < self._settings.eigenvalue_floor:  # some eigenvalues may be floored
            return self._fitted(others)
        shrunk = ((1 - shrinkage) * products + shrinkage * np.diag(squares)) / degrees_of_freedom(domains)
        shrunk += gain_variance(self._settings)
        matrix = np.linalg.inv(np.linalg.cholesky(shrunk)).T
        changes = expected_change_factor(len(matrix), self._settings)
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
    centred = centred_by_domain(vectors, domains)
    covariance = centred.T @ centred / degrees_of_freedom(domains)
    variance = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * variance * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk + further)
    values = np.maximum(values, eigenvalue_floor * variance)
    inverse_root: Array = (directions / np.sqrt(values)) @ directions.T
    return inverse_root


def _root(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> Array:
    """Matrix that vectors are multiplied by, shape ``(feature, feature)``."""
    _check_varies(vectors, domains)
    deviations = feature_deviations(vectors, domains) if settings.is_standardised else np.ones(vectors.shape[1])
    scaled = vectors if not settings.is_standardised else vectors / deviations
    shrinkage = covariance_shrinkage(scaled, domains, settings)
    gain = gain_variance(settings) / np.outer(deviations, deviations)
    floor = settings.eigenvalue_floor
    matrix = shrunk_inverse_root(scaled, domains, shrinkage=shrinkage, eigenvalue_floor=floor, further=gain)
    changes = expected_change_factor(len(matrix), settings)
    if changes is not None:
        factor = likelihood_ratio_factor(matrix, changes / deviations[:, None])
        directions, lengths, _ = np.linalg.svd(factor, full_matrices=False)
        matrix = (directions * lengths) @ directions.T  # symmetric, so that features stay close to their bands
    return matrix / deviations[:, None] if settings.is_standardised else matrix


def _check_varies(vectors: Array, domains: NDArray[np.int64]) -> None:
    if not any(np.ptp(vectors[domains == label], axis=0).any() for label in np.unique(domains)):
        raise DataError(
            "no two training clips of a domain differ in what the system reads of them: copies of one recording, or "
            "sound that lies below the floor of the spectrogram"
        )
