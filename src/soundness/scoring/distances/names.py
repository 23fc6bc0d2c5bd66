"""Distances by the names of the settings."""

from soundness.scoring.distances.protocol import Distance
from soundness.scoring.distances.to_mean import DistanceToMean, NarrowChange
from soundness.scoring.distances.to_neighbors import DensityRatio, NearestNeighbors

__all__ = ["DISTANCES"]

DISTANCES: dict[str, type[Distance]] = {
    "nearest": NearestNeighbors,
    "density-ratio": DensityRatio,
    "mahalanobis": DistanceToMean,
    "narrow-change": NarrowChange,
}
