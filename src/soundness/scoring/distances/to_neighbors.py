"""Distance of a clip to the nearest normal clips of one domain, as it is or by how densely they lie."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError
from soundness.files.stored_values import floats, indices
from soundness.scoring.distances.protocol import Distance
from soundness.settings.scoring import ScorerSettings

__all__ = ["DensityRatio", "NearestNeighbors", "nearest_distances"]

_SMALLEST_SPREAD = 1e-3  # times the mean spread: clips that lie on each other have a spread of zero


class NearestNeighbors(Distance):
    """Mean Euclidean distance to the nearest references; contributions add up to their mean squared distance.

    Contributions leave out the excess of a reference, which belongs to no feature.
    """

    def distances(self, queries: Array) -> Array:
        return nearest_distances(queries, self.references, n_neighbors=self._settings.n_neighbors, excess=self.excess)

    def distances_without(
        self,
        queries: Array,
        references: Array,
        left_out: NDArray[np.bool_],
        *,
        changes: Array | None = None,  # noqa: ARG002  # for `NarrowChange`
    ) -> Array:
        kept, n_neighbors = ~left_out, self._settings.n_neighbors
        return nearest_distances(queries, references[kept], n_neighbors=n_neighbors, excess=self.excess[kept])

    def contributions(self, query: Array) -> Array:
        """Mean of the squared differences from the nearest references, shape ``(feature,)``."""
        squares = np.square(self.references - query)
        nearest = np.argsort(squares.sum(axis=1) + self.excess, kind="stable")[: self._settings.n_neighbors]
        contributions: Array = squares[nearest].mean(axis=0)
        return contributions


class DensityRatio(Distance):
    r"""Local density normalization: smallest of the distances to the references, each divided by its spread.

    With :math:`s(r)` the mean distance of reference :math:`r` to its ``n_density_neighbors`` nearest other ones, it is
    the smallest :math:`\|x - r\| / s(r)`, or the mean of the ``n_neighbors`` smallest. A spread is at least a
    thousandth of the mean spread, for clips that lie on each other, and with ``outlier_exponent`` at most the median
    spread, so that a reference far from all others does not make near what lies between. Where all clips lie on each
    other, or a domain has a single clip, it is the mean spread in the largest domain; and 1 where there is none.
    Contributions add up to the squared distance to the reference that gives the smallest ratio.

    Parameters
    ----------
    references, settings, excess
        See `Distance`.
    near
        Distances of each reference to its nearest others, nearest first, shape ``(reference, neighbor)``.
    neighbors
        Indices of those others, of the same shape.
    usual
        Spread where there is no other reference.

    References
    ----------
    .. [1] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.
    """

    def __init__(
        self,
        references: Array,
        settings: ScorerSettings,
        *,
        near: Array,
        neighbors: NDArray[np.int64],
        usual: float,
        excess: Array | None = None,
    ) -> None:
        super().__init__(references, settings, excess=excess)
        self._near, self._neighbors, self._usual = near, neighbors, usual
        self._means = self._averaged(near, np.ones(near.shape, np.bool_))
        self.spreads = self._divisible(self._means)

    @classmethod
    def from_references(
        cls,
        references: Array,
        settings: ScorerSettings,
        *,
        excess: Array | None = None,
        largest: Self | None = None,
        most_left_out: int = 1,
        changes: Array | None = None,  # noqa: ARG003  # for `NarrowChange`
    ) -> Self:
        """Find the nearest neighbours of each reference: more than are averaged, since some may be left out."""
        n_kept = min(settings.n_density_neighbors + most_left_out, max(len(references) - 1, 0))
        near = np.empty((len(references), n_kept))
        neighbors = np.empty((len(references), n_kept), np.int64)
        for index, reference in enumerate(references):
            squares = np.square(references - reference).sum(axis=1)
            squares[index] = np.inf
            neighbors[index] = np.argsort(squares, kind="stable")[:n_kept]
            near[index] = np.sqrt(squares[neighbors[index]])
        usual = 1.0 if largest is None else float(largest.spreads.mean())
        return cls(references, settings, near=near, neighbors=neighbors, usual=usual, excess=excess)

    @classmethod
    def from_arrays(
        cls,
        references: Array,
        arrays: Mapping[str, NDArray[Any]],
        settings: ScorerSettings,
        *,
        excess: Array | None = None,
        changes: Array | None = None,  # noqa: ARG003  # for `NarrowChange`
    ) -> Self:
        n_kept = arrays["near"].shape[-1] if arrays["near"].ndim == 2 else 0
        if not min(settings.n_density_neighbors, len(references) - 1) <= n_kept <= max(len(references) - 1, 0):
            raise BundleError(f"array near: {n_kept} neighbours of each of {len(references)} clips")
        shape = (len(references), n_kept)
        near = floats(arrays, "near", shape, low=0.0)
        neighbors = indices(arrays, "neighbors", shape, below=len(references))
        usual = floats(arrays, "usual", (1,), low=0.0).item()
        return cls(references, settings, near=near, neighbors=neighbors, usual=usual, excess=excess)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Each reference's neighbours and their distances, and the usual spread, by name."""
        return {"near": self._near, "neighbors": self._neighbors, "usual": np.array([self._usual])}

    def distances(self, queries: Array) -> Array:
        return self._smallest_ratios(queries, self.references, self.spreads, self.excess)

    def distances_without(
        self,
        queries: Array,
        references: Array,
        left_out: NDArray[np.bool_],
        *,
        changes: Array | None = None,  # noqa: ARG002  # for `NarrowChange`
    ) -> Array:
        # Spreads are those under the whitening of all clips, as in a test.
        kept = ~left_out
        return self._smallest_ratios(queries, references[kept], self.spreads_without(left_out), self.excess[kept])

    def spreads_without(self, left_out: NDArray[np.bool_]) -> Array:
        """Spread of each reference that is kept, shape ``(kept,)``, with those left out no longer its neighbours."""
        kept = ~left_out
        means = self._means.copy()
        (touched,) = np.nonzero(left_out[self._neighbors].any(axis=1))
        means[touched] = self._averaged(self._near[touched], kept[self._neighbors[touched]])
        return self._divisible(means[kept])

    def contributions(self, query: Array) -> Array:
        """Squared differences from the reference that gives the smallest ratio, shape ``(feature,)``."""
        nearest = (_distances(self.references, query, self.excess) / self.spreads).argmin()
        contributions: Array = np.square(self.references[nearest] - query)
        return contributions

    def _smallest_ratios(self, queries: Array, references: Array, spreads: Array, excess: Array) -> Array:
        n_neighbors = min(self._settings.n_neighbors, len(references))
        if n_neighbors == 0:
            return np.full(len(queries), np.inf)
        ratios = np.stack([_distances(references, query, excess) / spreads for query in queries])
        distances: Array = np.partition(ratios, n_neighbors - 1, axis=1)[:, :n_neighbors].mean(axis=1)
        return distances

    def _averaged(self, near: Array, is_there: NDArray[np.bool_]) -> Array:
        """Mean distance to those neighbours that are there, shape ``(reference,)``; NaN where none is."""
        chosen = is_there & (np.cumsum(is_there, axis=1) <= self._settings.n_density_neighbors)
        counts = chosen.sum(axis=1)
        means: Array = np.where(chosen, near, 0.0).sum(axis=1) / np.where(counts > 0, counts, np.nan)
        return means

    def _divisible(self, means: Array) -> Array:
        """Spreads that can be divided by, shape ``(reference,)``."""
        mean = float(np.nansum(means)) / max(1, int((~np.isnan(means)).sum()))
        if mean == 0.0:
            return np.full(len(means), self._usual)
        spreads = np.where(np.isnan(means), mean, means).clip(min=_SMALLEST_SPREAD * mean)
        return spreads if self._settings.outlier_exponent == 0.0 else np.minimum(spreads, np.median(spreads))


def nearest_distances(queries: Array, bank: Array, *, n_neighbors: int, excess: Array | None = None) -> Array:
    """Mean Euclidean distance of each query to its nearest vectors of a bank, shape ``(query,)``; infinite without any.

    ``queries`` have the shape ``(query, feature)``, the bank ``(clip, feature)``; up to ``n_neighbors`` distances are
    averaged. ``excess``, shape ``(clip,)``, is added to the squares of the distances. Differences are taken before they
    are squared: expanded squares lose digits.
    """
    if len(bank) == 0:
        return np.full(len(queries), np.inf)
    n_neighbors = min(n_neighbors, len(bank))
    distances = np.empty(len(queries))
    for index, query in enumerate(queries):
        squares = np.square(bank - query).sum(axis=1)
        if excess is not None:
            squares += excess
        distances[index] = np.sqrt(np.partition(squares, n_neighbors - 1)[:n_neighbors]).mean()
    return distances


def _distances(vectors: Array, query: Array, excess: Array | float = 0.0) -> Array:
    """Distance of each vector from one, with an excess of its square, shape ``(vector,)``."""
    distances: Array = np.sqrt(np.square(vectors - query).sum(axis=1) + excess)
    return distances
