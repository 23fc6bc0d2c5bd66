"""Training clips that are not independent: copies are taken out, and what shares sound is left out together."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import Clip
from soundness.data.datasets import FEWEST_TRAINING_CLIPS
from soundness.errors import DataError
from soundness.representations.protocol import MachineSpectrograms
from soundness.screening.dependence import find_dependence, groups_of, limited
from soundness.screening.sound_prints import find_shared, sound_print
from soundness.settings.system import SystemSettings
from soundness.training.summary import domain_names

__all__ = ["independent_clips", "unshared_clips"]


def independent_clips(clips: MachineSpectrograms, settings: SystemSettings) -> MachineSpectrograms:
    """Training clips without copies, with the dependence of the others on each other.

    Parameters
    ----------
    clips
        Training clips of a machine, as they were read.
    settings
        Settings of the system; with ``dependence="ignore"`` the clips stay as they are.

    Raises
    ------
    SettingsError
        If ``group_by`` cannot be used.
    DataError
        If too few recordings are left.
    """
    if settings.dependence == "ignore":
        return clips
    paths = [clip.path for clip in clips.clips]
    found = find_dependence(
        [sound_print(own.reference) for own in clips.spectrograms],
        [own.reference.mean(axis=1, dtype=np.float64) for own in clips.spectrograms],
        [path.name for path in paths],
        kinds=[str(condition) for condition in clips.conditions],
        groups=groups_of(paths, settings.group_by) if settings.group_by else None,
    )
    names = [path.name for path in paths]
    notes = list(found.notes(names, kind="training clips", hop_seconds=settings.frame_seconds))
    if len(found.kept) < FEWEST_TRAINING_CLIPS:
        raise DataError(
            f"{paths[0].parent}: {len(found.kept)} recording(s) among {len(paths)} training clips, the others are "
            f"copies; at least {FEWEST_TRAINING_CLIPS} are needed"
        )
    kept = clips.subset(found.kept.tolist())
    common = found.common[np.ix_(found.kept, found.kept)]
    dependent = (common > 0.0) | _neighbours(kept.clips)
    if (dependent == np.eye(len(dependent), dtype=np.bool_)).all():
        return replace(kept, notes=(*kept.notes, *notes))
    names = domain_names(kept)
    domains = np.array([names.index(clip.domain or "") for clip in kept.clips])
    within = limited(dependent, domains)
    if (within != dependent).any():
        notes.append(
            "some clips depend on more than half of the others, of which the nearest are left out with them: p-values "
            "may be too small; soundness calibrate with recordings of another day makes right ones"
        )
    return replace(kept, notes=(*kept.notes, *notes), dependent=within, counts=1.0 / _beside(common, domains))


def unshared_clips(
    held_out: MachineSpectrograms, clips: MachineSpectrograms, settings: SystemSettings
) -> MachineSpectrograms:
    """Clips that are held out of the training, without copies and without those that share sound with it.

    Parameters
    ----------
    held_out
        Clips that are held out.
    clips
        Training clips, from `independent_clips`.
    settings
        Settings of the system; with ``dependence="ignore"`` the clips stay as they are.

    Raises
    ------
    DataError
        If none is left.
    """
    if settings.dependence == "ignore":
        return held_out
    prints = [[sound_print(own.reference) for own in part.spectrograms] for part in (clips, held_out)]
    shared = {match.second for match in find_shared(prints[0], prints[1])}
    twice = {match.second for match in find_shared(prints[1])}
    kept = [index for index in range(len(held_out.clips)) if index not in shared | twice]
    if len(kept) == len(held_out.clips):
        return held_out
    if not kept:
        raise DataError(f"{held_out.clips[0].path.parent}: each clip that is held out shares sound with another one")
    note = (
        f"{len(held_out.clips) - len(kept)} of {len(held_out.clips)} clips that are held out share sound with other "
        f"clips, and do not count"
    )
    return replace(held_out.subset(kept), notes=(*held_out.notes, note))


def _beside(common: NDArray[np.float64], domains: NDArray[np.int64]) -> NDArray[np.float64]:
    """Clips of its own domain that each clip has in common with others, itself included, shape ``(clip,)``."""
    found: NDArray[np.float64] = np.where(domains[:, None] == domains, common, 0.0).sum(axis=1)
    return found


def _neighbours(clips: Sequence[Clip]) -> NDArray[np.bool_]:
    """True where two clips are parts of one recording, one after the other, shape ``(clip, clip)``."""
    found = np.eye(len(clips), dtype=np.bool_)
    for index, (before, after) in enumerate(pairwise(clips)):
        is_next = before.part is not None and after.part is not None and before.path == after.path
        found[index, index + 1] = found[index + 1, index] = is_next
    return found
