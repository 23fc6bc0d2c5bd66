"""Clips among normal ones that are not like the others: a robust left-out p-value of each. NumPy alone.

Each clip is compared with the clips that are trusted, without itself: the distance to the nearest of its domain,
whitened by the trusted clips alone. About the median of these distances, normal clips are taken to be distributed as
Student's t, whose tails are heavy, with the spread of the middle half of the clips. Trusted are first
the clips nearest to the others, and then, again and again until nothing changes, those that are not suspected: so
neither the clips that others are compared with, nor the whitening is carried by a clip under suspicion. A clip that
lies among the clips of another domain is normal, as it is when it is scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]  # SciPy ships no types

from soundness.aliases import Array
from soundness.scoring.whitening import CrossFit, Embedding
from soundness.screening.dependence import clips_apart
from soundness.settings.scoring import ScorerSettings

__all__ = ["FEWEST_CLIPS", "Screened", "find_suspects"]

FEWEST_CLIPS = 8
"""Clips of a domain that are screened; with fewer, nothing tells what is usual."""

_FEW_CLIPS = 20  # of a domain beside one of many: each may be a state of its own
_LEVEL = 0.15  # of a false suspicion among all clips of a machine, shared by its domains
_FREEDOM = 3.0  # of Student's t: as heavy as the tails of five real machines and seven synthetic ones
_FIRST_TRUSTED = 0.8
_LARGEST_SHARE = 0.25
_STATE_SHARE = 0.05  # of the clips, from which similar ones are a state of their own
_STATE_CLIPS = 4
_NEARER = 0.5  # clips of one group are nearer to each other than this share of their distance to the others
_MOST_BANDS = 32
_BANDS_PER_WIDTH = 16  # an anomaly's width is this part of all bands, as in the default system
_SMALLEST_SPREAD = 0.15  # times the median distance: below, clips are more alike than machines are
_ROUNDS = 10
_RETURN = 0.85  # of the limit, below which a suspect is trusted again
_AMONG = 2.0  # spreads above the median, up to which a clip lies among the clips of another domain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Screened:
    """Result of a screening of clips.

    Parameters
    ----------
    p_values
        Probability that a normal clip is as far from the others, shape ``(clip,)``; 1 where a domain has too few clips.
    is_suspect
        True for clips beyond chance, and not among the clips of another domain, shape ``(clip,)``.
    groups
        Indices of clips that are far from the others and similar to each other, and as many as those of an operating
        state of its own; none of them is a suspect.
    crowds
        Domains with more suspects than can be told from a second kind of normal, with their number; none is a suspect.
    lone
        Indices of clips that are far from the others of a domain of few clips beside one of many, where each may be an
        operating state of its own; none of them is a suspect.
    n_screened
        Number of clips that have a p-value.
    """

    p_values: Array
    is_suspect: NDArray[np.bool_]
    groups: tuple[tuple[int, ...], ...]
    crowds: dict[int, int]
    lone: tuple[int, ...]
    n_screened: int


def find_suspects(
    views: Sequence[Array], domains: NDArray[np.int64], *, dependent: NDArray[np.bool_] | None = None
) -> Screened:
    """Find the clips that are not like the others of their domain.

    Parameters
    ----------
    views
        Statistics of the bands of each clip, dB, shape ``(clip, band)`` each.
    domains
        Index of each clip's domain from 0, shape ``(clip,)``.
    dependent
        True where two clips share sound, so that one does not vouch for the other, shape ``(clip, clip)``.
    """
    pooled = [_pooled(np.asarray(view, np.float64)) for view in views]
    p_values, is_suspect = np.ones(len(domains)), np.zeros(len(domains), np.bool_)
    groups: list[tuple[int, ...]] = []
    crowds: dict[int, int] = {}
    lone: list[int] = []
    n_screened = 0
    n_most = int(np.bincount(domains).max())
    for domain in np.unique(domains):
        here = np.flatnonzero(domains == domain)
        if len(here) < FEWEST_CLIPS or all(np.ptp(view[here], axis=0).max() == 0.0 for view in pooled):
            continue
        own = None if dependent is None else dependent[np.ix_(here, here)]
        found = _Domain([view[here] for view in pooled], own, n_all=len(domains))
        p_values[here], suspects = found.screened()
        suspects &= ~_lies_among_others(pooled, domains, here, suspects)
        states, alone = found.states(suspects)
        groups += [tuple(here[list(state)].tolist()) for state in states]
        if len(here) < min(_FEW_CLIPS, n_most / 2):
            lone += here[alone].tolist()
        elif alone.sum() > _LARGEST_SHARE * len(here):
            crowds[int(domain)] = int(alone.sum())
        else:
            is_suspect[here] = alone
        n_screened += len(here)
    return Screened(
        p_values=p_values,
        is_suspect=is_suspect,
        groups=tuple(groups),
        crowds=crowds,
        lone=tuple(lone),
        n_screened=n_screened,
    )


def _lies_among_others(
    pooled: Sequence[Array], domains: NDArray[np.int64], here: NDArray[np.int64], suspects: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """True for suspects of a domain that lie among the clips of another one, where they are normal."""
    found = np.zeros(len(here), np.bool_)
    for other in np.setdiff1d(domains, domains[here]):
        there = np.flatnonzero(domains == other)
        for index in np.flatnonzero(suspects) if len(there) >= FEWEST_CLIPS else ():
            joined = np.append(there, here[index])
            trusted = np.arange(len(joined)) < len(there)
            domain = _Domain([view[joined] for view in pooled], None, n_all=len(domains))
            found[index] |= _robust_scores(domain.distances(trusted))[-1] <= _AMONG
    return found


class _Domain:
    """Clips of one domain.

    Parameters
    ----------
    views
        Shape ``(clip, band)`` each.
    dependent
        Shape ``(clip, clip)``, or ``None``.
    n_all
        Number of clips of all domains.
    """

    def __init__(self, views: Sequence[Array], dependent: NDArray[np.bool_] | None, *, n_all: int) -> None:
        self._views = [view for view in views if np.ptp(view, axis=0).max() > 0.0]
        n_clips = len(views[0])
        self._apart = np.zeros((n_clips, n_clips), np.bool_) if dependent is None else dependent.copy()
        np.fill_diagonal(self._apart, True)
        self._limit = float(stdtrit(_FREEDOM, (1.0 - _LEVEL) ** (1.0 / n_all)))

    def screened(self) -> tuple[Array, NDArray[np.bool_]]:
        """P-value of each clip, and true for suspects."""
        n_clips = len(self._apart)
        trusted = np.ones(n_clips, np.bool_)
        trusted[np.argsort(self.distances(trusted), kind="stable")[round(_FIRST_TRUSTED * n_clips) :]] = False
        scores = np.full(n_clips, np.inf)
        for _ in range(_ROUNDS):
            scores = _robust_scores(self.distances(trusted))
            changed = scores <= np.where(trusted, 1.0, _RETURN) * self._limit
            if changed.sum() < (1.0 - _LARGEST_SHARE) * n_clips:
                changed = np.zeros(n_clips, np.bool_)
                changed[np.argsort(scores, kind="stable")[: round((1.0 - _LARGEST_SHARE) * n_clips)]] = True
            if (changed == trusted).all():
                break
            trusted = changed
        p_values: Array = stdtr(_FREEDOM, -scores)
        return p_values, ~trusted & (scores > _RETURN * self._limit)

    def states(self, suspects: NDArray[np.bool_]) -> tuple[list[list[int]], NDArray[np.bool_]]:
        """Groups of suspects that are as large as an operating state, and the suspects beside them."""
        alone = suspects.copy()
        fewest = max(_STATE_CLIPS, _STATE_SHARE * len(suspects))
        if suspects.sum() < fewest or suspects.all():
            return [], alone
        states = []
        for group in self._linked(suspects):
            if len(clips_apart(group, self._apart)) >= fewest:
                states.append(group)
                alone[group] = False
        return states, alone

    def _linked(self, suspects: NDArray[np.bool_]) -> Iterator[list[int]]:
        """Suspects that are much nearer to each other than to all other clips, group by group."""
        (indices,) = np.nonzero(suspects)
        between = self._pairwise(~suspects, indices)
        outside = between[:, ~suspects].min(axis=1)
        near = between[:, suspects] < _NEARER * np.minimum.outer(outside, outside)
        left = set(range(len(indices)))
        while left:
            group, reached = set(), {left.pop()}
            while reached:
                group |= reached
                reached = {other for one in reached for other in left if near[one, other]}
                left -= reached
            yield sorted(int(indices[one]) for one in group)

    def distances(self, trusted: NDArray[np.bool_]) -> Array:
        """Distance of each clip to the nearest trusted one without itself, over all views, shape ``(clip,)``."""
        squares = np.zeros(len(trusted))
        (others,) = np.nonzero(trusted)
        for view in self._views:
            crossfit = _crossfit(view[trusted])
            place = {int(clip): index for index, clip in enumerate(others)}
            clips = crossfit.prepared(view)
            for clip in range(len(trusted)):
                embed = self._embedding(crossfit, clip, place, others)
                compared = embed(clips[others])
                apart = np.square(compared - embed(clips[clip])).sum(axis=1)
                apart[self._apart[clip, others]] = np.inf
                squares[clip] += apart.min()
        finite = squares[np.isfinite(squares)]
        return np.sqrt(np.where(np.isfinite(squares), squares, finite.max() if len(finite) else 1.0))

    def _embedding(self, crossfit: CrossFit, clip: int, place: dict[int, int], others: NDArray[np.int64]) -> Embedding:
        """Embedding by the trusted clips without a clip and all that shares sound with it."""
        left_out = self._apart[clip, others]
        if not left_out.any():
            return crossfit.with_all
        if left_out.sum() == 1 and clip in place:
            return crossfit.without(place[clip])
        return crossfit.without_all(left_out)

    def _pairwise(self, trusted: NDArray[np.bool_], queries: NDArray[np.int64]) -> Array:
        """Distance of some clips to all, whitened by the trusted ones, shape ``(query, clip)``."""
        squares = np.zeros((len(queries), len(trusted)))
        for view in self._views:
            crossfit = _crossfit(view[trusted])
            compared = crossfit.with_all(crossfit.prepared(view))
            squares += np.stack([np.square(compared - compared[query]).sum(axis=1) for query in queries])
        return np.sqrt(squares)


def _crossfit(clips: Array) -> CrossFit:
    settings = ScorerSettings(
        whitening="scaled",
        shrinkage=0.01,
        is_standardised=True,
        anomaly_width=clips.shape[1] / _BANDS_PER_WIDTH,
        anomaly_level=0.1,
    )
    return CrossFit(clips, np.zeros(len(clips), np.int64), settings)


def _pooled(view: Array) -> Array:
    """Means of neighbouring bands, at most 32 of them, shape ``(clip, band)``."""
    n_bands = min(view.shape[1], _MOST_BANDS)
    return np.stack([part.mean(axis=1) for part in np.array_split(view, n_bands, axis=1)], axis=1)


def _robust_scores(distances: Array) -> Array:
    """Distances above their median, in spreads of the quarter of clips above it or below, shape ``(clip,)``."""
    low, middle, high = np.quantile(distances, (0.25, 0.5, 0.75))
    spread = max(high - middle, middle - low) / 0.6745
    scores: Array = (distances - middle) / max(spread, _SMALLEST_SPREAD * middle, 1e-300)
    return scores
