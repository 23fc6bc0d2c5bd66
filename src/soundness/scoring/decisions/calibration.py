"""P-value and threshold of an anomaly score, by the scores of normal clips that the detector was not fitted on.

NumPy alone. A p-value is the share of normal clips, the clip itself among them, that score at least as high.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from soundness.aliases import Array
from soundness.errors import BundleError, DataError
from soundness.files.stored_values import Finite, Note, floats, stored_value

__all__ = ["Calibration", "Origin", "Threshold", "n_flagged"]

Origin = Literal["left-out", "later", "trained-on", "held-out", "fresh"]
"""Origin of calibration scores: clips that were left out of memory bank and whitening one by one, without a network;
later clips, each scored by those before it; left-out clips that a network was trained on; clips held out of all
training; fresh clips that came later."""

_WORTH: dict[Origin, str] = {
    "left-out": "p-values are cross-fitted: each calibration clip was left out of memory bank and whitening; they are "
    "right but for the difference that one clip makes",
    "later": "p-values are by later clips, each scored by those before it: right for about a tenth of the time of the "
    "training, as long as normal sound wanders no faster; then calibrate with fresh clips",
    "trained-on": "the network was trained on the calibration clips, so p-values of new clips may be too small: they "
    "rank clips and promise no rate; calibrate with fresh clips, or train with calibration=held-out, for ones that do",
    "held-out": "p-values are by clips held out of all training: right as long as normal clips stay as they were",
    "fresh": "p-values are by fresh clips: right as long as normal clips stay as they are in these",
}


def n_flagged(rate: float, n_clips: int) -> int:
    """Largest m with m / (n_clips + 1) <= rate, exact in floating point.

    Number of exchangeable clips, among so many and a new one, with a p-value of ``rate`` or less, unless scores tie.
    """
    count = min(max(math.floor(rate * (n_clips + 1)), 0), n_clips + 1)
    while count <= n_clips and (count + 1) / (n_clips + 1) <= rate:
        count += 1
    while count > 0 and count / (n_clips + 1) > rate:
        count -= 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredCalibration:
    """Plain values of a calibration in a file."""

    origin: Origin
    notes: Annotated[tuple[Note, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    r"""Conformal p-values.

    Of the :math:`n` normal scores :math:`s_i` of a domain, a score :math:`s` has the p-value
    :math:`(1 + \#\{s_i \ge s\}) / (n + 1)`; that of a clip is the largest over the domains, since its own is unknown.
    Where its score is exchangeable with those of its domain, the p-value is at most :math:`\alpha` with a probability
    of at most :math:`\alpha`, whichever domain that is.

    Parameters
    ----------
    scores
        Scores of normal clips, ascending, by domain; ``""`` where there are no domains.
    origin
        See `Origin`.
    notes
        Notes for the user on what the p-values are worth.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World", Springer 2005.
    """

    scores: dict[str, Array]
    origin: Origin
    notes: tuple[str, ...]

    @classmethod
    def from_scores(cls, scores: Mapping[str, Array], *, origin: Origin) -> Self:
        """Calibrate by normal scores.

        Parameters
        ----------
        scores
            Scores by domain, in any order.
        origin
            See `Origin`.

        Raises
        ------
        DataError
            If there is no score, or one is no number.
        """
        if not any(map(len, scores.values())):
            raise DataError("nothing to calibrate by: no normal clip was scored")
        if any(np.isnan(values).any() for values in scores.values()):
            raise DataError("nothing to calibrate by: the score of a normal clip is no number")
        ordered = {domain: np.sort(values) for domain, values in sorted(scores.items()) if len(values) > 0}
        counts = cls(ordered, origin, ()).n_clips
        notes = [_WORTH[origin]]
        notes += [
            f"a single {domain or 'normal'} clip supports no p-value: they say nothing of that domain"
            for domain in ordered
            if domain not in counts
        ]
        shown = " and ".join(f"{count} {domain or 'normal'}" for domain, count in counts.items())
        notes.append(f"no p-value lies below 1/{1 + min(counts.values())}: {shown} clips calibrate them")
        return cls(ordered, origin, tuple(notes))

    @classmethod
    def from_stored(cls, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild from the plain values and the arrays of a file.

        Parameters
        ----------
        about
            ``origin`` and ``notes``.
        arrays
            Scores by domain.

        Raises
        ------
        BundleError
            If one is missing, or of another type or range.
        """
        own = stored_value(_StoredCalibration, about, name="calibration")
        scores = {domain: floats(arrays, domain, (None,)) for domain in sorted(arrays)}
        if not scores:
            raise BundleError("calibration: holds no scores")
        if any((np.diff(values) < 0.0).any() for values in scores.values()):
            raise BundleError("calibration: scores are not in order")
        return cls(scores, own.origin, own.notes)

    @property
    def used(self) -> dict[str, Array]:
        """Scores of the domains that count: a domain of a single clip counts only where it is the only one."""
        return {domain: values for domain, values in self.scores.items() if len(values) > 1} or self.scores

    @property
    def n_clips(self) -> dict[str, int]:
        """Calibration clips by domain, of the domains that count."""
        return {domain: len(values) for domain, values in self.used.items()}

    @property
    def smallest(self) -> float:
        """Smallest p-value that a clip can have."""
        return 1.0 / (1 + min(self.n_clips.values()))

    @property
    def is_valid(self) -> bool:
        """True if its p-values promise a rate, so not where a network was trained on the clips."""
        return self.origin != "trained-on"

    def p_value(self, score: float) -> float:
        """P-value of one score, in (0, 1]; the smaller, the more anomalous."""
        return float(self.p_values(np.array([score]))[0])

    def p_values(self, scores: Array) -> Array:
        """P-values of many scores, shape ``(clip,)``."""
        found = np.zeros(len(scores))
        for values in self.used.values():
            n_at_least = len(values) - np.searchsorted(values, scores, side="left")
            found = np.maximum(found, (1 + n_at_least) / (len(values) + 1))
        return found

    def threshold(self, rate: float) -> float:
        """Score above which, and only above which, the p-value is ``rate`` or less; infinite where none is."""
        thresholds = []
        for values in self.used.values():
            rank = len(values) + 1 - n_flagged(rate, len(values))  # counted from 1
            thresholds.append(math.inf if rank > len(values) else float(values[rank - 1]) if rank > 0 else -math.inf)
        return max(thresholds)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Score above which a clip is called anomalous.

    Parameters
    ----------
    value
        Largest of the domains' thresholds, since a test clip's domain is unknown; a domain of a single clip, whose
        left-out score says nothing of that domain, does not count beside others.
    domains
        Threshold of each domain, by name.
    notes
        Notes for the user on domains that are too small to support the rate that was asked for.
    """

    value: Finite
    domains: dict[str, Finite]
    notes: tuple[Note, ...]

    @classmethod
    def from_scores(cls, scores: Mapping[str, Array], *, false_alarm_rate: float) -> Self:
        r"""Conformal threshold at a stated false-alarm rate.

        Of :math:`n` exchangeable normal scores, the :math:`\lceil (n + 1)(1 - \alpha) \rceil`-th smallest is exceeded
        by another normal clip with a probability of at most :math:`\alpha`. Fewer than :math:`1 / \alpha - 1` scores
        support no such threshold; their largest is then used, and a note says which rate it stands for.

        Parameters
        ----------
        scores
            Leave-one-out scores of normal clips, by domain.
        false_alarm_rate
            :math:`\alpha`, between 0 and 1.
        """
        thresholds, notes = {}, []
        for domain, values in scores.items():
            rank = len(values) + 1 - n_flagged(false_alarm_rate, len(values))
            if rank > len(values):
                notes.append(
                    f"{len(values)} {domain or 'normal'} clip(s) support no false-alarm rate below "
                    f"1/{len(values) + 1}: their largest score is the threshold"
                )
            thresholds[domain] = float(np.sort(values)[min(rank, len(values)) - 1])
        supported = [domain for domain, values in scores.items() if len(values) > 1]
        if supported and len(supported) < len(scores):
            notes.append(
                f"a single clip of a domain supports no threshold: that of {supported[0] or 'the others'} is used"
            )
        return cls(max(thresholds[domain] for domain in supported or scores), thresholds, tuple(notes))
