"""Recordings read the way a system listens to them, and a machine's training clips as log-mels."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import LogMel, Spectrograms
from soundness.audio.log_mel_cache import KeptRecording, SpectrogramStore
from soundness.audio.reading import read_info, read_waveform
from soundness.data.clips import Clip
from soundness.data.datasets import FEWEST_TRAINING_CLIPS, Machine
from soundness.detectors.detector import one_channel
from soundness.detectors.normal_clips import NormalClips
from soundness.errors import AudioError, DataError
from soundness.representations.conditions import Condition, condition_of
from soundness.settings.system import SystemSettings
from soundness.threads import ThreadLimit, one_blas_thread

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = [
    "Heard",
    "HeardRecording",
    "Listener",
    "check_training_clips",
    "hear",
    "name_of",
    "noise_clips",
    "one_thread_each",
    "read_recording",
    "remembered",
    "spectrograms_of",
]


@dataclass(frozen=True, slots=True)
class Heard:
    """A machine's training clips, as the rest of the training sees them.

    Parameters
    ----------
    machine_type
        The machine's name.
    clips
        In the order of their names.
    spectrograms
        What the representation gets of each clip.
    copies
        What was separated from each clip, where it is further training material; empty elsewhere.
    notes
        What is odd about the clips.
    seconds
        Wall-clock time that reading and separating took.
    separation_seconds
        The part of it that separating took.
    conditions
        What a network may be told of each clip.
    pseudo_labelled
        Which clips have a pseudo-label in the place of attributes.
    noise
        Log-mels of noise-only supplemental clips, where a network is trained with them; empty elsewhere.
    """

    machine_type: str
    clips: tuple[Clip, ...]
    spectrograms: tuple[Spectrograms, ...]
    copies: tuple[Spectrograms, ...]
    notes: tuple[str, ...]
    seconds: float
    separation_seconds: float
    conditions: tuple[Condition, ...]
    pseudo_labelled: tuple[int, ...] = ()
    noise: tuple[NDArray[np.float32], ...] = ()


def read_recording(path: Path, settings: SystemSettings, *, max_seconds: float | None = None) -> NDArray[np.float32]:
    """Read a recording as a system needs it; no more of it than ``max_seconds``, where that is not ``None``.

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
        max_samples=None if max_seconds is None else round(max_seconds * settings.audio.sample_rate),
    )


@dataclass(frozen=True, slots=True)
class HeardRecording:
    """One recording, as a system hears it.

    Parameters
    ----------
    original, separated
        Log-mels in dB, shape ``(mel, frame)``; ``None`` where the system has no use for it.
    has_sound
        Whether the recording is anything but digital silence.
    n_samples
        Its length at the system's sample rate.
    separation_seconds
        Wall-clock time that separating took.
    """

    original: NDArray[np.float32] | None
    separated: NDArray[np.float32] | None
    has_sound: bool
    n_samples: int
    separation_seconds: float


class Listener:
    """Hears recordings the way a system does; what another listener of the same store heard is not heard again.

    Parameters
    ----------
    settings
        Of the system; its ``separation`` is no longer ``auto``.
    separator
        What recordings go through; ``None`` where they are heard as they are.
    store
        Where log-mels are kept; ``None`` to keep none.
    """

    def __init__(
        self, settings: SystemSettings, separator: "Separator | None", store: SpectrogramStore | None = None
    ) -> None:
        self.settings = settings
        self.separator = separator
        self.store = store
        self._log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)
        self._fingerprint = "" if separator is None else separator.fingerprint

    def hear(self, path: Path) -> HeardRecording:
        """One recording.

        Raises
        ------
        AudioError
            If it cannot be used; the message does not always name it.
        """
        wanted = [""] if self.settings.separation != "denoise" or self.separator is None else []
        wanted += [] if self.separator is None else [self._fingerprint]
        found = {name: self._kept(path, name) for name in wanted}
        waveform: NDArray[np.float32] | None = None
        seconds = 0.0
        kept: dict[str, KeptRecording] = {}
        for name, before in found.items():
            if before is not None:
                kept[name] = before
                continue
            if waveform is None:
                waveform = one_channel(read_recording(path, self.settings), channel=self.settings.audio.channel)
            started = time.perf_counter()
            heard = waveform if name == "" or self.separator is None else self.separator.separate(waveform)[0]
            seconds += 0.0 if name == "" else time.perf_counter() - started
            kept[name] = self._keep(path, name, heard, waveform)
        original, separated = kept.get(""), kept.get(self._fingerprint) if self._fingerprint else None
        first = next(iter(kept.values()))
        return HeardRecording(
            None if original is None else original.log_mel,
            None if separated is None else separated.log_mel,
            first.has_sound,
            first.n_samples,
            seconds,
        )

    def _kept(self, path: Path, separator: str) -> KeptRecording | None:
        return None if self.store is None else self.store.get(path, self.settings, separator=separator)

    def _keep(
        self, path: Path, separator: str, heard: NDArray[np.float32], waveform: NDArray[np.float32]
    ) -> KeptRecording:
        log_mel = self._log_mel(heard[0])
        if not np.isfinite(log_mel).all():
            raise AudioError("too loud: its spectrum overflows")
        kept = KeptRecording(log_mel, bool(waveform.any()), waveform.shape[-1])
        if self.store is not None:
            self.store.put(path, self.settings, kept, separator=separator)
        return kept


