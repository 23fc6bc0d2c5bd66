"""Scorers and calibration as operators of a graph, float64 as in NumPy: from vectors to score and p-value."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from soundness.errors import ExportError
from soundness.exporting.graph import Value
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.distances.protocol import Distance
from soundness.scoring.distances.to_mean import DistanceToMean, NarrowChange
from soundness.scoring.distances.to_neighbors import DensityRatio, NearestNeighbors
from soundness.scoring.joining.fused import FusedScorer
from soundness.scoring.joining.joined import BEYOND, JoinedScorer
from soundness.scoring.joining.tail_law import TailLaw
from soundness.scoring.memory_bank import MemoryBank
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.normalization import DomainNormalization, Quantiles, Raw, ZScores
from soundness.scoring.peaks import PeakScorer
from soundness.scoring.protocol import ANY_DOMAIN, Scorer
from soundness.settings.scoring import ScorerSettings

Exporter = TypeVar("Exporter")

__all__ = ["anomaly_score", "known_part", "p_value"]


def known_part(parts: Mapping[type[Any], Exporter], part: object, *, what: str) -> Exporter:
    """Exporter of a part of a detector, by the type of the part.

    Raises
    ------
    ExportError
        If there is none; the message names the part.
    """
    if type(part) not in parts:
        kind = type(part)
        known = ", ".join(each.__name__ for each in parts)
        raise ExportError(
            f"the {what} {kind.__module__}:{kind.__qualname__} cannot be exported; what can be is {known}"
        )
    return parts[type(part)]


def anomaly_score(scorer: Scorer, vectors: Value) -> Value:
    """Score of each clip, shape ``(clip,)``, from vectors of shape ``(clip, condition, feature)``.

    Raises
    ------
    ExportError
        If the scorer, or a part of it, cannot be exported.
    """
    score: Value = known_part(_SCORERS, scorer, what="scorer")(scorer, vectors)
    return score


def p_value(calibration: Calibration, score: Value) -> Value:
    """P-value of each clip, shape ``(clip,)``, from scores of the same shape."""
    column, found = score.with_axes(1), []
    for values in calibration.used.values():
        n_at_least = score.graph.op("LessOrEqual", column, values).cast(np.float64).sum(1, keep=True)
        found.append((n_at_least + np.float64(1)) / np.float64(len(values) + 1))
    return score.graph.op("Concat", *found, axis=1).max(1)


def _neighbor_score(scorer: NearestNeighborScorer, vectors: Value) -> Value:
    columns = [_domain_distance(scorer.bank, domain, vectors) for domain in range(len(scorer.bank.domain_conditions))]
    distances = vectors.graph.op("Concat", *columns, axis=1)  # (clip, domain)
    normalize = known_part(_NORMALIZATIONS, scorer.normalization, what="normalization")
    normalized: Value = normalize(scorer.normalization, distances)
    if scorer.settings.normalization_order == "before-min":
        return normalized.min(1)
    nearest = distances.op("ArgMin", axis=1, keepdims=1)
    return normalized.op("GatherElements", nearest, axis=1).reshaped(-1)


def _member_scores(scorer: FusedScorer, views: Sequence[Value]) -> list[Value]:
    return [_neighbor_score(own, views[view]) for view, own in scorer.pairs()]


def _fused_score(scorer: FusedScorer, vectors: Value) -> Value:
    views = _views(scorer, vectors)
    return _score_of_members(scorer, _member_scores(scorer, views), views)


def _score_of_members(scorer: FusedScorer, members: Sequence[Value], views: Sequence[Value]) -> Value:
    scores = views[0].graph.op("Concat", *(own.with_axes(1) for own in members), axis=1)  # (clip, member)
    sound = ((scores - scorer.statistics[:, 0]) / scorer.statistics[:, 1]).mean(1)
    if scorer.level is None:
        return sound
    (mean, deviation), (sound_mean, sound_deviation) = scorer.level.statistics
    level = _neighbor_score(scorer.level.scorer, views[0].mean(2, keep=True))
    return sound.op("Max", (level - mean) / deviation * sound_deviation + sound_mean)


def _joined_score(scorer: JoinedScorer, vectors: Value) -> Value:
    views = _views(scorer.sound, vectors)
    members = _member_scores(scorer.sound, views)
    own = [
        (scorer.laws[0], _score_of_members(scorer.sound, members, views), scorer.prices[0]),
        *((law, members[index], scorer.member_prices[index]) for index, law in scorer.member_laws.items()),
    ]
    sound = _rarest(own)
    if not scorer.peaks:
        return sound
    scores = [_peak_score(peak, views[peak.settings.view]) for peak in scorer.peaks]
    further = _rarest(list(zip(scorer.laws[1:], scores, scorer.prices[1:], strict=True)))
    if np.isfinite(scorer.bound):
        beyond = (sound.op("Max", np.float64(0)) + np.float64(1)) * np.float64(BEYOND) + np.float64(scorer.bound)
        further = further.op("Greater", np.float64(scorer.bound)).op("Where", beyond, further)
    return sound.op("Max", further)


def _rarest(tests: Sequence[tuple[TailLaw, Value, float]]) -> Value:
    """Rarest finding of tests, each a law, scores and its price."""
    nats = [(_tail_nats(law, score) - np.float64(price)).with_axes(1) for law, score, price in tests]
    return nats[0].graph.op("Concat", *nats, axis=1).max(1)


def _views(scorer: FusedScorer, vectors: Value) -> list[Value]:
    """Views of clips, each of shape ``(clip, condition, feature)``."""
    edges = [0, *np.cumsum(scorer.sizes).tolist()]
    return [vectors.part(np.int64(a), np.int64(b), axis=2) for a, b in pairwise(edges)]


def _peak_score(scorer: PeakScorer, features: Value) -> Value:
    statistics, columns = scorer.statistics, []
    for mean, count in zip(statistics.means, statistics.counts, strict=True):
        apart = (features - (scorer.centre + mean)) / (statistics.deviations * np.sqrt(1.0 + 1.0 / count))
        apart = apart.op("Abs") if scorer.settings.is_two_sided else apart
        columns.append(apart.max(2).min(1, keep=True))
    distances = features.graph.op("Concat", *columns, axis=1)  # (clip, domain)
    normalize = known_part(_NORMALIZATIONS, scorer.normalization, what="normalization")
    normalized: Value = normalize(scorer.normalization, distances)
    return normalized.min(1)


def _tail_nats(law: TailLaw, scores: Value) -> Value:
    column, n_in_tail = scores.with_axes(1), np.float64(law.n_in_tail)
    counted = _quantiles(law.counted, column).op("Min", np.float64(law.nats_at_start))
    excess = (column - np.float64(law.start)).op("Max", np.float64(0)) / np.float64(law.scale)
    beyond = (excess / n_in_tail + np.float64(1)).op("Log") * n_in_tail + np.float64(law.nats_at_start)
    is_beyond = column.op("Greater", np.float64(law.start))
    return is_beyond.op("Where", beyond, counted).reshaped(-1)


def _mean_score(scorer: MeanScorer, vectors: Value) -> Value:  # noqa: ARG001  # as all scorers
    return vectors.mean(2).min(1)


def _mahalanobis_score(scorer: MahalanobisScorer, vectors: Value) -> Value:
    found = []
    for domain, whitening in enumerate(scorer.whitening):
        conditions = np.flatnonzero(np.isin(scorer.condition_domains, (domain, ANY_DOMAIN)))
        if len(conditions) > 0:
            found.append((vectors.take(conditions, axis=1) @ whitening).square().sum(-1))
    return vectors.graph.op("Concat", *found, axis=1).min(1)


_SCORERS: dict[type, Callable[[Any, Value], Value]] = {
    NearestNeighborScorer: _neighbor_score,
    FusedScorer: _fused_score,
    JoinedScorer: _joined_score,
    MeanScorer: _mean_score,
    MahalanobisScorer: _mahalanobis_score,
}


def _domain_distance(bank: MemoryBank, domain: int, vectors: Value) -> Value:
    """Distance of each clip to a domain, shape ``(clip, 1)``."""
    if not (bank.domains == domain).any():  # infinitely far
        return vectors.sum(2).min(1, keep=True) * np.float64(0) + np.float64(np.inf)
    queries = vectors.take(np.flatnonzero(bank.domain_conditions[domain]), axis=1)  # (clip, condition, feature)
    if bank.whitening is not None:
        queries = queries @ bank.whitening
    distance = bank.domain_distances[domain]
    distances: Value = known_part(_DISTANCES, distance, what="distance")(distance, queries, bank.settings)
    return distances.min(1, keep=True)


def _nearest(distance: NearestNeighbors, queries: Value, settings: ScorerSettings) -> Value:
    return _smallest(_squares(distance, queries), distance, settings).op("Sqrt").mean(2)


def _density_ratio(distance: DensityRatio, queries: Value, settings: ScorerSettings) -> Value:
    ratios = _squares(distance, queries).op("Sqrt") / distance.spreads
    return _smallest(ratios, distance, settings).mean(2)


def _squares(distance: Distance, queries: Value) -> Value:
    """Squared distance to each reference, shape ``(clip, condition, reference)``; differences are taken first."""
    squares = (queries.with_axes(2) - distance.references).square().sum(-1)
    return squares + distance.excess if distance.excess.any() else squares


def _smallest(values: Value, distance: Distance, settings: ScorerSettings) -> Value:
    """Values of the nearest references, shape ``(clip, condition, neighbor)``."""
    n_neighbors = min(settings.n_neighbors, len(distance.references))
    return values.min(2, keep=True) if n_neighbors == 1 else values.smallest(np.int64(n_neighbors), axis=2)


def _distance_to_mean(distance: DistanceToMean, queries: Value, settings: ScorerSettings) -> Value:  # noqa: ARG001  # as all distances
    return (queries - distance.mean).square().sum(-1).op("Sqrt")


def _narrow_change(distance: NarrowChange, queries: Value, settings: ScorerSettings) -> Value:  # noqa: ARG001  # likewise
    return ((queries - distance.mean) @ distance.directions.T).op("Abs").max(2) / np.float64(distance.scale)


_DISTANCES: dict[type[Distance], Callable[[Any, Value, ScorerSettings], Value]] = {
    NearestNeighbors: _nearest,
    DensityRatio: _density_ratio,
    DistanceToMean: _distance_to_mean,
    NarrowChange: _narrow_change,
}


def _raw(normalization: Raw, distances: Value) -> Value:  # noqa: ARG001  # as all normalizations
    return distances


def _z_scores(normalization: ZScores, distances: Value) -> Value:
    return (distances - normalization.statistics[:, 0]) / normalization.statistics[:, 1]


def _quantiles(normalization: Quantiles, distances: Value) -> Value:
    columns = []
    for domain, (knots, heights, scale) in enumerate(normalization.knots):
        column = distances.part(np.int64(domain), np.int64(domain + 1), axis=1)
        above = (column - knots[-1]).op("Max", np.float64(0))
        beyond = above + (column - knots[0]).op("Min", np.float64(0))
        found = beyond / np.float64(scale) + heights[0]
        if len(knots) > 1:  # the way from each knot towards the next, times its slope
            way = (column - knots[:-1]).op("Max", np.float64(0)).op("Min", np.diff(knots))
            found = found + (way * (np.diff(heights) / np.diff(knots))).sum(1, keep=True)
        columns.append(found)
    return distances.graph.op("Concat", *columns, axis=1)


_NORMALIZATIONS: dict[type[DomainNormalization], Callable[[Any, Value], Value]] = {
    Raw: _raw,
    ZScores: _z_scores,
    Quantiles: _quantiles,
}
