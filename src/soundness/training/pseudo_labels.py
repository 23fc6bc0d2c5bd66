"""Pseudo-labels in place of attributes that training clips lack, by clustering or by a classifier.

Both work on one vector per clip, in dB, and within each domain: a network is conditioned on the domain as well, and a
few target clips would be lost among hundreds of the source.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array

__all__ = ["FEWEST_CLIPS", "PseudoLabels", "by_classifier", "by_clusters"]

FEWEST_CLIPS = 3
"""Clips of a domain that a label needs: the scorer takes no statistics of fewer."""

_FEWEST_TO_CLUSTER = 8  # of a domain: six clips of mere noise may look like two clusters
_MOST_CLUSTERS = 8
_MOST_COMPONENTS = 3
_CLIPS_PER_COMPONENT = 5
_N_STARTS = 5
_STRONG = 6.0
_SMALLEST_VARIANCE = 1e-3  # within a cluster, of all: clips that are the same are no proof
_SMALLEST_DEVIATION_DB = 0.1
_REGULARISATION = 0.01  # scikit-learn's C: the smaller, the smoother


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Labels of clips, and the reason for them.

    Parameters
    ----------
    labels
        One for each clip; ``""`` for all of them if the clips of no domain can be told apart.
    reason
        In words, for the training summary.
    """

    labels: tuple[str, ...]
    reason: str


def by_clusters(vectors: Array, domains: Sequence[str], *, seed: int) -> PseudoLabels:
    """Label clips by the clusters that they form within their domain.

    A mixture of Gaussians with one common covariance is fitted to the clips' principal components: what does not depend
    on the operating condition, noise above all, varies alike in all clusters. From one cluster (no structure) to eight,
    the smallest number is kept that no other beats by more than 6 in the Bayesian information criterion, which is
    called strong evidence [1]_; among ten clips, weaker evidence often arises by chance. A cluster of fewer than
    `FEWEST_CLIPS` is merged with the others. Labels depend on sound and domain alone, not on the order of the clips.

    Parameters
    ----------
    vectors
        Features of each clip, dB, shape ``(clip, feature)``.
    domains
        One for each clip.
    seed
        Random seed of the mixtures' starting points.

    References
    ----------
    .. [1] R. Kass, A. Raftery, "Bayes factors", Journal of the American Statistical Association 90, 1995.
    """

    def clusters(own: Array) -> tuple[list[str], str]:
        labels, reason = _clusters(own, seed)
        return [str(label) for label in _largest_first(labels)], reason

    found, reason = _within_domains(vectors, domains, clusters)
    numbers = {pair: number for number, pair in enumerate(sorted(set(zip(domains, found, strict=True))), start=1)}
    has_structure = len(numbers) > len(set(domains))
    labels = [
        f"cluster_{numbers[pair]}" if has_structure else "" for pair in zip(domains, found, strict=True)
    ]  # counted over the domains: cluster 1 of the target has nothing to do with that of the source
    return PseudoLabels(tuple(labels), reason)


def by_classifier(vectors: Array, domains: Sequence[str], *, known: Array, classes: Sequence[str]) -> PseudoLabels:
    """Label each clip by the most similar class of other clips.

    The classifier is a multinomial logistic regression on standardised vectors. A class with fewer than `FEWEST_CLIPS`
    clips of a domain is dropped there, and its clips go to the likeliest of the rest.

    Parameters
    ----------
    vectors
        See `by_clusters`.
    domains
        One for each clip.
    known
        Features of clips whose classes are known, shape ``(other clip, feature)``.
    classes
        One for each of them.
    """
    names = sorted(set(classes))
    classify = _classifier(known, classes) if len(names) > 1 else lambda own: np.ones((len(own), 1))

    def nearest(own: Array) -> tuple[list[str], str]:
        labels = [names[column] for column in _likeliest(classify(own))]
        return labels, f"{_counted(len(set(labels)), 'class')} of {len(names)}"

    labels, reason = _within_domains(vectors, domains, nearest)
    return PseudoLabels(tuple(labels), reason)


