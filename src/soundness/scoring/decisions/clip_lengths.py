r"""Calibration of recordings that are longer or shorter than the clips of the training. NumPy alone.

A long recording is scored in windows, and its score is that of the most anomalous one. Where each of :math:`m` windows
exceeds a score with a probability of :math:`p`, their largest does so with one of at most :math:`1 - (1 - p)^m`. So few
windows are to exceed a threshold that it mostly lies beyond the scores of all normal clips, where their tail is
extrapolated. In a short recording a mean over time scatters more: its calibration is by clips of that length.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from soundness.aliases import Array
from soundness.files.stored_values import Note, Seconds, arrays_below, stored_value
from soundness.scoring.decisions.calibration import Calibration, Origin, n_flagged

__all__ = ["CLIP_SECONDS", "ClipLengths", "Tail", "recording_p_value", "recording_threshold", "window_rate"]

CLIP_SECONDS = 10.0
"""Length of the clips that long training recordings are cut into."""

_TAIL_SHARE = 0.1
_FEWEST_IN_TAIL = 8  # of one with a few clips the tail is the larger half at most

_LONGEST_CLIP_SECONDS = 30.0
_NEARLY_FULL = 0.9
_SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredLength:
    """Plain values of the calibration of a length in a file."""

    seconds: Seconds
    origin: Origin
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredLengths:
    """Plain values of lengths in a file."""

    clip_seconds: Seconds
    full_seconds: Seconds
    short: Annotated[tuple[_StoredLength, ...], Field(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipLengths:
    """Lengths of the clips that a detector learned, and the calibration of shorter ones.

    Parameters
    ----------
    clip_seconds
        Length of a clip.
    full_seconds
        Shortest recording that the detector's own calibration holds for.
    short
        Calibration of clips of each shorter length in seconds; empty where there is none.
    """

    clip_seconds: float
    full_seconds: float
    short: Mapping[float, Calibration] = field(default_factory=dict)

    @classmethod
    def from_recordings(cls, seconds: Array, *, asked: float | None = None) -> Self:
        """Lengths by those of the training recordings.

        Parameters
        ----------
        seconds
            Length of each recording, shape ``(recording,)``.
        asked
            Length of a clip; ``None`` for the median of the recordings or, if that is more than 30 s, 10 s.
        """
        usual = float(np.median(seconds))
        clip_seconds = asked if asked is not None else usual if usual <= _LONGEST_CLIP_SECONDS else CLIP_SECONDS
        often = float(np.quantile(np.minimum(seconds, clip_seconds), 0.1))  # some are as short as that
        return cls(clip_seconds=clip_seconds, full_seconds=min(_NEARLY_FULL * clip_seconds, often))

    @classmethod
    def from_stored(cls, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild from the plain values and the arrays of a file; see `Calibration.from_stored`.

        Parameters
        ----------
        about
            ``clip_seconds``, ``full_seconds`` and ``short``, a list with ``seconds``, ``origin`` and ``notes`` of each.
        arrays
            Scores, by the index of the length and the domain: ``0.source``.
        """
        own = stored_value(_StoredLengths, about, name="lengths")
        short = {}
        for index, each in enumerate(own.short):
            scores = arrays_below(f"{index}", arrays)
            short[each.seconds] = Calibration.from_stored({"origin": each.origin, "notes": each.notes}, scores)
        return cls(clip_seconds=own.clip_seconds, full_seconds=own.full_seconds, short=short)

    @property
    def short_seconds(self) -> tuple[float, ...]:
        """Lengths to calibrate for: halves, as far as a recording of a second needs them."""
        lengths = (self.clip_seconds / 2, self.clip_seconds / 4, self.clip_seconds / 8)
        return tuple(length for length in lengths if 2 * length > _SHORTEST_SECONDS)

    def calibration(self, seconds: float, full: Calibration | None) -> Calibration | None:
        """Calibration of a recording that is not long; ``None`` where there is none for its length.

        Parameters
        ----------
        seconds
            Length of the recording.
        full
            Calibration of whole clips.
        """
        if seconds >= self.full_seconds:
            return full
        fitting = [length for length in self.short if length <= seconds]
        return self.short[max(fitting)] if fitting and seconds >= _SHORTEST_SECONDS else None

    def is_too_short(self, seconds: float) -> bool:
        """True if nobody can tell normal from anomalous in a recording of a length."""
        return seconds < self.full_seconds and self.calibration(seconds, None) is None

    def reason(self, seconds: float) -> str:
        """Reason why a recording is too short, in words."""
        shortest = max(min(self.short, default=self.full_seconds), _SHORTEST_SECONDS)
        return (
            f"{seconds:.1f} s long; the detector learned clips of {self.clip_seconds:.1f} s, and can tell normal from "
            f"anomalous from {min(shortest, self.full_seconds):.3g} s on"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    r"""Exponential tail of normal scores beyond one of them, :math:`u`, with the doubt of its few clips.

    Of :math:`k` scores above :math:`u`, with a mean excess of :math:`\beta`, another one lies above :math:`s` with a
    probability of :math:`p_u (1 + (s - u) / (k \beta))^{-k}`, if their excesses are exponential: the prediction that
    counts the error of :math:`\beta`, too.

    Parameters
    ----------
    start
        :math:`u`.
    share
        Probability :math:`p_u` of a score above it.
    n_scores
        :math:`k`.
    mean_excess
        :math:`\beta`; 0 where all scores above are the same.
    """

    start: float
    share: float
    n_scores: int
    mean_excess: float

    @classmethod
    def from_scores(cls, scores: Array) -> Self:
        """Fit to the largest tenth of some scores, ascending, or to their largest eight if those are more."""
        n_clips = len(scores)
        n_scores = min(max(math.ceil(_TAIL_SHARE * n_clips), _FEWEST_IN_TAIL), max(n_clips // 2, 1))
        start = float(scores[max(n_clips - n_scores - 1, 0)])
        excess = float((scores[n_clips - n_scores :] - start).mean())
        return cls(start=start, share=(n_scores + 1) / (n_clips + 1), n_scores=n_scores, mean_excess=excess)

    def p_value(self, score: float) -> float:
        """Probability of a normal score above one beyond the start."""
        if self.mean_excess == 0.0:
            return self.share if score <= self.start else 0.0
        ratio = 1.0 + (score - self.start) / (self.n_scores * self.mean_excess)
        return float(self.share * ratio ** -float(self.n_scores))

    def score(self, p_value: float) -> float:
        """Score that another one exceeds with a probability below the share; the inverse of `p_value`."""
        ratio = float((self.share / p_value) ** (1.0 / self.n_scores))
        return self.start + self.n_scores * self.mean_excess * (ratio - 1.0)


def window_rate(rate: float, n_windows: float) -> float:
    """Rate for each of some independent windows, so that one of them or more is flagged at a rate."""
    return -math.expm1(math.log1p(-rate) / n_windows)


def recording_p_value(calibration: Calibration, score: float, *, n_windows: float) -> float:
    """P-value of a recording whose most anomalous window has a score, in (0, 1].

    Parameters
    ----------
    calibration
        Scores of normal clips of the windows' length.
    score
        Largest score of the windows.
    n_windows
        Independent windows that the recording is as good as; 1 gives the p-value of a clip, extrapolated beyond the
        largest of the normal scores.
    """
    largest = max(_window_p_value(values, score) for values in calibration.used.values())
    return 1.0 if largest >= 1.0 else -math.expm1(n_windows * math.log1p(-largest))


def recording_threshold(calibration: Calibration, rate: float, *, n_windows: float) -> float:
    """Score above which, and only above which, the p-value of a recording is below a rate; see `recording_p_value`."""
    own = window_rate(rate, n_windows)
    return max(_window_threshold(values, own) for values in calibration.used.values())


def _window_p_value(values: Array, score: float) -> float:
    n_at_least = int((values >= score).sum())
    found = (1 + n_at_least) / (len(values) + 1)
    return found if n_at_least > 0 else min(found, Tail.from_scores(values).p_value(score))


def _window_threshold(values: Array, rate: float) -> float:
    n_above = n_flagged(rate, len(values))
    if n_above > 0:
        return float(values[len(values) - n_above]) if n_above <= len(values) else -math.inf
    return max(float(values[-1]), Tail.from_scores(values).score(rate))
