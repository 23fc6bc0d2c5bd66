"""Operating conditions that a network is conditioned on: machine type, attributes and domain as one vector."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import Condition

__all__ = ["ConditionEncoder"]


@dataclass(frozen=True, slots=True)
class ConditionEncoder:
    """Encoding of a condition as three one-hot blocks: machine type, attributes (with their section), domain.

    A block whose value is the same everywhere has no features.

    Parameters
    ----------
    conditions
        Conditions of the training, without repetition; empty for a network that is not conditional.
    """

    conditions: tuple[Condition, ...]

    @property
    def n_features(self) -> int:
        """Length of an encoded condition; 0 where the conditions do not differ."""
        return sum(len(block) for block in self._blocks())

    @property
    def conditioned_on(self) -> tuple[str, ...]:
        """Names of the blocks that have features."""
        return tuple(block[0][0] for block in self._blocks())

    def encode(self, conditions: Iterable[Condition]) -> NDArray[np.float32]:
        """Each condition as a row of zeros and ones, shape ``(condition, feature)``."""
        blocks = self._blocks()
        rows = [[float(value in _values(condition)) for block in blocks for value in block] for condition in conditions]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.n_features)

    def _blocks(self) -> list[list[tuple[str, ...]]]:
        blocks = [sorted(set(values)) for values in zip(*map(_values, self.conditions), strict=True)]
        return [block for block in blocks if len(block) > 1]


def _values(condition: Condition) -> tuple[tuple[str, ...], ...]:
    owner = condition.machine_type if condition.attributes else ""  # without attributes there is nothing to own
    attributes = ("attributes", owner, condition.section, condition.attributes)
    return ("machine_type", condition.machine_type), attributes, ("domain", condition.domain)
