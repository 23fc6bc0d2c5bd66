"""Every setting of a scorer, each with its one default, its unit and its range."""

from typing import Literal, Self

from pydantic import Field, model_validator

from soundness.settings.fields import PositiveInt, StrictSettings

__all__ = ["MemberSettings", "ScorerSettings"]


Distance = Literal["nearest", "density-ratio", "density-difference", "mahalanobis", "gaussian-mixture"]
DomainNormalization = Literal["none", "min", "z-score", "quantile"]


class MemberSettings(StrictSettings):
    """One of the scorers whose scores are fused; all else is as in the settings it is a part of."""

    view: int = Field(default=0, ge=0)
    """Which view of a clip it looks at, from 0; all of the vector, where that is no views."""
    distance: Distance = "nearest"
    """See `ScorerSettings`."""
    normalization: DomainNormalization = "z-score"
    """See `ScorerSettings`."""


class ScorerSettings(StrictSettings):
    """How a test clip's vectors become an anomaly score."""

    name: str = "nearest-neighbors"
    """A key of `soundness.scoring.scorers.SCORERS`, or the import path of a class of one's own, ``module:Class``."""
    distance: Distance = "nearest"
    """A key of `soundness.scoring.distances.DISTANCES`: that to its nearest normal clips, the
    same divided by, or less, how far those lie from their own neighbours, that to the domain's mean, or the negative
    log density of a mixture of Gaussians."""
    n_neighbors: PositiveInt = 1
    """Neighbours whose distances are averaged; fewer where a domain has fewer clips."""
    n_density_neighbors: PositiveInt = 16
    """Neighbours of a normal clip whose mean distance says how densely normal clips lie around it; fewer where a domain
    has fewer clips."""
    n_components: PositiveInt = 2
    """Gaussians in the mixture of a domain; fewer where a domain has fewer than five clips for each."""
    whitening: Literal["none", "diagonal", "shrunk", "scaled", "ledoit-wolf"] = "none"
    """``diagonal``: each feature is divided by its deviation within the domains; the others:
    vectors are multiplied by the inverse square root of the covariance within the domains, shrunk by a fixed share, by
    one that is scaled by features and clips, or by that which Ledoit and Wolf estimate."""
    whitening_scope: Literal["pooled", "per-domain"] = "pooled"
    """One covariance within all domains, or each domain's own where it has three clips that differ."""
    shrinkage: float = Field(default=0.1, gt=0.0, le=1.0)
    """Share of the covariance that is replaced by its mean variance, where whitening is ``shrunk``, and with
    ``ledoit-wolf`` where fewer than five clips cannot estimate it; with ``scaled``, it is multiplied by the number of
    features over that of clips less domains, and is at most 0.2."""
    eigenvalue_floor: float = Field(default=1e-5, gt=0.0, lt=1.0)
    """Smallest variance of a direction, in mean variances, where a covariance is whitened."""
    is_standardised: bool = False
    """Whether each feature is divided by its deviation before the covariance is shrunk, as features of different units
    need."""
    anomaly_width: float = Field(default=0.0, ge=0.0, le=100.0)
    """Over how many neighbouring features, bands of a spectrum, an anomaly is expected to spread: the deviation of a
    Gaussian; 0 expects nothing. It counts where whitened and standardised features are the bands of a spectrum, see
    `soundness.scoring.expected_changes`."""
    anomaly_level: float = Field(default=0.1, gt=0.0, le=1000.0)
    """How much an anomaly is expected to change a band, in the unit of the vectors, dB of a log-mel, where
    ``anomaly_width`` is not 0."""
    normalization: DomainNormalization = "z-score"
    """How a clip's distances to several domains become one score. ``none``: domains are not told apart; ``min``: the
    smallest distance; ``z-score``: the smallest after the mean of the domain's left-out training distances was taken
    off and their deviation divided by; ``quantile``: the smallest after each became the negative logarithm of the share
    of left-out training distances above it."""
    normalization_order: Literal["before-min", "after-min"] = "before-min"
    """``before-min``: the distance to each domain is normalized with its own training distances, then the smallest is
    taken; ``after-min``: the smallest distance is normalized with those of the domain that gave it."""
    synthetic_neighbors: int = Field(default=0, ge=0)
    """How many of its nearest neighbours each clip is averaged with to make further references, in domains that have
    fewer clips than the largest one."""
    fusion: Literal["mean", "max"] = "mean"
    """How the scorer ``fused`` joins the scores of its members."""
    members: tuple[MemberSettings, ...] = Field(default=(), strict=False)
    """Members of the scorer ``fused``; none stands for one member for each view of a clip, with ``distance`` and
    ``normalization`` as above."""

    @model_validator(mode="after")
    def _domains_of_their_own_are_told_apart(self) -> Self:
        normalizations = [self.normalization, *(member.normalization for member in self.members)]
        if self.whitening_scope == "per-domain" and "none" in normalizations:
            raise ValueError(
                "whitening_scope is 'per-domain', but with normalization 'none' domains are not told apart"
            )
        return self

    @model_validator(mode="after")
    def _a_mixture_expects_nothing(self) -> Self:
        if self.anomaly_width > 0.0 and "gaussian-mixture" in {
            self.distance,
            *(member.distance for member in self.members),
        }:
            raise ValueError("anomaly_width goes with distances; a gaussian-mixture is a density of its own")
        return self

    @model_validator(mode="after")
    def _what_is_expected_has_a_covariance_beside_it(self) -> Self:
        is_whitened = self.whitening not in ("none", "diagonal")
        if self.anomaly_width > 0.0 and not (is_whitened and self.is_standardised):
            raise ValueError(
                f"anomaly_width is {self.anomaly_width:g}, which needs is_standardised=true and whitening 'shrunk', "
                f"'scaled' or 'ledoit-wolf'; whitening is {self.whitening!r}, is_standardised {self.is_standardised}"
            )
        return self
