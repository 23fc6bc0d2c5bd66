"""Recordings that are not independent: copies of each other, clips that share sound, clips of one group."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.errors import SettingsError
from soundness.screening.sound_prints import Match, SoundPrint, find_shared

__all__ = [
    "COPY_FRAMES",
    "Dependence",
    "clips_apart",
    "find_dependence",
    "groups_of",
    "independent_scores",
    "is_copy",
    "limited",
]

COPY_FRAMES = 4
"""Frames by which a container may delay the sound."""

_COPY_SHARE = 0.9
_MOST_CHANGE_DB = 2.0  # of a band beside the others: a copy may have lost the highest, but no sound was added
_FEWEST_GROUPS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dependence:
    """Dependence of recordings on each other.

    Parameters
    ----------
    copy_of
        Index of the recording that each is a copy of, and of itself for the others, shape ``(clip,)``.
    common
        Share of the shorter one that two recordings have in common, 1 for those of one group, shape ``(clip, clip)``,
        symmetric, 1 on the diagonal.
    shared
        Pairs that share sound and are no copies of each other.
    """

    copy_of: NDArray[np.int64]
    common: NDArray[np.float64]
    shared: tuple[Match, ...]

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices of the recordings that are no copies."""
        return np.flatnonzero(self.copy_of == np.arange(len(self.copy_of)))

    def notes(self, names: Sequence[str], *, kind: str, hop_seconds: float) -> Iterator[str]:
        """Notes on copies and on clips that share sound.

        Parameters
        ----------
        names
            Names of the files.
        kind
            Name of the recordings in the notes, such as ``training clips``.
        hop_seconds
            Time from one frame to the next.
        """
        copies = np.flatnonzero(self.copy_of != np.arange(len(self.copy_of)))
        if len(copies) > 0:
            first = copies[0]
            is_one = len(copies) == 1
            yield (
                f"{len(copies)} of {len(names)} {kind} {'is a copy' if is_one else 'are copies'} of others "
                f"({names[first]} of {names[self.copy_of[first]]}): each recording counts once"
            )
        sharing = {index for match in self.shared for index in (match.first, match.second)}
        if sharing:
            match = max(self.shared, key=lambda match: match.n_frames)
            yield (
                f"{len(sharing)} of {len(names)} {kind} share sound with others ({names[match.first]} and "
                f"{names[match.second]} have {match.n_frames * hop_seconds:.1f} s in common): together they count "
                f"as fewer"
            )


def find_dependence(
    prints: Sequence[SoundPrint],
    means: Sequence[NDArray[np.floating]],
    names: Sequence[str],
    *,
    kinds: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
) -> Dependence:
    """Find copies, and clips that share sound, among recordings of one machine.

    Parameters
    ----------
    prints
        Sound print of each.
    means
        Mean of each band over time, dB, shape ``(mel,)`` each.
    names
        File of each; of several copies the one with the shortest name is the original.
    kinds
        Domain or condition of each: a copy under another one is a clip that shares sound. ``None`` if all are alike.
    groups
        Group of each, see `groups_of`; clips of one group depend on each other. ``None`` without groups, as for a clip.
    """
    matches = find_shared(prints)
    ranks = np.argsort(np.argsort([f"{len(name):05d}{name}" for name in names], kind="stable"), kind="stable")
    copy_of = np.arange(len(prints))
    for match in sorted(matches, key=lambda match: -match.agreement):
        is_alike = kinds is None or kinds[match.first] == kinds[match.second]
        pair = match.first, match.second
        if is_alike and is_copy(match, [prints[index] for index in pair], [means[index] for index in pair]):
            roots = copy_of[match.first], copy_of[match.second]
            kept, dropped = sorted(roots, key=lambda root: ranks[root])
            copy_of[copy_of == dropped] = kept
    shared = tuple(match for match in matches if copy_of[match.first] != copy_of[match.second])
    common = np.eye(len(prints))
    for match in matches:
        shorter = min(prints[match.first].shape[1], prints[match.second].shape[1])
        common[match.first, match.second] = common[match.second, match.first] = match.n_frames / shorter
    if groups is not None:
        named = [f"{index}" if group is None else f"={group}" for index, group in enumerate(groups)]
        _, ids = np.unique(named, return_inverse=True)
        common = np.maximum(common, ids[:, None] == ids)
    return Dependence(copy_of=copy_of, common=common, shared=shared)


