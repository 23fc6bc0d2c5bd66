"""Scorers by name.

They are float64 NumPy on arrays of shape ``(clip, condition, feature)``: one vector for each condition under which the
clip was represented. A representation that knows no conditions gives one vector, which counts for every domain. A
scorer works on vectors of any kind, too:

>>> import numpy as np
>>> from soundness.scoring import NearestNeighborScorer, TrainingVectors
>>> from soundness.settings.scoring import ScorerSettings
>>> vectors = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
>>> scorer = NearestNeighborScorer.fit(TrainingVectors.from_vectors(vectors), ScorerSettings(normalization="min"))
>>> scorer.score(np.array([[3.0, 4.0]]))
4.0
"""

from soundness.plugins import find_part, methods_of
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.joining.fused import FusedScorer
from soundness.scoring.joining.joined import JoinedScorer
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import Scorer

__all__ = ["SCORERS", "find_scorer"]

SCORERS: dict[str, type[Scorer]] = {
    "nearest-neighbors": NearestNeighborScorer,
    "fused": FusedScorer,
    "joined": JoinedScorer,
    "mean": MeanScorer,
    "mahalanobis": MahalanobisScorer,
}


def find_scorer(name: str) -> type[Scorer]:
    """Scorer of a name, or a user's own by import path.

    Raises
    ------
    SettingsError
        If there is none, or it does not fit.
    """
    scorer: type[Scorer] = find_part(name, SCORERS, key="scorer.name", methods=methods_of(Scorer))
    return scorer
