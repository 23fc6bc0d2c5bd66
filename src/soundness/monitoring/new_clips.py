"""Recordings that a detector was not trained on, read and scored to calibrate, extend or check it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import CountProgress
from soundness.audio.measures import measure_clip
from soundness.audio.reading import AudioInfo, read_info
from soundness.audio.short_clips import at_length, place_of
from soundness.data.clips import Clip, by_recording, cut_clip
from soundness.detectors.detector import Detector
from soundness.detectors.reader import RecordingLogMels
from soundness.errors import AudioError, DataError
from soundness.screening.dependence import Dependence, find_dependence, groups_of
from soundness.screening.normal_clips import NormalClips, name_of
from soundness.threads import map_recordings

__all__ = [
    "IndependentClips",
    "NewClip",
    "concatenate_clips",
    "cut_clips",
    "independent",
    "read_new_clips",
    "without_copies",
]

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
    short_scores
        Score of the clip cut to each of the detector's shorter lengths, shape ``(length,)``.
    doubt
        Reason why its recording is unlike those of the training without a change of the machine; empty without one.
    """

    clip: Clip
    info: AudioInfo
    vectors: NDArray[np.float64]
    score: float
    statistics: NormalClips
    short_scores: NDArray[np.float64]
    doubt: str


def read_new_clips(
    detector: Detector, clips: Sequence[Clip], *, progress: CountProgress | None = None
) -> list[NewClip]:
    """Read and score recordings, each of which must be usable and hold sound; long ones are cut into clips.

    Raises
    ------
    DataError
        If there is no recording; an `AudioError` if one cannot be used, is digital silence, or has another number of
        channels than the training clips.
    """
    if not clips:
        raise DataError("no recordings; expected normal ones")
    clips = cut_clips(detector, clips)
    places = {clip: place_of(index) for index, clip in enumerate(clips)}
    found: list[NewClip] = []
    read = map_recordings(partial(_read, detector, places), by_recording(clips), n_workers=_N_WORKERS)
    for own in read:
        found += own
        if progress is not None:
            progress(len(found), len(clips))
    return found


