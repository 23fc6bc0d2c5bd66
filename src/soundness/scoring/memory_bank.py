"""Normal clips as they are compared, and how far another clip lies from them: float64 NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import DataError
from soundness.scoring.distances import DISTANCES, Distance
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.scoring.whitening import CrossFit, Whitening
from soundness.settings.scoring import ScorerSettings
from soundness.threads import one_blas_thread

__all__ = ["MemoryBank", "left_out_distances", "reference_pairs", "references_of"]

_N_FOLDS = 10


class MemoryBank:
    """Vectors of normal clips, and how far a clip lies from those of each domain.

    Parameters
    ----------
    own
        Each clip under its own condition, shape ``(clip, feature)``.
    clips
        The same as they are compared: whitened where there is a whitening.
    domains
        Index of each clip's domain, shape ``(clip,)``.
    heard
        Whether a domain is looked at under a condition, shape ``(domain, condition)``.
    parents
        Indices of the clips whose mean each reference is, shape ``(reference, 2)``: each clip and itself first, then
        those pairs of which synthetic references are made.
    whitening
        ``None`` where vectors are compared as they are.
    domain_distances
        One for each domain.
    settings
        Of the scorer, without what they expect of bands where features are none.
    """

    def __init__(
        self,
        own: Array,
        clips: Array,
        domains: NDArray[np.int64],
        heard: NDArray[np.bool_],
        parents: NDArray[np.int64],
        whitening: Whitening | None,
        domain_distances: list[Distance],
        settings: ScorerSettings,
    ) -> None:
        self.own = own
        self.vectors = clips
        self.domains = domains
        self.heard = heard
        self.parents = parents
        self.whitening = whitening
        self.domain_distances = domain_distances
        self.settings = settings

    @classmethod
    def from_training(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Bank of all training clips.

        Raises
        ------
        DataError
            If vectors are to be whitened, and no two clips of a domain differ.
        """
        settings = _of_features(settings, is_spectrum=training.is_spectrum)
        whitening = Whitening.fit(training.own, training.clip_domains, settings)
        told = _told_apart(training, settings)
        n_domains = 1 + int(told.clip_domains.max())
        labels = told.condition_domains
        heard = (labels == np.arange(n_domains)[:, None]) | (labels == ANY_DOMAIN)
        return cls._made(training.own, told.clip_domains, heard, whitening, settings)

    @classmethod
    def _made(
        cls,
        own: Array,
        domains: NDArray[np.int64],
        heard: NDArray[np.bool_],
        whitening: Whitening | None,
        settings: ScorerSettings,
    ) -> Self:
        clips = _as_compared(own, domains, whitening)
        parents = reference_pairs(clips, domains, settings.synthetic_neighbors)
        kind = DISTANCES[settings.distance]
        references = [references_of(clips, parents[domains[parents[:, 0]] == domain]) for domain in range(len(heard))]
        largest = max(range(len(heard)), key=lambda domain: len(references[domain]))
        like = kind.of(references[largest], settings)
        domain_distances = [
            like if domain == largest else kind.of(here, settings, like=like) for domain, here in enumerate(references)
        ]
        return cls(own, clips, domains, heard, parents, whitening, domain_distances, settings)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a bank from `arrays`."""
        settings = settings.model_copy(update={"anomaly_width": arrays["anomaly_width"].item()})
        own, domains, parents = arrays["vectors"], arrays["domains"], arrays["parents"]
        whitening = Whitening(arrays["whitening"], arrays["is_own"]) if "whitening" in arrays else None
        clips = _as_compared(own, domains, whitening)
        domain_distances = [
            DISTANCES[settings.distance].from_arrays(
                references_of(clips, parents[domains[parents[:, 0]] == domain]),
                {name.removeprefix(f"{domain}."): array for name, array in arrays.items()},
                settings,
            )
            for domain in range(len(arrays["heard"]))
        ]
        return cls(own, clips, domains, arrays["heard"], parents, whitening, domain_distances, settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name; what a distance learned begins with its domain's number."""
        whitening = self.whitening
        return {
            "vectors": self.own,
            "domains": self.domains,
            "heard": self.heard,
            "parents": self.parents,
            "anomaly_width": np.array([self.settings.anomaly_width]),
            **({} if whitening is None else {"whitening": whitening.roots, "is_own": whitening.is_own}),
            **{
                f"{domain}.{name}": array
                for domain, distance in enumerate(self.domain_distances)
                for name, array in distance.arrays().items()
            },
        }

    def distances(self, vectors: Array) -> Array:
        """Distance of one clip to each domain, the smallest over that domain's conditions.

        Parameters
        ----------
        vectors
            Shape ``(condition, feature)``.

        Returns
        -------
        Array
            Shape ``(domain,)``; infinite for a domain that has no clip.
        """
        return np.array([distances.min() for distances in self.distances_by_condition(vectors)])

    def distances_by_condition(self, vectors: Array) -> list[Array]:
        """Distances of one clip to each domain, under each condition that is heard there."""
        return [
            distance.distances(self._whitened(vectors[self.heard[domain]], domain))
            for domain, distance in enumerate(self.domain_distances)
        ]

    def contributions(self, vectors: Array, domain: int) -> Array:
        """Share of each feature in a clip's distance to a domain, shape ``(feature,)``.

        Where changes are expected, each feature of the distance is smeared over its neighbours. Then the distance is
        shared out as that from the nearest clip would be if nothing were expected.
        """
        distance, queries = self.domain_distances[domain], vectors[self.heard[domain]]
        heard = self._whitened(queries, domain)
        best = distance.distances(heard).argmin()
        shares = distance.contributions(heard[best])
        if self._expecting_nothing is None:
            return shares
        here = self.domains == domain
        nearest = np.square(self.vectors[here] - heard[best]).sum(axis=1).argmin()
        sharp = np.square(self._expecting_nothing.of_domain(self.own[here][nearest] - queries[best], domain))
        total = float(sharp.sum())
        return shares if total == 0.0 else sharp * (shares.sum() / total)

    def clip_distances(self, vectors: Array) -> Array:
        """Euclidean distance of one clip, whitened, to each normal clip, the smallest over conditions."""
        distances = np.empty(len(self.vectors))
        for domain in range(len(self.heard)):
            here = self.domains == domain
            queries = self._whitened(vectors[self.heard[domain]], domain)
            squares = [np.square(self.vectors[here] - query).sum(axis=1) for query in queries]
            distances[here] = np.sqrt(np.min(squares, axis=0))
        return distances

    def leave_one_out_distances(self, training: TrainingVectors, *, start: int = 0) -> Array:
        """Distances of each training clip, from one on, to all others, shape ``(clip, domain)``.

        A clip is left out of the whitening, and of the references with all that was made of it. A mixture of Gaussians
        is fitted anew without a tenth of the clips at a time.
        """
        (distances,) = left_out_distances([self], training, start=start)
        return distances

    def distances_without(self, clip: int, embedded: Sequence[Array], queries: Sequence[Array]) -> Array:
        """Distance of a training clip to each domain without it, shape ``(domain,)``.

        Parameters
        ----------
        clip
            Which of the training clips.
        embedded
            For each domain, all of them as they are compared without that clip, shape ``(clip, feature)``.
        queries
            For each domain, the clip under each condition, shape ``(condition, feature)``.
        """
        found = np.empty(len(self.domain_distances))
        for domain, distance in enumerate(self.domain_distances):
            pairs = self._pairs_of(domain)
            seen = distance.without((pairs == clip).any(axis=1), references_of(embedded[domain], pairs))
            found[domain] = seen.distances(queries[domain][self.heard[domain]]).min()
        return found

    def folded_distances(self, training: TrainingVectors) -> Array:
        """As `leave_one_out_distances`, of a bank that is fitted anew without a tenth of the clips at a time.

        Folds do not depend on the order of the clips; they go through one domain after the other, so that none holds
        all of a small one.
        """
        order = np.lexsort((*training.own.T[::-1], training.clip_domains))
        distances = np.empty((len(order), len(self.heard)))
        for fold in range(min(_N_FOLDS, len(order))):
            clips = order[fold::_N_FOLDS]
            kept = ~np.isin(np.arange(len(order)), clips)
            bank = self._fitted_on(training.some(kept))
            for clip in clips:
                distances[clip] = bank.distances(training.vectors[clip])
        return distances

    def _fitted_on(self, training: TrainingVectors) -> "MemoryBank":
        """The bank of some of the clips, with all its domains, even those that are empty now."""
        try:
            whitening = Whitening.fit(training.own, training.clip_domains, self.settings, n_domains=len(self.heard))
        except DataError:  # what is left does not vary
            whitening = self.whitening
        domains = _told_apart(training, self.settings).clip_domains
        return self._made(training.own, domains, self.heard, whitening, self.settings)

    def joined(self, training: TrainingVectors) -> "MemoryBank":
        """The bank with further clips, whitened by the covariance of all; as it was where domains are not told apart.

        Parameters
        ----------
        training
            Normal clips. A domain that the bank does not have yet is the one after its last. A domain is looked at
            under the own conditions of the clips that join it, too.
        """
        told = _told_apart(training, self.settings)
        n_domains = max(len(self.heard), 1 + int(told.clip_domains.max()))
        heard = np.zeros((n_domains, self.heard.shape[1]), np.bool_)
        heard[: len(self.heard)] = self.heard
        heard[told.clip_domains, told.own_conditions] = True
        domains = np.concatenate([self.domains, told.clip_domains])
        own, whitening = np.concatenate([self.own, told.own]), self.whitening
        if self.settings.normalization != "none":
            whitening = Whitening.fit(own, domains, self.settings)
        return self._made(own, domains, heard, whitening, self.settings)

    @cached_property
    def usual_square(self) -> float:
        """Mean squared distance of a normal clip to the nearest other one, whitened; 1 where they are identical."""
        squares = []
        for domain in range(len(self.heard)):
            here = self.vectors[self.domains == domain]
            for index, clip in enumerate(here):
                apart = np.square(here - clip).sum(axis=1)
                apart[index] = np.inf
                squares += [float(apart.min())] if len(apart) > 1 else []
        mean = float(np.mean(squares)) if squares else 0.0
        return mean if mean > 0.0 else 1.0

    @cached_property
    def _expecting_nothing(self) -> Whitening | None:
        """The whitening, were nothing expected; ``None`` where nothing is."""
        if self.settings.anomaly_width == 0.0:
            return None
        settings = _of_features(self.settings, is_spectrum=False)
        return Whitening.fit(self.own, self.domains, settings, n_domains=len(self.heard))

    def _pairs_of(self, domain: int) -> NDArray[np.int64]:
        pairs: NDArray[np.int64] = self.parents[self.domains[self.parents[:, 0]] == domain]
        return pairs

    def _whitened(self, vectors: Array, domain: int) -> Array:
        return vectors if self.whitening is None else self.whitening.of_domain(vectors, domain)


