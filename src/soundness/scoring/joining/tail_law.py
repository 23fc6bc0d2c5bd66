r"""Share of normal clips that reach a score, beyond the largest of them, too: float64 NumPy.

A test says how rare its score is among normal clips, so that several tests can be compared. Among the :math:`n`
left-out scores the share is counted, and interpolated between them. The largest :math:`k` scores, the one that is asked
for among them, are taken as exponential excesses above :math:`u`: with their sum :math:`E` without it, and :math:`e = x
- u`, the rarity is

.. math:: -\log p(x) = -\log\frac{k + 1}{n + 2} + k \log\left(1 + \frac{e}{E + e}\right),

which is Pareto's law, the predictive distribution of an exponential one over a Gamma posterior [1]_, of :math:`k`
excesses of which the new one is one. So few clips give little certainty. And a normal clip of the training, held
against the law of the others, is treated as a new one is: p-values of several joined tests hold.

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

__all__ = ["TailLaw", "left_out_nats"]

_TAIL_SHARE = 0.25
_FEWEST_IN_TAIL = 4
_FEWEST_TO_LEAVE_OUT = 3  # clips: a law of one has no tail
_SMALLEST_EXCESS = 1e-6  # times the largest score: where scores are identical, excesses are zero


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
        """Scores in the tail, with the one that is asked for."""
        return min(len(self.scores), max(_FEWEST_IN_TAIL, int(_TAIL_SHARE * (len(self.scores) + 1))))

    @cached_property
    def start(self) -> float:
        """Score beyond which the law holds."""
        return float(self.scores[-self.n_in_tail])

    @cached_property
    def total_excess(self) -> float:
        """Sum of the excesses of the other scores in the tail."""
        excess = float((self.scores[-self.n_in_tail :] - self.start).sum())
        return max(excess, _SMALLEST_EXCESS * float(np.abs(self.scores).max()), 1e-12)

    @cached_property
    def counted(self) -> Quantiles:
        """Negative logarithm of the share that is counted, which holds up to the start of the tail."""
        return Quantiles([self.scores])

    @property
    def nats_at_start(self) -> float:
        """Negative logarithm of the share where the tail starts."""
        return float(-np.log((self.n_in_tail + 1) / (len(self.scores) + 2)))

    def nats(self, scores: Array) -> Array:
        """Negative logarithm of the share of normal clips that reach each score, of the same shape."""
        is_counted = scores <= self.start
        counted = np.zeros(scores.shape)
        if is_counted.any():
            counted[is_counted] = self.counted(scores[is_counted][:, None])[:, 0]
        excess = np.maximum(scores - self.start, 0.0)
        beyond = self.nats_at_start + self.n_in_tail * np.log1p(excess / (self.total_excess + excess))
        found: Array = np.where(is_counted, np.minimum(counted, self.nats_at_start), beyond)
        return found


def left_out_nats(law: TailLaw, own: Array, scores: Array) -> Array:
    """Rarity of the scores of clips that a law was made from, each by the law of the others.

    It matters for clips in the tail alone.

    Parameters
    ----------
    law
        Law of the first clips, as many as it has scores.
    own
        Left-out score of each clip, shape ``(clip,)``; those after the clips of the law were enrolled later.
    scores
        Scores of each clip that are wanted: the same, or those of it at shorter lengths, shape ``(..., clip)``.

    Returns
    -------
    Array
        Nats, of the shape of ``scores``.
    """
    found = law.nats(scores)
    n_clips = len(law.scores)
    if n_clips < _FEWEST_TO_LEAVE_OUT:
        return found
    for clip in np.flatnonzero(own[:n_clips] >= law.start):
        found[..., clip] = TailLaw.from_scores(np.delete(own[:n_clips], clip)).nats(scores[..., clip])
    return found