def spectrograms_of(heard: HeardRecording) -> Spectrograms:
    """What a representation gets of a recording: what a network reads, and what it is to reconstruct."""
    given = heard.separated if heard.original is None else heard.original
    wanted = heard.original if heard.separated is None else heard.separated
    assert given is not None  # a listener wants one of them at least
    assert wanted is not None
    return Spectrograms(given, wanted)


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
    store: SpectrogramStore | None = None,
) -> Heard:
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
    listener = Listener(settings, separator, store)

    def read(clip: Clip) -> HeardRecording:
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
        noise = tuple(spectrograms_of(result).given for result in pool.map(read, noise_clips(machine, settings)))
    pairs = [_paired(result, settings) for result in results]
    spectrograms = tuple(own for own, _ in pairs)
    copies = tuple(copy for _, copy in pairs if copy is not None)
    silent = [clip for clip, result in zip(machine.train, results, strict=True) if not result.has_sound]
    notes = _named("digital silence", silent) + _short(machine.train, spectrograms, settings)
    seconds = time.perf_counter() - started
    separating = sum(result.separation_seconds for result in results) / n_workers
    conditions = tuple(condition_of(clip) for clip in machine.train)
    return Heard(
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
    if not settings.is_embedding or settings.embedding.noise_share == 0.0 or settings.separation == "denoise":
        return ()
    return tuple(clip for clip in machine.supplemental if clip.supplemental == "noise")


def remembered(heard: Heard) -> NormalClips:
    """What a detector remembers of its training clips."""
    return NormalClips.of(
        [clip.wanted for clip in heard.spectrograms],
        names=[name_of(clip) for clip in heard.clips],
        domains=[clip.domain or "" for clip in heard.clips],
        n_channels=[read_info(clip.path).n_channels for clip in heard.clips],
    )


def name_of(clip: Clip) -> str:
    """Folder and file of a clip, by which it is remembered."""
    return "/".join(clip.path.parts[-2:])


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Recordings are heard in parallel, each by one thread: faster, and the same on any number of cores."""
    is_loaded = "torch" in sys.modules  # where it is not, nothing needs it
    with one_blas_thread(), _ONE_TORCH_THREAD() if is_loaded else nullcontext():
        yield


def _torch_threads() -> int:
    import torch

    return torch.get_num_threads()


def _set_torch_threads(n_threads: int) -> None:
    import torch

    torch.set_num_threads(n_threads)


_ONE_TORCH_THREAD = ThreadLimit(_torch_threads, _set_torch_threads)


def _paired(heard: HeardRecording, settings: SystemSettings) -> tuple[Spectrograms, Spectrograms | None]:
    """What stands for a clip, and its separated copy where that is used to train with."""
    if heard.separated is not None and settings.separation == "augment" and heard.original is not None:
        return Spectrograms(heard.original, heard.original), Spectrograms(heard.separated, heard.separated)
    return spectrograms_of(heard), None


def _short(clips: Iterable[Clip], heard: Sequence[Spectrograms], settings: SystemSettings) -> list[str]:
    n_frames = settings.segment_frames
    if n_frames is None:
        return []
    short = [clip for clip, own in zip(clips, heard, strict=True) if own.given.shape[-1] < n_frames]
    return _named(f"shorter than one segment of {n_frames} frames, repeated to fill it", short)


def _named(what: str, clips: Sequence[Clip]) -> list[str]:
    return [f"{len(clips)} training clip(s) {what}: {clips[0].path.name}"] if clips else []
