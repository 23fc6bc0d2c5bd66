"""Recordings of a machine that are copies of each other or share sound, as problems of a data set."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.audio.decoding import AS_STATED
from soundness.audio.log_mel import LogMel, without_mean
from soundness.audio.reading import read_waveform
from soundness.data.clips import Clip
from soundness.data.datasets import Machine, Problem
from soundness.errors import AudioError
from soundness.screening.dependence import find_dependence
from soundness.screening.sound_prints import SoundPrint, sound_print
from soundness.settings.system import AudioSettings, LogMelSettings
from soundness.threads import map_recordings

__all__ = ["double_problems"]

_LONGEST_SECONDS = 120.0  # of which sound is compared
_SHOWN = 3


def double_problems(machine: Machine, readable: Collection[Path], audio: AudioSettings = AS_STATED) -> list[Problem]:
    """Warnings about copies and shared sound among the training and test clips of a machine.

    Parameters
    ----------
    machine
        Machine of a data set.
    readable
        Recordings that can be read; the others are left out.
    audio
        See `soundness.audio.reading.read_waveform`.
    """
    clips = [clip for clip in (*machine.train, *machine.test) if clip.path in readable]
    read = zip(clips, map_recordings(partial(_print_of, audio), clips), strict=True)
    known = [(clip, *found) for clip, found in read if found is not None and found[0].any()]
    if len(known) < 2:
        return []
    own, prints, means = zip(*known, strict=True)
    return [Problem(own[0].path.parent, message, "warning") for message in _messages(own, prints, means)]


def _print_of(audio: AudioSettings, clip: Clip) -> tuple[SoundPrint, NDArray[np.floating]] | None:
    log_mel = LogMelSettings(floor_reference="recording")  # quiet ones are not all alike
    try:
        waveform = read_waveform(
            clip.path,
            sample_rate=audio.sample_rate,
            fmax=0.0,
            max_samples=round(_LONGEST_SECONDS * audio.sample_rate),
            audio=audio,
        )
    except AudioError:  # named among the problems of its file
        return None
    if len(waveform) <= audio.channel or waveform.shape[1] < log_mel.n_fft:
        return None
    spectrum = LogMel(log_mel, sample_rate=audio.sample_rate)(without_mean(waveform)[audio.channel])
    return sound_print(spectrum), spectrum.mean(axis=1)


def _messages(
    clips: Sequence[Clip], prints: Sequence[SoundPrint], means: Sequence[NDArray[np.floating]]
) -> Iterator[str]:
    names = [clip.path.name for clip in clips]
    found = find_dependence(prints, means, names)
    copies = np.flatnonzero(found.copy_of != np.arange(len(clips)))
    if len(copies) > 0:
        shown = [f"{names[index]} of {names[found.copy_of[index]]}" for index in copies[:_SHOWN]]
        yield f"{len(copies):,} of {len(clips):,} recordings are copies of others by sound: {_listed(shown, copies)}"
    if found.shared:
        shown = [f"{names[match.first]} and {names[match.second]}" for match in found.shared[:_SHOWN]]
        touched = {index for match in found.shared for index in (match.first, match.second)}
        yield f"{len(touched):,} of {len(clips):,} recordings share sound with others: {_listed(shown, found.shared)}"
    crossed = [int(index) for index in copies if clips[int(index)].split != clips[int(found.copy_of[index])].split]
    if crossed:
        index = crossed[0]
        yield (
            f"{len(crossed):,} test clips are copies of training clips, e.g. {names[index]} of "
            f"{names[found.copy_of[index]]}: their scores say nothing"
        )


def _listed(shown: Sequence[str], every: Sequence[object] | NDArray[np.int64]) -> str:
    more = len(every) - len(shown)
    return ", ".join(shown) + (f" (and {more:,} more)" if more > 0 else "")