def left_out_distances(banks: Sequence[MemoryBank], training: TrainingVectors, *, start: int = 0) -> list[Array]:
    """See `MemoryBank.leave_one_out_distances`, for several banks of the same clips that are whitened in the same way.

    Clips are whitened once for all banks, which takes most of the time.
    """
    distances = [np.empty((len(training.vectors) - start, len(bank.heard))) for bank in banks]
    refitted = [bank.settings.distance == "gaussian-mixture" for bank in banks]
    for bank, found, is_refitted in zip(banks, distances, refitted, strict=True):
        if is_refitted:
            found[:] = bank.folded_distances(training)[start:]
    if all(refitted):
        return distances
    crossfit = CrossFit(training.own, training.clip_domains, banks[0].settings)
    known, asked = crossfit.prepared(training.own), crossfit.prepared(training.vectors)
    # Products this small gain nothing from threads, and threads that wait for a busy core cost ten times the whole.
    with one_blas_thread():
        for clip in range(start, len(training.vectors)):
            embeddings = crossfit.without(clip)
            distinct = {id(embed): (embed, clips) for embed, clips in zip(embeddings, known, strict=True)}
            whitened = {key: embed(clips) for key, (embed, clips) in distinct.items()}
            embedded = [whitened[id(embed)] for embed in embeddings]
            queries = [embed(vectors[clip]) for embed, vectors in zip(embeddings, asked, strict=True)]
            for bank, found, is_refitted in zip(banks, distances, refitted, strict=True):
                if not is_refitted:
                    found[clip - start] = bank.distances_without(clip, embedded, queries)
    return distances


