"""Recordings that are open: their blocks of samples, all that the file holds."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.audio.containers.examine import views_of_sound
from soundness.audio.containers.flac import holds_another_flac
from soundness.audio.containers.views import FileView, SoundView
from soundness.audio.formats import MEDIA_SUFFIXES, TABLE_SUFFIXES, coding_of
from soundness.audio.media import MediaFile, has_pyav
from soundness.audio.tables.reading import TableFile
from soundness.errors import AudioError, UnreadableError
from soundness.extras import install_command
from soundness.regular_files import NotAFileError, open_regular
from soundness.settings.system import AudioSettings

__all__ = ["AS_STATED", "AudioInfo", "Recording", "opened"]

AS_STATED = AudioSettings()
"""Settings with which tables of numbers are read as they themselves state."""

_NOT_AUDIO = "not audio, or damaged; expected a format that libsndfile reads"


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Header of a recording: sample rate in Hz, number of channels, and samples per channel.

    ``note`` says in one line where the file's own header was wrong about the sound that is there; else it is empty.
    ``coding`` names a coding that changes the sound, such as MP3; it is empty for samples of 16 bits or more.
    """

    sample_rate: int
    n_channels: int
    n_samples: int
    note: str = ""
    coding: str = ""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.sample_rate


class Decoder(Protocol):
    """Sound of one part of a file."""

    sample_rate: int
    n_channels: int
    coding: str

    def count(self) -> int:
        """Samples per channel."""

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time."""


class Recording:
    """An open recording.

    Parameters
    ----------
    parts
        Its decoders; parts follow each other.
    stated
        The length that its header states as a fraction of the sound that is there, or ``None``; see `SoundView`.

    Raises
    ------
    AudioError
        If the parts differ in sample rate or number of channels.
    """

    def __init__(self, parts: Sequence[Decoder], *, stated: float | None) -> None:
        forms = sorted({(part.sample_rate, part.n_channels) for part in parts})
        if len(forms) > 1:
            raise AudioError("parts of different form, one behind the other: " + ", ".join(map(_form, forms)))
        self.sample_rate, self.n_channels = forms[0]
        self._parts, self._stated = parts, stated

    def info(self) -> AudioInfo:
        """Form and length; the length of a format that states none is that of the decoded sound."""
        return AudioInfo(self.sample_rate, self.n_channels, self._count(), self.note, self.coding)

    @property
    def coding(self) -> str:
        """See `AudioInfo`."""
        return self._parts[0].coding

    @property
    def note(self) -> str:
        """See `AudioInfo`."""
        if self._stated is None:
            return ""
        seconds = self._count() / self.sample_rate
        stated = f"its header says {seconds * self._stated:.1f} s"
        return f"{stated}; {seconds:.1f} s of sound are there, all of it is read"

    def _count(self) -> int:
        return sum(part.count() for part in self._parts)

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time.

        Raises
        ------
        AudioError
            If there are none, fewer than the header says, or some that are not finite.
        """
        n_read = 0
        for block in chain.from_iterable(part.blocks(block_samples) for part in self._parts):
            is_finite = np.isfinite(block).all(axis=1)
            if not is_finite.all():
                position = (n_read + int(np.argmin(is_finite))) / self.sample_rate
                raise AudioError(f"holds samples that are no numbers (NaN or infinite), at {position:.3f} s")
            n_read += len(block)
            yield block
        if n_read == 0:
            raise UnreadableError("0 samples; a clip needs at least 1")


@contextmanager
def opened(path: Path, audio: AudioSettings = AS_STATED) -> Iterator[Recording]:
    """Open a recording whose file holds what its header says, or more; every `AudioError` within names the file.

    The ``rate`` and the ``columns`` of ``audio`` say how a table of numbers is read.
    """
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(_raw(path))
            if path.suffix.lower() in TABLE_SUFFIXES:
                yield Recording([TableFile(raw, path, audio)], stated=None)
                return
            views = views_of_sound(raw, os.fstat(raw.fileno()).st_size)
            parts = [_decoder(raw, view, path.suffix.lower(), stack) for view in views]
            yield Recording(parts, stated=views[0].stated)
    except AudioError as error:
        raise error.at(path) from error.__cause__


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]  # it ships no types
    """A sound file that is read forwards: to seek at the end of a FLAC of unknown length is an error of libsndfile."""

    def seekable(self) -> bool:
        """False, so that python-soundfile does not seek to where it is after each read."""
        return False


class _SndfileDecoder:
    """Sound in a file that libsndfile decodes; ``n_samples`` per channel is ``None`` where it knows them."""

    def __init__(self, file: soundfile.SoundFile, n_samples: int | None, raw: BinaryIO) -> None:
        self._raw = raw
        self.sample_rate: int = file.samplerate
        self.n_channels: int = file.channels
        self.coding = coding_of(file.subtype)
        self._file = file
        self._n_samples: int = file.frames if n_samples is None else n_samples

    def count(self) -> int:
        """Samples per channel."""
        return self._n_samples

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples; see `Decoder`."""
        n_read, n_samples = 0, self._n_samples
        while (size := min(block_samples, n_samples - n_read)) > 0:
            try:
                block: Waveform = self._file.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError as error:
                raise UnreadableError("damaged or truncated; its sound cannot be decoded to the end") from error
            if len(block) == 0:
                break
            n_read += len(block)
            yield block
        if n_read < n_samples:
            raise UnreadableError(f"truncated; its header says {n_samples:,} samples, it holds {n_read:,}")
        if self._file.format == "FLAC" and holds_another_flac(self._raw):
            raise AudioError("two recordings in one file, one behind the other; split it")


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


def _decoder(raw: BinaryIO, view: SoundView, suffix: str, stack: ExitStack) -> Decoder:
    is_whole = view.segments is None
    file = raw if view.segments is None else cast("BinaryIO", FileView(raw, view.segments))
    try:
        if is_whole:
            os.lseek(raw.fileno(), 0, os.SEEK_SET)  # libsndfile takes it for the beginning
        sound_file = _SoundFile(raw.fileno(), closefd=False) if is_whole else _SoundFile(file)
        return _SndfileDecoder(stack.enter_context(sound_file), view.n_samples, raw)
    except soundfile.SoundFileError as error:
        if has_pyav():
            if is_whole:  # libsndfile has moved the position behind the back of its buffer
                anew = stack.enter_context(os.fdopen(raw.fileno(), "rb", closefd=False))
                whole = ((0, os.fstat(raw.fileno()).st_size),)  # FFmpeg would seek beyond what a disk can hold
                file = cast("BinaryIO", FileView(anew, whole))
            return _media(file, suffix, error)
        if suffix in MEDIA_SUFFIXES:
            raise AudioError(f"read through PyAV, which is not installed: {install_command('media')}") from error
        raise UnreadableError(_NOT_AUDIO) from error


def _media(file: BinaryIO, suffix: str, error: soundfile.SoundFileError) -> Decoder:
    try:
        return MediaFile(file)
    except UnreadableError:
        if suffix in MEDIA_SUFFIXES:
            raise
        raise UnreadableError(_NOT_AUDIO) from error


def _form(form: tuple[int, int]) -> str:
    return f"{form[1]} channel(s) at {form[0]} Hz"