def _within_domains(
    vectors: Array, domains: Sequence[str], label: Callable[[Array], tuple[list[str], str]]
) -> tuple[list[str], str]:
    """Labels of the clips, found in each domain alone, and the reasons in one line."""
    found: dict[int, str] = {}
    reasons = []
    for domain in sorted(set(domains)):
        here = [index for index, name in enumerate(domains) if name == domain]
        here = [here[row] for row in np.lexsort(vectors[here].T)]  # whatever order they come in
        labels, reason = label(vectors[here])
        found.update(zip(here, labels, strict=True))
        reasons.append(f"{domain}: {reason}" if domain else reason)
    return [found[index] for index in range(len(domains))], "; ".join(reasons)


def _clusters(vectors: Array, seed: int) -> tuple[NDArray[Any], str]:
    """Cluster of each clip, and the reason for their number."""
    from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]  # scikit-learn ships no types

    n_distinct = len(np.unique(vectors, axis=0))
    most = min(_MOST_CLUSTERS, len(vectors) // FEWEST_CLIPS, n_distinct)
    if most < 2 or len(vectors) < _FEWEST_TO_CLUSTER:
        return np.zeros(len(vectors), dtype=int), f"{_counted(len(vectors), 'clip')}, too few to look for clusters"
    components = _principal_components(vectors)
    mixtures = [
        GaussianMixture(
            n_clusters,
            covariance_type="tied",
            n_init=_N_STARTS,
            max_iter=1_000,
            reg_covar=_SMALLEST_VARIANCE,
            random_state=seed,
        ).fit(components)
        for n_clusters in range(1, most + 1)
    ]
    criteria = np.array([mixture.bic(components) for mixture in mixtures])
    best = int(np.flatnonzero(criteria <= criteria.min() + _STRONG)[0])
    labels = _likeliest(mixtures[best].predict_proba(components))
    if best == 0:
        return labels, f"1 cluster, no structure: none of 2 to {most} lowers BIC by more than {_STRONG:g}"
    n_kept = len(set(labels.tolist()))
    reason = f"{_counted(n_kept, 'cluster')}: BIC falls by {criteria[0] - criteria[best]:.0f} from one to {best + 1}, "
    reason += f"and by {criteria[best] - criteria.min():.0f} at the most beyond"
    if n_kept <= best:
        reason += f"; those of fewer than {FEWEST_CLIPS} clips are merged with the others"
    return labels, reason


def _principal_components(vectors: Array) -> Array:
    """Directions in which clips differ most, each in units of its deviation, shape ``(clip, component)``.

    The scale affects the mixtures' starting points alone: the widest direction need not separate the clusters.
    """
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    n_components = min(_MOST_COMPONENTS, max(1, len(vectors) // _CLIPS_PER_COMPONENT))
    components: Array = centred @ directions[:n_components].T
    scaled: Array = components / components.std(axis=0).clip(min=_SMALLEST_DEVIATION_DB)
    return scaled


def _classifier(known: Array, classes: Sequence[str]) -> Callable[[Array], Array]:
    """Probability of each class, in the order of their names, for vectors of other clips."""
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]  # scikit-learn ships no types
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    mean, deviation = known.mean(axis=0), known.std(axis=0).clip(min=_SMALLEST_DEVIATION_DB)
    regression = LogisticRegression(C=_REGULARISATION, max_iter=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the order of the classes settles long before the weights
        regression.fit((known - mean) / deviation, list(classes))

    def classify(vectors: Array) -> Array:
        probabilities: Array = regression.predict_proba((vectors - mean) / deviation)
        return probabilities

    return classify


def _likeliest(probabilities: Array) -> NDArray[Any]:
    """Likeliest column of each row, among those that are the likeliest of enough rows."""
    counts = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    kept = np.flatnonzero(counts >= min(FEWEST_CLIPS, counts.max()))
    likeliest: NDArray[Any] = kept[probabilities[:, kept].argmax(axis=1)]
    return likeliest


def _largest_first(labels: NDArray[Any]) -> list[int]:
    """The same labels, counted from 0 by how often they occur."""
    ranks = {label: rank for rank, (label, _) in enumerate(Counter(labels.tolist()).most_common())}
    return [ranks[label] for label in labels.tolist()]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")
