"""Scorers by name, and from the scores of normal clips to a threshold.

All of it is float64 NumPy on arrays of shape ``(clip, condition, feature)``: one vector for each condition under which
the clip was looked at. A representation that knows no conditions gives one vector, which counts for every domain. A
scorer works on vectors of any kind, too:

>>> import numpy as np
>>> from soundness.scoring.scorers import NearestNeighborScorer, TrainingVectors
>>> from soundness.settings.system import ScorerSettings
>>> vectors = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
>>> scorer = NearestNeighborScorer.fit(TrainingVectors.of(vectors), ScorerSettings(balance="min"))
>>> scorer.score(np.array([[3.0, 4.0]]))
4.0
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from soundness.plugins import find_part, methods_of
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.calibration import n_flagged
from soundness.scoring.fused import FusedScorer
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import Scorer
from soundness.scoring.training_vectors import ANY_DOMAIN, Array, TrainingVectors

__all__ = [
    "ANY_DOMAIN",
    "SCORERS",
    "FusedScorer",
    "MahalanobisScorer",
    "MeanScorer",
    "NearestNeighborScorer",
    "Scorer",
    "Threshold",
    "TrainingVectors",
    "find_scorer",
]

SCORERS: dict[str, type[Scorer]] = {
    "nearest-neighbors": NearestNeighborScorer,
    "fused": FusedScorer,
    "mean": MeanScorer,
    "mahalanobis": MahalanobisScorer,
}


def find_scorer(name: str) -> type[Scorer]:
    """The scorer of a name, or a user's own by import path.

    Raises
    ------
    SettingsError
        If there is none, or it does not fit.
    """
    scorer: type[Scorer] = find_part(name, SCORERS, key="scorer.name", methods=methods_of(Scorer))
    return scorer


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score above which a clip is called anomalous.

    Parameters
    ----------
    value
        The largest of the domains' thresholds, since a test clip's domain is unknown; a domain of a single clip, whose
        left-out score says nothing of that domain, does not count beside others.
    domains
        Each domain's own threshold, by name.
    notes
        Which domains are too small to support the rate that was asked for.
    """

    value: float
    domains: dict[str, float]
    notes: tuple[str, ...]

    @classmethod
    def from_scores(cls, scores: Mapping[str, Array], *, false_alarm_rate: float) -> Self:
        r"""Conformal threshold at a stated false-alarm rate.

        Of :math:`n` exchangeable normal scores, the :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest is exceeded
        by another normal clip with a probability of at most :math:`\alpha`. Fewer than :math:`1 / \alpha - 1` scores
        support no such threshold; their largest is then used, and a note says which rate it stands for.

        Parameters
        ----------
        scores
            Leave-one-out scores of normal clips, by domain.
        false_alarm_rate
            :math:`\alpha`, between 0 and 1.
        """
        thresholds, notes = {}, []
        for domain, values in scores.items():
            rank = len(values) + 1 - n_flagged(false_alarm_rate, len(values))
            if rank > len(values):
                notes.append(
                    f"{len(values)} {domain or 'normal'} clip(s) support no false-alarm rate below "
                    f"1/{len(values) + 1}: their largest score is the threshold"
                )
            thresholds[domain] = float(np.sort(values)[min(rank, len(values)) - 1])
        supported = [domain for domain, values in scores.items() if len(values) > 1]
        if supported and len(supported) < len(scores):
            notes.append(
                f"a single clip of a domain supports no threshold: that of {supported[0] or 'the others'} is used"
            )
        return cls(max(thresholds[domain] for domain in supported or scores), thresholds, tuple(notes))
