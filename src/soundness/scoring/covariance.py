"""Parts of a covariance within the domains: its centre, shrinkage and freedom, and what is added to it."""

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.scoring.expected_changes import expected_changes
from soundness.settings.scoring import ScorerSettings

__all__ = [
    "centred_by_domain",
    "covariance_shrinkage",
    "degrees_of_freedom",
    "expected_change_factor",
    "feature_deviations",
    "gain_variance",
    "ledoit_wolf_shrinkage",
]

_FEWEST_FOR_LEDOIT_WOLF = 5
_LARGEST_SCALED = 0.1
_GAIN_DB = 10.0  # of recordings, where it is to be ignored: so much that more would change nothing
_CONSTANT = 1e-10  # times the mean square: what rounding leaves of a feature that does not vary


def ledoit_wolf_shrinkage(centred: Array) -> float:
    """Share of a covariance that is best replaced by its mean variance, between 0 and 1.

    Parameters
    ----------
    centred
        Vectors about their mean, shape ``(clip, feature)``.

    References
    ----------
    .. [1] O. Ledoit, M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
       Multivariate Analysis 88(2), 2004, section 3.3.
    """
    n_clips, n_features = centred.shape
    smaller = centred.T @ centred if n_features <= n_clips else centred @ centred.T
    squares = np.square(centred).sum(axis=1)
    products = float(np.square(smaller).sum()) / n_clips**2  # squared Frobenius norm of the covariance
    mean = float(squares.sum()) / n_clips / n_features
    noise = (float(np.square(squares).sum()) / n_clips - products) / (n_features * n_clips)
    spread = products / n_features - mean**2
    return 1.0 if spread <= 0.0 else min(max(noise, 0.0) / spread, 1.0)


def expected_change_factor(n_features: int, settings: ScorerSettings) -> Array | None:
    """Factor of the expected changes, see `expected_changes`; ``None`` where none are expected."""
    if settings.anomaly_width == 0.0:
        return None
    return expected_changes(n_features, width=settings.anomaly_width, level=settings.anomaly_level)


def covariance_shrinkage(vectors: Array, domains: NDArray[np.int64], settings: ScorerSettings) -> float:
    """Share of the covariance that is replaced."""
    if settings.whitening == "scaled":
        return float(min(_LARGEST_SCALED, settings.shrinkage * vectors.shape[1] / degrees_of_freedom(domains)))
    if settings.whitening == "ledoit-wolf" and len(vectors) >= _FEWEST_FOR_LEDOIT_WOLF:
        return ledoit_wolf_shrinkage(centred_by_domain(vectors, domains))
    return settings.shrinkage


def gain_variance(settings: ScorerSettings) -> float:
    """Covariance of any two features by a gain that is the same in all of them; 0 where the level is kept.

    Distances hardly depend on a gain then, and lose less than if each clip's own level were taken off: the level is the
    weighted mean of the features that vary least about it.
    """
    return 0.0 if settings.level == "keep" else _GAIN_DB**2


def feature_deviations(vectors: Array, domains: NDArray[np.int64]) -> Array:
    """Deviation of each feature about its domain's mean; 1 where it does not vary, shape ``(feature,)``."""
    variances = np.square(centred_by_domain(vectors, domains)).sum(axis=0) / degrees_of_freedom(domains)
    is_constant = variances <= _CONSTANT**2 * np.square(vectors).mean(axis=0)
    deviations: Array = np.sqrt(np.where(is_constant, 1.0, variances))
    return deviations


def degrees_of_freedom(domains: NDArray[np.int64]) -> int:
    return max(1, len(domains) - len(np.unique(domains)))


def centred_by_domain(vectors: Array, domains: NDArray[np.int64]) -> Array:
    """Vectors about their domain's mean, shape ``(clip, feature)``."""
    centred = np.empty_like(vectors)
    for label in np.unique(domains):
        here = domains == label
        centred[here] = vectors[here] - vectors[here].mean(axis=0)
    return centred
