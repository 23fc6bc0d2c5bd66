"""Recordings read the way a system listens to them, and a machine's training clips as log-mels."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import LogMel, Spectrograms
from soundness.audio.log_mel_cache import CachedLogMel, LogMelCache
from soundness.audio.reading import read_waveform
from soundness.data.clips import Clip
from soundness.detectors.front_end import one_channel
from soundness.errors import AudioError
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["RecordingLogMels", "RecordingReader", "name_of", "read_recording", "recording_spectrograms"]


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
class RecordingLogMels:
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


class RecordingReader:
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
        self, settings: SystemSettings, separator: "Separator | None", store: LogMelCache | None = None
    ) -> None:
        self.settings = settings
        self.separator = separator
        self.store = store
        self._log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)
        self._fingerprint = "" if separator is None else separator.fingerprint

    def hear(self, path: Path) -> RecordingLogMels:
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
        kept: dict[str, CachedLogMel] = {}
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
        return RecordingLogMels(
            None if original is None else original.log_mel,
            None if separated is None else separated.log_mel,
            first.has_sound,
            first.n_samples,
            seconds,
        )

    def _kept(self, path: Path, separator: str) -> CachedLogMel | None:
        return None if self.store is None else self.store.get(path, self.settings, separator=separator)

    def _keep(
        self, path: Path, separator: str, heard: NDArray[np.float32], waveform: NDArray[np.float32]
    ) -> CachedLogMel:
        log_mel = self._log_mel(heard[0])
        if not np.isfinite(log_mel).all():
            raise AudioError("too loud: its spectrum overflows")
        kept = CachedLogMel(log_mel, bool(waveform.any()), waveform.shape[-1])
        if self.store is not None:
            self.store.put(path, self.settings, kept, separator=separator)
        return kept


def recording_spectrograms(heard: RecordingLogMels) -> Spectrograms:
    """What a representation gets of a recording: what a network reads, and what it is to reconstruct."""
    given = heard.separated if heard.original is None else heard.original
    wanted = heard.original if heard.separated is None else heard.separated
    assert given is not None  # a listener wants one of them at least
    assert wanted is not None
    return Spectrograms(given, wanted)


def name_of(clip: Clip) -> str:
    """Folder and file of a clip, by which it is remembered."""
    return "/".join(clip.path.parts[-2:])
