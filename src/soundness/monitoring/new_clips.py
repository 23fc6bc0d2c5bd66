"""Recordings that a detector was not trained on, read and scored to calibrate, extend or check it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import CountProgress
from soundness.audio.reading import AudioInfo, read_info
from soundness.data.clips import Clip
from soundness.detectors.detector import Detector
from soundness.detectors.normal_clips import NormalClips, name_of
from soundness.errors import AudioError, DataError
from soundness.threads import map_recordings

__all__ = ["NewClip", "concatenate_clips", "read_new_clips"]

_N_WORKERS = 2  # recordings in memory at once, each of which may last hours


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewClip:
    """A recording that the detector was not trained on.

    Parameters
    ----------
    clip
        Machine, domain and label from its name.
    info
        Contents of its header.
    vectors
        Vectors of the representation, shape ``(condition, feature)``.
    score
        Anomaly score.
    statistics
        Name and band statistics.
    """

    clip: Clip
    info: AudioInfo
    vectors: NDArray[np.float64]
    score: float
    statistics: NormalClips


def read_new_clips(
    detector: Detector, clips: Sequence[Clip], *, progress: CountProgress | None = None
) -> list[NewClip]:
    """Read and score recordings, each of which must be usable and hold sound.

    Raises
    ------
    DataError
        If there is no recording; an `AudioError` if one cannot be used, is digital silence, or has another number of
        channels than the training clips.
    """
    if not clips:
        raise DataError("no recordings; expected normal ones")
    found = []
    for done, new in enumerate(map_recordings(partial(_read, detector), clips, n_workers=_N_WORKERS), start=1):
        found.append(new)
        if progress is not None:
            progress(done, len(clips))
    return found


def concatenate_clips(clips: Iterable[NewClip], *, domain: str) -> NormalClips:
    """Band statistics of several clips, all of them of one domain."""
    together = reduce(NormalClips.concatenate, [clip.statistics for clip in clips])
    return replace(together, domain_names=(domain,))


def _read(detector: Detector, clip: Clip) -> NewClip:
    info = read_info(clip.path)
    _check_channels(detector, clip, info)
    recording = detector.reader.read(clip.path)
    if not recording.has_sound:
        raise AudioError("digital silence; expected the sound of a machine", path=clip.path)
    spectrograms = recording.spectrograms
    vectors = detector.representation.vectors(spectrograms).astype(np.float64)
    statistics = NormalClips.from_log_mels(
        [spectrograms.reference], names=[name_of(clip)], domains=[""], n_channels=[info.n_channels]
    )
    score = detector.scorer.score(vectors)
    return NewClip(clip=clip, info=info, vectors=vectors, score=score, statistics=statistics)


def _check_channels(detector: Detector, clip: Clip, info: AudioInfo) -> None:
    known = () if detector.normal_clips is None else detector.normal_clips.n_channels
    if known and info.n_channels not in known:
        expected = " or ".join(map(str, known))
        raise AudioError(
            f"{info.n_channels} channel(s); the normal clips of this detector have {expected}", path=clip.path
        )
