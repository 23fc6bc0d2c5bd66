"""Training recordings that are longer than a clip, cut into clips one after the other."""

from dataclasses import dataclass, replace

import numpy as np

from soundness.audio.decoding import AS_STATED
from soundness.audio.reading import read_info
from soundness.audio.windows import is_long
from soundness.data.clips import cut_clip
from soundness.data.datasets import Machine
from soundness.scoring.decisions.clip_lengths import CLIP_SECONDS, ClipLengths
from soundness.settings.system import AudioSettings

__all__ = ["CutMachine", "cut_machine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutMachine:
    """A machine whose long training recordings are cut, the lengths of its clips, and notes for the user."""

    machine: Machine
    lengths: ClipLengths
    notes: tuple[str, ...]


def cut_machine(machine: Machine, *, clip_seconds: float | None, audio: AudioSettings = AS_STATED) -> CutMachine:
    """Cut the training recordings of a machine that are more than 1.5 clips long.

    Parameters
    ----------
    machine
        Machine of a data set.
    clip_seconds
        Length of a clip; ``None`` for that of the recordings, see `ClipLengths.from_recordings`.
    audio
        See `soundness.audio.reading.read_waveform`.

    Raises
    ------
    AudioError
        If the header of a recording cannot be read.
    """
    clips = [clip for clip in machine.train if clip.label != "anomaly"]  # which no training starts with
    if not clips:
        unknown = ClipLengths.from_recordings(np.array([CLIP_SECONDS]), asked=clip_seconds)
        return CutMachine(machine=machine, lengths=unknown, notes=())
    seconds = {clip.path: read_info(clip.path, audio=audio).seconds for clip in clips}
    lengths = ClipLengths.from_recordings(np.array([seconds[clip.path] for clip in clips]), asked=clip_seconds)
    long = [clip for clip in clips if is_long(seconds[clip.path], lengths.clip_seconds)]
    if not long:
        return CutMachine(machine=machine, lengths=lengths, notes=())
    length = lengths.clip_seconds
    parts = {clip: cut_clip(clip, seconds=seconds[clip.path], clip_seconds=length) for clip in long}
    cut = tuple(part for clip in machine.clips for part in parts.get(clip, [clip]))
    note = (
        f"{len(long)} training recording(s) longer than {lengths.clip_seconds:g} s cut into "
        f"{sum(map(len, parts.values()))} clips of that length, e.g. {long[0].path.name}"
    )
    return CutMachine(machine=replace(machine, clips=cut), lengths=lengths, notes=(note,))