def cut_clips(detector: Detector, clips: Sequence[Clip]) -> list[Clip]:
    """Cut long recordings into clips of the length that the detector learned.

    Raises
    ------
    AudioError
        If the header of one cannot be read.
    """
    if detector.lengths is None:
        return list(clips)
    length = detector.lengths.clip_seconds
    return [
        part
        for clip in clips
        for part in cut_clip(clip, seconds=read_info(clip.path, audio=detector.audio).seconds, clip_seconds=length)
    ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndependentClips:
    """New recordings without copies.

    Parameters
    ----------
    clips
        Recordings of which none is a copy of another.
    common
        Share of the shorter one that two of them have in common, shape ``(clip, clip)``.
    notes
        Notes for the user on copies and shared sound.
    """

    clips: tuple[NewClip, ...]
    common: NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def counts(self) -> NDArray[np.float64]:
        """Recordings that each clip counts as, at most 1, shape ``(clip,)``."""
        counts: NDArray[np.float64] = 1.0 / self.common.sum(axis=1)
        return counts

    def subset(self, chosen: NDArray[np.bool_]) -> "IndependentClips":
        """Clips where ``chosen``, shape ``(clip,)``, is true."""
        clips = tuple(clip for clip, is_chosen in zip(self.clips, chosen, strict=True) if is_chosen)
        return replace(self, clips=clips, common=self.common[np.ix_(chosen, chosen)])


def independent(detector: Detector, new: Sequence[NewClip], *, group_by: str | None = None) -> IndependentClips:
    """Recordings that are new to a detector, without copies of each other and what shares sound with its training.

    Parameters
    ----------
    detector
        Detector whose normal clips are known by their sound prints.
    new
        Recordings.
    group_by
        See `soundness.screening.dependence.groups_of`; ``None`` without groups.

    Raises
    ------
    DataError
        If one is a recording that the detector has, under whatever name, or none is left.
    SettingsError
        If ``group_by`` cannot be used.
    """
    prints = [each.statistics.prints[0] for each in new]
    names = [each.clip.path.name for each in new]
    means = [each.statistics.means[0] for each in new]
    known = detector.known_recordings
    for each, own, mean in zip(new, prints, means, strict=True):
        index = known.copy_of(own, mean)
        if index is not None and detector.normal_clips is not None:
            raise DataError(
                f"the same recording as {detector.normal_clips.names[index]}, which is normal clip {index + 1} of "
                f"{len(known.prints)} that the detector has; expected recordings that are new to it",
                path=each.clip.path,
            )
    found = _dependence(new, group_by=group_by)
    notes = [*_doubts(new), *found.notes(names, kind="recordings", hop_seconds=detector.settings.frame_seconds)]
    shared = known.shared_with(prints)
    touched = {match.second for match in shared}
    kept = [int(index) for index in found.kept if index not in touched]
    if shared and detector.normal_clips is not None:
        match = shared[0]
        message = (
            f"{len(touched)} of {len(new)} recordings share sound with normal clips that the detector has "
            f"({names[match.second]} with {detector.normal_clips.names[match.first]})"
        )
        if not kept:
            raise DataError(f"{message}; expected recordings that are new to it")
        notes.append(f"{message}: they are left out")
    return IndependentClips(
        clips=tuple(new[index] for index in kept), common=found.common[np.ix_(kept, kept)], notes=tuple(notes)
    )


def without_copies(detector: Detector, new: Sequence[NewClip]) -> tuple[list[NewClip], list[str]]:
    """Recordings of which none is a copy of another, and notes on copies and on what the detector knows."""
    found = _dependence(new)
    names = [each.clip.path.name for each in new]
    notes = [*_doubts(new), *found.notes(names, kind="recordings", hop_seconds=detector.settings.frame_seconds)]
    known = [
        each.clip.path.name
        for each in new
        if detector.known_recordings.copy_of(each.statistics.prints[0], each.statistics.means[0]) is not None
    ]
    if known:
        notes.append(
            f"{len(known)} of {len(new)} recordings are clips of the training ({known[0]}): only new ones show a change"
        )
    return [new[index] for index in found.kept], notes


def _dependence(new: Sequence[NewClip], *, group_by: str | None = None) -> Dependence:
    return find_dependence(
        [each.statistics.prints[0] for each in new],
        [each.statistics.means[0] for each in new],
        [each.clip.path.name for each in new],
        kinds=[each.clip.domain or "" for each in new],
        groups=None if group_by is None else groups_of([each.clip.path for each in new], group_by),
    )


def _doubts(new: Sequence[NewClip]) -> Iterator[str]:
    """Note on recordings that are unlike those of the training without a change of the machine."""
    doubtful = [each for each in new if each.doubt]
    if doubtful:
        name = doubtful[0].clip.path.name
        yield (
            f"{len(doubtful)} of {len(new)} clips are unlike those of the training in form, which is no change of the "
            f"machine: e.g. {name}: {doubtful[0].doubt}"
        )


def concatenate_clips(clips: Iterable[NewClip], *, domain: str) -> NormalClips:
    """Band statistics of several clips, all of them of one domain."""
    together = reduce(NormalClips.concatenate, [clip.statistics for clip in clips])
    return replace(together, domain_names=(domain,))


def _read(detector: Detector, places: Mapping[Clip, float], clips: Sequence[Clip]) -> list[NewClip]:
    info = read_info(clips[0].path, audio=detector.audio)
    _check_channels(detector, clips[0], info)
    found = zip(clips, detector.reader.read_clips(clips), strict=True)
    made = [_new_clip(detector, clip, info, recording, place=places[clip]) for clip, recording in found]
    if detector.form is None:
        return made
    measures = measure_clip(clips[0].path, audio=detector.audio)
    return [replace(each, doubt=detector.form.difference(measures, detector.settings).doubt) for each in made]


def _new_clip(detector: Detector, clip: Clip, info: AudioInfo, recording: RecordingLogMels, *, place: float) -> NewClip:
    if not recording.has_sound:
        raise AudioError("digital silence; expected the sound of a machine", path=clip.path)
    spectrograms = recording.spectrograms
    vectors = detector.representation.vectors(spectrograms).astype(np.float64)
    statistics = NormalClips.from_log_mels(
        [spectrograms.reference], names=[name_of(clip)], domains=[""], n_channels=[info.n_channels]
    )
    score = detector.scorer.score(vectors)
    lengths = () if detector.lengths is None else detector.lengths.short_seconds
    short = [detector.score_spectrograms(at_length(spectrograms, at, detector.settings, place=place)) for at in lengths]
    return NewClip(
        clip=clip,
        info=info,
        vectors=vectors,
        score=score,
        statistics=statistics,
        short_scores=np.array(short),
        doubt="",
    )


def _check_channels(detector: Detector, clip: Clip, info: AudioInfo) -> None:
    known = () if detector.normal_clips is None else detector.normal_clips.n_channels
    if known and info.n_channels not in known:
        expected = " or ".join(map(str, known))
        raise AudioError(
            f"{info.n_channels} channel(s); the normal clips of this detector have {expected}", path=clip.path
        )
