"""Memory bank: normal clips as they are compared, and distances of other clips to them: float64 NumPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError
from soundness.files.stored_values import flags, floats, indices
from soundness.scoring.distances.names import DISTANCES
from soundness.scoring.distances.protocol import Distance
from soundness.scoring.expected_changes import narrow_changes
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.scoring.references import pairs_of, reference_pairs, references_of
from soundness.scoring.whitening import CrossFit, whitening_matrix
from soundness.settings.scoring import ScorerSettings
from soundness.threads import one_blas_thread

__all__ = ["MemoryBank", "left_out_distances", "left_out_distances_by_length"]

_APPLICABLE = ("anomaly_width", "narrow_width", "outlier_exponent")  # settings that are 0 where they do not apply


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryBank:
    """Vectors of normal clips, and distances of other clips to those of each domain.

    Parameters
    ----------
    own
        Each clip under its own condition, shape ``(clip, feature)``.
    whitened
        The same as they are compared.
    domains
        Index of each clip's domain, shape ``(clip,)``.
    domain_conditions
        True where clips are compared with a domain under a condition, shape ``(domain, condition)``.
    pairs
        Indices of the two clips whose mean each reference is, shape ``(reference, 2)``: each clip and itself first,
        then the pairs of which synthetic references are made.
    whitening
        Matrix that vectors are multiplied by, shape ``(feature, feature)``; ``None`` where they are compared as they
        are.
    excess
        What is added to the square of the distance to each clip, so that one that is unlike the others does not make
        near what is like it, shape ``(clip,)``; see `soundness.scoring.clip_weights`.
    domain_distances
        Distance to each domain.
    settings
        Settings of the scorer, as far as they apply to the features, see `TrainingVectors.applicable`.
    """

    own: Array
    whitened: Array
    domains: NDArray[np.int64]
    domain_conditions: NDArray[np.bool_]
    pairs: NDArray[np.int64]
    whitening: Array | None
    excess: Array
    domain_distances: Sequence[Distance]
    settings: ScorerSettings

    @classmethod
    def from_training(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Bank of all training clips.

        Raises
        ------
        DataError
            If vectors are to be whitened, and no two clips of a domain differ.
        """
        settings = training.applicable(settings)
        whitening = whitening_matrix(training.own, training.clip_domains, settings, weights=training.weights)
        labels = training.condition_domains
        n_domains = 1 + int(training.clip_domains.max())
        conditions = (labels == np.arange(n_domains)[:, None]) | (labels == ANY_DOMAIN)
        return cls._build(
            training.own,
            training.clip_domains,
            conditions,
            whitening=whitening,
            settings=settings,
            excess=np.zeros(len(training.own)) if training.excess is None else training.excess,
            most_left_out=training.most_left_out,
        )

    @classmethod
    def _build(
        cls,
        own: Array,
        domains: NDArray[np.int64],
        domain_conditions: NDArray[np.bool_],
        *,
        whitening: Array | None,
        settings: ScorerSettings,
        excess: Array,
        arrays: Mapping[str, NDArray[Any]] | None = None,
        most_left_out: int = 1,
    ) -> Self:
        clips = _whitened_by_domain(own, domains, whitening)
        pairs = reference_pairs(clips, domains, settings.synthetic_neighbors)
        own_pairs = [pairs_of(pairs, domains, domain) for domain in range(len(domain_conditions))]
        references = [(references_of(clips, here), excess[here].mean(axis=1)) for here in own_pairs]
        return cls(
            own=own,
            whitened=clips,
            domains=domains,
            domain_conditions=domain_conditions,
            pairs=pairs,
            whitening=whitening,
            excess=excess,
            domain_distances=_distances(
                references,
                settings,
                arrays=arrays,
                most_left_out=most_left_out,
                changes=_whitened_changes(own.shape[1], settings, whitening),
            ),
            settings=settings,
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        """Rebuild a bank from `arrays`."""
        own = floats(arrays, "own", (None, None))
        n_clips, n_features = own.shape
        domain_conditions = flags(arrays, "domain_conditions", (None, None))
        if not domain_conditions.any(axis=1).all() or len(domain_conditions) > n_clips:
            raise BundleError("array domain_conditions: a domain has no condition, or no clip")
        domains = indices(arrays, "domains", (n_clips,), below=len(domain_conditions))
        applicable = {
            name: floats(arrays, name, (1,), low=0.0, high=getattr(settings, name)).item() for name in _APPLICABLE
        }
        settings = settings.model_copy(update=applicable)
        whitening = None
        if settings.whitening != "none":
            whitening = floats(arrays, "whitening", (n_features, n_features))
        excess = floats(arrays, "excess", (n_clips,), low=0.0)
        return cls._build(
            own, domains, domain_conditions, whitening=whitening, settings=settings, excess=excess, arrays=arrays
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, by name; arrays of a distance begin with the index of its domain."""
        return {
            "own": self.own,
            "domains": self.domains,
            "domain_conditions": self.domain_conditions,
            "excess": self.excess,
            **{name: np.array([getattr(self.settings, name)]) for name in _APPLICABLE},
            **({} if self.whitening is None else {"whitening": self.whitening}),
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
        return np.array(
            [
                distance.distances(_whitened(vectors[conditions], self.whitening)).min()
                for distance, conditions in zip(self.domain_distances, self.domain_conditions, strict=True)
            ]
        )

    def contributions(self, vectors: Array, domain: int) -> Array:
        """Share of each feature in a clip's distance to a domain, shape ``(feature,)``.

        Where changes are expected, each feature of the distance is smeared over its neighbours. Then the distance is
        shared out as that from the nearest clip would be if nothing were expected.
        """
        distance, queries = self.domain_distances[domain], vectors[self.domain_conditions[domain]]
        whitened = _whitened(queries, self.whitening)
        best = distance.distances(whitened).argmin()
        shares = distance.contributions(whitened[best])
        if self._plain_whitening is None:
            return shares
        here = self.domains == domain
        nearest = np.square(self.whitened[here] - whitened[best]).sum(axis=1).argmin()
        sharp = np.square((self.own[here][nearest] - queries[best]) @ self._plain_whitening)
        total = float(sharp.sum())
        return shares if total == 0.0 else sharp * (shares.sum() / total)

    def clip_distances(self, vectors: Array) -> Array:
        """Euclidean distance of one clip, whitened, to each normal clip, the smallest over conditions."""
        distances = np.empty(len(self.own))
        for domain, conditions in enumerate(self.domain_conditions):
            here = self.domains == domain
            queries = _whitened(vectors[conditions], self.whitening)
            squares = [np.square(self.whitened[here] - query).sum(axis=1) for query in queries]
            distances[here] = np.sqrt(np.min(squares, axis=0))
        return distances

    def distances_without(
        self, left_out: NDArray[np.bool_], embedded: Array, queries: Array, *, changes: Array | None = None
    ) -> Array:
        """Distance of a training clip to each domain without it, shape ``(length, domain)``.

        Parameters
        ----------
        left_out
            True for the clip and those that depend on it, shape ``(clip,)``.
        embedded
            All training clips as they are compared without those, shape ``(clip, feature)``.
        queries
            The clip, whole and shortened, under each condition, shape ``(length, condition, feature)``.
        changes
            See `soundness.scoring.distances.protocol.Distance`.
        """
        found = np.empty((len(queries), len(self.domain_distances)))
        for domain, distance in enumerate(self.domain_distances):
            pairs = pairs_of(self.pairs, self.domains, domain)
            references, gone = references_of(embedded, pairs), left_out[pairs[:, 0]] | left_out[pairs[:, 1]]
            own = queries[:, self.domain_conditions[domain]]
            flat = own.reshape(-1, own.shape[-1])
            distances = distance.distances_without(flat, references, gone, changes=changes)
            found[:, domain] = distances.reshape(own.shape[:-1]).min(axis=1)
        return found

    def with_clips(self, training: TrainingVectors) -> "MemoryBank":
        """Bank with further clips, whitened by the covariance of all; with one domain, the whitening stays.

        Parameters
        ----------
        training
            Normal clips. A domain that the bank does not have yet is the one after its last. Clips are compared with a
            domain under the own conditions of the clips that join it, too.
        """
        n_domains = max(len(self.domain_conditions), 1 + int(training.clip_domains.max()))
        conditions = np.zeros((n_domains, self.domain_conditions.shape[1]), np.bool_)
        conditions[: len(self.domain_conditions)] = self.domain_conditions
        conditions[training.clip_domains, training.own_conditions] = True
        domains = np.concatenate([self.domains, training.clip_domains])
        own = np.concatenate([self.own, training.own])
        whitening = whitening_matrix(own, domains, self.settings)
        excess = np.concatenate([self.excess, np.zeros(len(training.own))])
        return self._build(own, domains, conditions, whitening=whitening, settings=self.settings, excess=excess)

    @cached_property
    def usual_square(self) -> float:
        """Mean squared distance of a normal clip to the nearest other one, whitened; 1 where they are identical."""
        squares = []
        for domain in range(len(self.domain_conditions)):
            here = self.whitened[self.domains == domain]
            for index, clip in enumerate(here):
                apart = np.square(here - clip).sum(axis=1)
                apart[index] = np.inf
                squares += [float(apart.min())] if len(apart) > 1 else []
        mean = float(np.mean(squares)) if squares else 0.0
        return mean if mean > 0.0 else 1.0

    @cached_property
    def _plain_whitening(self) -> Array | None:
        """Whitening that expects no changes; ``None`` where none are expected."""
        if self.settings.anomaly_width == 0.0:
            return None
        return whitening_matrix(self.own, self.domains, _without_expected_changes(self.settings))


def left_out_distances(banks: Sequence[MemoryBank], training: TrainingVectors, *, start: int = 0) -> list[Array]:
    """Distances of each training clip, from one on, to all others, shape ``(clip, domain)`` for each bank.

    A clip is left out of the whitening, and of the references with all that was made of it, and with it the clips that
    depend on it. Clips are whitened once for all banks, which takes most of the time.

    Parameters
    ----------
    banks
        Banks of these clips that are whitened in the same way.
    training
        The clips.
    start
        Index of the first clip whose distances are computed.
    """
    return [found[0] for found in left_out_distances_by_length(banks, training, start=start)]


def left_out_distances_by_length(
    banks: Sequence[MemoryBank], training: TrainingVectors, *, start: int = 0
) -> list[Array]:
    """Distances of each training clip, whole and at each shorter length, shape ``(1 + length, clip, domain)``.

    See `left_out_distances`; a clip that was shortened is compared with whole ones.
    """
    short = training.shortened
    n_clips, n_lengths = len(training.vectors) - start, 1 if short is None else 1 + len(short)
    distances = [np.empty((n_lengths, n_clips, len(bank.domain_conditions))) for bank in banks]
    crossfit = CrossFit(training.own, training.clip_domains, banks[0].settings, weights=training.weights)
    clips, queries = crossfit.prepared(training.own), crossfit.prepared(training.vectors)
    shortened = None if short is None else crossfit.prepared(short)
    changes = _narrow_changes(banks, crossfit)
    # Products this small gain nothing from threads, and threads that wait for a busy core cost ten times the whole.
    with one_blas_thread():
        for clip in range(start, len(training.vectors)):
            left_out = training.left_out_with(clip)
            is_alone = int(left_out.sum()) == 1
            embed = crossfit.without(clip) if is_alone else crossfit.without_all(left_out)
            embedded, query = embed(clips), embed(queries[clip])[None]
            if shortened is not None:
                query = np.concatenate([query, embed(shortened[:, clip])])
            sought = None if changes is None else embed(changes)
            for bank, found in zip(banks, distances, strict=True):
                found[:, clip - start] = bank.distances_without(left_out, embedded, query, changes=sought)
    return distances


def _narrow_changes(banks: Sequence[MemoryBank], crossfit: CrossFit) -> Array | None:
    """Changes that banks look for, prepared for embedding; ``None`` where none does."""
    looking = [bank for bank in banks if bank.settings.distance == "narrow-change"]
    if not looking:
        return None
    return crossfit.prepared(narrow_changes(looking[0].own.shape[1], width=looking[0].settings.narrow_width))


def _distances(
    references: Sequence[tuple[Array, Array]],
    settings: ScorerSettings,
    *,
    arrays: Mapping[str, NDArray[Any]] | None,
    most_left_out: int,
    changes: Array | None,
) -> list[Distance]:
    """Distance to each domain, learned from its references and their excess, or rebuilt from the arrays of a bank."""
    kind = DISTANCES[settings.distance]
    if arrays is not None:
        own = [
            {name.removeprefix(f"{domain}."): array for name, array in arrays.items()}
            for domain in range(len(references))
        ]
        return [
            kind.from_arrays(here, learned, settings, excess=excess, changes=changes)
            for (here, excess), learned in zip(references, own, strict=True)
        ]
    largest = max(range(len(references)), key=lambda domain: len(references[domain][0]))
    here, excess = references[largest]
    to_largest = kind.from_references(here, settings, excess=excess, most_left_out=most_left_out, changes=changes)
    return [
        to_largest
        if domain == largest
        else kind.from_references(
            here, settings, excess=excess, largest=to_largest, most_left_out=most_left_out, changes=changes
        )
        for domain, (here, excess) in enumerate(references)
    ]


def _without_expected_changes(settings: ScorerSettings) -> ScorerSettings:
    return settings.model_copy(update={"anomaly_width": 0.0})


def _whitened(vectors: Array, whitening: Array | None) -> Array:
    return vectors if whitening is None else vectors @ whitening


def _whitened_changes(n_features: int, settings: ScorerSettings, whitening: Array | None) -> Array | None:
    """Changes that a bank looks for, as they are compared; ``None`` where it looks for none."""
    if settings.distance != "narrow-change":
        return None
    return _whitened(narrow_changes(n_features, width=settings.narrow_width), whitening)


def _whitened_by_domain(vectors: Array, domains: NDArray[np.int64], whitening: Array | None) -> Array:
    """Whitened clips, one domain at a time: the last bits of a product depend on its number of rows."""
    if whitening is None:
        return vectors
    whitened = np.empty_like(vectors)
    for domain in np.unique(domains):
        whitened[domains == domain] = vectors[domains == domain] @ whitening
    return whitened
