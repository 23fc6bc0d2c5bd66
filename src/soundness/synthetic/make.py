"""Write a synthetic data set, and the truth about it in a folder that no system reads."""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.aliases import Array, PathLike, Progress
from soundness.errors import OutputError
from soundness.files.run_folders import locked_file
from soundness.processes import map_in_processes
from soundness.settings.loading import validated
from soundness.synthetic.plan import ClipPlan, plan_machine
from soundness.synthetic.render import Stems, render
from soundness.synthetic.settings import FactorySettings
from soundness.synthetic.signals import SAMPLE_RATE

__all__ = ["FactoryResult", "is_synthetic", "make_data"]

_MARK = "synthetic.txt"
_MARK_WORDS = "Sounds of a machine that does not exist, made by soundness make-data.\n"

_ANOMALY_COLUMNS = ("file_name", "kind", "severity", "fmin", "fmax", "start_seconds", "end_seconds")

_AnomalyRow = tuple[str, str, str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class FactoryResult:
    """Folders of a data set that was made: ``root`` with its clips, ``truth`` with their stems and anomalies.

    ``n_clips`` counts the clips of the data set, without the stems.
    """

    root: Path
    truth: Path
    n_clips: int


def make_data(
    out: PathLike,
    *,
    truth: PathLike | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **settings: object,
) -> FactoryResult:
    """Make a data set of synthetic machine sounds in the layout of DCASE 2025.

    Nothing appears under ``out`` before all is made; an interruption leaves no trace. With more than one
    worker, a script that calls this needs the guard ``if __name__ == "__main__":`` of `multiprocessing`.

    Parameters
    ----------
    out
        Folder of the data set: ``<machine>/{train,test,supplemental}/*.wav`` and ``<machine>/attributes_00.csv``.
    truth
        Folder for ``<machine>/<split>/<stem>_{machine,noise}.wav`` and ``<machine>/anomalies.csv``; by
        default beside ``out``, with ``_truth`` added to its name.
    overwrite
        Replace the folders of these machines in ``out`` and ``truth``, where both were made by this function;
        else both must be empty or absent.
    progress
        Called with the machine, the number of its clips done and their total.
    **settings
        Fields of `soundness.synthetic.FactorySettings`.

    Returns
    -------
    FactoryResult
        The folders that were written.

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range.
    OutputError
        If ``out`` or ``truth`` cannot be written, holds something already (with ``overwrite``: a folder of one
        of these machines that this function did not make), or one lies inside the other.
    """
    chosen = validated(FactorySettings, settings)
    out = Path(out).absolute()
    truth = out.with_name(out.name + "_truth") if truth is None else Path(truth).absolute()
    with locked_file(out, kind="making of data"):
        _refuse_bad_folders(out, truth, overwrite=overwrite)
        _refuse_foreign_machines(out, truth, chosen.machines)
        with _staged(out) as new_out, _staged(truth) as new_truth:
            plans = {machine: plan_machine(machine, chosen) for machine in chosen.machines}
            write = partial(_write_clip, roots=(new_out, new_truth))
            for machine in chosen.machines:
                _make_folders(machine, (new_out, new_truth))
            with closing(_written(write, chain.from_iterable(plans.values()), chosen.n_workers)) as rows:
                for machine, own in plans.items():
                    _make_machine(machine, own, (new_out, new_truth), rows, progress)
            for machine in chosen.machines:
                _replace(new_out / machine, out / machine)
                _replace(new_truth / machine, truth / machine)
    return FactoryResult(out, truth, sum(map(len, plans.values())))


def is_synthetic(clip: Path) -> bool:
    """True for a clip in a folder of a machine that `make_data` made, wherever it was moved to."""
    return any((folder / _MARK).is_file() for folder in clip.parents[:2])


def _refuse_bad_folders(out: Path, truth: Path, *, overwrite: bool) -> None:
    if out.is_relative_to(truth) or truth.is_relative_to(out):
        raise OutputError(f"{truth}: the truth must lie outside the data set {out}, and the data set outside of it")
    for folder in (out, truth):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: expected a folder, or nothing, but it is a file")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise OutputError(
                f"{folder}: expected an empty folder, or none, but it holds files; overwrite replaces them"
            )


