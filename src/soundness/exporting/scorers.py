"""From vectors to score and p-value, as operators of a graph: float64, as in NumPy."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from soundness.aliases import Array
from soundness.errors import ExportError
from soundness.exporting.graph import Value
from soundness.scoring.baselines import MahalanobisScorer, MeanScorer
from soundness.scoring.calibration import Calibration
from soundness.scoring.distances import (
    DensityDifference,
    DensityRatio,
    Distance,
    DistanceToMean,
    GaussianMixture,
    NearestNeighbors,
)
from soundness.scoring.fused import FusedScorer
from soundness.scoring.memory_bank import MemoryBank
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.normalization import DomainNormalization, Quantiles, Raw, ZScores
from soundness.scoring.protocol import ANY_DOMAIN
from soundness.scoring.scorers import Scorer
from soundness.settings.scoring import ScorerSettings

Exporter = TypeVar("Exporter")

__all__ = ["anomaly_score", "known_part", "p_value"]


def known_part(parts: Mapping[type[Any], Exporter], part: object, *, what: str) -> Exporter:
    """What exports a part of a detector.

    Raises
    ------
    ExportError
        If nothing does; the message names the part.
    """
    if type(part) not in parts:
        kind = type(part)
        known = ", ".join(each.__name__ for each in parts)
        raise ExportError(
            f"the {what} {kind.__module__}:{kind.__qualname__} cannot be exported; what can be is {known}"
        )
    return parts[type(part)]


def anomaly_score(scorer: Scorer, vectors: Value) -> Value:
    """Score of each clip, shape ``(clip,)``, of vectors of shape ``(clip, condition, feature)``.

    Raises
    ------
    ExportError
        If the scorer, or a part of it, is none that can be exported.
    """
    score: Value = known_part(_SCORERS, scorer, what="scorer")(scorer, vectors)
    return score


def p_value(calibration: Calibration, score: Value) -> Value:
    """P-value of each clip, shape ``(clip,)``, of scores of the same shape."""
    column, found = score.with_axes(1), []
    for values in calibration.used.values():
        n_at_least = score.graph.op("LessOrEqual", column, values).cast(np.float64).sum(1, keep=True)
        found.append((n_at_least + np.float64(1)) / np.float64(len(values) + 1))
    return score.graph.op("Concat", *found, axis=1).max(1)


def _neighbor_score(scorer: NearestNeighborScorer, vectors: Value) -> Value:
    columns = [_distance(scorer.bank, domain, vectors) for domain in range(len(scorer.bank.heard))]
    distances = vectors.graph.op("Concat", *columns, axis=1)  # (clip, domain)
    normalized: Value = known_part(_NORMALIZATIONS, scorer.normalization, what="normalization")(
        scorer.normalization, distances
    )
    if scorer.settings.normalization_order == "before-min":
        return normalized.min(1)
    nearest = distances.op("ArgMin", axis=1, keepdims=1)
    return normalized.op("GatherElements", nearest, axis=1).reshaped(-1)


def _fused_score(scorer: FusedScorer, vectors: Value) -> Value:
    edges = [0, *np.cumsum(scorer.sizes).tolist()]
    views = [vectors.part(np.int64(a), np.int64(b), axis=2) for a, b in pairwise(edges)]
    columns = [_neighbor_score(own, views[view]).with_axes(1) for view, own in scorer.pairs()]
    scores = vectors.graph.op("Concat", *columns, axis=1)  # (clip, member)
    normalized = (scores - scorer.statistics[:, 0]) / scorer.statistics[:, 1]
    return normalized.max(1) if scorer.settings.fusion == "max" else normalized.mean(1)


def _mean_score(scorer: MeanScorer, vectors: Value) -> Value:  # noqa: ARG001  # as all scorers
    return vectors.mean(2).min(1)


def _mahalanobis_score(scorer: MahalanobisScorer, vectors: Value) -> Value:
    found = []
    for domain, whitening in enumerate(scorer.whitening):
        heard = np.flatnonzero(np.isin(scorer.condition_domains, (domain, ANY_DOMAIN)))
        if len(heard) > 0:
            found.append((vectors.take(heard, axis=1) @ whitening).square().sum(-1))
    return vectors.graph.op("Concat", *found, axis=1).min(1)


_SCORERS: dict[type, Callable[[Any, Value], Value]] = {
    NearestNeighborScorer: _neighbor_score,
    FusedScorer: _fused_score,
    MeanScorer: _mean_score,
    MahalanobisScorer: _mahalanobis_score,
}


def _distance(bank: MemoryBank, domain: int, vectors: Value) -> Value:
    """Distance of each clip to a domain, shape ``(clip, 1)``."""
    if not (bank.domains == domain).any():  # infinitely far
        return vectors.sum(2).min(1, keep=True) * np.float64(0) + np.float64(np.inf)
    queries = vectors.take(np.flatnonzero(bank.heard[domain]), axis=1)  # (clip, condition, feature)
    if bank.whitening is not None:
        roots = bank.whitening.roots
        queries = queries @ roots[domain if len(roots) > 1 else 0]
    distance = bank.domain_distances[domain]
    compare: _Compare = known_part(_DISTANCES, distance, what="distance")
    distances: Value = compare(distance, queries, bank.settings)
    return distances.min(1, keep=True)


def _squares(queries: Value, references: Array) -> Value:
    """Squared distance to each reference, shape ``(clip, condition, reference)``; differences are taken first."""
    return (queries.with_axes(2) - references).square().sum(-1)


def _nearest(distance: NearestNeighbors, queries: Value, settings: ScorerSettings) -> Value:
    n_neighbors = min(settings.n_neighbors, len(distance.references))
    return _mean_of_smallest(_squares(queries, distance.references), n_neighbors, is_squared=True)


def _density_ratio(distance: DensityRatio, queries: Value, settings: ScorerSettings) -> Value:
    n_neighbors = min(settings.n_neighbors, len(distance.references))
    ratios = _squares(queries, distance.references).op("Sqrt") / distance.spreads
    return _mean_of_smallest(ratios, n_neighbors)


def _density_difference(distance: DensityDifference, queries: Value, settings: ScorerSettings) -> Value:
    n_neighbors = min(settings.n_neighbors, len(distance.references))
    differences = _squares(queries, distance.references).op("Sqrt") - distance.spreads
    return _mean_of_smallest(differences, n_neighbors)


def _mean_of_smallest(values: Value, n_values: int, *, is_squared: bool = False) -> Value:
    smallest = values.min(2, keep=True) if n_values == 1 else values.smallest(np.int64(n_values), axis=2)
    return (smallest.op("Sqrt") if is_squared else smallest).mean(2)


def _distance_to_mean(distance: DistanceToMean, queries: Value, settings: ScorerSettings) -> Value:  # noqa: ARG001  # as all distances
    return (queries - distance.mean).square().sum(-1).op("Sqrt")


def _mixture(distance: GaussianMixture, queries: Value, settings: ScorerSettings) -> Value:  # noqa: ARG001  # as all distances
    squares = ((queries.with_axes(2) - distance.means).square() / distance.variances).sum(-1)
    norms = np.log(distance.variances).sum(axis=1) + distance.means.shape[1] * math.log(2 * math.pi)
    logs: Value = squares * np.float64(-0.5) + (np.log(distance.weights) - norms / 2)  # (clip, condition, component)
    largest = logs.max(2, keep=True)
    rest = (logs - largest).op("Exp").sum(2).op("Log")
    likelihood: Value = largest.sum(2) + rest
    return likelihood.op("Neg")


_Compare = Callable[[Any, Value, ScorerSettings], Value]

_DISTANCES: dict[type[Distance], _Compare] = {
    NearestNeighbors: _nearest,
    DensityRatio: _density_ratio,
    DensityDifference: _density_difference,
    DistanceToMean: _distance_to_mean,
    GaussianMixture: _mixture,
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
