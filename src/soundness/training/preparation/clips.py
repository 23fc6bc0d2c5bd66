"""A machine's training clips, checked and read."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from soundness.aliases import Array, Progress
from soundness.audio.decoding import AS_STATED
from soundness.audio.log_mel import Spectrograms
from soundness.audio.reading import read_info
from soundness.data.clips import Clip, by_recording, condition_of
from soundness.data.datasets import FEWEST_TRAINING_CLIPS, Machine
from soundness.detectors.reader import RecordingLogMels, RecordingReader
from soundness.errors import AudioError, DataError, SettingsError
from soundness.representations.protocol import Fitted, MachineSpectrograms, Representation, network_plan
from soundness.scoring.protocol import ANY_DOMAIN, TrainingVectors
from soundness.screening.normal_clips import NormalClips, name_of
from soundness.settings.system import AudioSettings, SystemSettings
from soundness.threads import map_recordings
from soundness.training.preparation.form import silence_text
from soundness.training.summary import domain_names

__all__ = [
    "check_training_clips",
    "noise_clips",
    "normal_clips_of",
    "read_machine",
    "reading_progress",
    "training_vectors",
]


def check_training_clips(machine: Machine, settings: SystemSettings) -> None:
    """Refuse what no training should start with, from names and headers alone.

    Raises
    ------
    DataError
        If there are fewer than three training clips, one is labelled anomalous, or two in a folder differ in their
        suffix alone.
    AudioError
        If the header of one says that it cannot be used.
    """
    clips = machine.train
    if len(clips) < FEWEST_TRAINING_CLIPS:
        raise DataError(
            f"{machine.root}: {len(clips)} training clip(s) of {machine.machine_type}; "
            f"at least {FEWEST_TRAINING_CLIPS} are needed"
        )
    by_stem: dict[Path, Clip] = {}
    for clip in clips:
        if clip.label == "anomaly":
            raise DataError(f"{clip.path}: labelled anomalous; a detector learns from normal clips alone")
        other = by_stem.setdefault(clip.path.with_suffix(""), clip)
        if other is not clip and other.part is not None and other.path == clip.path:
            continue  # of one recording, which was checked
        if other is not clip:
            raise DataError(f"{clip.path}: has the same name as {other.path}; each training clip needs its own")
        info = read_info(clip.path, audio=settings.audio)
        if info.sample_rate / 2 < settings.log_mel.fmax:
            highest = f"{info.sample_rate / 2:g}"
            raise AudioError(
                f"recorded at {info.sample_rate} Hz, so nothing above {highest} Hz; the detector uses frequencies up "
                f"to {settings.log_mel.fmax:g} Hz; --set log_mel.fmax={highest} lets it end there, --native keeps "
                f"the rate, too",
                path=clip.path,
            )


def read_machine(machine: Machine, reader: RecordingReader, *, advance: Callable[[], None]) -> MachineSpectrograms:
    """Read a machine's training clips, and separate them where the system does.

    Parameters
    ----------
    machine
        Machine whose training clips passed `check_training_clips`.
    reader
        Reader with the system's settings, its separator and its cache.
    advance
        Called after each clip, in the thread of the caller.

    Raises
    ------
    AudioError
        If a clip cannot be used.
    """
    started = time.perf_counter()
    settings = reader.front_end.settings
    results = []
    for found in map_recordings(reader.read_clips, by_recording(machine.train)):
        for result in found:
            results.append(result)
            advance()
    noise = map_recordings(reader.read, [clip.path for clip in noise_clips(machine, settings)])
    silent = [clip for clip, result in zip(machine.train, results, strict=True) if not result.has_sound]
    clips = tuple(clip for clip, result in zip(machine.train, results, strict=True) if result.has_sound)
    _check_enough(machine, clips, silent, settings)
    pairs = [_paired(result, settings) for result in results if result.has_sound]
    spectrograms = tuple(own for own, _ in pairs)
    return MachineSpectrograms(
        machine_type=machine.machine_type,
        clips=clips,
        spectrograms=spectrograms,
        copies=tuple(copy for _, copy in pairs if copy is not None),
        noise=tuple(result.spectrograms.input for result in noise),
        notes=(*_named("without any sound, not learned", silent), *_short(clips, spectrograms, settings)),
        seconds=time.perf_counter() - started,
        separation_seconds=sum(result.separation_seconds for result in results) / (os.cpu_count() or 1),
        conditions=tuple(condition_of(clip) for clip in clips),
    )


def reading_progress(machine: Machine, *, progress: Progress | None) -> Callable[[], None]:
    """Function that is called after each clip of a machine, and reports the progress of reading it."""
    counter = iter(range(1, 1 + len(machine.train)))

    def advance() -> None:
        if progress is not None:
            progress(f"reading {machine.machine_type}", next(counter), len(machine.train))

    return advance


def _check_enough(machine: Machine, clips: Sequence[Clip], silent: Sequence[Clip], settings: SystemSettings) -> None:
    """Refuse a machine of whose clips too few hold any sound."""
    if silent and len(clips) < FEWEST_TRAINING_CLIPS:
        raise DataError(
            f"{silent[0].path}: {silence_text(silent[0], settings)}; {len(silent)} of {len(machine.train)} training "
            f"clips of {machine.machine_type} hold no sound, and at least {FEWEST_TRAINING_CLIPS} that do are needed"
        )


def noise_clips(machine: Machine, settings: SystemSettings) -> tuple[Clip, ...]:
    """Noise-only supplemental clips that a system's network is trained with; none in most systems."""
    plan = network_plan(settings)
    if plan is None or not plan.has_noise or settings.separation == "denoise":
        return ()
    return tuple(clip for clip in machine.supplemental if clip.supplemental == "noise")


