"""Intervals of figures and of differences between systems, by a bootstrap over the test clips.

A resample draws with replacement as many clips as there are of each machine, section, domain and label, so that it has
all classes. Two systems are compared on the same resamples.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from soundness.aliases import Array, PathLike
from soundness.errors import ScoresError
from soundness.evaluation.labelled_scores import nothing_to_evaluate, read_labelled
from soundness.evaluation.year_metrics import (
    DEFINITIONS,
    OFFICIAL_FIGURES,
    LabelledClips,
    Metric,
    chosen_metric,
    curve_figures,
    score_of_machines,
    year_mean,
)

__all__ = [
    "BootstrapIntervals",
    "Comparison",
    "Difference",
    "Interval",
    "MachineDifference",
    "MachineIntervals",
    "bootstrap_intervals",
    "compare",
]

SMALLEST_N_RESAMPLES = 1000
_CONFIDENCE = 0.95
_CELLS = 1_000_000  # of a table of resamples by clips, so that it fits into memory

Samples = dict[str, Array]
"""By name of a figure, shape ``(1 + resample,)``: the figure itself, then that of each resample."""


class Interval(BaseModel, frozen=True, extra="forbid"):
    """Figure as a fraction of 1, and the interval that holds 95 % of its resamples."""

    value: float
    low: float
    high: float


class MachineIntervals(BaseModel, frozen=True, extra="forbid"):
    """Figures of one machine, means over its sections if it has several; ``score`` is that of the official ones."""

    machine_type: str
    n_clips: int
    score: Interval | None
    figures: dict[str, Interval]


class BootstrapIntervals(BaseModel, frozen=True, extra="forbid"):
    """Figures of a folder of scores with their intervals; see `Evaluation` for the score."""

    metric: Metric
    definition: str
    n_resamples: int
    score: Interval | None
    machines: tuple[MachineIntervals, ...]
    notes: tuple[str, ...]


class Difference(BaseModel, frozen=True, extra="forbid"):
    """Score of two systems: ``first`` less ``second`` is ``difference``.

    ``p_value`` is two-sided: twice the share of resamples on the rarer side of no difference, at most 1; the figures
    themselves count as one resample.
    """

    first: Interval
    second: Interval
    difference: Interval
    p_value: float


class MachineDifference(BaseModel, frozen=True, extra="forbid"):
    """Score of one machine under two systems; ``None`` if one of its official figures is missing."""

    machine_type: str
    n_clips: int
    score: Difference | None


class Comparison(BaseModel, frozen=True, extra="forbid"):
    """Comparison of two folders of scores on the clips that both hold."""

    metric: Metric
    definition: str
    n_resamples: int
    n_clips: int
    score: Difference | None
    machines: tuple[MachineDifference, ...]
    notes: tuple[str, ...]


def bootstrap_intervals(
    folder: Path,
    *,
    rng: np.random.Generator,
    truth: Path | None = None,
    metric: str | None = None,
    n_resamples: int = 2000,
) -> BootstrapIntervals:
    """Figures of a folder of scores with 95 % intervals over its clips.

    Parameters
    ----------
    folder
        See `soundness.evaluation.score_files.read_scores`.
    rng
        Random generator of the resamples.
    truth, metric
        See `soundness.evaluation.results.evaluate`.
    n_resamples
        At least 1,000.

    Raises
    ------
    ScoresError
        If nothing can be evaluated, or there are too few resamples.
    """
    _check(n_resamples)
    labelled = read_labelled(folder, truth=truth)
    chosen, choice = chosen_metric(labelled.clips, metric)
    machines = {
        name: _machine_samples([[clips] for clips in own], chosen, n_resamples, rng)[0]
        for name, own in _by_machine(labelled.clips).items()
    }
    if not any(samples for sections in machines.values() for samples in sections):
        raise nothing_to_evaluate(folder, truth, labelled.notes)
    sizes = _n_clips(labelled.clips)
    rows = [_machine_intervals(name, sizes[name], own, chosen) for name, own in machines.items()]
    return BootstrapIntervals(
        metric=chosen,
        definition=DEFINITIONS[chosen],
        n_resamples=n_resamples,
        score=_interval(_total(machines, chosen)),
        machines=tuple(rows),
        notes=(*labelled.notes, *choice, *_lacking(machines, chosen)),
    )


def compare(
    scores: PathLike,
    against: PathLike,
    *,
    truth: PathLike | None = None,
    metric: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two systems by a paired bootstrap over the clips that both scored.

    Parameters
    ----------
    scores, against
        Folders of the two systems' score files.
    truth, metric
        See `soundness.evaluate`.
    n_resamples
        At least 1,000.
    seed
        Random seed of the resamples.

    Raises
    ------
    ScoresError
        If the folders share no labelled clip, or there are too few resamples.
    """
    rng, folders = np.random.default_rng(seed), (Path(scores), Path(against))
    _check(n_resamples)
    both = [read_labelled(folder, truth=None if truth is None else Path(truth)) for folder in folders]
    notes = list(dict.fromkeys(note for labelled in both for note in labelled.notes))
    pairs = _paired(both[0].clips, both[1].clips, folders, notes)
    if not pairs:
        raise ScoresError(f"{scores}: no labelled clip in common with {against} ({'; '.join(notes[:3])})")
    firsts = [pair[0] for pair in pairs]
    chosen, choice = chosen_metric(firsts, metric)
    machines = {
        name: _machine_samples([pair for pair in pairs if pair[0] in own], chosen, n_resamples, rng)
        for name, own in _by_machine(firsts).items()
    }
    sizes = _n_clips(firsts)
    return Comparison(
        metric=chosen,
        definition=DEFINITIONS[chosen],
        n_resamples=n_resamples,
        n_clips=sum(sizes.values()),
        score=_difference(*(_total({name: own[i] for name, own in machines.items()}, chosen) for i in (0, 1))),
        machines=tuple(
            MachineDifference(
                machine_type=name,
                n_clips=sizes[name],
                score=_difference(*(_total({name: system}, chosen) for system in systems)),
            )
            for name, systems in machines.items()
        ),
        notes=(*notes, *choice, *_lacking({name: own[0] for name, own in machines.items()}, chosen)),
    )


