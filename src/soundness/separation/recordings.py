"""Separation of many recordings, of any length, from files to files."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import CountProgress, PathLike
from soundness.audio.decoding import AS_STATED
from soundness.audio.reading import read_blocks_at, read_info
from soundness.data.finding import Paths, Selection, find_recordings, is_recording, unread_problems
from soundness.errors import AudioError, DataError, OutputError, audio_errors_at
from soundness.extras import check_extra
from soundness.files.atomic import whole_file
from soundness.files.run_folders import locked_folder
from soundness.separation.conv_tasnet import SOURCES
from soundness.separation.saving import load_separator
from soundness.separation.separator import Separator
from soundness.settings.system import AudioSettings

__all__ = ["SeparationReport", "separate"]

_LOG = logging.getLogger(__name__)

_SUBTYPE = "FLOAT"  # machine and noise add up to the recording, and neither can clip


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparationReport:
    """Outcome of a separation of recordings.

    Parameters
    ----------
    n_separated
        Number of recordings that were separated.
    seconds
        Length of their sound.
    failures, notes
        A line each, with the file's path.
    """

    n_separated: int
    seconds: float
    failures: tuple[str, ...]
    notes: tuple[str, ...]


def separate(
    separator: PathLike | Separator,
    recordings: Paths,
    out: PathLike,
    *,
    has_noise: bool = False,
    overwrite: bool = False,
    audio: AudioSettings = AS_STATED,
    progress: CountProgress | None = None,
) -> SeparationReport:
    """Write the machine, and the noise, of each recording to WAV files of the separator's sample rate.

    The machine goes to ``out/machine``, the noise to ``out/noise``, under the names that the recordings have below the
    folders that are searched. A recording that cannot be used is reported, and all others are separated.

    Parameters
    ----------
    separator
        A separator, or its file.
    recordings
        Recordings, and folders that are searched for them.
    out
        Folder of the results.
    has_noise
        Write the noise, too.
    overwrite
        Replace recordings that are there.
    audio
        Its ``rate`` and ``columns`` say how tables of numbers are read.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    BundleError
        If the file holds no separator.
    DataError
        If there is nothing to separate, or two recordings would be written to one file.
    OutputError
        If a result exists already, or cannot be written.
    """
    check_extra()
    used = separator if isinstance(separator, Separator) else load_separator(Path(separator))
    kinds = SOURCES if has_noise else SOURCES[:1]
    planned = _planned(recordings)
    with locked_folder(Path(out), kind="separation"):
        for result in (Path(out) / kind / relative for relative in planned for kind in kinds):
            if not overwrite and result.exists():
                raise OutputError(f"{result}: exists already; --overwrite replaces it")
        failures: list[str] = []
        notes: list[str] = []
        seconds = 0.0
        for done, (relative, path) in enumerate(planned.items(), start=1):
            try:
                with audio_errors_at(path):
                    info = read_info(path, audio=audio)
                    files = [Path(out) / kind / relative for kind in kinds]
                    _separate(used, path, files, n_channels=info.n_channels, audio=audio)
            except AudioError as error:
                failures.append(str(error))
            else:
                seconds += info.seconds
                if info.sample_rate != used.settings.sample_rate:
                    notes.append(f"{path}: {info.sample_rate} Hz; written at {used.settings.sample_rate} Hz")
            if progress is not None:
                progress(done, len(planned))
    n_separated = len(planned) - len(failures)
    return SeparationReport(n_separated=n_separated, seconds=seconds, failures=tuple(failures), notes=tuple(notes))


def _planned(paths: Paths) -> dict[Path, Path]:
    """The recordings by the names of their results."""
    planned: dict[Path, Path] = {}
    selection = Selection(paths)
    for path in selection.paths:
        recordings = _recordings_in(path, selection) if path.is_dir() else [path]
        if not path.is_dir() and not is_recording(path):
            raise DataError("not a recording" if path.exists() else "no such file or folder", path=path)
        for recording in recordings:
            relative = recording.relative_to(path) if path.is_dir() else Path(recording.name)
            other = planned.setdefault(relative.with_suffix(".wav"), recording)
            if other.resolve() != recording.resolve():
                reason = f"the same name as {other}; separate them into folders of their own"
                raise DataError(reason, path=recording)
    if not planned:
        raise DataError("nothing to separate: no recordings there")
    return planned


def _recordings_in(folder: Path, selection: Selection) -> list[Path]:
    found = find_recordings(folder, selection)
    for problem in unread_problems(found, folder):
        _LOG.warning("%s", problem)
    return found.recordings


def _separate(
    separator: Separator, path: Path, results: Sequence[Path], *, n_channels: int, audio: AudioSettings
) -> None:
    rate = separator.settings.sample_rate
    with ExitStack() as stack:
        files = [stack.enter_context(_written(result, rate=rate, n_channels=n_channels)) for result in results]
        blocks = read_blocks_at(path, sample_rate=rate, audio=audio)
        for separated in separator.separate_blocks(block.T for block in blocks):
            for file, waveform in zip(files, separated, strict=False):  # the noise may not be asked for
                file.write(waveform.T)
        if files[0].tell() == 0:
            raise AudioError(f"0 samples at {rate} Hz; a recording needs at least 1")


@contextmanager
def _written(path: Path, *, rate: int, n_channels: int) -> Iterator[soundfile.SoundFile]:
    """WAV file that is there whole or not at all."""
    with whole_file(path, is_durable=False) as partial:
        try:
            with (
                partial.open("wb+") as stream,  # its name may be no UTF-8, which soundfile does not open
                soundfile.SoundFile(stream, "w", rate, n_channels, subtype=_SUBTYPE, format="WAV") as file,
            ):
                yield file
        except soundfile.SoundFileError as error:
            raise OutputError(f"{path}: cannot be written: {error}") from None
