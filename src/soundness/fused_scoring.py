"""One score of several views of a clip, each whitened and compared by itself: float64 NumPy."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.errors import SettingsError
from soundness.memory_bank import Array, TrainingVectors
from soundness.neighbor_scoring import NearestNeighborScorer
from soundness.scorer_protocol import Scorer
from soundness.scorer_settings import ScorerSettings

__all__ = ["FUSIONS", "FusedScorer"]

FUSIONS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda scores: scores.mean(axis=-1),
    "max": lambda scores: scores.max(axis=-1),
}
"""Scores of a clip's views, shape ``(clip, view)``, to one score of the clip."""

_SMALLEST_DEVIATION = 1e-6  # times the largest score: views in which clips are identical have a deviation of zero


class FusedScorer(Scorer):
    """Each view of a clip has a `NearestNeighborScorer`; their scores become one.

    The score of a view is taken less the mean, and in deviations, of the left-out training scores of that view.

    Parameters
    ----------
    scorers
        One for each view.
    sizes
        Features of each view, one after the other in a vector, shape ``(view,)``.
    statistics
        Mean and deviation of each view's left-out scores, shape ``(view, 2)``.
    settings
        Of the scorer.
    """

    def __init__(
        self,
        scorers: list[NearestNeighborScorer],
        *,
        sizes: NDArray[np.int64],
        statistics: Array,
        settings: ScorerSettings,
    ) -> None:
        self.scorers = scorers
        self.sizes = sizes
        self.statistics = statistics
        self.settings = settings

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fit a scorer to each view.

        Raises
        ------
        SettingsError
            If vectors do not consist of views.
        """
        sizes = np.array(training.view_sizes, np.int64)
        if sizes.sum() != training.vectors.shape[2]:
            raise SettingsError(
                f"scorer.name: 'fused' joins the scores of a clip's views; {training.vectors.shape[2]} features "
                f"came in views of {training.view_sizes}; a representation with poolings gives them"
            )
        views = _views(training, sizes)
        scorers = [NearestNeighborScorer.fit(view, settings) for view in views]
        left_out = np.stack(
            [scorer.leave_one_out_scores(view) for scorer, view in zip(scorers, views, strict=True)]
        )  # (view, clip)
        smallest = np.maximum(_SMALLEST_DEVIATION * np.abs(left_out).max(axis=1), 1e-12)
        statistics = np.stack([left_out.mean(axis=1), np.maximum(left_out.std(axis=1), smallest)], axis=1)
        return cls(scorers, sizes=sizes, statistics=statistics, settings=settings)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""
        scorers = []
        for view in range(len(arrays["sizes"])):
            start = f"view.{view}."
            own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            scorers.append(NearestNeighborScorer.from_arrays(own, settings))
        return cls(scorers, sizes=arrays["sizes"], statistics=arrays["statistics"], settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of each view, and what joins them, by name."""
        return {
            "sizes": self.sizes,
            "statistics": self.statistics,
            **{
                f"view.{view}.{name}": array
                for view, scorer in enumerate(self.scorers)
                for name, array in scorer.arrays().items()
            },
        }

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in deviations of normal scores."""
        return float(self._joined(np.array([self._view_scores(vectors)]))[0])

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, as if no view's scorer had been trained with it."""
        views = _views(training, self.sizes)
        scores = [scorer.leave_one_out_scores(view) for scorer, view in zip(self.scorers, views, strict=True)]
        return self._joined(np.stack(scores, axis=1))

    def notes(self) -> list[str]:
        """Those of all views, each once."""
        return list(dict.fromkeys(note for scorer in self.scorers for note in scorer.notes()))

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by the mean of the views' distances, each in its mean; see `Scorer`."""
        distances = [
            scorer.bank.clip_distances(view) for scorer, view in zip(self.scorers, self._split(vectors), strict=True)
        ]
        total = sum((apart / max(float(apart.mean()), 1e-300) for apart in distances), np.zeros(1))
        return np.argsort(total, kind="stable")[:n_clips]

    def contributions(self, vectors: Array) -> Array:
        """Each view's contributions, in the squared distance that is usual among its normal clips.

        They say which features of which view are odd; they do not add up to the score. With ``max``, those of other
        views than the oddest are zero.
        """
        scores = self._balanced(np.array([self._view_scores(vectors)]))[0]
        found = []
        for view, (scorer, part) in enumerate(zip(self.scorers, self._split(vectors), strict=True)):
            usual = scorer.left_out[np.isfinite(scorer.left_out)]
            share = scorer.contributions(part) / max(float(np.square(usual).mean()), 1e-300)
            is_counted = self.settings.fusion != "max" or view == scores.argmax()
            found.append(share if is_counted else np.zeros_like(share))
        return np.concatenate(found)

    def enrolled(self, training: TrainingVectors) -> Self:
        """Each view's scorer with further clips, joined as before; see `Scorer`."""
        views = _views(training, self.sizes)
        scorers = [scorer.enrolled(view) for scorer, view in zip(self.scorers, views, strict=True)]
        return type(self)(scorers, sizes=self.sizes, statistics=self.statistics, settings=self.settings)

    def _split(self, vectors: Array) -> list[Array]:
        return np.split(vectors, np.cumsum(self.sizes)[:-1], axis=-1)

    def _view_scores(self, vectors: Array) -> list[float]:
        return [scorer.score(view) for scorer, view in zip(self.scorers, self._split(vectors), strict=True)]

    def _balanced(self, scores: Array) -> Array:
        balanced: Array = (scores - self.statistics[:, 0]) / self.statistics[:, 1]
        return balanced

    def _joined(self, scores: Array) -> Array:
        return FUSIONS[self.settings.fusion](self._balanced(scores))


def _views(training: TrainingVectors, sizes: NDArray[np.int64]) -> list[TrainingVectors]:
    parts = np.split(training.vectors, np.cumsum(sizes)[:-1], axis=-1)
    return [replace(training, vectors=part, view_sizes=()) for part in parts]