def _of_features(settings: ScorerSettings, *, is_spectrum: bool) -> ScorerSettings:
    """The settings, without what they expect of bands where features are none."""
    return settings if is_spectrum else settings.model_copy(update={"anomaly_width": 0.0})


def _told_apart(training: TrainingVectors, settings: ScorerSettings) -> TrainingVectors:
    """The clips with the domains that are compared with one by one."""
    if settings.normalization != "none":
        return training
    return replace(
        training,
        clip_domains=np.zeros_like(training.clip_domains),
        condition_domains=np.full_like(training.condition_domains, ANY_DOMAIN),
    )


def _as_compared(vectors: Array, domains: NDArray[np.int64], whitening: Whitening | None) -> Array:
    if whitening is None:
        return vectors
    compared = np.empty_like(vectors)
    for domain in np.unique(domains):
        compared[domains == domain] = whitening.of_domain(vectors[domains == domain], int(domain))
    return compared


def reference_pairs(clips: Array, domains: NDArray[np.int64], n_neighbors: int) -> NDArray[np.int64]:
    """Each clip with itself, then each clip of the smaller domains with its nearest neighbours there.

    Parameters
    ----------
    clips
        Shape ``(clip, feature)``.
    domains
        Shape ``(clip,)``.
    n_neighbors
        How many neighbours each clip of a smaller domain is paired with.

    Returns
    -------
    NDArray
        Indices of clips, shape ``(reference, 2)``.
    """
    pairs = [(index, index) for index in range(len(clips))]
    counts = np.bincount(domains)
    between = {
        (min(clip, neighbor), max(clip, neighbor))
        for domain in np.flatnonzero((counts > 0) & (counts < counts.max()))
        for clip, neighbor in _nearest_pairs(clips, np.flatnonzero(domains == domain), n_neighbors)
    }
    return np.array(pairs + sorted(between), np.int64)


def references_of(clips: Array, pairs: NDArray[np.int64]) -> Array:
    """The mean of each pair of clips, shape ``(reference, feature)``."""
    references: Array = clips[pairs[:, 0]]
    is_synthetic = pairs[:, 0] != pairs[:, 1]
    references[is_synthetic] = (references[is_synthetic] + clips[pairs[is_synthetic, 1]]) / 2
    return references


def _nearest_pairs(clips: Array, here: NDArray[Any], n_neighbors: int) -> list[tuple[int, int]]:
    found = []
    for clip in here:
        squares = np.square(clips[here] - clips[clip]).sum(axis=1)
        squares[here == clip] = np.inf
        nearest = here[np.argsort(squares, kind="stable")[: min(n_neighbors, len(here) - 1)]]
        found += [(int(clip), int(neighbor)) for neighbor in nearest]
    return found
