"""Settings of a scorer, each with its one default, its unit and its range."""

from typing import Literal, Self

from pydantic import Field, model_validator

from soundness.settings.fields import PositiveInt, StrictSettings

__all__ = ["DistanceName", "MemberSettings", "NormalizationName", "PeakKind", "PeakSettings", "ScorerSettings"]

DistanceName = Literal["nearest", "density-ratio", "mahalanobis", "narrow-change"]
NormalizationName = Literal["min", "z-score", "shrunk-z-score", "quantile"]


class MemberSettings(StrictSettings):
    """One of the scorers whose scores are fused; its other settings are those of the fused scorer."""

    view: int = Field(default=0, ge=0)
    """Index of the view of a clip that it scores, from 0; ignored where vectors have one view."""
    distance: DistanceName = "nearest"
    """See `ScorerSettings`."""
    normalization: NormalizationName = "z-score"
    """See `ScorerSettings`."""
    price: float | None = Field(default=None, ge=0.0, le=20.0)
    """Price of a test by its score alone, beside that of all members, in nats; ``None`` without, and in ``fused``."""


PeakKind = Literal["event", "dropout", "modulation", "tone"]
"""Change that one large feature of a view tells of."""


class PeakSettings(StrictSettings):
    """Test of a view of a clip by its largest feature, beside the score of the sound as a whole."""

    kind: PeakKind = "event"
    """Change that it finds, in words."""
    view: int = Field(default=0, ge=0)
    """Index of the view, from 0; there is no such test where vectors have one view."""
    is_two_sided: bool = False
    """True if features that are smaller than normal count, too."""
    price: float = Field(default=1.5, ge=0.0, le=20.0)
    """Nats that are taken off the rarity of its score: the larger, the less of the false alarms is given to it."""


