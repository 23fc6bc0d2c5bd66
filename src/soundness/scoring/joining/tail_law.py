r"""Share of normal clips that reach a score, beyond the largest of them, too: float64 NumPy.

A test says how rare its score is among normal clips, so that several tests can be compared. Among the :math:`n`
left-out scores the share is counted, and interpolated between them. Beyond the largest :math:`k` of them it goes on as
that of an exponential distribution whose scale is known from these :math:`k` excesses alone: with their mean
:math:`\beta` above :math:`u`, the predictive distribution is Pareto's, the mean of exponential ones over a Gamma
posterior with an improper prior [1]_,

.. math:: -\log p(x) = -\log\frac{k + 1}{n + 1} + k \log\left(1 + \frac{x - u}{k \beta}\right).

So few clips give little certainty, and many approach the exponential law.

References
----------
.. [1] A. Gelman et al., "Bayesian Data Analysis", 3rd edition, CRC Press, 2013, section 2.6.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from soundness.aliases import Array
from soundness.scoring.normalization import Quantiles

__all__ = ["TailLaw"]

_TAIL_SHARE = 0.25
_FEWEST_IN_TAIL = 4
_SMALLEST_SCALE = 1e-6  # times the largest score: where scores are identical, excesses are zero


@dataclass(frozen=True)
class TailLaw:
    """Law of the scores of normal clips.

    Parameters
    ----------
    scores
        Left-out scores in rising order, at least two, shape ``(clip,)``.
    """

    scores: Array

    @classmethod
    def from_scores(cls, scores: Array) -> Self:
        """Law of left-out scores in any order."""
        return cls(np.sort(scores))

    @cached_property
    def n_in_tail(self) -> int:
        """Scores from which the law goes on."""
        return min(len(self.scores) - 1, max(_FEWEST_IN_TAIL, int(_TAIL_SHARE * len(self.scores))))

    @cached_property
    def start(self) -> float:
        """Score beyond which the law holds."""
        return float(self.scores[-self.n_in_tail - 1])

    @cached_property
    def scale(self) -> float:
        """Mean excess of the scores in the tail."""
        excess = float((self.scores[-self.n_in_tail :] - self.start).mean())
        return max(excess, _SMALLEST_SCALE * float(np.abs(self.scores).max()), 1e-12)

    @cached_property
    def counted(self) -> Quantiles:
        """Negative logarithm of the share that is counted, which holds up to the start of the tail."""
        return Quantiles([self.scores])

    @property
    def nats_at_start(self) -> float:
        """Negative logarithm of the share where the tail starts."""
        return float(-np.log((self.n_in_tail + 1) / (len(self.scores) + 1)))

    def nats(self, scores: Array) -> Array:
        """Negative logarithm of the share of normal clips that reach each score, of the same shape."""
        counted = self.counted(scores.reshape(-1, 1))[:, 0].reshape(scores.shape)
        excess = np.maximum(scores - self.start, 0.0) / self.scale
        beyond = self.nats_at_start + self.n_in_tail * np.log1p(excess / self.n_in_tail)
        found: Array = np.where(scores > self.start, beyond, np.minimum(counted, self.nats_at_start))
        return found
