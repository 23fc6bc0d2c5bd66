r"""Several tests of a clip side by side: float64 NumPy.

The mean of several scores dilutes what only one of them sees. Here each test says how rare its score is among normal
clips, :math:`-\log p_t` in nats by its `TailLaw`, and the rarest counts, less the price of its test:

.. math:: \max_t \left(-\log p_t - c_t\right).

That is the weighted test of Bonferroni, with the weights :math:`e^{-c_t}`: it holds whatever the dependence between
the tests [1]_. The price is the one of the settings, and ``few_clips_price`` divided by the number of clips: what the
sound as a whole can show with few of them is little, and would be lost among the further tests. The score is calibrated
again as a whole, by the same left-out clips. The laws were made from them, so with ten or twenty clips p-values are
somewhat too small: of five independent tests, 12 to 15 % of normal clips are flagged where 10 % were promised, and 11 %
with a hundred.

With ``is_bounded`` a further test may say that a clip is rarer than all normal ones, :math:`b` nats, and no more:
what its law says beyond is a guess, and in the noise of another room, which is full of short sounds, it would hide what
the sound as a whole shows. Beyond :math:`b` its finding is :math:`b + (1 + \max(s, 0)) / 1000`, with the rarity
:math:`s` of the sound as a whole: that alone orders clips which are rarer than all. No p-value changes, for no normal
clip lies there.

References
----------
.. [1] C. R. Genovese, K. Roeder, L. Wasserman, "False discovery control with p-value weighting", Biometrika 93(3),
   2006.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.errors import BundleError, SettingsError
from soundness.files.stored_values import arrays_below, flags, floats
from soundness.scoring.joining.fused import FusedScorer, views_of
from soundness.scoring.joining.tail_law import TailLaw
from soundness.scoring.nearest_neighbors import NearestNeighborScorer
from soundness.scoring.peaks import PeakScorer
from soundness.scoring.protocol import Scorer, TrainingVectors
from soundness.settings.scoring import PeakKind, PeakSettings, ScorerSettings

__all__ = ["BEYOND", "JoinedScorer", "Peak"]

_SAME = 1e-3  # in the unit of a feature
BEYOND = 1e-3
"""Nats beyond the bound, for each of the sound as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Peak:
    """Feature that makes a clip anomalous, where it is that of a test beside the sound as a whole.

    Parameters
    ----------
    kind
        Kind of the change.
    view
        Index of the view of the clip.
    feature
        Index of the largest feature of the view.
    standardised
        Difference of each feature of the view from normal in deviations, shape ``(feature,)``; NaN where it is not
        known.
    expected, spread
        Mean of each in normal clips, and a deviation, in the unit of the view.
    """

    kind: PeakKind
    view: int
    feature: int
    standardised: Array
    expected: Array
    spread: Array

    @property
    def deviations(self) -> float:
        """Difference of the feature from normal, in deviations, with its sign."""
        return float(self.standardised[self.feature])

    @property
    def changes(self) -> Array:
        """Difference of each feature from normal, in the unit of the view, shape ``(feature,)``."""
        return self.standardised * self.spread


