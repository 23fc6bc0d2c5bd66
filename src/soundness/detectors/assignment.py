"""Assignment of recordings to the detectors that score them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from soundness.data.clips import Clip
from soundness.data.layouts import ANOMALOUS_FOLDERS, NORMAL_FOLDER
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
        The pairs, and notes on what was left out or assumed.

    Raises
    ------
    DataError
        If there is no recording, no detector for any, or two recordings of one machine have the same name.
    """
    if not clips:
        raise DataError("nothing to score")
    left_out = _left_out_notes(clips)
    found = sorted({clip.machine_type for clip in clips})
    if len(detectors) == 1 and not set(found) & set(detectors):
        (only,) = detectors.values()
        others = [name for name in found if name]
        notes = [f"{', '.join(others)}: scored by the detector of {only.machine_type}"] if others else []
        return _unambiguous((clip, only) for clip in clips), notes + left_out
    if len(detectors) == 1:
        clips = [replace(clip, machine_type=clip.machine_type or next(iter(detectors))) for clip in clips]
        found = sorted({clip.machine_type for clip in clips})
    missing = [name for name in found if name not in detectors]
    if len(missing) == len(found):
        raise DataError(
            f"{clips[0].path.parent}: no detector for {missing[0] or 'recordings without a machine type'}; "
            f"there are detectors for {', '.join(detectors)}: give the file of one of them"
        )
    notes = [f"{name or 'recordings without a machine type'}: no detector, not scored" for name in missing]
    learned = sorted({clip.machine_type for clip in clips if clip.split == "train"} & set(detectors))
    notes += [f"{name}: has no test clips; its training clips are scored, which its detector knows" for name in learned]
    known = (clip for clip in clips if clip.machine_type in detectors)
    return _unambiguous((clip, detectors[clip.machine_type]) for clip in known), notes + left_out


def _left_out_notes(clips: Sequence[Clip]) -> list[str]:
    """Notes on folders of normal clips that count as training clips, being beside one of anomalous clips."""
    listed = {clip.path.parent for clip in clips}
    anomalous = {
        clip.path.parent for clip in clips if clip.machine_type and clip.path.parent.name.lower() in ANOMALOUS_FOLDERS
    }
    beside = {folder for one in anomalous for folder in one.parent.iterdir() if folder.name.lower() == NORMAL_FOLDER}
    return [
        f"{folder}: counts as training clips, which are not scored; name it, too, to score them"
        for folder in sorted(beside - listed)
    ]


def _unambiguous(assigned: Iterable[Assigned]) -> list[Assigned]:
    """The pairs, unless two recordings of one name would share a file of scores."""
    paths: dict[tuple[str, str, str], Path] = {}
    pairs = list(assigned)
    for clip, detector in pairs:
        other = paths.setdefault((detector.machine_type, clip.section, clip.path.name), clip.path)
        if other != clip.path:
            raise DataError(f"{clip.path}: has the same name as {other}; score them into separate folders")
    return pairs
