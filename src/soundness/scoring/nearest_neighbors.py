"""The score of a clip that is compared with the normal clips of each domain: float64 NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError
from soundness.scoring.memory_bank import MemoryBank, left_out_distances
from soundness.scoring.normalization import FEWEST_FOR_STATISTICS, new_normalization
from soundness.scoring.protocol import ANY_DOMAIN, Scorer, TrainingVectors
from soundness.settings.scoring import ScorerSettings

__all__ = ["NearestNeighborScorer"]


class NearestNeighborScorer(Scorer):
    """Balanced distance to the normal clips, the smallest over the domains; as it stands, the report's score.

    A clip's distance to a domain is what ``scorer.distance`` says, the mean Euclidean distance to its ``n_neighbors``
    nearest normal clips there if nothing else is asked for, the smallest over that domain's conditions. It is
    normalized by that domain's leave-one-out distances, in their deviations from their mean if nothing else is asked
    for, and the smallest over the domains is the score; or, ``after-min``, the smallest distance is the one that is
    normalized.

    Parameters
    ----------
    bank
        The normal clips.
    left_out
        Distance of each clip of the bank to its own domain without it; infinite where it is alone there, shape
        ``(clip,)``.
    settings
        See `soundness.settings.scoring.ScorerSettings`.

    References
    ----------
    .. [1] C. Fu et al., "Enhanced unsupervised anomalous sound detection via Conv-TasNet-based separation and
       conditional autoencoding", DCASE 2025 Challenge, section 2.2.
    """

    def __init__(self, bank: MemoryBank, *, left_out: Array, settings: ScorerSettings) -> None:
        self.bank = bank
        self.left_out = left_out
        self.settings = settings
        self._known: tuple[TrainingVectors, Array] | None = None  # clips and their left-out distances: slow to find
        self.normalization = new_normalization(
            settings.normalization, left_out, bank.domains, n_domains=len(bank.heard)
        )

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fill the memory bank; whiten by, and normalize by, the training clips alone.

        Raises
        ------
        DataError
            If there is one clip in all, or vectors are to be whitened and no two clips of a domain differ.
        """
        (scorer,) = cls.fit_together(training, [settings])
        return scorer

    @classmethod
    def fit_together(cls, training: TrainingVectors, members: Sequence[ScorerSettings]) -> list[Self]:
        """A scorer for each of several settings, which whiten in the same way; faster than one by one, see `fit`."""
        if len(training.vectors) < 2:
            raise DataError("1 training clip; to compare normal clips with each other takes 2")
        banks = [MemoryBank.from_training(training, settings) for settings in members]
        found = left_out_distances(banks, training)
        return [cls._fitted(training, *each) for each in zip(banks, found, members, strict=True)]

    @classmethod
    def _fitted(cls, training: TrainingVectors, bank: MemoryBank, distances: Array, settings: ScorerSettings) -> Self:
        left_out = distances[np.arange(len(distances)), bank.domains]
        if not np.isfinite(left_out).any():  # each clip is alone in its domain
            left_out = distances.min(axis=1)
        scorer = cls(bank, left_out=left_out, settings=settings)
        scorer._known = (training, distances)
        return scorer

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a scorer from `arrays`."""
        return cls(MemoryBank.from_arrays(arrays, settings), left_out=arrays["left_out"], settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Memory bank and left-out distances, by name."""
        return {**self.bank.arrays(), "left_out": self.left_out}

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in the unit of the normalization."""
        return float(self._smallest(self.bank.distances(vectors)[None])[0][0])

    def leave_one_out_scores(self, training: TrainingVectors) -> Array:
        """Score of each training clip, shape ``(clip,)``, with all that came from it left out of the bank."""
        if self._known is not None and self._known[0] is training:
            return self._smallest(self._known[1])[0]
        return self._smallest(self.bank.leave_one_out_distances(training))[0]

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by distance as it is compared, whatever their domain; see `Scorer`."""
        return np.argsort(self.bank.clip_distances(vectors), kind="stable")[:n_clips]

    def contributions(self, vectors: Array) -> Array:
        """Share of each feature in the distance to the domain that gives the score; see `soundness.scoring.distances`.

        With the distance ``nearest`` and one neighbour, and with ``mahalanobis``, they add up to the squared
        distance; whitened features are those of the symmetric root, which stay as close to their bands as whitening
        allows.
        """
        _, domains = self._smallest(self.bank.distances(vectors)[None])
        return self.bank.contributions(vectors, int(domains[0]))

    def enrolled(self, training: TrainingVectors) -> Self:
        """The scorer with further clips in its bank, the whitening fitted to all; see `Scorer`.

        Left-out distances of the clips before stay as they were; those of the new ones are found as in a training.
        """
        n_domains = len(self.bank.heard) + 1
        if self.settings.normalization != "none" and training.clip_domains.max() >= n_domains:
            raise DataError(f"domain {training.clip_domains.max()}; expected one of 0 to {n_domains - 1}")
        if training.vectors.shape[1:] != (self.bank.heard.shape[1], self.bank.vectors.shape[1]):
            raise DataError(
                f"vectors of shape {training.vectors.shape[1:]}; expected (condition, feature) "
                f"{(self.bank.heard.shape[1], self.bank.vectors.shape[1])}"
            )
        bank, n_new = self.bank.joined(training), len(training.vectors)
        new = np.full(n_new, np.inf)  # what no normalization asks for
        if self.settings.normalization in ("z-score", "quantile"):
            distances = bank.leave_one_out_distances(_all_clips(bank, training), start=len(self.left_out))
            new = distances[np.arange(n_new), bank.domains[-n_new:]]
        return type(self)(bank, left_out=np.concatenate([self.left_out, new]), settings=self.settings)

    def notes(self) -> list[str]:
        """Which domains had too few clips for something of their own, and which features do not vary."""
        bank = self.bank
        counts = np.bincount(bank.domains).tolist()
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
        return found + self._notes_of_whitening(counts)

    def _notes_of_whitening(self, counts: list[int]) -> list[str]:
        if self.bank.whitening is None:
            return []
        found = []
        if self.settings.whitening_scope == "per-domain":
            found += [
                f"a domain has {count} clip(s), too few or too much alike for a whitening of its own: "
                f"that of all is used"
                for count, is_own in zip(counts, self.bank.whitening.is_own, strict=True)
                if not is_own
            ]
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


def _all_clips(bank: MemoryBank, joined: TrainingVectors) -> TrainingVectors:
    """The clips of a bank; those that joined last under all conditions, the others as under their own."""
    own = bank.own[:, None] * np.ones((1, bank.heard.shape[1], 1))
    own[-len(joined.vectors) :] = joined.vectors
    conditions = np.zeros(len(own), np.int64)
    conditions[-len(joined.vectors) :] = joined.own_conditions
    return TrainingVectors(own, conditions, bank.domains, np.full(bank.heard.shape[1], ANY_DOMAIN))
