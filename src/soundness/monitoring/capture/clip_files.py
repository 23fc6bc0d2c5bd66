"""Clips on disk: those that wait to be scored, the last minutes of each sensor, and what is kept."""

import io
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Waveform
from soundness.errors import OutputError
from soundness.files.atomic import output_errors
from soundness.monitoring.capture.clip_cutter import CapturedClip

__all__ = ["ClipFile", "ClipFolder", "level_of", "link_or_copy"]

_NAME = re.compile(r"(\d+)-(\d+)-(\d+)(?:-recorded)?(?:-fault_([a-z_]+))?\.(raw|flac)")
_SUBTYPE = "PCM_24"  # a clip of 16 bits takes no more space in it


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFile:
    """A clip of a sensor on disk.

    Parameters
    ----------
    number
        Number of the clip.
    start_us
        Time of its first sample, microseconds since 1970, UTC.
    sample_rate
        Rate in Hz.
    path
        Raw float32 samples (``.raw``) until it is encoded (``.flac``).
    original
        File that is scored in its place, as a recording of a folder; ``None`` if it is scored itself.
    fault
        Fault of the signal at its end, which its name keeps over a restart; empty if there is none.
    """

    number: int
    start_us: int
    sample_rate: int
    path: Path
    original: Path | None = None
    fault: str = ""

    @property
    def is_recorded(self) -> bool:
        """True if it is of a recording that others made, which can be read again."""
        return self.path.stem.endswith("-recorded")

    @property
    def scored_path(self) -> Path:
        """File that is scored."""
        return self.path if self.original is None else self.original


class ClipFolder:
    """Clips of one sensor: in ``ring`` the last ones, in ``audio`` what is kept.

    Parameters
    ----------
    store_folder
        Folder of the store.
    name
        Name of the sensor's folder, which never changes.
    """

    def __init__(self, store_folder: Path, name: str) -> None:
        self.store_folder, self.name = store_folder, name
        self.ring = store_folder / "ring" / name
        with output_errors(self.ring):
            self.ring.mkdir(parents=True, exist_ok=True)

    def make_again(self) -> None:
        """Make the ring again where somebody has removed it; an empty store's folder is a disk that is away."""
        with suppress(OSError):
            if any(self.store_folder.iterdir()):
                self.ring.mkdir(parents=True, exist_ok=True)

    def left(self, *, last_number: int = 0) -> list[ClipFile]:
        """Clips that are in the ring, by number; what is incomplete is removed.

        So are those of recordings with a number above ``last_number``: they have no row, and are read again.
        """
        found: dict[int, ClipFile] = {}
        for path in sorted(self.ring.iterdir()):
            clip = _clip_file(path)
            # It may have been encoded, and its raw samples, the later by name, not been removed any more.
            if clip is None or clip.number in found or (clip.is_recorded and clip.number > last_number):
                path.unlink(missing_ok=True)
            else:
                found[clip.number] = clip
        return [found[number] for number in sorted(found)]

    def take(self, clip: CapturedClip, number: int, *, fault: str = "") -> ClipFile:
        """Give a captured clip its number and the fault of its signal: from now on it gets its row, whatever happens.

        Raises
        ------
        OutputError
            If it cannot be renamed.
        """
        mark = f"-fault_{fault.replace(' ', '_')}" if fault else ""
        path = self.ring / f"{number}-{clip.start_us}-{clip.sample_rate}{mark}.raw"
        with output_errors(path):
            clip.file.replace(path)
        return ClipFile(number=number, start_us=clip.start_us, sample_rate=clip.sample_rate, path=path, fault=fault)

    def encoded(self, clip: ClipFile) -> ClipFile:
        """The clip as a FLAC, which takes the place of its raw samples.

        Raises
        ------
        OutputError
            If it cannot be written, as on a full disk.
        """
        if clip.path.suffix == ".flac":
            return clip
        flac = clip.path.with_suffix(".flac")
        try:
            samples = np.fromfile(clip.path, dtype="<f4")
        except OSError as error:
            raise OutputError(f"{clip.path}: {error.strerror or error}") from None
        _write_flac(flac, samples, sample_rate=clip.sample_rate)
        clip.path.unlink(missing_ok=True)
        return replace(clip, path=flac)

    def add(self, samples: Waveform, *, number: int, start_us: int, sample_rate: int) -> ClipFile:
        """Add a clip of a recording that others made, shape ``(time,)``, as a FLAC.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = self.ring / f"{number}-{start_us}-{sample_rate}-recorded.flac"
        _write_flac(path, samples, sample_rate=sample_rate)
        return ClipFile(number=number, start_us=start_us, sample_rate=sample_rate, path=path)

    def keep(self, clip: ClipFile) -> str:
        """Keep a clip's audio; its place below the store's folder.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        day = datetime.fromtimestamp(clip.start_us / 1e6, UTC)
        place = Path("audio") / self.name / f"{day:%Y-%m-%d}" / f"{clip.number}.flac"
        target = self.store_folder / place
        link_or_copy(clip.path, target)
        return place.as_posix()

    def forget(self, clip: ClipFile) -> None:
        """Remove a clip from the ring."""
        with suppress(OSError):  # the next start removes it
            clip.path.unlink(missing_ok=True)

    def forget_scored(self, clip: ClipFile) -> None:
        """Remove the file that was made to be scored in the place of a clip, if there is one."""
        if clip.original is not None and clip.original.parent == self.ring:
            with suppress(OSError):  # the next start removes it
                clip.original.unlink(missing_ok=True)

    def left_quietly(self) -> list[ClipFile]:
        """Encoded clips that are in the ring, by number; nothing is removed."""
        found = filter(None, map(_clip_file, self.ring.glob("*.flac")))
        return sorted(found, key=lambda one: one.number)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second place, by a link where there are any.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a file system without links, or another one
            partial = target.with_name(f".{target.name}.part")
            try:
                shutil.copyfile(source, partial)
                partial.replace(target)
            finally:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)


def _clip_file(path: Path) -> ClipFile | None:
    """Clip of a file of the ring; ``None`` for one of another name."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    number, start_us, sample_rate = map(int, match.groups()[:3])
    fault = (match[4] or "").replace("_", " ")
    return ClipFile(number=number, start_us=start_us, sample_rate=sample_rate, path=path, fault=fault)


def _write_flac(path: Path, samples: Waveform, *, sample_rate: int) -> None:
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, samples, sample_rate, format="FLAC", subtype=_SUBTYPE)
    except (soundfile.SoundFileError, ValueError) as error:
        raise OutputError(f"{path}: {error}") from None
    part = path.with_suffix(".part")
    with output_errors(path):
        try:
            part.write_bytes(encoded.getbuffer())
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def level_of(path: Path) -> float | None:
    """Level of a clip in dB below full scale; ``None`` for digital silence."""
    samples = np.fromfile(path, dtype="<f4") if path.suffix == ".raw" else soundfile.read(path, dtype="float32")[0]
    power = float(np.square(samples, dtype=np.float64).mean()) if samples.size else 0.0
    return 10 * float(np.log10(power)) if power > 0.0 else None
