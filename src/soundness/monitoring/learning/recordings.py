"""Recordings of a learning period, in the folder ``learning/SENSOR`` of the store."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from soundness.errors import OutputError
from soundness.monitoring.learning.plan import LearningPlan, Use

__all__ = ["LearningFolder", "linked"]


@dataclass(frozen=True, slots=True)
class LearningFolder:
    """Folder of one sensor's recordings to learn from, and of what is made of them.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    @property
    def work(self) -> Path:
        """Folder of a training."""
        return self.path / "work"

    def keep(self, audio: Path, *, index: int, start_us: int, plan: LearningPlan) -> Use:
        """Keep a clip of the period where the plan has a use for it; the use.

        Parameters
        ----------
        audio
            Its recording.
        index
            Place in the period, from 0.
        start_us
            Its time, microseconds since 1970, UTC.
        plan
            Plan of the period.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        use = plan.use_of(index)
        if use != "leave":
            time = datetime.fromtimestamp(start_us / 1e6, UTC)
            name = f"{time:%Y-%m-%dT%H-%M-%S}.{start_us % 1_000_000 // 1_000:03d}_{index:06d}{audio.suffix}"
            linked(audio, self.path / use / f"block-{plan.block_of(index):04d}" / name)
        return use

    def clips(self, use: Use) -> list[Path]:
        """Recordings of a use, in the order of time."""
        return sorted((self.path / use).glob("*/*.*"), key=lambda path: path.name)

    def set_aside(self, names: Sequence[str]) -> None:
        """Keep some recordings beside, for people to listen to.

        Raises
        ------
        OutputError
            If one cannot be written.
        """
        chosen = set(names)
        for path in (*self.clips("train"), *self.clips("calibrate")):
            if path.name in chosen:
                linked(path, self.path / "set-aside" / path.name)

    def clear(self, *, is_all: bool = True) -> None:
        """Remove everything, or all but what was set aside.

        Raises
        ------
        OutputError
            If something cannot be removed.
        """
        try:
            for place in ("train", "calibrate", "work", *(("set-aside", "bank") if is_all else ())):
                if (self.path / place).exists():
                    shutil.rmtree(self.path / place)
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror or error}") from None

    def chosen(self, use: Use, name: str, *, without: Sequence[str]) -> Path:
        """Folder of a machine ``name`` with the recordings of a use except some, made anew.

        Parameters
        ----------
        use
            Use of the recordings.
        name
            Name of the folder.
        without
            Names of recordings that are left out.
        """
        left_out, folder = set(without), self.work / use / name
        shutil.rmtree(folder, ignore_errors=True)
        for path in self.clips(use):
            if path.name not in left_out:
                linked(path, folder / "train" / path.name)
        return folder


def linked(source: Path, target: Path) -> None:
    """Give a file a second place, by a link where the file system has links.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
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
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from None
