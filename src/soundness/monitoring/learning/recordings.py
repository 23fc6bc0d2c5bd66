"""Recordings of a learning period, in the folder ``learning/SENSOR`` of the store."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from soundness.files.atomic import output_errors
from soundness.monitoring.capture.clip_files import link_or_copy
from soundness.monitoring.configuration.learning_plan import LearningPlan, Use

__all__ = ["LearningFolder"]


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
            link_or_copy(audio, self.path / use / f"block-{plan.block_of(index):04d}" / name)
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
                link_or_copy(path, self.path / "set-aside" / path.name)

    def clear(self, *, is_all: bool = True) -> None:
        """Remove everything, or all but what was set aside.

        Raises
        ------
        OutputError
            If something cannot be removed.
        """
        with output_errors(self.path):
            for place in ("train", "calibrate", "work", *(("set-aside", "bank") if is_all else ())):
                if (self.path / place).exists():
                    shutil.rmtree(self.path / place)

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
                link_or_copy(path, folder / "train" / path.name)
        return folder
