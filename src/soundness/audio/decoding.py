"""Recordings that are open: their blocks of samples, all that the file holds."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.audio.containers.examine import views_of_sound
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
    files
        Its decoders, one for each part; parts follow each other.
    views
        The parts of the file that they read.

    Raises
    ------
    AudioError
        If the parts differ in sample rate or number of channels.
    """

    def __init__(self, files: Sequence[soundfile.SoundFile], views: Sequence[SoundView]) -> None:
        forms = sorted({(file.samplerate, file.channels) for file in files})
        if len(forms) > 1:
            raise AudioError("parts of different form, one behind the other: " + ", ".join(map(_form, forms)))
        lengths = [
            file.frames if view.n_samples is None else view.n_samples for file, view in zip(files, views, strict=True)
        ]
        self._parts = list(zip(files, lengths, strict=True))
        (sample_rate, n_channels), n_samples = forms[0], sum(lengths)
        self.info = AudioInfo(sample_rate, n_channels, n_samples, _note(n_samples / sample_rate, views[0]))

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time.

        Raises
        ------
        AudioError
            If there are none, fewer than the header says, or some that are not finite.
        """
        n_read = 0
        for file, n_samples in self._parts:
            for block in _blocks(file, n_samples, block_samples):
                is_finite = np.isfinite(block).all(axis=1)
                if not is_finite.all():
                    position = (n_read + int(np.argmin(is_finite))) / self.info.sample_rate
                    raise AudioError(f"holds samples that are no numbers (NaN or infinite), at {position:.3f} s")
                n_read += len(block)
                yield block
        if n_read == 0:
            raise UnreadableError("0 samples; a clip needs at least 1")


@contextmanager
def opened(path: Path) -> Iterator[Recording]:
    """Open a recording whose file holds what its header says, or more; every `AudioError` within names the file."""
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(_raw(path))
            views = views_of_sound(raw, os.fstat(raw.fileno()).st_size)
            yield Recording([stack.enter_context(_decoder(raw, view)) for view in views], views)
    except AudioError as error:
        raise error.at(path) from error.__cause__


def _blocks(file: soundfile.SoundFile, n_samples: int, block_samples: int) -> Iterator[Waveform]:
    n_read = 0
    while (size := min(block_samples, n_samples - n_read)) > 0:
        try:
            block: Waveform = file.read(size, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise UnreadableError("damaged or truncated; its sound cannot be decoded to the end") from error
        if len(block) == 0:
            break
        n_read += len(block)
        yield block
    if n_read < n_samples < _UNKNOWN_LENGTH:
        raise UnreadableError(f"truncated; its header says {n_samples:,} samples, it holds {n_read:,}")


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


def _form(form: tuple[int, int]) -> str:
    return f"{form[1]} channel(s) at {form[0]} Hz"


def _note(seconds: float, view: SoundView) -> str:
    if view.stated is None:
        return ""
    return f"its header says {seconds * view.stated:.1f} s; {seconds:.1f} s of sound are there, all of it is read"
