r"""Anomaly score by the largest feature of a view of a clip: float64 NumPy.

A knock, a tone or a modulation is large in a few of very many features, and nothing in the others. So each feature is
compared with those of normal clips on its own: with its mean :math:`m_j` over the :math:`n` clips of a domain and its
deviation :math:`s_j` within the domains, the distance of a clip to the domain is

.. math:: \max_j \frac{x_j - m_j}{s_j \sqrt{1 + 1/n}},

or the largest absolute value. Variances are shrunk towards the mean of all features by a fixed share, since the largest
of thousands would be that of a feature whose deviation a few clips happen to show as too small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError
from soundness.files.stored_values import floats, indices, integers
from soundness.scoring.normalization import new_normalization
from soundness.scoring.protocol import TrainingVectors
from soundness.settings.scoring import PeakSettings

__all__ = ["FeatureStatistics", "PeakScorer"]

_SHRINKAGE = 0.3  # of a feature's variance, towards the mean of all features
_SMALLEST_DEVIATION = 0.01  # dB, or deviations of normal sound: what rounding makes differ is no change


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureStatistics:
    """Sums over normal clips, from which clips can be taken away, and to which others can be added.

    Parameters
    ----------
    counts
        Clips of each domain, shape ``(domain,)``.
    sums
        Sum of their features, shape ``(domain, feature)``.
    squares
        Sum of the squares of all clips, shape ``(feature,)``.
    """

    counts: NDArray[np.int64]
    sums: Array
    squares: Array

    @classmethod
    def of_clips(cls, features: Array, domains: NDArray[np.int64], *, n_domains: int) -> Self:
        """Sums over clips of shape ``(clip, feature)``, in domains of shape ``(clip,)``."""
        own = [features[domains == domain] for domain in range(n_domains)]
        return cls(
            counts=np.array([len(here) for here in own], np.int64),
            sums=np.stack([here.sum(axis=0) for here in own]),
            squares=np.square(features).sum(axis=0),
        )

    def plus(self, others: Self, *, sign: int = 1) -> Self:
        """Sums with those of further clips, or without those of some of them (``sign`` -1)."""
        return type(self)(
            counts=self.counts + sign * others.counts,
            sums=self.sums + sign * others.sums,
            squares=self.squares + sign * others.squares,
        )

    @cached_property
    def means(self) -> Array:
        """Mean of each domain, shape ``(domain, feature)``; zero where it has no clip."""
        means: Array = self.sums / np.maximum(self.counts, 1)[:, None]
        return means

    @cached_property
    def deviations(self) -> Array:
        """Deviation of each feature within the domains, its variance shrunk, shape ``(feature,)``."""
        freedom = int(self.counts.sum()) - int((self.counts > 0).sum())
        within = np.maximum(self.squares - (self.sums * self.means).sum(axis=0), 0.0) / max(1, freedom)
        shrunk = (1.0 - _SHRINKAGE) * within + _SHRINKAGE * within.mean()
        deviations: Array = np.maximum(np.sqrt(shrunk), _SMALLEST_DEVIATION)
        return deviations

    def standardised(self, features: Array) -> Array:
        """Features of a clip against each domain in deviations, shape ``(domain, feature)``; NaN without a clip."""
        apart = (features - self.means) / self.deviations
        counts = np.where(self.counts > 0, self.counts, np.nan)
        found: Array = apart / np.sqrt(1.0 + 1.0 / counts)[:, None]
        return found


class PeakScorer:
    """Largest standardised feature of a view, normalized by the left-out ones of each domain; the smallest counts.

    Features of a clip that are not known (NaN) do not count.

    Parameters
    ----------
    centre
        Taken off each feature, so that sums of squares keep their digits, shape ``(feature,)``.
    statistics
        Sums over the normal clips, less the centre.
    left_out
        Distance of each clip to each domain without it and all that depends on it, shape ``(clip, domain)``; infinite
        where no other clip is left.
    domains
        Domain of each clip, shape ``(clip,)``.
    settings
        See `soundness.settings.scoring.PeakSettings`.
    short_left_out
        The same as ``left_out`` for shortened clips, shape ``(length, clip, domain)``; they are not saved.
    """

    def __init__(
        self,
        centre: Array,
        statistics: FeatureStatistics,
        *,
        left_out: Array,
        domains: NDArray[np.int64],
        settings: PeakSettings,
        short_left_out: Array | None = None,
    ) -> None:
        self.centre, self.statistics, self.settings = centre, statistics, settings
        self.left_out, self.domains = left_out, domains
        self.short_left_out = np.empty((0, *left_out.shape)) if short_left_out is None else short_left_out
        own = left_out[np.arange(len(left_out)), domains]
        if not np.isfinite(own).any():  # each clip is alone in its domain
            own = left_out.min(axis=1)
        self.normalization = new_normalization("shrunk-z-score", own, domains, n_domains=left_out.shape[1])

    @classmethod
    def fit(cls, view: TrainingVectors, settings: PeakSettings) -> Self:
        """Learn the features of normal clips, and the largest one of each clip without it."""
        own, domains = _filled(view.own, _known_mean(view.own)), view.clip_domains
        n_domains = 1 + int(domains.max())
        centre = own.mean(axis=0)
        everything = FeatureStatistics.of_clips(own - centre, domains, n_domains=n_domains)
        short: Sequence[Array] = () if view.shortened is None else tuple(view.shortened)
        left_out = np.empty((1 + len(short), len(own), n_domains))
        for clip, condition in enumerate(view.own_conditions):
            gone = view.left_out_with(clip)
            those = FeatureStatistics.of_clips(own[gone] - centre, domains[gone], n_domains=n_domains)
            others = everything.plus(those, sign=-1)
            lengths = [own[clip], *(each[clip, condition] for each in short)]
            left_out[:, clip] = [_distances(others, query - centre, settings) for query in lengths]
        return cls(
            centre, everything, left_out=left_out[0], domains=domains, settings=settings, short_left_out=left_out[1:]
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: PeakSettings) -> Self:
        """Rebuild from `arrays`."""
        centre = floats(arrays, "centre", (None,))
        counts = integers(arrays, "counts", (None,), np.int64)
        if not (counts > 0).all():
            raise BundleError("array counts: a domain has no clip")
        statistics = FeatureStatistics(
            counts=counts,
            sums=floats(arrays, "sums", (len(counts), len(centre))),
            squares=floats(arrays, "squares", (len(centre),), low=0.0),
        )
        left_out = floats(arrays, "left_out", (None, len(counts)), high=np.inf)
        if not np.isfinite(left_out).any():
            raise BundleError("array left_out: no clip has a distance to another")
        domains = indices(arrays, "domains", (len(left_out),), below=len(counts))
        return cls(centre, statistics, left_out=left_out, domains=domains, settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that was learned, by name."""
        return {
            "centre": self.centre,
            "counts": self.statistics.counts,
            "sums": self.statistics.sums,
            "squares": self.statistics.squares,
            "left_out": self.left_out,
            "domains": self.domains,
        }

    def score(self, features: Array) -> float:
        """Score of one clip, shape ``(condition, feature)``: that of the condition that makes it least anomalous."""
        found = np.array([_distances(self.statistics, own - self.centre, self.settings) for own in features])
        return float(self.normalization(found).min())

    def left_out_scores(self) -> Array:
        """Score of each normal clip with all that depends on it left out, shape ``(clip,)``."""
        scores: Array = self.normalization(self.left_out).min(axis=1)
        return scores

    def left_out_short_scores(self) -> Array:
        """Score of each clip at each shorter length, shape ``(length, clip)``."""
        scores = [self.normalization(left_out).min(axis=1) for left_out in self.short_left_out]
        return np.array(scores).reshape(len(self.short_left_out), -1)

    def standardised(self, features: Array) -> Array:
        """Features of one clip, shape ``(feature,)``, in deviations from the domain that it is nearest to."""
        nearest: Array = self.statistics.standardised(features - self.centre)[self._nearest_domain(features)]
        return nearest

    def expected(self, features: Array) -> tuple[Array, Array]:
        """Mean and deviation of each feature in the domain that a clip is nearest to, each of shape ``(feature,)``."""
        domain, statistics = self._nearest_domain(features), self.statistics
        deviations: Array = statistics.deviations * np.sqrt(1.0 + 1.0 / statistics.counts[domain])
        return self.centre + statistics.means[domain], deviations

    def _nearest_domain(self, features: Array) -> int:
        distances = _distances(self.statistics, features - self.centre, self.settings)
        return int(self.normalization(distances[None])[0].argmin())

    def enrolled(self, view: TrainingVectors) -> Self:
        """Scorer with further normal clips; left-out distances of those before stay as they were."""
        n_domains = max(len(self.statistics.counts), 1 + int(view.clip_domains.max()))
        added = n_domains - len(self.statistics.counts)
        before = FeatureStatistics(
            counts=np.pad(self.statistics.counts, (0, added)),
            sums=np.pad(self.statistics.sums, ((0, added), (0, 0))),
            squares=self.statistics.squares,
        )
        own, domains = _filled(view.own, self.centre + _known_mean(view.own - self.centre)), view.clip_domains
        own = own - self.centre
        statistics = before.plus(FeatureStatistics.of_clips(own, domains, n_domains=n_domains))
        new = np.empty((len(own), n_domains))
        for clip, features in enumerate(own):
            gone = view.left_out_with(clip)
            those = FeatureStatistics.of_clips(own[gone], domains[gone], n_domains=n_domains)
            new[clip] = _distances(statistics.plus(those, sign=-1), features, self.settings)
        earlier = np.full((len(self.left_out), n_domains), np.inf)
        earlier[:, : self.left_out.shape[1]] = self.left_out
        return type(self)(
            self.centre,
            statistics,
            left_out=np.concatenate([earlier, new]),
            domains=np.concatenate([self.domains, domains]),
            settings=self.settings,
        )


def _distances(statistics: FeatureStatistics, features: Array, settings: PeakSettings) -> Array:
    """Largest standardised feature of one clip against each domain, shape ``(domain,)``; infinite without a clip."""
    found = statistics.standardised(features)
    found = np.abs(found) if settings.is_two_sided else found
    largest: Array = np.where(np.isnan(found), -np.inf, found).max(axis=1)
    largest[statistics.counts == 0] = np.inf
    return largest


def _known_mean(features: Array) -> Array:
    """Mean of each feature over the clips in which it is known, shape ``(feature,)``; 0 where it is in none."""
    is_known = ~np.isnan(features)
    mean: Array = np.where(is_known, features, 0.0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    return mean


def _filled(features: Array, mean: Array) -> Array:
    """Features with a mean in the place of those that are not known (NaN), so that these tell of no change."""
    filled: Array = np.where(np.isnan(features), mean, features)
    return filled
