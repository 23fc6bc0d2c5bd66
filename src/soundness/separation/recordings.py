"""Separation of many recordings, of any length, from files to files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import CountProgress, PathLike
from soundness.extras import check_extra

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.separation.separator import Separator
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.audio.reading import iter_audio, read_blocks_at, read_info
from soundness.errors import AudioError, DataError, OutputError
from soundness.separation.conv_tasnet import SOURCES
from soundness.separation.separator import Separator

__all__ = ["SeparationReport", "separate", "separate_files"]

_SUBTYPE = "FLOAT"  # machine and noise add up to the recording, and neither can clip


@dataclass(frozen=True, slots=True)
class SeparationReport:
    """What became of the recordings that were to be separated.

    Parameters
    ----------
    n_separated
        How many were.
    seconds
        Length of their sound.
    failures, notes
        A line each, with the file's path.
    """

    n_separated: int
    seconds: float
    failures: tuple[str, ...]
    notes: tuple[str, ...]


def separate_files(
    separator: Separator,
    paths: Iterable[PathLike],
    out: PathLike,
    *,
    has_noise: bool = False,
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> SeparationReport:
    """Write the machine, and what is left, of each recording to WAV files of the separator's sample rate.

    The machine goes to ``out/machine``, the noise to ``out/noise``, under the names that the recordings have below the
    folders that were given. A recording that cannot be used is reported, and all others are separated.

    Parameters
    ----------
    separator
        Trained.
    paths
        Recordings, and folders that are searched for them.
    out
        Folder of the results.
    has_noise
        Write the noise, too.
    overwrite
        Replace recordings that are there.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If there is nothing to separate, or two recordings would be written to one file.
    OutputError
        If a result exists already, or cannot be written.
    """
    out = Path(out)
    kinds = SOURCES if has_noise else SOURCES[:1]
    planned = _planned(paths)
    for result in (out / kind / relative for relative in planned for kind in kinds):
        if not overwrite and result.exists():
            raise OutputError(f"{result}: exists already; --overwrite replaces it")
    failures: list[str] = []
    notes: list[str] = []
    seconds = 0.0
    for done, (relative, path) in enumerate(planned.items(), start=1):
        try:
            info = read_info(path)
            _separate(separator, path, [out / kind / relative for kind in kinds], n_channels=info.n_channels)
        except AudioError as error:
            failures.append(str(error))
        else:
            seconds += info.seconds
            if info.sample_rate != separator.settings.sample_rate:
                notes.append(f"{path}: {info.sample_rate} Hz; written at {separator.settings.sample_rate} Hz")
        if progress is not None:
            progress(done, len(planned))
    return SeparationReport(len(planned) - len(failures), seconds, tuple(failures), tuple(notes))


def _planned(paths: Iterable[PathLike]) -> dict[Path, Path]:
    """The recordings by the names of their results."""
    planned: dict[Path, Path] = {}
    for path in map(Path, paths):
        recordings = iter_audio(path) if path.is_dir() else [path]
        if not path.is_dir() and path.suffix.lower() not in AUDIO_SUFFIXES:
            raise DataError(f"{path}: {'not a recording' if path.exists() else 'no such file or folder'}")
        for recording in recordings:
            relative = recording.relative_to(path) if path.is_dir() else Path(recording.name)
            other = planned.setdefault(relative.with_suffix(".wav"), recording)
            if other.resolve() != recording.resolve():
                raise DataError(f"{recording}: of the same name as {other}; separate them into folders of their own")
    if not planned:
        raise DataError("nothing to separate: no recordings there")
    return planned


def _separate(separator: Separator, path: Path, results: Sequence[Path], *, n_channels: int) -> None:
    rate = separator.settings.sample_rate
    with ExitStack() as stack:
        files = [stack.enter_context(_written(result, rate=rate, n_channels=n_channels)) for result in results]
        for separated in separator.separate_blocks(_transposed(read_blocks_at(path, sample_rate=rate))):
            for file, waveform in zip(files, separated, strict=False):  # the noise may not be asked for
                try:
                    file.write(waveform.T)
                except soundfile.SoundFileError as error:
                    raise OutputError(f"{results[0]}: cannot be written: {error}") from None
        if files[0].tell() == 0:
            raise AudioError(f"{path}: 0 samples at {rate} Hz; a recording needs at least 1")


def _transposed(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    return (block.T for block in blocks)


@contextmanager
def _written(path: Path, *, rate: int, n_channels: int) -> Iterator[soundfile.SoundFile]:
    """A file that is there whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with soundfile.SoundFile(partial, "w", rate, n_channels, subtype=_SUBTYPE, format="WAV") as file:
                yield file
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise OutputError(f"{path}: cannot be written: {error}") from None


def separate(
    separator: PathLike,
    recordings: Iterable[PathLike],
    out: PathLike,
    *,
    has_noise: bool = False,
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> "SeparationReport":
    """Write the machine in each recording to a file; see `soundness.separation.recordings.separate_files`.

    Parameters
    ----------
    separator
        A separator's file.
    recordings
        Recordings, and folders that are searched for them.
    out
        Folder of the results.
    has_noise
        Write what is left of each recording, too.
    overwrite
        Replace recordings that are there.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If nothing can be separated; a recording that cannot be used is in the report instead.
    """
    check_extra()
    from soundness.separation.saving import load_separator

    loaded = load_separator(Path(separator))
    return separate_files(loaded, recordings, out, has_noise=has_noise, overwrite=overwrite, progress=progress)
