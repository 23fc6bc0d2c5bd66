"""Recordings in files as the spectrograms that a system uses, kept in a cache where there is one."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.audio.decoding import Recording
from soundness.audio.log_mel import Spectrograms
from soundness.audio.log_mel_cache import CachedLogMel, LogMelCache
from soundness.audio.reading import Observer, pick_channel, read_info, read_waveform
from soundness.audio.spectra.details import ClipDetails
from soundness.audio.windows import ClipLength, Window, is_long, read_windows
from soundness.data.clips import Clip
from soundness.detectors.front_end import Completion, FrontEnd, Source, pair
from soundness.errors import UnreadableError, audio_errors_at
from soundness.settings.system import SystemSettings

__all__ = ["RecordingLogMels", "RecordingReader", "read_recording", "read_window"]


def read_recording(path: Path, settings: SystemSettings, *, max_seconds: float | None = None) -> Waveform:
    """Read a recording for a system, up to ``max_seconds`` of it.

    Returns
    -------
    ndarray
        Waveform in [-1, 1] at the system's sample rate, shape ``(channel, time)``.

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
        audio=settings.audio,
    )


def read_window(
    path: Path, settings: SystemSettings, *, clip_seconds: float, start_seconds: float, is_overlapping: bool = True
) -> Waveform:
    """Read the window of a recording that begins at a time, or the recording that is one window.

    Parameters
    ----------
    path, settings
        See `read_recording`, as for the errors.
    clip_seconds, is_overlapping
        See `RecordingReader.windows`.
    start_seconds
        Start of the window.

    Returns
    -------
    ndarray
        The channel that is used, in [-1, 1] at the system's sample rate, shape ``(1, time)``.
    """
    start = round(start_seconds * settings.audio.sample_rate)
    found = None
    for window in _windows(path, settings, clip_seconds=clip_seconds, is_overlapping=is_overlapping):
        if found is not None and window.start > start:
            break
        found = window.waveform
    assert found is not None  # a recording has a window
    return found