def is_copy(
    match: Match,
    prints: Sequence[SoundPrint],
    means: Sequence[NDArray[np.floating]],
    *,
    is_second_copy: bool = False,
) -> bool:
    """True if two clips are one recording from beginning to end, but for gain and coding.

    Parameters
    ----------
    match
        Sound that they share.
    prints, means
        Sound print and mean of each band, dB, of the first and the second.
    is_second_copy
        True if only the second can be the copy.
    """
    longest = max(own.shape[1] for own in prints)
    if abs(match.lag) > COPY_FRAMES or match.n_frames < _COPY_SHARE * longest - COPY_FRAMES:
        return False
    change = means[1] - means[0]
    change = change - np.median(change)
    (changed,) = np.nonzero(np.abs(change) > _MOST_CHANGE_DB)
    is_cut = len(changed) == 0 or (changed[0] + len(changed) == len(change) and len(changed) < len(change) / 2)
    return bool(is_cut and (not is_second_copy or (change <= _MOST_CHANGE_DB).all()))


def groups_of(paths: Sequence[Path], group_by: str) -> list[str | None]:
    """Group of each recording by its name.

    Parameters
    ----------
    paths
        The recordings.
    group_by
        ``folder``; ``prefix`` for the name up to its last number, so that ``rec1_003.wav`` belongs to ``rec1``; or a
        regular expression that is searched for in the name: clips in which its first group, or the whole of it, is
        the same text are one group; a clip in which it is not found stands alone.

    Raises
    ------
    SettingsError
        If it is no regular expression, or there are fewer than three groups.
    """
    if group_by == "folder":
        found: list[str | None] = [str(path.parent) for path in paths]
    elif group_by == "prefix":
        found = [re.sub(r"[\W_]*\d+\D*$", "", path.stem) for path in paths]
    else:
        try:
            pattern = re.compile(group_by)
        except re.error as error:
            raise SettingsError(
                f"group-by: {group_by!r} is no regular expression ({error}); expected prefix, folder or one"
            ) from None
        matches = [pattern.search(path.name) for path in paths]
        found = [None if match is None else match[1 if pattern.groups else 0] for match in matches]
    n_groups = len({group for group in found if group is not None}) + sum(group is None for group in found)
    if n_groups < _FEWEST_GROUPS:
        raise SettingsError(
            f"group-by: {group_by!r} makes {n_groups} group(s) of {len(paths)} clips; at least {_FEWEST_GROUPS} are "
            f"needed, so that one can be left out"
        )
    return found


def clips_apart(clips: Iterable[int], dependent: NDArray[np.bool_]) -> list[int]:
    """Clips, taken in their order, of which none depends on another.

    Parameters
    ----------
    clips
        Indices of the clips.
    dependent
        Shape ``(clip, clip)``.
    """
    chosen: list[int] = []
    for clip in clips:
        if not dependent[clip, chosen].any():
            chosen.append(clip)
    return chosen


def limited(dependent: NDArray[np.bool_], domains: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Dependence with at most half the clips of its domain for each clip, the nearest in order.

    Parameters
    ----------
    dependent
        Shape ``(clip, clip)``.
    domains
        Index of each clip's domain, shape ``(clip,)``.
    """
    found = dependent.copy()
    for clip in range(len(dependent)):
        beside = np.flatnonzero(dependent[clip] & (domains == domains[clip]))
        most = max(1, int((domains == domains[clip]).sum()) // 2)
        if len(beside) > most:
            farthest = beside[np.argsort(np.abs(beside - clip), kind="stable")[most:]]
            found[clip, farthest] = False
    return found


def independent_scores(scores: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of as many independent clips as dependent ones are worth: the upper end of each equal share of them.

    Parameters
    ----------
    scores
        Shape ``(clip,)``.
    counts
        Recordings that each clip counts as, at most 1, shape ``(clip,)``.

    Returns
    -------
    NDArray
        Ascending; the scores themselves where each clip counts as one.
    """
    order = np.argsort(scores, kind="stable")
    n_independent = max(1, int(counts.sum() + 1e-6))
    shares = np.cumsum(counts[order]) / counts.sum()
    ends = np.searchsorted(shares, np.arange(1, n_independent + 1) / n_independent - 1e-9)
    found: NDArray[np.float64] = scores[order][np.minimum(ends, len(scores) - 1)]
    return found
