"""Recordings read the way a system listens to them, and a machine's training clips as log-mels."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from soundness.audio import read_info, read_waveform
from soundness.clips import Clip
from soundness.datasets import FEWEST_TRAINING_CLIPS, Machine
from soundness.detector import channel_log_mel
from soundness.errors import AudioError, DataError
from soundness.features import LogMel
from soundness.settings import SystemSettings

__all__ = ["Heard", "check_training_clips", "hear", "read_recording"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A machine's training clips, as the rest of the training sees them.

    Parameters
    ----------
    machine_type
        The machine's name.
    clips
        In the order of their names.
    log_mels
        dB, one of shape ``(mel, frame)`` for each clip.
    notes
        What is odd about the clips.
    seconds
        Wall-clock time that reading took.
    """

    machine_type: str
    clips: tuple[Clip, ...]
    log_mels: tuple[Tensor, ...]
    notes: tuple[str, ...]
    seconds: float


def read_recording(path: Path, settings: SystemSettings) -> NDArray[np.float32]:
    """Read a recording as a system needs it.

    Returns
    -------
    NDArray[np.float32]
        In [-1, 1] at the system's sample rate, shape ``(channel, time)``.

    Raises
    ------
    AudioError
        If the file cannot be used, is shorter than one frame, or was recorded too slowly for the highest band.
    """
    return read_waveform(
        path,
        sample_rate=settings.audio.sample_rate,
        fmax=settings.log_mel.fmax,
        min_samples=settings.log_mel.n_fft,
    )


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


def hear(machine: Machine, settings: SystemSettings, *, advance: Callable[[], None]) -> Heard:
    """Read a machine's training clips.

    Parameters
    ----------
    machine
        With training clips that passed `check_training_clips`.
    settings
        Of the whole system.
    advance
        Is called after each clip, in the thread of the caller.

    Raises
    ------
    AudioError
        If a clip cannot be used.
    """
    started = time.perf_counter()
    log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)

    def read(clip: Clip) -> tuple[Tensor, bool]:
        waveform = read_recording(clip.path, settings)
        try:
            spectrogram = channel_log_mel(log_mel, waveform, channel=settings.audio.channel)
        except AudioError as error:
            raise AudioError(f"{clip.path}: {error}") from None
        if not spectrogram.isfinite().all():
            raise AudioError(f"{clip.path}: too loud: its spectrum overflows")
        return spectrogram.clone(), bool(waveform[settings.audio.channel].any())

    results = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(read, machine.train):
            results.append(result)
            advance()
    log_mels = tuple(spectrogram for spectrogram, _ in results)
    silent = [clip for clip, (_, has_sound) in zip(machine.train, results, strict=True) if not has_sound]
    notes = _named("digital silence", silent) + _short(machine.train, log_mels, settings)
    return Heard(machine.machine_type, machine.train, log_mels, tuple(notes), time.perf_counter() - started)


def _short(clips: Iterable[Clip], log_mels: Sequence[Tensor], settings: SystemSettings) -> list[str]:
    if settings.autoencoder is None:
        return []
    n_frames = settings.autoencoder.segment_frames
    short = [clip for clip, log_mel in zip(clips, log_mels, strict=True) if log_mel.shape[-1] < n_frames]
    return _named(f"shorter than one segment of {n_frames} frames, repeated to fill it", short)


def _named(what: str, clips: Sequence[Clip]) -> list[str]:
    return [f"{len(clips)} training clip(s) {what}: {clips[0].path.name}"] if clips else []
