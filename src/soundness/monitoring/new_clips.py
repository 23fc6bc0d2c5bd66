"""Recordings that came after the training, as a detector hears them: for what changes a detector, or doubts it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import CountProgress, PathLike
from soundness.audio.reading import AudioInfo, read_info
from soundness.data.clips import Clip
from soundness.data.datasets import list_clips
from soundness.detectors.detector import Detector
from soundness.detectors.normal_clips import NormalClips, name_of
from soundness.errors import AudioError, DataError
from soundness.threads import map_recordings

__all__ = ["NewClip", "joined_clips", "read_new_clips"]


@dataclass(frozen=True, slots=True)
class NewClip:
    """A recording that the detector was not trained on.

    Parameters
    ----------
    clip
        What its name says.
    info
        What its header says.
    vectors
        What the representation makes of it, shape ``(condition, feature)``.
    score
        Anomaly score.
    remembered
        Its name and band statistics.
    """

    clip: Clip
    info: AudioInfo
    vectors: NDArray[np.float64]
    score: float
    remembered: NormalClips


def read_new_clips(
    detector: Detector, paths: Iterable[PathLike], *, progress: CountProgress | None = None
) -> list[NewClip]:
    """Hear recordings, none of which may be silent or useless.

    Parameters
    ----------
    detector
        Of any system.
    paths
        Recordings, folders of them, or data sets, of which the test clips are taken.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If there is no recording.
    AudioError
        If one cannot be used, is digital silence, or has another number of channels than the training clips.
    """
    clips = list_clips(paths)
    if not clips:
        raise DataError("no recordings; expected normal ones")
    found = []
    for done, new in enumerate(map_recordings(partial(_read, detector), clips), start=1):
        found.append(new)
        if progress is not None:
            progress(done, len(clips))
    return found


def joined_clips(clips: Iterable[NewClip], *, domain: str) -> NormalClips:
    """What is to be remembered of several clips, all of them of one domain."""
    joined = reduce(NormalClips.joined, [clip.remembered for clip in clips])
    return replace(joined, domain_names=(domain,))


def _read(detector: Detector, clip: Clip) -> NewClip:
    info = read_info(clip.path)
    _check_channels(detector, clip, info)
    recording = detector.reader.read(clip.path)
    if not recording.has_sound:
        raise AudioError("digital silence; expected the sound of a machine", path=clip.path)
    spectrograms = recording.spectrograms
    vectors = detector.representation.vectors(spectrograms).astype(np.float64)
    remembered = NormalClips.from_log_mels(
        [spectrograms.reference], names=[name_of(clip)], domains=[""], n_channels=[info.n_channels]
    )
    return NewClip(clip, info, vectors, detector.scorer.score(vectors), remembered)


def _check_channels(detector: Detector, clip: Clip, info: AudioInfo) -> None:
    known = () if detector.normal_clips is None else detector.normal_clips.n_channels
    if known and info.n_channels not in known:
        expected = " or ".join(map(str, known))
        raise AudioError(
            f"{info.n_channels} channel(s); the normal clips of this detector have {expected}", path=clip.path
        )
