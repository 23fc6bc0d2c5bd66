r"""Drift of normal clips away from those of the training: arithmetic on band statistics and scores.

NumPy alone. Each new clip is compared with the few normal clips whose spectrum has the most similar shape, so that the
mix of known operating conditions does not matter. The difference, averaged over the new clips, is the *shift* of each
band. The shifts that chance makes are those of the normal clips themselves: as many of them, drawn at random, are
compared with the others in the same way, over and over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from soundness.aliases import Array
from soundness.screening.normal_clips import NormalClips

__all__ = ["ALPHA", "Advice", "Drift", "DriftAnswer", "Shift", "classify", "compute_drift", "rank_sum_p_value"]

DriftAnswer = Literal["nothing", "microphone gain changed", "noise floor rose", "new condition"]
Advice = Literal["go on", "fix the microphone", "recalibrate", "enroll", "retrain"]
_NOTHING: tuple[DriftAnswer, Advice] = ("nothing", "go on")

ALPHA = 0.05
"""Probability of another answer than ``nothing`` where nothing has moved, for all tests together."""

_N_DRAWS = 999
_N_NEIGHBORS = 3
_FEWEST_CLIPS = 4  # of a domain that new clips are compared with, where there are larger ones
_LARGEST_GROUP = 50
_SMALLEST_DEVIATION_DB = 0.1
# Chosen on the factory, seeds 31 to 33; measured on others.
_ALIKE = 0.25  # bands that differ by less than this share of their median shift have moved alike
_FALLEN = 0.05  # noise makes bands rise: less than this share of all that moved went down
_PASSING = 0.25  # of what rose on average, so much at least rose in quiet moments too
_CUT_DB = 3.0  # a band that fell by so much is cut
_CUT_SHARE = 0.9  # of all that moved


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shift:
    """Mean difference between new clips and the normal clips that are most like them.

    Parameters
    ----------
    means
        Shift of the bands' mean log-mel, dB, shape ``(mel,)``.
    floors
        Shift of their low quantiles, dB, shape ``(mel,)``.
    level
        Shift of the level, dB.
    deviations
        Deviations by chance of ``means``, ``floors`` and ``level``, one after the other, dB, shape ``(2 * mel + 1,)``.
    """

    means: Array
    floors: Array
    level: float
    deviations: Array

    @classmethod
    def from_row(cls, row: Array, deviations: Array) -> Self:
        """Build from ``means``, ``floors`` and ``level``, one after the other."""
        n_mels = len(row) // 2
        return cls(means=row[:n_mels], floors=row[n_mels:-1], level=float(row[-1]), deviations=deviations)

    @property
    def gain(self) -> float:
        """Median shift of the bands, dB."""
        return float(np.median(self.means))

    @property
    def first_cut_band(self) -> int:
        """Band from which on all higher bands fell by some decibels; the number of bands where there is none."""
        stays = np.flatnonzero(self.means > -_CUT_DB)
        return int(stays[-1]) + 1 if len(stays) else 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drift:
    """Drift of new normal clips away from those of the training.

    Parameters
    ----------
    answer
        Kind of the drift.
    advice
        Recommended action.
    p_value
        P-value of all tests together, and all domains: the answer is ``nothing`` where it is above `ALPHA`.
    tests
        P-value of each test, against the domain that the clips fit best.
    domain
        That domain.
    shift
        Shift of the clips.
    """

    answer: DriftAnswer
    advice: Advice
    p_value: float
    tests: dict[str, float]
    domain: str
    shift: Shift


def compute_drift(
    before: NormalClips, new: NormalClips, *, scores: Mapping[str, Array], new_scores: Array, rng: np.random.Generator
) -> Drift:
    """Compare new normal clips with those that a detector keeps, one domain after the other.

    The p-value is the largest over the domains, since the clips' own is not known. For each domain it is twice the
    smaller of two: that of level, bands, shape and floors together, by the draws of normal clips, and that of the
    scores.

    Parameters
    ----------
    before
        Clips that the detector keeps, at least two.
    new
        New clips, at least one.
    scores
        Calibration scores by domain; empty where they promise nothing.
    new_scores
        Scores of the new clips, shape ``(clip,)``.
    rng
        Random numbers that draw groups of normal clips.
    """
    counts = {name: int(before.of_domain(name).sum()) for name in before.domain_names}
    names = [name for name, count in counts.items() if count >= _FEWEST_CLIPS] or [max(counts, key=counts.__getitem__)]
    drifts = []
    for name in names:
        rows = np.concatenate([_row(new, before)[None], _chance_rows(before, name, len(new), rng)])
        drifts.append(_drift_from(name, rows, scores.get(name, np.empty(0)), new_scores, rng))
    return max(drifts, key=lambda drift: drift.p_value)


def _drift_from(name: str, rows: Array, scores: Array, new_scores: Array, rng: np.random.Generator) -> Drift:
    """Drift from one domain; rows are that of the new clips and those of chance, see `_row`."""
    chance = rows[1:]
    deviations = np.maximum(np.sqrt(np.square(chance).mean(axis=0)), _SMALLEST_DEVIATION_DB)
    tests, sound = _tests(rows, deviations)
    p_value = sound
    if len(scores) > 0:
        tests["scores"] = rank_sum_p_value(new_scores, scores, rng)
        p_value = min(1.0, 2.0 * min(sound, tests["scores"]))
    shift = Shift.from_row(rows[0], deviations)
    if p_value > ALPHA:
        answer, advice = _NOTHING
    elif len(scores) > 0 and 2.0 * sound > ALPHA:  # the bands show no change
        answer, advice = "new condition", "recalibrate"
    else:
        answer, advice = classify(shift)
    return Drift(answer=answer, advice=advice, p_value=p_value, tests=tests, domain=name, shift=shift)


def classify(shift: Shift) -> tuple[DriftAnswer, Advice]:
    """Kind of a shift, and the recommended action.

    All bands and floors by the same amount: the gain of the microphone. Upwards only, in quiet moments too: noise.
    Anything else: a new condition; but where only the highest bands moved, and these fell, something covers the
    microphone.
    """
    gain = shift.gain
    spread = max(_rms(shift.means - gain), _rms(shift.floors - gain))
    if spread <= _ALIKE * abs(gain):
        return "microphone gain changed", "fix the microphone"
    n_mels = len(shift.means)
    means = _beyond_chance(shift.means, shift.deviations[:n_mels])
    floors = _beyond_chance(shift.floors, shift.deviations[n_mels:-1])
    risen, risen_floors = (np.square(np.maximum(moved, 0.0)).sum() for moved in (means, floors))
    fallen = max(_share(np.minimum(means, 0.0), means), _share(np.minimum(floors, 0.0), floors))
    if fallen <= _FALLEN and risen_floors > _PASSING * risen:
        return "noise floor rose", "recalibrate"
    start = shift.first_cut_band
    is_cut = start < n_mels and np.square(means[start:]).sum() > _CUT_SHARE * np.square(means).sum()
    return "new condition", "fix the microphone" if is_cut else "enroll"


def rank_sum_p_value(new: Array, before: Array, rng: np.random.Generator) -> float:
    """P-value of new scores that are higher than those before: Wilcoxon's rank-sum test, by permutation.

    Parameters
    ----------
    new, before
        Scores, shape ``(clip,)`` each.
    rng
        Random numbers that permute them.

    References
    ----------
    .. [1] F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945.
    """
    both = np.concatenate([new, before])
    _, index, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[index]  # ties share their mean rank
    drawn = np.array([rng.permutation(ranks)[: len(new)].sum() for _ in range(_N_DRAWS)])
    return float((1 + (drawn >= ranks[: len(new)].sum() - 1e-9).sum()) / (_N_DRAWS + 1))


def _row(new: NormalClips, before: NormalClips) -> Array:
    """Mean of means, floors and level of new clips less those of the clips that are most like them."""
    shapes = _shapes(before)
    nearest = [
        np.argsort(np.square(shapes - shape).sum(axis=1), kind="stable")[:_N_NEIGHBORS] for shape in _shapes(new)
    ]
    row: Array = (_rows(new) - _rows(before)[np.array(nearest)].mean(axis=1)).mean(axis=0)
    return row


def _chance_rows(before: NormalClips, name: str, n_clips: int, rng: np.random.Generator) -> Array:
    """`_row` of groups of normal clips of a domain against all others, shape ``(draw, 2 * mel + 1)``."""
    shapes, rows = _shapes(before), _rows(before)
    here = np.flatnonzero(before.of_domain(name))
    size = max(1, min(n_clips, len(here) // 2, _LARGEST_GROUP))
    squares = np.square(shapes).sum(axis=1)
    apart = squares[here, None] + squares - 2.0 * shapes[here] @ shapes.T
    order = np.argsort(apart, axis=1, kind="stable")[:, : size + _N_NEIGHBORS]
    found = np.empty((_N_DRAWS, rows.shape[1]))
    for draw in range(_N_DRAWS):
        group = rng.choice(len(here), size=size, replace=False)
        is_inside = np.isin(order[group], here[group])
        first = np.argsort(is_inside, axis=1, kind="stable")[:, : min(_N_NEIGHBORS, len(rows) - size)]
        nearest = np.take_along_axis(order[group], first, axis=1)
        found[draw] = (rows[here[group]] - rows[nearest].mean(axis=1)).mean(axis=0)
    return found


def _tests(rows: Array, deviations: Array) -> tuple[dict[str, float], float]:
    """P-value of each test of the first row, with the others as chance; and of the smallest of them, by chance too."""
    n_mels = rows.shape[1] // 2
    scaled = rows / deviations
    shape = rows[:, :n_mels] - np.median(rows[:, :n_mels], axis=1, keepdims=True)
    statistics = {
        "level": np.abs(scaled[:, -1]),
        "bands": np.square(scaled[:, :n_mels]).mean(axis=1),
        "shape": np.square(shape / deviations[:n_mels]).mean(axis=1),
        "noise floor": np.square(scaled[:, n_mels:-1]).mean(axis=1),
    }
    p_values = np.stack([_p_values(values) for values in statistics.values()])
    smallest = p_values.min(axis=0)
    together = float((smallest <= smallest[0]).mean())
    return {name: float(own[0]) for name, own in zip(statistics, p_values, strict=True)}, together


def _p_values(statistics: Array) -> Array:
    """Share of all statistics that are as large as each, or larger."""
    at_least = len(statistics) - np.searchsorted(np.sort(statistics), statistics, side="left")
    p_values: Array = at_least / len(statistics)
    return p_values


def _shapes(clips: NormalClips) -> Array:
    means = clips.means.astype(np.float64)
    shapes: Array = means - means.mean(axis=1, keepdims=True)
    return shapes


def _rows(clips: NormalClips) -> Array:
    return np.concatenate([clips.means, clips.floors, clips.levels[:, None]], axis=1).astype(np.float64)


def _beyond_chance(moved: Array, deviations: Array) -> Array:
    """Part of a shift beyond two deviations."""
    beyond: Array = np.sign(moved) * np.maximum(np.abs(moved) - 2.0 * deviations, 0.0)
    return beyond


def _share(part: Array, whole: Array) -> float:
    return float(np.square(part).sum() / max(np.square(whole).sum(), 1e-12))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.square(values).mean()))