class ScorerSettings(StrictSettings):
    """Settings by which vectors of a clip become an anomaly score."""

    name: str = "nearest-neighbors"
    """Key of `soundness.scoring.scorers.SCORERS`, or the import path of your own class, ``module:Class``."""
    distance: DistanceName = "nearest"
    """Key of `soundness.scoring.distances.names.DISTANCES`. ``nearest``: distance to the nearest normal clips of a
    domain; ``density-ratio``: the same, divided by the distance of each of those to its own neighbours;
    ``mahalanobis``: distance to the mean of the domain, Mahalanobis distance where vectors are whitened;
    ``narrow-change``: the largest change of one band against the mean of the domain, beside what the other bands tell
    of it, whatever ``anomaly_width`` and ``outlier_exponent``."""
    n_neighbors: PositiveInt = 1
    """Neighbours whose distances are averaged; fewer where a domain has fewer clips."""
    n_density_neighbors: PositiveInt = 16
    """Neighbours of a normal clip whose mean distance is its spread, with ``density-ratio``; fewer where a domain has
    fewer clips."""
    whitening: Literal["none", "shrunk", "scaled", "ledoit-wolf"] = "none"
    """Vectors are multiplied by the inverse square root of the covariance within the domains, shrunk by a fixed share
    (``shrunk``), by a share that is scaled by features and clips (``scaled``), or by the share of Ledoit and Wolf."""
    shrinkage: float = Field(default=0.1, gt=0.0, le=1.0)
    """Share of the covariance that is replaced by its mean variance, where whitening is ``shrunk``, and with
    ``ledoit-wolf`` where there are fewer than five clips; with ``scaled``, it is multiplied by the number of features
    over that of clips less domains, and is at most 0.1."""
    eigenvalue_floor: float = Field(default=1e-5, gt=0.0, lt=1.0)
    """Smallest variance of a direction, in mean variances, where a covariance is whitened."""
    is_standardised: bool = False
    """True if each feature is divided by its deviation before the covariance is shrunk, as features of different units
    need."""
    anomaly_width: float = Field(default=0.0, ge=0.0, le=100.0)
    """Width of the change that an anomaly is expected to make in a spectrum: deviation of a Gaussian, in bands; 0
    expects nothing. Ignored where features are not the bands of a spectrum, see
    `soundness.scoring.expected_changes`."""
    anomaly_level: float = Field(default=0.1, gt=0.0, le=1000.0)
    """Size of that change in each band, in the unit of the vectors: dB of a log-mel."""
    narrow_width: float = Field(default=0.7, ge=0.0, le=100.0)
    """Width of the change that ``narrow-change`` looks for: deviation of a Gaussian, in bands; 0 for a single band, as
    where features are not the bands of a spectrum."""
    level: Literal["keep", "ignore", "both"] = "keep"
    """Part of a change of all bands by the same amount, as a microphone's gain or a louder machine makes it, where
    vectors are spectra in dB. ``keep``: it counts as any other change. ``ignore``: it counts for nothing. ``both``: the
    score is the larger of one that ignores it and one of the level alone, which share the false alarms. ``ignore`` and
    ``both`` need standardised, whitened vectors, and ``both`` the scorer ``fused`` or ``joined``."""
    outlier_exponent: float = Field(default=0.0, ge=0.0, le=32.0)
    """Exponent with which clips that are far from the others of their domain count less in the covariance; with it,
    spreads of ``density-ratio`` are bounded, and what is near to such a clip is not near to the normal ones: a few
    clips that are not normal carry none of the three; 0 counts all alike. See
    `soundness.scoring.clip_weights.clip_weights` and `soundness.scoring.clip_weights.reference_excess`."""
    normalization: NormalizationName = "z-score"
    """Way in which the distances of a clip to several domains become one score. ``min``: the smallest; ``z-score``: the
    smallest after subtracting the mean of the domain's left-out training distances and dividing by their deviation;
    ``shrunk-z-score``: the same, but with the deviation of the distances of all domains, and with means that are shrunk
    towards the mean of all, the more the fewer clips a domain has; ``quantile``: the smallest after each became the
    negative logarithm of the share of such distances above it."""
    normalization_order: Literal["before-min", "after-min"] = "before-min"
    """``before-min``: the distance to each domain is normalized with its own training distances, then the smallest is
    taken; ``after-min``: the smallest distance is normalized with those of the domain that gave it."""
    synthetic_neighbors: int = Field(default=0, ge=0)
    """Number of nearest neighbours with each of which a clip is averaged to make further references, in domains that
    have fewer clips than the largest one."""
    members: tuple[MemberSettings, ...] = Field(default=(), max_length=64, strict=False)
    """Members of the scorers ``fused`` and ``joined``; none means one member for each view of a clip, with
    ``distance`` and ``normalization`` as above."""
    peaks: tuple[PeakSettings, ...] = Field(default=(), max_length=16, strict=False)
    """Further tests of the scorer ``joined``, each of one view of a clip."""
    few_clips_price: float = Field(default=0.0, ge=0.0, le=1e6)
    """Divided by the number of training clips, it is added to the price of each further test, in nats: with few clips,
    little is known of what is rare."""
    is_bounded: bool = False
    """True if a further test may say that a clip is rarer than all normal ones, and no more; what is beyond is ordered
    by the sound as a whole."""

    @model_validator(mode="after")
    def _weights_need_a_standardised_covariance(self) -> Self:
        if self.outlier_exponent > 0.0 and not (self.whitening != "none" and self.is_standardised):
            raise ValueError(
                f"outlier_exponent is {self.outlier_exponent:g}, which needs is_standardised=true and whitening "
                f"'shrunk', 'scaled' or 'ledoit-wolf'; whitening is {self.whitening!r}, is_standardised "
                f"{self.is_standardised}"
            )
        return self

    @model_validator(mode="after")
    def _expected_changes_need_a_standardised_covariance(self) -> Self:
        if self.anomaly_width > 0.0 and not (self.whitening != "none" and self.is_standardised):
            raise ValueError(
                f"anomaly_width is {self.anomaly_width:g}, which needs is_standardised=true and whitening 'shrunk', "
                f"'scaled' or 'ledoit-wolf'; whitening is {self.whitening!r}, is_standardised {self.is_standardised}"
            )
        return self

    @model_validator(mode="after")
    def _an_ignored_level_needs_a_standardised_covariance(self) -> Self:
        if self.level != "keep" and not (self.whitening != "none" and self.is_standardised):
            raise ValueError(
                f"level is {self.level!r}, which needs is_standardised=true and whitening 'shrunk', 'scaled' or "
                f"'ledoit-wolf'; whitening is {self.whitening!r}, is_standardised {self.is_standardised}"
            )
        if self.level == "both" and self.name not in ("fused", "joined"):
            raise ValueError(f"level 'both' needs the scorer 'fused' or 'joined'; name is {self.name!r}")
        return self