def _refuse_foreign_machines(out: Path, truth: Path, machines: Iterable[str]) -> None:
    """Refuse to replace recordings that may be real: only synthetic ones have a table of anomalies."""
    for machine in machines:
        table = truth / machine / "anomalies.csv"
        for folder in (out / machine, truth / machine):
            if os.path.lexists(folder) and not table.is_file():
                raise OutputError(f"{folder}: not replaced; it was not made by make-data, for there is no {table}")


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside another, on the same disk."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as staging:
            yield Path(staging)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error}") from error


def _replace(new: Path, old: Path) -> None:
    if old.exists():
        shutil.rmtree(old)
    old.parent.mkdir(parents=True, exist_ok=True)
    new.rename(old)


def _written(
    write: Callable[[ClipPlan], _AnomalyRow | None], plans: Iterable[ClipPlan], n_workers: int | None
) -> Generator[_AnomalyRow | None, None, None]:
    """Write clips, in this process with one worker, else in others, and yield the anomalies' rows in their order."""
    n_workers = (os.cpu_count() or 1) if n_workers is None else n_workers
    if n_workers == 1:
        yield from map(write, plans)
    else:
        yield from map_in_processes(write, plans, n_workers=n_workers, name=lambda plan: str(plan.path))


def _make_folders(machine: str, roots: tuple[Path, Path]) -> None:
    for root in roots:
        for split in ("train", "test", "supplemental"):
            (root / machine / split).mkdir(parents=True)
    (roots[1] / machine / "supplemental").rmdir()


def _make_machine(
    machine: str,
    plans: list[ClipPlan],
    roots: tuple[Path, Path],
    written: Iterator[_AnomalyRow | None],
    progress: Progress | None,
) -> None:
    """Write one machine's clips and stems, which come one after the other, and its tables."""
    rows: list[_AnomalyRow] = []
    for n_done, row in enumerate(islice(written, len(plans)), start=1):
        if row is not None:
            rows.append(row)
        if progress is not None:
            progress(machine, n_done, len(plans))
    _write_table(roots[0] / machine / "attributes_00.csv", _attribute_table(plans))
    (roots[0] / machine / _MARK).write_text(_MARK_WORDS, encoding="utf-8")
    _write_table(roots[1] / machine / "anomalies.csv", [_ANOMALY_COLUMNS, *rows])


def _write_clip(plan: ClipPlan, *, roots: tuple[Path, Path]) -> _AnomalyRow | None:
    """Write a clip and its stems, and return the anomaly's row."""
    stems = render(plan)
    _write_wav(roots[0] / plan.path, stems.machine + stems.noise)
    if plan.split != "supplemental":
        stem = roots[1] / plan.path.with_suffix("")
        _write_wav(stem.with_name(f"{stem.name}_machine.wav"), stems.machine)
        _write_wav(stem.with_name(f"{stem.name}_noise.wav"), stems.noise)
    return _anomaly_row(plan, stems)


def _anomaly_row(plan: ClipPlan, stems: Stems) -> _AnomalyRow | None:
    anomaly = stems.anomaly
    if plan.fault is None or anomaly is None:
        return None
    band = (f"{anomaly.fmin:.1f}", f"{anomaly.fmax:.1f}")
    return (plan.path.name, plan.fault, f"{plan.severity:.4f}", *band, f"{anomaly.start:.3f}", f"{anomaly.end:.3f}")


def _write_wav(path: Path, waveform: Array) -> None:
    """Write 16-bit samples, rounded to the nearest."""
    samples: npt.NDArray[np.int16] = np.rint(waveform * 32768.0).astype(np.int16)
    try:
        soundfile.write(path, samples, SAMPLE_RATE, subtype="PCM_16")
    except soundfile.SoundFileError as error:
        raise OutputError(f"{path}: cannot be written: {error}; is the disk full?") from None


def _attribute_table(plans: list[ClipPlan]) -> list[tuple[str, ...]]:
    """Header and a row for each training and test clip; names alone if there are no attributes."""
    listed = [plan for plan in plans if plan.split != "supplemental"]
    n_attributes = max((len(plan.condition.attributes) for plan in listed), default=0)
    columns = [f"d{number}{letter}" for number in range(1, n_attributes + 1) for letter in "pv"]
    rows = [(str(plan.path), *(word for pair in plan.condition.attributes for word in pair)) for plan in listed]
    return [("file_name", *columns), *rows]


def _write_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
