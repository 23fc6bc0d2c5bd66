"""Training recordings that are longer than a clip, cut into clips one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from soundness.audio.reading import read_info
from soundness.audio.windows import is_long, n_consecutive
from soundness.data.clips import Clip, Part
from soundness.data.datasets import Machine
from soundness.detectors.reader import RecordingLogMels, RecordingReader
from soundness.errors import UnreadableError
from soundness.scoring.clip_lengths import CLIP_SECONDS, ClipLengths

__all__ = ["CutMachine", "cut_machine", "read_clips", "recordings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMachine:
    """A machine whose long training recordings are cut, the lengths of its clips, and notes for the user."""

    machine: Machine
    lengths: ClipLengths
    notes: tuple[str, ...]


def cut_machine(machine: Machine, *, clip_seconds: float | None) -> CutMachine:
    """Cut the training recordings of a machine that are more than 1.5 clips long.

    Parameters
    ----------
    machine
        Machine of a data set.
    clip_seconds
        Length of a clip; ``None`` for that of the recordings, see `ClipLengths.from_recordings`.

    Raises
    ------
    AudioError
        If the header of a recording cannot be read.
    """
    clips = [clip for clip in machine.train if clip.label != "anomaly"]  # which no training starts with
    if not clips:
        unknown = ClipLengths.from_recordings(np.array([CLIP_SECONDS]), asked=clip_seconds)
        return CutMachine(machine=machine, lengths=unknown, notes=())
    seconds = {clip.path: read_info(clip.path).seconds for clip in clips}
    lengths = ClipLengths.from_recordings(np.array([seconds[clip.path] for clip in clips]), asked=clip_seconds)
    long = [clip for clip in clips if is_long(seconds[clip.path], lengths.clip_seconds)]
    if not long:
        return CutMachine(machine=machine, lengths=lengths, notes=())
    parts = {clip: list(_parts(clip, seconds[clip.path], lengths.clip_seconds)) for clip in long}
    cut = tuple(part for clip in machine.clips for part in parts.get(clip, [clip]))
    note = (
        f"{len(long)} training recording(s) longer than {lengths.clip_seconds:g} s cut into "
        f"{sum(map(len, parts.values()))} clips of that length, e.g. {long[0].path.name}"
    )
    return CutMachine(machine=replace(machine, clips=cut), lengths=lengths, notes=(note,))


def _parts(clip: Clip, seconds: float, clip_seconds: float) -> Iterator[Clip]:
    for index in range(n_consecutive(seconds, clip_seconds)):
        yield replace(clip, part=Part(start_seconds=index * clip_seconds, seconds=clip_seconds))


def recordings(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips by their recording, the parts of one together, in their order."""
    return [list(own) for _, own in groupby(clips, key=lambda clip: (clip.path, clip.part is None))]


def read_clips(reader: RecordingReader, clips: Sequence[Clip]) -> list[RecordingLogMels]:
    """Read the clips of one recording, see `recordings`.

    Raises
    ------
    AudioError
        If it cannot be used, or is shorter than its header says.
    """
    (path,) = {clip.path for clip in clips}
    part = clips[0].part
    if part is None:
        return [reader.read(clip.path) for clip in clips]
    chosen = {clip.part for clip in clips}
    read = reader.windows(path, clip_seconds=part.seconds, is_overlapping=False)
    starts = {round(one.start_seconds / one.seconds): one for one in chosen if one is not None}
    found = [one for index, one in enumerate(read) if index in starts]
    if len(found) < len(clips):
        raise UnreadableError(f"{len(found)} clips of {part.seconds:g} s; its header says more", path=path)
    return found
