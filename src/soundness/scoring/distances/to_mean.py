"""Distance of a clip to the mean of the normal clips of one domain, in all directions or in that of one band."""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.scoring.distances.protocol import Distance

__all__ = ["DistanceToMean", "NarrowChange"]


class DistanceToMean(Distance):
    """Euclidean distance to the mean of the references; Mahalanobis distance where they are whitened.

    Contributions add up to the squared distance. A reference's excess does not count.
    """

    @cached_property
    def mean(self) -> Array:
        """Mean of the references, shape ``(feature,)``; infinite without any."""
        return _mean(self.references)

    def distances(self, queries: Array) -> Array:
        return _from(queries, self.mean)

    def distances_without(
        self,
        queries: Array,
        references: Array,
        left_out: NDArray[np.bool_],
        *,
        changes: Array | None = None,  # noqa: ARG002  # for `NarrowChange`
    ) -> Array:
        return _from(queries, _mean(references[~left_out]))

    def contributions(self, query: Array) -> Array:
        """Squared differences from the mean, shape ``(feature,)``."""
        contributions: Array = np.square(query - self.mean)
        return contributions


class NarrowChange(Distance):
    r"""Largest change of one band against the mean of the references, beside what the other bands tell of it.

    With the covariance :math:`C` of normal clips, the difference :math:`r` of a clip from their mean, and a change
    :math:`s` of one band, it is the largest :math:`|s^T C^{-1} r| / \sqrt{s^T C^{-1} s}` over the bands, in deviations:
    the generalised likelihood ratio of a change whose band and size are not known [1]_. Where :math:`C = (R R^T)^{-1}`
    whitens, it is the largest product of :math:`R^T r` with a unit vector along :math:`R^T s`. It is divided by
    :math:`\sqrt{1 + 1/n}`, since the mean is that of :math:`n` clips. A reference's excess does not count.

    References
    ----------
    .. [1] S. M. Kay, "Fundamentals of Statistical Signal Processing, Volume II: Detection Theory", Prentice Hall, 1998,
       section 6.4.2.
    """

    @cached_property
    def mean(self) -> Array:
        """Mean of the references, shape ``(feature,)``; infinite without any."""
        return _mean(self.references)

    @cached_property
    def directions(self) -> Array:
        """Unit vector along each change, shape ``(change, feature)``."""
        assert self._changes is not None
        return _unit(self._changes)

    @property
    def scale(self) -> float:
        """Deviation of the difference of a clip from the mean, in those of clips."""
        return _scale(len(self.references))

    def distances(self, queries: Array) -> Array:
        return _largest_change(queries, self.mean, self.directions) / self.scale

    def distances_without(
        self, queries: Array, references: Array, left_out: NDArray[np.bool_], *, changes: Array | None = None
    ) -> Array:
        assert changes is not None
        kept = references[~left_out]
        return _largest_change(queries, _mean(kept), _unit(changes)) / _scale(len(kept))

    def contributions(self, query: Array) -> Array:
        """Squared product along the largest change, shared out by its direction, shape ``(feature,)``."""
        products = self.directions @ (query - self.mean)
        largest = np.abs(products).argmax()
        contributions: Array = np.square(products[largest] / self.scale * self.directions[largest])
        return contributions


def _largest_change(queries: Array, mean: Array, directions: Array) -> Array:
    """Largest size of the product of each query's difference from a mean with a direction, shape ``(query,)``.

    Infinite where the mean is that of no clip.
    """
    if not np.isfinite(mean).all():
        return np.full(len(queries), np.inf)
    found: Array = np.array([np.abs(directions @ (query - mean)).max() for query in queries])
    return found


def _scale(n_references: int) -> float:
    return math.sqrt(1.0 + 1.0 / max(1, n_references))


def _unit(changes: Array) -> Array:
    """Changes of length 1, shape ``(change, feature)``; those that whitening leaves nothing of stay zero."""
    lengths = np.linalg.norm(changes, axis=1, keepdims=True)
    unit: Array = changes / np.where(lengths > 0.0, lengths, 1.0)
    return unit


def _from(queries: Array, mean: Array) -> Array:
    """Distance of each query from a mean, shape ``(query,)``."""
    distances: Array = np.sqrt(np.square(queries - mean).sum(axis=1))
    return distances


def _mean(references: Array) -> Array:
    """Mean of the references, shape ``(feature,)``; infinite where there is none."""
    mean: Array = references.mean(axis=0) if len(references) > 0 else np.full(references.shape[1], np.inf)
    return mean
