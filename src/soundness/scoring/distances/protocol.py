"""Distance of a clip to the normal clips of one domain: float64 NumPy.

Each is learned from references, shape ``(reference, feature)``: the normal clips of a domain, whitened where the scorer
whitens. Without references every distance is infinite.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.settings.scoring import ScorerSettings

__all__ = ["Distance"]


class Distance(ABC):
    """Distance to the normal clips of a domain.

    Parameters
    ----------
    references
        Shape ``(reference, feature)``.
    settings
        Settings of the scorer.
    excess
        What is added to the square of the distance to each reference, shape ``(reference,)``; zeros if ``None``.
    changes
        Changes that `NarrowChange` looks for, whitened, shape ``(change, feature)``; ``None`` for other distances.
    """

    def __init__(
        self,
        references: Array,
        settings: ScorerSettings,
        *,
        excess: Array | None = None,
        changes: Array | None = None,
    ) -> None:
        self.references = references
        self.excess = np.zeros(len(references)) if excess is None else excess
        self._settings, self._changes = settings, changes

    @classmethod
    def from_references(
        cls,
        references: Array,
        settings: ScorerSettings,
        *,
        excess: Array | None = None,
        largest: Self | None = None,  # noqa: ARG003  # for `DensityRatio`
        most_left_out: int = 1,  # noqa: ARG003  # likewise
        changes: Array | None = None,
    ) -> Self:
        """Learn from the normal clips of a domain.

        Parameters
        ----------
        references
            Shape ``(reference, feature)``.
        settings
            Settings of the scorer.
        excess, changes
            See `Distance`.
        largest
            Distance to the largest domain, whose statistics are used where there are too few references.
        most_left_out
            Most references that are left out at once.
        """
        return cls(references, settings, excess=excess, changes=changes)

    @classmethod
    def from_arrays(
        cls,
        references: Array,
        arrays: Mapping[str, NDArray[Any]],  # noqa: ARG003  # for `DensityRatio`
        settings: ScorerSettings,
        *,
        excess: Array | None = None,
        changes: Array | None = None,
    ) -> Self:
        """Rebuild from the references, their excess, the changes and `arrays`."""
        return cls(references, settings, excess=excess, changes=changes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Values learned beside the references, by name."""
        return {}

    @abstractmethod
    def distances(self, queries: Array) -> Array:
        """Distance of each query to the domain, shape ``(query,)``; higher is farther."""

    @abstractmethod
    def distances_without(
        self, queries: Array, references: Array, left_out: NDArray[np.bool_], *, changes: Array | None = None
    ) -> Array:
        """Distance of each query, shape ``(query,)``, with some references left out.

        Parameters
        ----------
        queries
            Shape ``(query, feature)``.
        references
            All references, whitened without those that are left out.
        left_out
            Shape ``(reference,)``.
        changes
            See `Distance`; whitened without those that are left out.
        """

    @abstractmethod
    def contributions(self, query: Array) -> Array:
        """Share of each feature in the distance, shape ``(feature,)``."""
