"""One score of several scorers, each of which looks at one view of a clip: float64 NumPy."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import SettingsError
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import Scorer, TrainingVectors
from soundness.settings.scoring import MemberSettings, ScorerSettings

__all__ = ["FUSIONS", "FusedScorer"]

FUSIONS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda scores: scores.mean(axis=-1),
    "max": lambda scores: scores.max(axis=-1),
}
"""Scores of a clip by each member, shape ``(clip, member)``, to one score of the clip."""

_SMALLEST_DEVIATION = 1e-6  # times the largest score: where clips are identical, scores have a deviation of zero


class FusedScorer(Scorer):
    """The scores of several `NearestNeighborScorer` become one; each looks at one view of a clip.

    The score of a member is taken less the mean, and in deviations, of its left-out training scores.

    Parameters
    ----------
    scorers
        The members.
    sizes
        Features of each view, one after the other in a vector, shape ``(view,)``.
    statistics
        Mean and deviation of each member's left-out scores, shape ``(member, 2)``.
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
        self._known: tuple[TrainingVectors, Array] | None = None  # clips and their left-out scores: slow to find
        self._seen = [view for view, _ in _members(settings, n_views=len(sizes))]

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fit each member to its view.

        Raises
        ------
        SettingsError
            If a member looks at a view that vectors do not have.
        """
        sizes = np.array(training.view_sizes or (training.vectors.shape[2],), np.int64)
        members = _members(settings, n_views=len(sizes))
        views = _views(training, sizes)
        fitted = {
            view: iter(NearestNeighborScorer.fit_together(views[view], [own for seen, own in members if seen == view]))
            for view in {view for view, _ in members}
        }
        scorers = [next(fitted[view]) for view, _ in members]
        left_out = np.stack(
            [scorer.leave_one_out_scores(views[view]) for scorer, (view, _) in zip(scorers, members, strict=True)]
        )  # (member, clip)
        smallest = np.maximum(_SMALLEST_DEVIATION * np.abs(left_out).max(axis=1), 1e-12)
        statistics = np.stack([left_out.mean(axis=1), np.maximum(left_out.std(axis=1), smallest)], axis=1)
        scorer = cls(scorers, sizes=sizes, statistics=statistics, settings=settings)
        scorer._known = (training, left_out.T)
        return scorer

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""
        scorers = []
        for index, (_, member) in enumerate(_members(settings, n_views=len(arrays["sizes"]))):
            start = f"member.{index}."
            own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
            scorers.append(NearestNeighborScorer.from_arrays(own, member))
        return cls(scorers, sizes=arrays["sizes"], statistics=arrays["statistics"], settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of each member, and what joins them, by name."""
        return {
            "sizes": self.sizes,
            "statistics": self.statistics,
            **{
                f"member.{index}.{name}": array
                for index, scorer in enumerate(self.scorers)
                for name, array in scorer.arrays().items()
            },
        }

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in deviations of normal scores."""
        return float(self._joined(np.array([self._member_scores(vectors)]))[0])

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, as if no member had been trained with it."""
        if self._known is not None and self._known[0] is training:
            return self._joined(self._known[1])
        views = _views(training, self.sizes)
        scores = [scorer.leave_one_out_scores(views[view]) for view, scorer in self.pairs()]
        return self._joined(np.stack(scores, axis=1))

    def notes(self) -> list[str]:
        """Those of all members, each once."""
        return list(dict.fromkeys(note for scorer in self.scorers for note in scorer.notes()))

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by the mean of the members' distances, each in its mean; see `Scorer`."""
        parts = self._split(vectors)
        distances = [scorer.bank.clip_distances(parts[view]) for view, scorer in self.pairs()]
        total = sum((apart / max(float(apart.mean()), 1e-300) for apart in distances), np.zeros(1))
        return np.argsort(total, kind="stable")[:n_clips]

    def contributions(self, vectors: Array) -> Array:
        """Mean of the members' contributions, each in the squared distance of a normal clip to its nearest other one.

        They say which features of which view are odd; they do not add up to the score. With ``max``, those of the
        most_anomalous member alone count.
        """
        scores = self._normalized(np.array([self._member_scores(vectors)]))[0]
        parts = self._split(vectors)
        found = [np.zeros(size) for size in self.sizes]
        for index, (view, scorer) in enumerate(self.pairs()):
            if self.settings.fusion != "max" or index == scores.argmax():
                found[view] += scorer.contributions(parts[view]) / scorer.bank.usual_square / len(scores)
        return np.concatenate(found)

    def enrolled(self, training: TrainingVectors) -> Self:
        """Each member with further clips, joined as before; see `Scorer`."""
        views = _views(training, self.sizes)
        scorers = [scorer.enrolled(views[view]) for view, scorer in self.pairs()]
        return type(self)(scorers, sizes=self.sizes, statistics=self.statistics, settings=self.settings)

    def pairs(self) -> list[tuple[int, NearestNeighborScorer]]:
        """Each member's view and scorer."""
        return list(zip(self._seen, self.scorers, strict=True))

    def _split(self, vectors: Array) -> list[Array]:
        return np.split(vectors, np.cumsum(self.sizes)[:-1], axis=-1)

    def _member_scores(self, vectors: Array) -> list[float]:
        parts = self._split(vectors)
        return [scorer.score(parts[view]) for view, scorer in self.pairs()]

    def _normalized(self, scores: Array) -> Array:
        normalized: Array = (scores - self.statistics[:, 0]) / self.statistics[:, 1]
        return normalized

    def _joined(self, scores: Array) -> Array:
        return FUSIONS[self.settings.fusion](self._normalized(scores))


def _members(settings: ScorerSettings, *, n_views: int) -> list[tuple[int, ScorerSettings]]:
    """View and settings of each member, those that do the same only once."""
    asked = settings.members or [
        MemberSettings(view=view, distance=settings.distance, normalization=settings.normalization)
        for view in range(n_views)
    ]
    found = []
    for member in asked:
        view = 0 if n_views == 1 else member.view
        if view >= n_views:
            raise SettingsError(f"scorer.members: view {view} (counted from 0) of {n_views} views")
        own = settings.model_copy(
            update={"distance": member.distance, "normalization": member.normalization, "members": ()}
        )
        if (view, own) not in found:
            found.append((view, own))
    return found


def _views(training: TrainingVectors, sizes: NDArray[np.int64]) -> list[TrainingVectors]:
    parts = np.split(training.vectors, np.cumsum(sizes)[:-1], axis=-1)
    return [replace(training, vectors=part, view_sizes=()) for part in parts]