def normal_clips_of(clips: MachineSpectrograms, audio: AudioSettings = AS_STATED) -> NormalClips:
    """Names and band statistics of a machine's training clips."""
    return NormalClips.from_log_mels(
        [clip.reference for clip in clips.spectrograms],
        names=[name_of(clip) for clip in clips.clips],
        domains=[clip.domain or "" for clip in clips.clips],
        n_channels=[
            read_info(path, audio=audio).n_channels for path in dict.fromkeys(clip.path for clip in clips.clips)
        ],
    )


def training_vectors(clips: MachineSpectrograms, fitted: Fitted) -> TrainingVectors:
    """Vectors of a machine's training clips by their fitted representation, or the one without them, for a scorer."""
    conditions = fitted.conditions
    own = [conditions.index(condition) if conditions else 0 for condition in clips.conditions]
    domains = domain_names(clips)
    representations = fitted.representations(len(clips.spectrograms))
    return TrainingVectors(
        vectors=np.stack([_vectors_of(*pair) for pair in zip(representations, clips.spectrograms, strict=True)]),
        own_conditions=np.array(own),
        clip_domains=np.array([domains.index(clip.domain or "") for clip in clips.clips]),
        condition_domains=np.array([domains.index(condition.domain) for condition in conditions] or [ANY_DOMAIN]),
        frame_covariances=fitted.frame_covariances,
        view_sizes=fitted.view_sizes,
        n_bands=fitted.n_bands,
        dependent=clips.dependent,
    )


def _vectors_of(representation: Representation, clip: Spectrograms) -> Array:
    vectors: object = representation.vectors(clip)  # of a user's own class, perhaps
    if not isinstance(vectors, np.ndarray):
        raise SettingsError(
            f"representation: {type(representation).__name__}.vectors gives a {type(vectors).__name__}; "
            "expected a NumPy array of shape (condition, feature)"
        )
    return vectors.astype(np.float64)


def _paired(recording: RecordingLogMels, settings: SystemSettings) -> tuple[Spectrograms, Spectrograms | None]:
    """Spectrograms of a clip, and those of its separated copy where a network is trained with both."""
    log_mels = recording.log_mels
    if settings.separation == "augment" and "separated" in log_mels:
        original, separated = log_mels["original"], log_mels["separated"]
        return Spectrograms(original, original), Spectrograms(separated, separated)
    return recording.spectrograms, None


def _short(clips: Iterable[Clip], spectrograms: Sequence[Spectrograms], settings: SystemSettings) -> list[str]:
    plan = network_plan(settings)
    n_frames = 0 if plan is None else plan.segment_frames
    short = [clip for clip, own in zip(clips, spectrograms, strict=True) if own.input.shape[-1] < n_frames]
    return _named(f"shorter than one segment of {n_frames} frames, repeated to fill it", short)


def _named(what: str, clips: Sequence[Clip]) -> list[str]:
    return [f"{len(clips)} training clip(s) {what}: {clips[0].path.name}"] if clips else []
