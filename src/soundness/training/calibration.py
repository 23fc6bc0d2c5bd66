"""Clips that calibrate a detector: training clips left out one by one, or held out of all training."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import Clip
from soundness.data.datasets import Machine
from soundness.errors import DataError
from soundness.representations.protocol import MachineSpectrograms, Representation, network_plan
from soundness.scoring.decisions.calibration import Calibration, Origin
from soundness.scoring.protocol import Scorer
from soundness.screening.dependence import groups_of, independent_scores
from soundness.settings.system import SystemSettings
from soundness.training.summary import domain_names

__all__ = ["held_out_calibration", "left_out_calibration", "split_machine"]

_FEWEST_CLIPS = 5  # of a domain, to hold some out


def split_machine(machine: Machine, settings: SystemSettings, *, seed: int) -> tuple[Machine, Machine]:
    """Split a machine into one with the training clips that it is fitted on, and one with those that are held out.

    Parameters
    ----------
    machine
        Machine of a data set.
    settings
        Settings of the whole system.
    seed
        Random seed of the choice.

    Raises
    ------
    DataError
        If a domain has too few clips to hold any out.
    """
    if settings.calibration != "held-out":
        return machine, replace(machine, clips=())
    chosen = _chosen(machine, share=settings.calibration_share, group_by=settings.group_by, seed=seed)
    kept = tuple(clip for clip in machine.clips if clip not in chosen)
    return replace(machine, clips=kept), replace(machine, clips=chosen)


def _chosen(machine: Machine, *, share: float, group_by: str, seed: int) -> tuple[Clip, ...]:
    by_domain: dict[str, list[Clip]] = {}
    for clip in machine.train:
        by_domain.setdefault(clip.domain or "", []).append(clip)
    rng = np.random.default_rng((seed, len(machine.train)))
    chosen: list[Clip] = []
    for domain, clips in sorted(by_domain.items()):
        if len(clips) < _FEWEST_CLIPS:
            raise DataError(
                f"{machine.root}: {len(clips)} {domain or 'normal'} training clip(s) of {machine.machine_type}; "
                f"calibration=held-out needs at least {_FEWEST_CLIPS} to hold some out; left-out needs none"
            )
        count = min(max(2, round(share * len(clips))), len(clips) - 3)
        if group_by:
            chosen += _whole_groups(clips, count, group_by=group_by, rng=rng)
        else:
            chosen += [clips[index] for index in sorted(rng.choice(len(clips), size=count, replace=False))]
    return tuple(chosen)


def _whole_groups(clips: Sequence[Clip], count: int, *, group_by: str, rng: np.random.Generator) -> list[Clip]:
    """At least so many clips of one domain, of whole groups."""
    named = groups_of([clip.path for clip in clips], group_by)
    groups = np.array([f"{index}" if name is None else f"={name}" for index, name in enumerate(named)])
    chosen = np.zeros(len(clips), np.bool_)
    names = rng.permutation(np.unique(groups))
    for name in names[:-1]:  # one is left to train on
        if chosen.sum() < count:
            chosen |= groups == name
    return [clip for clip, is_chosen in zip(clips, chosen, strict=True) if is_chosen]


def left_out_calibration(
    clips: MachineSpectrograms,
    scores: NDArray[np.float64],
    clip_domains: NDArray[np.int64],
    settings: SystemSettings,
) -> Calibration:
    """Calibration by leave-one-out scores of each domain; a network, if there is one, was trained on the clips.

    Parameters
    ----------
    clips
        Training clips.
    scores
        Score of each clip, left out with all that depends on it, shape ``(clip,)``.
    clip_domains
        Index of each clip's domain in `soundness.training.summary.domain_names`, shape ``(clip,)``.
    settings
        Settings of the system.
    """
    by_domain, notes = {}, []
    for index, name in enumerate(domain_names(clips)):
        here = clip_domains == index
        by_domain[name] = scores[here]
        if clips.counts is not None:
            by_domain[name] = independent_scores(scores[here], clips.counts[here])
        if (n_independent := len(by_domain[name])) < here.sum():
            notes.append(f"{here.sum()} {name or 'normal'} clips that share sound or a group count as {n_independent}")
    origin: Origin = "left-out" if network_plan(settings) is None else "trained-on"
    calibration = Calibration.from_scores(by_domain, origin=origin)
    return replace(calibration, notes=(*calibration.notes, *notes))


def held_out_calibration(held_out: MachineSpectrograms, representation: Representation, scorer: Scorer) -> Calibration:
    """Calibration by clips that neither representation nor scorer was fitted on.

    Parameters
    ----------
    held_out
        Held-out clips, those of the second of `split_machine`.
    representation, scorer
        Fitted on the others.
    """
    scores: dict[str, list[float]] = {}
    for clip, spectrograms in zip(held_out.clips, held_out.spectrograms, strict=True):
        vectors = representation.vectors(spectrograms).astype(np.float64)
        scores.setdefault(clip.domain or "", []).append(scorer.score(vectors))
    by_domain = {domain: np.array(values) for domain, values in scores.items()}
    calibration = Calibration.from_scores(by_domain, origin="held-out")
    return replace(calibration, notes=(*calibration.notes, *held_out.notes))