class JoinedScorer(Scorer):
    """Fused score of a clip's sound beside the largest feature of each of several further views; the rarest counts.

    Parameters
    ----------
    sound
        Fused scorer of the sound as a whole.
    peaks
        Scorers of further views.
    is_used
        True for these tests among those of the settings: all but those whose view is the same in all normal clips.
    laws
        Law of the left-out scores of the sound, and of each further test.
    member_laws
        Law of the left-out scores of each member of the sound that is a test by itself, too, by its index.
    settings
        Settings of the scorer.
    """

    def __init__(
        self,
        sound: FusedScorer,
        *,
        peaks: Sequence[PeakScorer],
        is_used: NDArray[np.bool_],
        laws: Sequence[TailLaw],
        member_laws: Mapping[int, TailLaw],
        settings: ScorerSettings,
    ) -> None:
        self.sound, self.peaks, self.is_used = sound, peaks, is_used
        self.laws, self.member_laws, self.settings = laws, member_laws, settings
        self.few_price = settings.few_clips_price / len(laws[0].scores)
        """Nats that each further test is dearer than its settings say, for few clips."""
        self.prices = np.array([0.0, *(peak.settings.price + self.few_price for peak in peaks)])
        self.member_prices = {index: price + self.few_price for index, price in sound.priced().items()}
        self.bound = float("inf")
        """Nats of the rarest normal clip; beyond them, further tests say no more than that."""
        if settings.is_bounded:
            self.bound = float(self.left_out_scores().max())

    @classmethod
    def fit(cls, training: TrainingVectors, settings: ScorerSettings) -> Self:
        """Fit each test to its view.

        Raises
        ------
        SettingsError
            If a test or a member scores a view that vectors do not have.
        """
        sizes = np.array(training.view_sizes or (training.vectors.shape[2],), np.int64)
        for peak in settings.peaks:
            if peak.view >= len(sizes) > 1:
                raise SettingsError(f"scorer.peaks: view {peak.view} (counted from 0) of {len(sizes)} views")
        sound = FusedScorer.fit(training, settings)
        views = views_of(training, sizes)
        is_used = np.array([len(sizes) > 1 and _varies(views[peak.view]) for peak in settings.peaks], np.bool_)
        peaks = [PeakScorer.fit(views[peak.view], peak) for peak in _used(settings, is_used)]
        left_out = [sound.left_out_scores(), *(peak.left_out_scores() for peak in peaks)]
        laws = [TailLaw.from_scores(scores) for scores in left_out]
        own = {index: TailLaw.from_scores(sound.scorers[index].left_out_scores()) for index in sound.priced()}
        return cls(sound, peaks=peaks, is_used=is_used, laws=laws, member_laws=own, settings=settings)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: ScorerSettings) -> Self:
        sound = FusedScorer.from_arrays(arrays_below("sound", arrays), settings)
        is_used = flags(arrays, "peaks", (len(settings.peaks),))
        peaks = [
            PeakScorer.from_arrays(arrays_below(f"peak.{index}", arrays), peak)
            for index, peak in enumerate(_used(settings, is_used))
        ]
        for peak in peaks:
            if peak.settings.view >= len(sound.sizes) or len(peak.centre) != sound.sizes[peak.settings.view]:
                raise BundleError(f"array centre: {len(peak.centre)} features of view {peak.settings.view}")
            if peak.left_out.shape != (len(sound.left_out_scores()), len(peak.statistics.counts)):
                raise BundleError(f"array left_out: {len(peak.left_out)} clips; expected as many as of the sound")
        laws = [_law(arrays, f"law.{index}") for index in range(1 + len(peaks))]
        own = {index: _law(arrays, f"member_law.{index}") for index in sound.priced()}
        return cls(sound, peaks=peaks, is_used=is_used, laws=laws, member_laws=own, settings=settings)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of each test, and its law, by name."""
        return {
            **{f"sound.{name}": array for name, array in self.sound.arrays().items()},
            "peaks": self.is_used,
            **{
                f"peak.{index}.{name}": array
                for index, peak in enumerate(self.peaks)
                for name, array in peak.arrays().items()
            },
            **{f"law.{index}": law.scores for index, law in enumerate(self.laws)},
            **{f"member_law.{index}": law.scores for index, law in self.member_laws.items()},
        }

    def score(self, vectors: Array) -> float:
        """Anomaly score of one clip, shape ``(condition, feature)``, in nats."""
        return float(self.nats(vectors).max())

    def left_out_scores(self) -> Array:
        """Score of each clip with all that came from it left out of each test, shape ``(clip,)``."""
        return self._joined(lambda scorer: scorer.left_out_scores())

    def left_out_short_scores(self) -> Array:
        """Score of each clip at each shorter length; see `soundness.scoring.protocol.ShortClipScorer`."""
        return self._joined(lambda scorer: scorer.left_out_short_scores())

    def is_level_change(self, vectors: Array) -> bool:
        """True if the score of a clip is that of its level, see `FusedScorer.is_level_change`."""
        return self.peak(vectors) is None and self.sound.is_level_change(vectors)

    def nats(self, vectors: Array) -> Array:
        """Finding of each test of a clip in nats, shape ``(test,)``; that of the sound as a whole is first.

        A member of the sound that is a test by itself belongs to the first.
        """
        return self._bounded(self._rarity(vectors))

    def findings(self, vectors: Array) -> tuple[Array, list[int]]:
        """Findings as in `nats`, and indices of the tests, the rarest by its law first: that tells what it shows."""
        rarity = self._rarity(vectors)
        return self._bounded(rarity), [int(index) for index in np.argsort(-rarity, kind="stable")]

    def _rarity(self, vectors: Array) -> Array:
        """Rarity of a clip by each test, less its price, without a bound, shape ``(test,)``."""
        parts, members = self.sound.split(vectors), self.sound.member_scores(vectors)
        further = [np.array(peak.score(parts[peak.settings.view])) for peak in self.peaks]
        own = {index: members[index] for index in self.member_laws}
        return self._nats([np.array(self.sound.score_of_members(members, vectors)), *further], own)

    def peak(self, vectors: Array) -> Peak | None:
        """Feature by which a clip is the rarest; ``None`` where that is the sound as a whole."""
        rarest = int(self._rarity(vectors).argmax())
        return None if rarest == 0 else self.peak_of(vectors, rarest - 1)

    def peak_of(self, vectors: Array, index: int) -> Peak:
        """Largest feature of a clip in one of the tests beside the sound as a whole."""
        scorer = self.peaks[index]
        (features,) = self.sound.split(vectors)[scorer.settings.view][:1]
        found = scorer.standardised(features)
        size = np.abs(found) if scorer.settings.is_two_sided else found
        feature = int(np.where(np.isnan(size), -np.inf, size).argmax())
        expected, spread = scorer.expected(features)
        return Peak(
            kind=scorer.settings.kind,
            view=scorer.settings.view,
            feature=feature,
            standardised=found,
            expected=expected,
            spread=spread,
        )

    def notes(self) -> list[str]:
        """Notes on the sound, on tests that are left out, and on clips that are too few for the others."""
        left_out = [
            f"{peak.kind}: not tested, its view is missing, or the same in all training clips"
            for peak in _used(self.settings, ~self.is_used)
        ]
        dear = [peak.settings.kind for peak in self.peaks if self.few_price > peak.settings.price]
        few = f"{len(self.laws[0].scores)} clips are few: of the kinds {', '.join(dear)} only strong changes are found"
        return [*self.sound.notes(), *left_out, *([few] if dear else [])]

    def nearest(self, vectors: Array, n_clips: int) -> NDArray[np.int64]:
        """Indices of the nearest normal clips by their sound as a whole; see `Scorer`."""
        return self.sound.nearest(vectors, n_clips)

    def contributions(self, vectors: Array) -> Array:
        """Contributions of the features to the score of the sound as a whole; 0 in the other views."""
        return self.sound.contributions(vectors)

    def enrolled(self, training: TrainingVectors) -> Self:
        """Scorer with further clips in each test, joined as before; see `Scorer`."""
        views = views_of(training, self.sound.sizes)
        peaks = [peak.enrolled(views[peak.settings.view]) for peak in self.peaks]
        sound = self.sound.enrolled(training)
        return type(self)(
            sound,
            peaks=peaks,
            is_used=self.is_used,
            laws=self.laws,
            member_laws=self.member_laws,
            settings=self.settings,
        )

    def _joined(self, scores_of: Callable[[FusedScorer | NearestNeighborScorer | PeakScorer], Array]) -> Array:
        """Score of clips, from those that each test and each priced member gives of them."""
        own = {index: scores_of(self.sound.scorers[index]) for index in self.member_laws}
        found: Array = self._bounded(self._nats([scores_of(self.sound), *map(scores_of, self.peaks)], own)).max(axis=0)
        return found

    def _bounded(self, rarity: Array) -> Array:
        """The same with the bound of further tests, shape ``(test, ...)``."""
        sound, further = rarity[:1], rarity[1:]
        beyond = self.bound + BEYOND * (1.0 + np.maximum(sound, 0.0))
        return np.concatenate([sound, np.where(further > self.bound, beyond, further)])

    def _nats(self, scores: Sequence[Array], members: Mapping[int, Array]) -> Array:
        """Rarity by each test, less its price, shape ``(test, ...)``, from scores, and those of members by index."""
        sound, *further = [
            law.nats(own) - price for law, own, price in zip(self.laws, scores, self.prices, strict=True)
        ]
        for index, law in self.member_laws.items():
            sound = np.maximum(sound, law.nats(members[index]) - self.member_prices[index])
        return np.stack([sound, *further])


def _law(arrays: Mapping[str, NDArray[Any]], name: str) -> TailLaw:
    law = TailLaw(floats(arrays, name, (None,)))
    if len(law.scores) < 2 or (np.diff(law.scores) < 0.0).any():
        raise BundleError(f"array {name}: expected two scores or more, in rising order")
    return law


def _varies(view: TrainingVectors) -> bool:
    """True if a feature differs between clips of a domain by more than rounding makes it."""
    own = [view.own[view.clip_domains == domain] for domain in np.unique(view.clip_domains)]
    return bool(max(np.ptp(np.nan_to_num(clips), axis=0).max() for clips in own) > _SAME)


def _used(settings: ScorerSettings, is_used: NDArray[np.bool_]) -> list[PeakSettings]:
    return [peak for peak, used in zip(settings.peaks, is_used, strict=True) if used]
