"""Recordings that are open: their blocks of samples, all that the file holds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.audio.containers.examine import view_of_sound
from soundness.audio.containers.views import FileView, SoundView
from soundness.errors import AudioError, UnreadableError
from soundness.regular_files import NotAFileError, open_regular

__all__ = ["AudioInfo", "Recording", "opened"]

_UNKNOWN_LENGTH = 2**62  # libsndfile reports such counts for a stream without a length in its header


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Header of a recording: sample rate in Hz, number of channels, and samples per channel.

    ``note`` says in one line where the file's own header was wrong about the sound that is there; else it is empty.
    """

    sample_rate: int
    n_channels: int
    n_samples: int
    note: str = ""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.sample_rate


class Recording:
    """An open recording.

    Parameters
    ----------
    file
        Its decoder.
    view
        The part of the file that the decoder reads.
    """

    def __init__(self, file: soundfile.SoundFile, view: SoundView) -> None:
        n_samples: int = file.frames if view.n_samples is None else view.n_samples
        self._file = file
        self.info = AudioInfo(file.samplerate, file.channels, n_samples, _note(n_samples / file.samplerate, view))

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time.

        Raises
        ------
        AudioError
            If there are none, fewer than the header says, or some that are not finite.
        """
        n_read, n_stated = 0, self.info.n_samples
        while len(block := self._next(min(block_samples, max(n_stated - n_read, 1)))) > 0:
            is_finite = np.isfinite(block).all(axis=1)
            if not is_finite.all():
                position = (n_read + int(np.argmin(is_finite))) / self.info.sample_rate
                raise AudioError(f"holds samples that are no numbers (NaN or infinite), at {position:.3f} s")
            n_read += len(block)
            yield block
        if n_read == 0:
            raise UnreadableError("0 samples; a clip needs at least 1")
        if n_read < n_stated < _UNKNOWN_LENGTH:
            raise UnreadableError(f"truncated; its header says {n_stated:,} samples, it holds {n_read:,}")

    def _next(self, n_samples: int) -> Waveform:
        try:
            block: Waveform = self._file.read(n_samples, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise UnreadableError("damaged or truncated; its sound cannot be decoded to the end") from error
        return block


@contextmanager
def opened(path: Path) -> Iterator[Recording]:
    """Open a recording whose file holds what its header says, or more; every `AudioError` within names the file."""
    try:
        with _raw(path) as raw:
            view = view_of_sound(raw, os.fstat(raw.fileno()).st_size)
            with _decoder(raw, view) as file:
                yield Recording(file, view)
    except AudioError as error:
        raise error.at(path) from error.__cause__


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]  # it ships no types
    """A sound file that is read forwards: to seek at the end of a FLAC of unknown length is an error of libsndfile."""

    def seekable(self) -> bool:
        """False, so that python-soundfile does not seek to where it is after each read."""
        return False


def _raw(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".raw":
        raise AudioError("header-less audio; expected a format with a header, such as WAV")
    try:
        file = open_regular(path)
    except FileNotFoundError as error:
        raise UnreadableError("no such file; expected an audio file") from error
    except PermissionError as error:
        raise UnreadableError("no permission to read it") from error
    except NotAFileError as error:
        raise AudioError(f"expected an audio file, found {error.kind}") from error
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror})") from error
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise UnreadableError("empty file (0 bytes); expected audio")
    return file


def _decoder(raw: BinaryIO, view: SoundView) -> soundfile.SoundFile:
    try:
        if view.segments is not None:
            return _SoundFile(FileView(raw, view.segments))
        os.lseek(raw.fileno(), 0, os.SEEK_SET)  # libsndfile takes it for the beginning
        return _SoundFile(raw.fileno(), closefd=False)
    except soundfile.SoundFileError as error:
        raise UnreadableError("not audio, or damaged; expected a format that libsndfile reads") from error


def _note(seconds: float, view: SoundView) -> str:
    if view.stated is None:
        return ""
    return f"its header says {seconds * view.stated:.1f} s; {seconds:.1f} s of sound are there, all of it is read"
