"""Mean of the scores of several scorers, each of which scores one view of a clip: float64 NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError, SettingsError
from soundness.files.stored_values import arrays_below, floats, indices
from soundness.scoring.clip_weights import reference_excess, with_weights
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.protocol import Scorer, TrainingVectors
from soundness.settings.scoring import MemberSettings, ScorerSettings

__all__ = ["FusedScorer", "LevelScorer", "views_of"]

_SAME = 1e-3  # dB, or whatever the unit of a feature is
_MOST_FEATURES = 1 << 24
_SMALLEST_DEVIATION = 1e-6  # times the largest score: where clips are identical, scores have a deviation of zero


class Member(NamedTuple):
    """One of the scorers that are fused, as the settings ask for it."""

    view: int
    settings: ScorerSettings
    price: float | None
    """Of a test by its score alone, beside that of all members; ``None`` without."""


class FusedScorer(Scorer):
    """Mean of the standardised scores of several `NearestNeighborScorer`, each of one view of a clip.

    The score of a member is standardised by mean and deviation of its left-out training scores.

    Parameters
    ----------
    scorers
        The members.
    sizes
        Features of each view, one after the other in a vector, shape ``(view,)``.
    statistics
        Mean and deviation of each member's left-out scores, shape ``(member, 2)``.
    settings
        Settings of the scorer.
    members
        Indices of the members among those of the settings: all but those whose view is the same in all normal clips.
    level
        Scorer of the level alone, where the settings ask for one; ``None`` elsewhere.
    """

    def __init__(
        self,
        scorers: Sequence[NearestNeighborScorer],
        *,
        sizes: NDArray[np.int64],
        statistics: Array,
        settings: ScorerSettings,
        members: NDArray[np.int64],
        level: "LevelScorer | None" = None,
    ) -> None:
        self.scorers = scorers
        self.sizes = sizes
        self.statistics = statistics
        self.settings = settings
        self.members = members
        self.level = level
        every = _members(settings, n_views=len(sizes))
        self._own_members = [every[index] for index in members]

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fit each member to its view; a view that is the same in all normal clips has none.

        Raises
        ------
        SettingsError
            If a member scores a view that vectors do not have.
        """
        sizes = np.array(training.view_sizes or (training.vectors.shape[2],), np.int64)
        every = _members(settings, n_views=len(sizes))
        used = sorted({0, *(member.view for member in every)})
        views = views_of(training, sizes)
        weighted = [with_weights(views[view], settings) for view in used]
        for view, own, excess in zip(used, weighted, reference_excess(weighted, settings), strict=True):
            views[view] = replace(own, excess=excess)
        fitting = [index for index, each in enumerate(every) if _is_of(each.settings, views[each.view])]
        varying = [index for index in fitting if _varies(views[every[index].view])]
        chosen = np.array(varying or fitting or range(len(every)), np.int64)  # where none varies, whitening says so
        members = [every[index] for index in chosen]
        scorers = _fitted(views, members)
        left_out = np.stack([scorer.left_out_scores() for scorer in scorers])  # (member, clip)
        smallest = np.maximum(_SMALLEST_DEVIATION * np.abs(left_out).max(axis=1), 1e-12)
        statistics = np.stack([left_out.mean(axis=1), np.maximum(left_out.std(axis=1), smallest)], axis=1)
        found = cls(scorers, sizes=sizes, statistics=statistics, settings=settings, members=chosen)
        found.level = None if settings.level != "both" else LevelScorer.fit(views[0], found.left_out_scores(), settings)
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        sizes = indices(arrays, "sizes", (None,), low=1, below=_MOST_FEATURES)
        every = _members(settings, n_views=len(sizes))
        chosen = indices(arrays, "members", (None,), below=len(every))
        members = [every[index] for index in chosen]
        scorers = []
        for index, member in enumerate(members):
            scorers.append(NearestNeighborScorer.from_arrays(arrays_below(f"member.{index}", arrays), member.settings))
        for member, scorer in zip(members, scorers, strict=True):
            if scorer.bank.own.shape != (len(scorers[0].bank.own), sizes[member.view]):
                raise BundleError(f"member {member.view}: its clips have the shape {scorer.bank.own.shape}")
        statistics = floats(arrays, "statistics", (len(scorers), 2))
        if not (statistics[:, 1] > 0.0).all():
            raise BundleError("array statistics: a deviation is 0 or less")
        return cls(
            scorers,
            sizes=sizes,
            statistics=statistics,
            settings=settings,
            members=chosen,
            level=LevelScorer.from_arrays(arrays, settings) if settings.level == "both" else None,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of each member, sizes and statistics, by name."""
        return {
            "sizes": self.sizes,
            "statistics": self.statistics,
            "members": self.members,
            **{
                f"member.{index}.{name}": array
                for index, scorer in enumerate(self.scorers)
                for name, array in scorer.arrays().items()
            },
            **({} if self.level is None else self.level.arrays()),
        }

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in deviations of normal scores."""
        return self.score_of_members(self.member_scores(vectors), vectors)

    def member_scores(self, vectors: Array) -> Array:
        """Scores of one clip by each member, not standardised, shape ``(member,)``."""
        parts = self.split(vectors)
        return np.array([scorer.score(parts[view]) for view, scorer in self.pairs()])

    def score_of_members(self, scores: Array, vectors: Array) -> float:
        """Anomaly score of one clip, from those of `member_scores`; see `score`."""
        sound, level = float(self._fused(scores[None])[0]), self._of_level(vectors)
        return sound if level is None else max(sound, level)

    def is_level_change(self, vectors: Array) -> bool:
        """True if the score of a clip is that of its level, not that of its sound."""
        level = self._of_level(vectors)
        return level is not None and level > float(self._fused(self.member_scores(vectors)[None])[0])

    def left_out_scores(self) -> Array:
        """Score of each clip with all that came from it left out of each member, shape ``(clip,)``."""
        sound = self._fused(np.stack([scorer.left_out_scores() for scorer in self.scorers], axis=1))
        return (
            sound if self.level is None else np.maximum(sound, self.level.scaled(self.level.scorer.left_out_scores()))
        )

    def left_out_short_scores(self) -> Array:
        """Score of each clip at each shorter length; see `soundness.scoring.protocol.ShortClipScorer`."""
        sound = self._fused(np.stack([scorer.left_out_short_scores() for scorer in self.scorers], axis=-1))
        if self.level is None:
            return sound
        return np.maximum(sound, self.level.scaled(self.level.scorer.left_out_short_scores()))

    def notes(self) -> list[str]:
        """Notes of all members, each once, and those on views that are left out."""
        used, chosen = {member.view for member in self._own_members}, set(self.members.tolist())
        every = _members(self.settings, n_views=len(self.sizes))
        asked = {member.view for member in every}
        left_out = [
            f"view {view + 1} of {len(self.sizes)} of the clips is mostly the same in all training clips, as where it "
            f"lies on the floor of the spectrogram: the score leaves it out"
            for view in sorted(asked - used)
        ]
        if used and any(
            member.settings.distance == "narrow-change" for index, member in enumerate(every) if index not in chosen
        ):
            left_out.append("a change of a single band is not looked for: features are not the bands of a spectrum")
        return left_out + list(dict.fromkeys(note for scorer in self.scorers for note in scorer.notes()))

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by the mean of the members' distances, each in its mean; see `Scorer`."""
        parts = self.split(vectors)
        distances = [scorer.bank.clip_distances(parts[view]) for view, scorer in self.pairs()]
        total = sum((apart / max(float(apart.mean()), 1e-300) for apart in distances), np.zeros(1))
        return np.argsort(total, kind="stable")[:n_clips]

    def contributions(self, vectors: Array) -> Array:
        """Mean of the members' contributions, each in the squared distance of a normal clip to its nearest other one.

        They show which features of which view are anomalous; they do not add up to the score.
        """
        parts = self.split(vectors)
        found = [np.zeros(size) for size in self.sizes]
        for view, scorer in self.pairs():
            found[view] += scorer.contributions(parts[view]) / scorer.bank.usual_square / len(self.scorers)
        return np.concatenate(found)

    def enrolled(self, training: TrainingVectors) -> Self:
        """Scorer with further clips in each member, fused as before; see `Scorer`."""
        views = views_of(training, self.sizes)
        scorers = [scorer.enrolled(views[view]) for view, scorer in self.pairs()]
        level = None if self.level is None else self.level.enrolled(views[0])
        return type(self)(
            scorers,
            sizes=self.sizes,
            statistics=self.statistics,
            settings=self.settings,
            members=self.members,
            level=level,
        )

    def pairs(self) -> list[tuple[int, NearestNeighborScorer]]:
        """View and scorer of each member."""
        return [(member.view, scorer) for member, scorer in zip(self._own_members, self.scorers, strict=True)]

    def priced(self) -> dict[int, float]:
        """Prices of the members that are tests by themselves, too, by their index among `scorers`."""
        return {index: member.price for index, member in enumerate(self._own_members) if member.price is not None}

    def _of_level(self, vectors: Array) -> float | None:
        if self.level is None:
            return None
        levels = self.split(vectors)[0].mean(axis=-1, keepdims=True)
        return float(self.level.scaled(np.array([self.level.scorer.score(levels)]))[0])

    def split(self, vectors: Array) -> list[Array]:
        """Views of vectors of shape ``(..., feature)``, in their order."""
        return np.split(vectors, np.cumsum(self.sizes)[:-1], axis=-1)

    def _fused(self, scores: Array) -> Array:
        """Scores of clips, shape ``(..., clip)``, from those of each member, shape ``(..., clip, member)``."""
        fused: Array = ((scores - self.statistics[:, 0]) / self.statistics[:, 1]).mean(axis=-1)
        return fused


@dataclass(frozen=True, slots=True, eq=False)
class LevelScorer:
    """Score of a clip's level alone, the mean of the first view of it: its distance to the mean of a domain.

    Parameters
    ----------
    scorer
        Scorer of levels, as vectors of one feature.
    statistics
        Mean and deviation of its left-out scores, and of those of the sound, to which it is scaled, shape ``(2, 2)``.
    """

    scorer: NearestNeighborScorer
    statistics: Array

    @classmethod
    def fit(cls, view: TrainingVectors, sound: Array, settings: ScorerSettings) -> Self:
        """Fit to the levels of normal clips, beside the left-out scores of their sound."""
        scorer = NearestNeighborScorer.fit(_levels(view), _of_levels(settings))
        pairs = [scorer.left_out_scores(), sound]
        return cls(scorer, np.array([[own.mean(), max(float(own.std()), 1e-12)] for own in pairs]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild from `arrays`."""
        own = arrays_below("level", arrays)
        statistics = own.pop("statistics")
        return cls(NearestNeighborScorer.from_arrays(own, _of_levels(settings)), statistics)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of the scorer, and the statistics, by name."""
        return {
            "level.statistics": self.statistics,
            **{f"level.{name}": array for name, array in self.scorer.arrays().items()},
        }

    def scaled(self, scores: Array) -> Array:
        """Scores of levels, with mean and deviation of those of the sound."""
        (mean, deviation), (sound_mean, sound_deviation) = self.statistics
        found: Array = (scores - mean) / deviation * sound_deviation + sound_mean
        return found

    def enrolled(self, view: TrainingVectors) -> Self:
        """Scorer with the levels of further clips."""
        return type(self)(self.scorer.enrolled(_levels(view)), self.statistics)


def _levels(view: TrainingVectors) -> TrainingVectors:
    short = None if view.shortened is None else view.shortened.mean(axis=-1, keepdims=True)
    return replace(view, vectors=view.vectors.mean(axis=-1, keepdims=True), shortened=short, n_bands=0)


def _of_levels(settings: ScorerSettings) -> ScorerSettings:
    changes = {"distance": "mahalanobis", "normalization": "z-score", "anomaly_width": 0.0, "level": "keep"}
    return settings.model_copy(update={**changes, "members": ()})


def _is_of(settings: ScorerSettings, view: TrainingVectors) -> bool:
    """True unless a member looks for changes of a band in features that are none."""
    return view.is_spectrum or settings.distance != "narrow-change"


def _varies(view: TrainingVectors) -> bool:
    """True if most features differ between clips of a domain by more than an amount that is the same in most."""
    own = view.own
    shape = own - np.median(own, axis=1, keepdims=True) if own.shape[1] > 1 else own
    ranges = [np.ptp(shape[view.clip_domains == label], axis=0) for label in np.unique(view.clip_domains)]
    return bool(np.median(np.max(ranges, axis=0)) > _SAME)


def _members(settings: ScorerSettings, *, n_views: int) -> list[Member]:
    """Every member, equal ones once."""
    asked = settings.members or [
        MemberSettings(view=view, distance=settings.distance, normalization=settings.normalization)
        for view in range(n_views)
    ]
    found: list[Member] = []
    for member in asked:
        view = 0 if n_views == 1 else member.view
        if view >= n_views:
            raise SettingsError(f"scorer.members: view {view} (counted from 0) of {n_views} views")
        changes = {"distance": member.distance, "normalization": member.normalization, "members": ()}
        expecting = {} if member.distance != "narrow-change" else {"anomaly_width": 0.0, "outlier_exponent": 0.0}
        own = Member(view, settings.model_copy(update=changes | expecting), member.price)
        if own[:2] not in [other[:2] for other in found]:
            found.append(own)
    return found


def _fitted(views: Sequence[TrainingVectors], members: Sequence[Member]) -> list[NearestNeighborScorer]:
    """Scorer of each member, of which those that whiten a view in the same way are fitted together."""
    kinds = [(member.view, member.settings.distance == "narrow-change") for member in members]
    fitted = {}
    for kind in dict.fromkeys(kinds):
        view, is_narrow = kind
        together = [member.settings for member, each in zip(members, kinds, strict=True) if each == kind]
        clips = replace(views[view], weights=None, excess=None) if is_narrow else views[view]
        fitted[kind] = iter(NearestNeighborScorer.fit_together(clips, together))
    return [next(fitted[kind]) for kind in kinds]


def views_of(training: TrainingVectors, sizes: NDArray[np.int64]) -> list[TrainingVectors]:
    """Vectors of each view, of so many features each, one after the other."""
    edges = np.cumsum(sizes)[:-1]
    parts = np.split(training.vectors, edges, axis=-1)
    short = [None] * len(parts) if training.shortened is None else np.split(training.shortened, edges, axis=-1)
    pairs = zip(parts, short, strict=True)
    return [replace(training, vectors=part, shortened=own, view_sizes=()) for part, own in pairs]
