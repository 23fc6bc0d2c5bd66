"""A machine's training clips, checked and read."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from soundness.audio.log_mel import Spectrograms
from soundness.audio.log_mel_cache import LogMelCache
from soundness.audio.reading import read_info
from soundness.data.clips import Clip, condition_of
from soundness.data.datasets import FEWEST_TRAINING_CLIPS, Machine
from soundness.detectors.normal_clips import NormalClips
from soundness.errors import AudioError, DataError
from soundness.representations.protocol import MachineSpectrograms, network_plan
from soundness.settings.system import SystemSettings
from soundness.threads import one_thread_each

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator
from soundness.detectors.reader import RecordingLogMels, RecordingReader, name_of, recording_spectrograms

__all__ = ["check_training_clips", "hear", "noise_clips", "remembered"]


def check_training_clips(machine: Machine, settings: SystemSettings) -> None:
    """Refuse what no training should start with, from names and headers alone.

    Raises
    ------
    DataError
        If there are fewer than three training clips, one is labelled anomalous, or two are of the same name.
    AudioError
        If the header of one says that it cannot be used.
    """
    clips = machine.train
    if len(clips) < FEWEST_TRAINING_CLIPS:
        raise DataError(
            f"{machine.root}: {len(clips)} training clip(s) of {machine.machine_type}; "
            f"at least {FEWEST_TRAINING_CLIPS} are needed"
        )
    by_stem: dict[str, Clip] = {}
    for clip in clips:
        if clip.label == "anomaly":
            raise DataError(f"{clip.path}: labelled anomalous; a detector learns from normal clips alone")
        other = by_stem.setdefault(clip.path.stem, clip)
        if other is not clip:
            raise DataError(
                f"{clip.path}: of the same name as {other.path}; each training clip needs a name of its own"
            )
        info = read_info(clip.path)
        if info.sample_rate / 2 < settings.log_mel.fmax:
            highest = f"{info.sample_rate / 2:g}"
            raise AudioError(
                f"{clip.path}: recorded at {info.sample_rate} Hz, so nothing above {highest} Hz; the detector listens "
                f"up to {settings.log_mel.fmax:g} Hz; --set log_mel.fmax={highest} lets it listen up to there"
            )


def hear(
    machine: Machine,
    settings: SystemSettings,
    separator: "Separator | None",
    *,
    advance: Callable[[], None],
    store: LogMelCache | None = None,
) -> MachineSpectrograms:
    """Read a machine's training clips, and separate them where the system does.

    Parameters
    ----------
    machine
        With training clips that passed `check_training_clips`.
    settings
        Of the whole system; its ``separation`` is no longer ``auto``.
    separator
        Where ``separation`` is not ``off``.
    advance
        Is called after each clip, in the thread of the caller.
    store
        Where log-mels are kept between systems; ``None`` to keep none.

    Raises
    ------
    AudioError
        If a clip cannot be used.
    """
    started = time.perf_counter()
    listener = RecordingReader(settings, separator, store)

    def read(clip: Clip) -> RecordingLogMels:
        try:
            return listener.hear(clip.path)
        except AudioError as error:
            raise AudioError(f"{clip.path}: {str(error).removeprefix(f'{clip.path}: ')}") from None

    results = []
    n_workers = os.cpu_count() or 1
    with one_thread_each(), ThreadPoolExecutor(n_workers) as pool:
        for result in pool.map(read, machine.train):
            results.append(result)
            advance()
        noise = tuple(recording_spectrograms(result).input for result in pool.map(read, noise_clips(machine, settings)))
    pairs = [_paired(result, settings) for result in results]
    spectrograms = tuple(own for own, _ in pairs)
    copies = tuple(copy for _, copy in pairs if copy is not None)
    silent = [clip for clip, result in zip(machine.train, results, strict=True) if not result.has_sound]
    notes = _named("digital silence", silent) + _short(machine.train, spectrograms, settings)
    seconds = time.perf_counter() - started
    separating = sum(result.separation_seconds for result in results) / n_workers
    conditions = tuple(condition_of(clip) for clip in machine.train)
    return MachineSpectrograms(
        machine.machine_type,
        machine.train,
        spectrograms,
        copies,
        tuple(notes),
        seconds,
        separating,
        conditions,
        noise=noise,
    )


def noise_clips(machine: Machine, settings: SystemSettings) -> tuple[Clip, ...]:
    """The noise-only supplemental clips that a system's network is trained with; none in most systems."""
    plan = network_plan(settings)
    if plan is None or not plan.has_noise or settings.separation == "denoise":
        return ()
    return tuple(clip for clip in machine.supplemental if clip.supplemental == "noise")


def remembered(heard: MachineSpectrograms) -> NormalClips:
    """What a detector remembers of its training clips."""
    return NormalClips.from_log_mels(
        [clip.reference for clip in heard.spectrograms],
        names=[name_of(clip) for clip in heard.clips],
        domains=[clip.domain or "" for clip in heard.clips],
        n_channels=[read_info(clip.path).n_channels for clip in heard.clips],
    )


def _paired(heard: RecordingLogMels, settings: SystemSettings) -> tuple[Spectrograms, Spectrograms | None]:
    """What stands for a clip, and its separated copy where that is used to train with."""
    if heard.separated is not None and settings.separation == "augment" and heard.original is not None:
        return Spectrograms(heard.original, heard.original), Spectrograms(heard.separated, heard.separated)
    return recording_spectrograms(heard), None


def _short(clips: Iterable[Clip], heard: Sequence[Spectrograms], settings: SystemSettings) -> list[str]:
    plan = network_plan(settings)
    n_frames = 0 if plan is None else plan.segment_frames
    short = [clip for clip, own in zip(clips, heard, strict=True) if own.input.shape[-1] < n_frames]
    return _named(f"shorter than one segment of {n_frames} frames, repeated to fill it", short)


def _named(what: str, clips: Sequence[Clip]) -> list[str]:
    return [f"{len(clips)} training clip(s) {what}: {clips[0].path.name}"] if clips else []