def _check(n_resamples: int) -> None:
    if n_resamples < SMALLEST_N_RESAMPLES:
        raise ScoresError(f"expected at least {SMALLEST_N_RESAMPLES:,} resamples, got {n_resamples:,}")


def _by_machine(clips: Sequence[LabelledClips]) -> dict[str, list[LabelledClips]]:
    machines: dict[str, list[LabelledClips]] = {}
    for one in clips:
        machines.setdefault(one.machine_type, []).append(one)
    return machines


def _n_clips(clips: Sequence[LabelledClips]) -> dict[str, int]:
    return {name: sum(len(one.keys) for one in own) for name, own in _by_machine(clips).items()}


def _paired(
    first: Sequence[LabelledClips], second: Sequence[LabelledClips], folders: tuple[Path, Path], notes: list[str]
) -> list[list[LabelledClips]]:
    """Sections in both folders, reduced to the clips that both hold, in one order; clips left out become notes."""
    sections = [{(clips.machine_type, clips.section): clips for clips in one} for one in (first, second)]
    pairs = []
    for name in sorted(sections[0].keys() | sections[1].keys()):
        held = [set(own[name].keys) if name in own else set() for own in sections]
        for index, only in enumerate((held[0] - held[1], held[1] - held[0])):
            if only:
                notes.append(f"{' '.join(name)}: {len(only):,} clips only in {folders[index]}; left out of both")
        common = sorted(held[0] & held[1])
        if common:
            pairs.append([_selected(own[name], common) for own in sections])
    return pairs


def _selected(clips: LabelledClips, keys: Sequence[str]) -> LabelledClips:
    place = {key: index for index, key in enumerate(clips.keys)}
    chosen = np.array([place[key] for key in keys])
    return LabelledClips(
        machine_type=clips.machine_type,
        section=clips.section,
        keys=tuple(keys),
        anomaly_scores=clips.anomaly_scores[chosen],
        decisions=None,
        is_anomaly=clips.is_anomaly[chosen],
        domains=clips.domains[chosen],
        evidence=clips.evidence,
    )


