"""Assignment of recordings to the detectors that score them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from soundness.data.clips import Clip
from soundness.data.finding import list_audio, list_entries, listed_names
from soundness.data.folder_names import ANOMALOUS_FOLDERS, NORMAL_FOLDERS, state_name
from soundness.detectors.protocol import AnyDetector
from soundness.errors import DataError

__all__ = ["assign"]

Assigned = tuple[Clip, AnyDetector]


def assign(clips: Sequence[Clip], detectors: Mapping[str, AnyDetector]) -> tuple[list[Assigned], list[str]]:
    """Pair each clip with the detector of its machine; label and domain in its name are not used.

    Parameters
    ----------
    clips
        Recordings.
    detectors
        Detectors by machine type. One detector alone takes all recordings.

    Returns
    -------
    tuple
        The pairs, in which the key of a clip is its own within its machine and section, and notes on what was left out
        or assumed.

    Raises
    ------
    DataError
        If there is no recording, no detector for any, or they are training clips alone.
    """
    if not clips:
        raise DataError("nothing to score")
    left_out = _left_out_notes(clips)
    clips, notes = _without_training_clips(clips)
    found = sorted({_machine(clip, detectors) for clip in clips})
    if len(detectors) == 1 and not set(found) & set(detectors):
        (only,) = detectors.values()
        others = [name for name in found if name]
        notes += [f"{listed_names(others)}: scored by the detector of {only.machine_type}"] if others else []
        return _named([(clip, only) for clip in clips]), notes + left_out
    if len(detectors) == 1:
        clips = [replace(clip, machine_type=clip.machine_type or next(iter(detectors))) for clip in clips]
        found = sorted({_machine(clip, detectors) for clip in clips})
    missing = [name for name in found if name not in detectors]
    if len(missing) == len(found):
        raise DataError(
            f"{clips[0].path.parent}: no detector for {missing[0] or 'recordings without a machine type'}; "
            f"there are detectors for {', '.join(detectors)}: give the file of one of them"
        )
    notes += [f"{name or 'recordings without a machine type'}: no detector, not scored" for name in missing]
    owners = [(clip, _machine(clip, detectors)) for clip in clips]
    known = [(clip, detectors[name]) for clip, name in owners if name in detectors]
    return _named(known), notes + left_out


def _machine(clip: Clip, detectors: Mapping[str, AnyDetector]) -> str:
    """Machine of a clip, or the first of its folders that a detector is named after."""
    names = (clip.machine_type, *clip.machine_type.split("/"))
    return next((name for name in names if name in detectors), clip.machine_type)


def _without_training_clips(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """Clips but for those of machines that have training clips alone, and a note on each such machine."""
    kept = [clip for clip in clips if clip.split != "train"]
    trained = {clip.machine_type: clip.path.parent for clip in clips if clip.split == "train"}
    notes = [
        f"{name}: has no test clips, and its training clips, which a detector knows, are not scored; name their "
        f"folder itself to score them all the same ({folder})"
        for name, folder in trained.items()
    ]
    if not kept:
        raise DataError(notes[0])
    return kept, notes


def _left_out_notes(clips: Sequence[Clip]) -> list[str]:
    """Notes on folders of normal clips that count as training clips, being beside one of anomalous clips."""
    listed = {folder for clip in clips for folder in clip.path.parents}
    anomalous = {
        folder
        for clip in clips
        if clip.machine_type
        for folder in clip.path.parents
        if state_name(folder.name) in ANOMALOUS_FOLDERS
    }
    beside = {
        folder
        for one in anomalous
        for folder in list_entries(one.parent)[0]
        if state_name(folder.name) in NORMAL_FOLDERS
    }
    own = {clip.path.parent for clip in clips}
    around = {one.parent for one in anomalous if one.parent not in own and list_audio(one.parent)}
    return [
        f"{what} as training clips, which are not scored; name {which}, too, to score them"
        for what, which in (
            *((f"{folder}: counts", "it") for folder in sorted(beside - listed)),
            *((f"recordings in {folder} itself: count", "the files") for folder in sorted(around)),
        )
    ]


def _named(assigned: Sequence[Assigned]) -> list[Assigned]:
    """The pairs, each clip with the shortest key that is its own among the clips of its machine and section.

    It is the name of the file; where several have it, the path below the folder that was named; else the path.
    """
    places = [(detector.machine_type, clip.section) for clip, detector in assigned]
    names = Counter((*place, clip.path.name) for place, (clip, _) in zip(places, assigned, strict=True))
    keys = Counter((*place, clip.key) for place, (clip, _) in zip(places, assigned, strict=True))
    pairs = []
    for place, (clip, detector) in zip(places, assigned, strict=True):
        longer = clip.key if keys[*place, clip.key] == 1 else clip.path.as_posix()
        pairs.append((replace(clip, key=clip.path.name if names[*place, clip.path.name] == 1 else longer), detector))
    return pairs