def _windows(
    path: Path,
    settings: SystemSettings,
    *,
    clip_seconds: float,
    is_overlapping: bool,
    start_seconds: float = 0.0,
    max_seconds: float | None = None,
    observer: Observer | None = None,
) -> Iterator[Window]:
    rate = settings.audio.sample_rate
    return read_windows(
        path,
        sample_rate=rate,
        fmax=settings.log_mel.fmax,
        clip=ClipLength(n_samples=round(clip_seconds * rate), is_overlapping=is_overlapping),
        min_samples=settings.log_mel.n_fft,
        samples=slice(round(start_seconds * rate), None if max_seconds is None else round(max_seconds * rate)),
        audio=settings.audio,
        observer=observer,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordingLogMels:
    """Log-mels of one recording.

    Parameters
    ----------
    log_mels
        Log-mels in dB of the sounds that the system uses, each of shape ``(mel, frame)``.
    details
        Details of the sound that is scored; ``None`` in a system that does not use them.
    has_sound
        True if the channel is not digital silence.
    n_samples
        Length at the system's sample rate.
    separation_seconds
        Wall-clock time of the separation.
    start_seconds
        Start in the recording, where these are log-mels of a part of it.
    """

    log_mels: Mapping[Source, NDArray[np.float32]]
    has_sound: bool
    n_samples: int
    separation_seconds: float
    start_seconds: float = 0.0
    details: ClipDetails | None = None

    @property
    def spectrograms(self) -> Spectrograms:
        """Spectrograms that the representation takes."""
        return pair(self.log_mels, self.details)


class RecordingReader:
    """Reads recordings for a system; what is in the cache is not computed again.

    Parameters
    ----------
    front_end
        Front end of the system.
    cache
        Log-mels kept on disk; ``None`` to keep none.
    completion_of
        Gives what is applied to the log-mels of a recording of a sample rate in Hz, and ``None`` where they stay as
        they are; ``None`` to leave all as they are.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        cache: LogMelCache | None = None,
        completion_of: Callable[[int], Completion | None] | None = None,
    ) -> None:
        self.front_end = front_end
        self.cache = cache
        self._completion_of = completion_of

    def completion(self, path: Path) -> Completion | None:
        """Function that is applied to the log-mels of a recording, see `RecordingReader`; ``None`` to leave them."""
        if self._completion_of is None:
            return None
        return self._completion_of(read_info(path, audio=self.front_end.settings.audio).sample_rate)

    def read(self, path: Path, *, max_seconds: float | None = None) -> RecordingLogMels:
        """Read a recording, up to ``max_seconds`` of it.

        Raises
        ------
        AudioError
            If it cannot be used.
        """
        cache = self.cache if max_seconds is None else None
        found = {source: self._cached(path, source, cache) for source in self.front_end.sources}
        seconds = 0.0
        missing = [source for source, kept in found.items() if kept is None]
        if missing:
            with audio_errors_at(path):
                waveform = read_recording(path, self.front_end.settings, max_seconds=max_seconds)
                channel = pick_channel(waveform, channel=self.front_end.settings.audio.channel)
                computed, seconds = self._compute(channel, missing)
            found |= computed
            if cache is not None:
                for source, kept in computed.items():
                    cache.put(path, self.front_end.settings, kept, separator=self._cache_key(source))
        log_mels = {source: kept for source, kept in found.items() if kept is not None}
        return _completed(_log_mels(log_mels, separation_seconds=seconds), self.completion(path))

    def read_clips(self, clips: Sequence[Clip]) -> list[RecordingLogMels]:
        """Read the clips of one recording, see `soundness.data.clips.by_recording`.

        Raises
        ------
        AudioError
            If it cannot be used, or is shorter than its header says.
        """
        path, part = clips[0].path, clips[0].part
        if part is None:
            return [self.read(clip.path) for clip in clips]
        wanted = {round(clip.part.start_seconds / part.seconds) for clip in clips if clip.part is not None}
        windows = self.windows(path, clip_seconds=part.seconds, is_overlapping=False)
        found = [window for index, window in enumerate(windows) if index in wanted]
        if len(found) < len(clips):
            raise UnreadableError(f"{len(found)} clips of {part.seconds:g} s; its header says more", path=path)
        return found

    def windows(
        self,
        path: Path,
        *,
        clip_seconds: float,
        is_overlapping: bool = True,
        start_seconds: float = 0.0,
        max_seconds: float | None = None,
        observer: Observer | None = None,
    ) -> Iterator[RecordingLogMels]:
        """Read a recording in windows, see `soundness.audio.windows.read_windows`; only a whole one is kept.

        Parameters
        ----------
        path
            The recording.
        clip_seconds
            Length of a window.
        is_overlapping
            See `soundness.audio.windows.ClipLength`.
        start_seconds, max_seconds
            Part of the recording that is read: from a time on, up to another; ``None`` for the end.
        observer
            See `soundness.audio.reading.read_channel`; it is not called where the cache holds the recording.

        Raises
        ------
        AudioError
            If it cannot be used.
        """
        settings = self.front_end.settings
        rate = settings.audio.sample_rate
        is_all = max_seconds is None and start_seconds == 0.0
        whole = self._whole_from_cache(path) if is_all else None
        if whole is not None and not is_long(whole.n_samples, round(clip_seconds * rate)):
            yield _completed(whole, self.completion(path))
            return
        completions: list[Completion | None] = []

        def begin(recording: Recording) -> Callable[[Waveform], None] | None:
            completions.append(None if self._completion_of is None else self._completion_of(recording.sample_rate))
            return None if observer is None else observer(recording)

        for window in _windows(
            path,
            settings,
            clip_seconds=clip_seconds,
            is_overlapping=is_overlapping,
            start_seconds=start_seconds,
            max_seconds=max_seconds,
            observer=begin,
        ):
            with audio_errors_at(path):
                computed, seconds = self._compute(window.waveform, self.front_end.sources)
            if self.cache is not None and is_all and window.is_whole:
                for source, kept in computed.items():
                    self.cache.put(path, settings, kept, separator=self._cache_key(source))
            found = _log_mels(computed, separation_seconds=seconds, start_seconds=start_seconds + window.start / rate)
            yield _completed(found, completions[0])

    def _whole_from_cache(self, path: Path) -> RecordingLogMels | None:
        if self.cache is None:
            return None
        found = {source: self._cached(path, source, self.cache) for source in self.front_end.sources}
        kept = {source: one for source, one in found.items() if one is not None}
        return _log_mels(kept, separation_seconds=0.0) if len(kept) == len(found) else None

    def _compute(self, channel: Waveform, sources: Sequence[Source]) -> tuple[dict[Source, CachedLogMel], float]:
        """Log-mels of a recording, and the time of the separation in seconds."""
        computed: dict[Source, CachedLogMel] = {}
        seconds = 0.0
        has_sound = bool((channel != channel[..., :1]).any())
        for source in sources:
            started = time.perf_counter()
            sound = self.front_end.machine_sound(channel, source)
            seconds += time.perf_counter() - started if source == "separated" else 0.0
            details = self.front_end.details(sound) if source == self.front_end.reference_source else None
            computed[source] = CachedLogMel(self.front_end.log_mel(sound), has_sound, channel.shape[-1], details)
        return computed, seconds

    def _cached(self, path: Path, source: Source, cache: LogMelCache | None) -> CachedLogMel | None:
        if cache is None:
            return None
        return cache.get(path, self.front_end.settings, separator=self._cache_key(source))

    def _cache_key(self, source: Source) -> str:
        return "" if source == "original" else self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return "" if self.front_end.separator is None else self.front_end.separator.fingerprint


def _completed(found: RecordingLogMels, completion: Completion | None) -> RecordingLogMels:
    if completion is None:
        return found
    log_mels = {source: completion.log_mel(log_mel) for source, log_mel in found.log_mels.items()}
    return replace(found, log_mels=log_mels, details=completion.details(found.details))


def _log_mels(
    kept: Mapping[Source, CachedLogMel], *, separation_seconds: float, start_seconds: float = 0.0
) -> RecordingLogMels:
    first = next(iter(kept.values()))
    return RecordingLogMels(
        log_mels={source: one.log_mel for source, one in kept.items()},
        has_sound=first.has_sound,
        n_samples=first.n_samples,
        separation_seconds=separation_seconds,
        start_seconds=start_seconds,
        details=next((one.details for one in kept.values() if one.details is not None), None),
    )