def _machine_samples(
    sections: Sequence[Sequence[LabelledClips]], metric: Metric, n_resamples: int, rng: np.random.Generator
) -> list[list[Samples]]:
    """Figures of a machine by system and section; all systems of a section are resampled alike."""
    n_systems = len(sections[0])
    machine: list[list[Samples]] = [[] for _ in range(n_systems)]
    for systems in sections:
        parts = [
            [curve_figures(clips, metric, weights) for clips in systems]
            for weights in _resamples(systems[0], n_resamples, rng)
        ]
        for index in range(n_systems):
            own = [part[index] for part in parts]
            machine[index].append({name: np.concatenate([part[name] for part in own]) for name in own[0]})
    return machine


def _resamples(clips: LabelledClips, n_resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Number of times each clip is drawn, shape ``(resample, clip)``, in portions; the first draws each once."""
    n_clips = len(clips.keys)
    yield np.ones((1, n_clips), dtype=np.int64)
    strata = [
        np.flatnonzero((clips.domains == domain) & (clips.is_anomaly == is_anomaly))
        for domain in np.unique(clips.domains)
        for is_anomaly in (False, True)
    ]
    step = max(1, _CELLS // n_clips)
    for start in range(0, n_resamples, step):
        n_rows = min(step, n_resamples - start)
        weights = np.zeros((n_rows, n_clips), dtype=np.int64)
        for members in strata:
            size = members.size
            drawn = rng.integers(size, size=(n_rows, size)) if size > 0 else np.zeros((n_rows, 0), dtype=np.int64)
            cells = drawn + size * np.arange(n_rows)[:, None]
            weights[:, members] = np.bincount(cells.ravel(), minlength=n_rows * size).reshape(n_rows, size)
        yield weights


def _machine_intervals(name: str, n_clips: int, sections: Sequence[Samples], metric: Metric) -> MachineIntervals:
    figures = {}
    for figure in dict.fromkeys(figure for samples in sections for figure in samples):
        columns = np.array([samples[figure] for samples in sections if figure in samples])
        figures[figure] = _interval_of(year_mean(columns, metric))
    score = _interval(_total({name: sections}, metric))
    return MachineIntervals(machine_type=name, n_clips=n_clips, score=score, figures=figures)


def _lacking(machines: Mapping[str, Sequence[Samples]], metric: Metric) -> list[str]:
    """Notes on machines without a score, for official figures of them are missing."""
    notes = []
    for machine, sections in machines.items():
        names = [name for name in OFFICIAL_FIGURES[metric] if any(name not in samples for samples in sections)]
        if names:
            notes.append(f"{machine}: too few clips for {', '.join(names)}, so no score of it, nor of all machines")
    return notes


def _total(machines: Mapping[str, Sequence[Samples]], metric: Metric) -> Array | None:
    """Score of all machines, shape ``(1 + resample,)``; ``None`` if an official figure is missing."""
    names = OFFICIAL_FIGURES[metric]
    if any(name not in samples for sections in machines.values() for samples in sections for name in names):
        return None
    official = {
        machine: np.array([samples[name] for samples in sections for name in names])
        for machine, sections in machines.items()
    }
    return score_of_machines(official, metric)


def _interval(samples: Array | None) -> Interval | None:
    return None if samples is None else _interval_of(samples)


def _interval_of(samples: Array) -> Interval:
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(samples[1:], (tail, 1 - tail))
    return Interval(value=float(samples[0]), low=float(low), high=float(high))


def _difference(first: Array | None, second: Array | None) -> Difference | None:
    if first is None or second is None:
        return None
    differences = first - second
    rarer = min(int((differences[1:] <= 0).sum()), int((differences[1:] >= 0).sum()))
    return Difference(
        first=_interval_of(first),
        second=_interval_of(second),
        difference=_interval_of(differences),
        p_value=min(1.0, 2 * (1 + rarer) / differences.size),
    )
