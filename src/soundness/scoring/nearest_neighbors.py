"""Anomaly score by the distance to the normal clips of each domain: float64 NumPy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError, DataError
from soundness.files.stored_values import floats
from soundness.scoring.clip_weights import reference_excess, with_weights
from soundness.scoring.memory_bank import MemoryBank, left_out_distances, left_out_distances_by_length
from soundness.scoring.normalization import FEWEST_FOR_STATISTICS, new_normalization
from soundness.scoring.protocol import ANY_DOMAIN, Scorer, TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["NearestNeighborScorer"]


class NearestNeighborScorer(Scorer):
    """Smallest normalized distance to the normal clips of a domain; the report's score with the default settings.

    A clip's distance to a domain is that of the setting ``scorer.distance``, the smallest over that domain's
    conditions. It is normalized by that domain's left-out distances, and the smallest over the domains is the score;
    or, ``after-min``, the smallest distance is normalized.

    Parameters
    ----------
    bank
        Normal clips.
    left_out
        Distance of each clip of the bank to each domain without it, shape ``(clip, domain)``; infinite where no other
        clip is left, or where the domain was not there yet.
    settings
        See `soundness.settings.scoring.ScorerSettings`.
    short_left_out
        The same as ``left_out`` for clips that were shortened, shape ``(length, clip, domain)``; they are not saved.

    References
    ----------
    .. [1] C. Fu et al., "Enhanced unsupervised anomalous sound detection via Conv-TasNet-based separation and
       conditional autoencoding", DCASE 2025 Challenge, section 2.2.
    """

    def __init__(
        self, bank: MemoryBank, *, left_out: Array, settings: ScorerSettings, short_left_out: Array | None = None
    ) -> None:
        self.bank = bank
        self.left_out = left_out
        self.short_left_out = np.empty((0, *left_out.shape)) if short_left_out is None else short_left_out
        self.settings = settings
        own = left_out[np.arange(len(left_out)), bank.domains]
        if not np.isfinite(own).any():  # each clip is alone in its domain
            own = left_out.min(axis=1)
        n_domains = left_out.shape[1]
        self.normalization = new_normalization(settings.normalization, own, bank.domains, n_domains=n_domains)

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fill the memory bank; whiten and normalize by the training clips.

        Raises
        ------
        DataError
            If there is one clip in all, or vectors are to be whitened and no two clips of a domain differ.
        """
        (scorer,) = cls.fit_together(training, [settings])
        return scorer

    @classmethod
    def fit_together(cls, training: TrainingVectors, members: Sequence[ScorerSettings]) -> list[Self]:
        """Scorers for several settings that whiten in the same way; faster than one by one, see `fit`."""
        if len(training.vectors) < 2:
            raise DataError("1 training clip; to compare normal clips with each other takes 2")
        training = with_weights(training, members[0])
        if training.excess is None:
            training = replace(training, excess=reference_excess([training], members[0])[0])
        banks = [MemoryBank.from_training(training, settings) for settings in members]
        found = zip(banks, left_out_distances_by_length(banks, training), members, strict=True)
        return [
            cls(bank, left_out=left_out[0], settings=settings, short_left_out=left_out[1:])
            for bank, left_out, settings in found
        ]

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        bank = MemoryBank.from_arrays(arrays, settings)
        shape = (len(bank.own), len(bank.domain_conditions))
        left_out = floats(arrays, "left_out", shape, low=0.0, high=math.inf)
        if not np.isfinite(left_out).any():
            raise BundleError("array left_out: no clip has a distance to another")
        return cls(bank, left_out=left_out, settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Memory bank and left-out distances, by name."""
        return {**self.bank.arrays(), "left_out": self.left_out}

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in the unit of the normalization."""
        return float(self._smallest(self.bank.distances(vectors)[None])[0][0])

    def left_out_scores(self) -> Array:
        """Score of each clip of the bank with all that came from it left out, shape ``(clip,)``."""
        return self._smallest(self.left_out)[0]

    def left_out_short_scores(self) -> Array:
        """Score of each clip at each shorter length; see `soundness.scoring.protocol.ShortClipScorer`."""
        scores: Array = np.array([self._smallest(left_out)[0] for left_out in self.short_left_out])
        return scores.reshape(len(self.short_left_out), -1)

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by whitened distance, whatever their domain; see `Scorer`."""
        return np.argsort(self.bank.clip_distances(vectors), kind="stable")[:n_clips]

    def contributions(self, vectors: Array) -> Array:
        """Share of each feature in the distance to the domain that gives the score; see `soundness.scoring.distances`.

        With the distance ``nearest`` and one neighbour, and with ``mahalanobis``, they add up to the squared distance;
        whitened features are those of the symmetric root, which stay as close to their bands as whitening allows.
        """
        _, domains = self._smallest(self.bank.distances(vectors)[None])
        return self.bank.contributions(vectors, int(domains[0]))

    def enrolled(self, training: TrainingVectors) -> Self:
        """Scorer with further clips in its bank, the whitening fitted to all; see `Scorer`.

        Left-out distances of the clips before stay as they were; those of the new ones are computed as in a training.
        """
        n_domains, n_conditions = self.bank.domain_conditions.shape
        if training.clip_domains.max() > n_domains:
            raise DataError(f"domain {training.clip_domains.max()}; expected one of 0 to {n_domains}")
        expected = (n_conditions, self.bank.own.shape[1])
        if training.vectors.shape[1:] != expected:
            raise DataError(f"vectors of shape {training.vectors.shape[1:]}; expected (condition, feature) {expected}")
        bank = self.bank.with_clips(training)
        (new,) = left_out_distances([bank], _all_clips(bank, training), start=len(self.left_out))
        before = np.full((len(self.left_out), new.shape[1]), np.inf)
        before[:, : self.left_out.shape[1]] = self.left_out
        return type(self)(bank, left_out=np.concatenate([before, new]), settings=self.settings)

    def notes(self) -> list[str]:
        """Domains that had too few clips for statistics of their own, and features that do not vary."""
        counts = np.bincount(self.bank.domains).tolist()
        found = []
        if self.settings.normalization in ("z-score", "quantile"):
            found += [
                f"a domain has {count} clip(s), too few for statistics of its own: those of all domains are used"
                for count in counts
                if count < FEWEST_FOR_STATISTICS
            ]
        found += [
            f"a domain has {count} clips: distances to {self.settings.n_neighbors} neighbours use those there are"
            for count in counts
            if count <= self.settings.n_neighbors and self.settings.distance != "mahalanobis"
        ]
        if self.bank.whitening is None:
            return found
        if self.settings.anomaly_width > self.bank.settings.anomaly_width:
            found.append("features are not the bands of a spectrum: scorer.anomaly_width does not count")
        if np.ptp(self.bank.own, axis=0).min() == 0.0:
            found.append("a feature is the same in all training clips: it is whitened as one that varies little")
        return found

    def _smallest(self, distances: Array) -> tuple[Array, NDArray[np.int64]]:
        """Scores and the domains that give them, shape ``(clip,)`` each, from shape ``(clip, domain)``."""
        normalized = self.normalization(distances)
        compared = normalized if self.settings.normalization_order == "before-min" else distances
        domains = compared.argmin(axis=1)
        return np.take_along_axis(normalized, domains[:, None], axis=1)[:, 0], domains


def _all_clips(bank: MemoryBank, new: TrainingVectors) -> TrainingVectors:
    """Clips of a bank; those that came last under all conditions, the others as under their own."""
    n_conditions, n_new = bank.domain_conditions.shape[1], len(new.vectors)
    vectors = bank.own[:, None] * np.ones((1, n_conditions, 1))
    vectors[-n_new:] = new.vectors
    conditions = np.zeros(len(vectors), np.int64)
    conditions[-n_new:] = new.own_conditions
    dependent = None
    if new.dependent is not None:
        dependent = np.eye(len(vectors), dtype=np.bool_)
        dependent[-n_new:, -n_new:] = new.dependent
    return TrainingVectors(
        vectors=vectors,
        own_conditions=conditions,
        clip_domains=bank.domains,
        condition_domains=np.full(n_conditions, ANY_DOMAIN),
        dependent=dependent,
    )
