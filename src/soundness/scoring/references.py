"""References that clips are compared with: normal clips, and means of neighbouring ones where a domain has few."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array

__all__ = ["pairs_of", "reference_pairs", "references_of"]


def pairs_of(pairs: NDArray[np.int64], domains: NDArray[np.int64], domain: int) -> NDArray[np.int64]:
    """Pairs of clips of one domain."""
    found: NDArray[np.int64] = pairs[domains[pairs[:, 0]] == domain]
    return found


def reference_pairs(clips: Array, domains: NDArray[np.int64], n_neighbors: int) -> NDArray[np.int64]:
    """Each clip with itself, then each clip of the smaller domains with its nearest neighbours there.

    Parameters
    ----------
    clips
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    n_neighbors
        Number of neighbours with which each clip of a smaller domain is paired.

    Returns
    -------
    NDArray
        Indices of clips, shape ``(reference, 2)``.
    """
    pairs = [(index, index) for index in range(len(clips))]
    counts = np.bincount(domains)
    between = {
        (min(clip, neighbor), max(clip, neighbor))
        for domain in np.flatnonzero((counts > 0) & (counts < counts.max()))
        for clip, neighbor in _nearest_pairs(clips, np.flatnonzero(domains == domain), n_neighbors)
    }
    return np.array(pairs + sorted(between), np.int64)


def references_of(clips: Array, pairs: NDArray[np.int64]) -> Array:
    """Mean of each pair of clips, shape ``(reference, feature)``."""
    references: Array = clips[pairs[:, 0]]
    is_synthetic = pairs[:, 0] != pairs[:, 1]
    references[is_synthetic] = (references[is_synthetic] + clips[pairs[is_synthetic, 1]]) / 2
    return references


def _nearest_pairs(clips: Array, here: NDArray[Any], n_neighbors: int) -> list[tuple[int, int]]:
    found = []
    for clip in here:
        squares = np.square(clips[here] - clips[clip]).sum(axis=1)
        squares[here == clip] = np.inf
        nearest = here[np.argsort(squares, kind="stable")[: min(n_neighbors, len(here) - 1)]]
        found += [(int(clip), int(neighbor)) for neighbor in nearest]
    return found
