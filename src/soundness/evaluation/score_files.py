"""Read and write the challenge's score files: a row per clip, written as clips finish, checked when read.

A folder of scores holds two files without a header for each machine and section (2020: machine id)::

    anomaly_score_<machine>_<section>_test.csv      file.wav,<float>
    decision_result_<machine>_<section>_test.csv    file.wav,<0 or 1>

beside them, if there is a calibration and an alarm rule was applied, two files of the same form::

    p_value_<machine>_<section>_test.csv            file.wav,<float>
    alarm_<machine>_<section>_test.csv              file.wav,<1 where an alarm begins, else 0>

and, if recordings could not be scored, ``failed.csv`` with the header ``path,message``. During a run each of them has
``.partial`` after its name; rows of a run that was killed stay there, and are never read as scores.

Other systems' files may lack ``_test`` (2020, 2022), or be one for each domain of a section (2021)::

    anomaly_score_<machine>_<section>_source_test.csv

or have the names that the challenge's own baseline gives them::

    anomaly_score_DCASE2025T2<machine>_<section>_test_seed13711_id(0_)_Eval.csv

Their columns may be separated by semicolons or tabs, and their numbers have decimal commas.
"""

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import DOMAINS, Domain
from soundness.data.csv_tables import parse_number, read_rows
from soundness.errors import ScoresError
from soundness.files.atomic import PARTIAL_SUFFIX, RowFile, output_errors
from soundness.plain_text import printable, spreadsheet_cell, spreadsheet_path

__all__ = [
    "FAILED_FILE",
    "ClipScore",
    "MachineScores",
    "ScoreWriter",
    "domain_of_file",
    "files_by_machine",
    "read_binary",
    "read_scores",
    "write_scores",
]

FAILED_FILE = "failed.csv"
_LONGEST_SHOWN = 200
_SCORE_PREFIX = "anomaly_score"
_DECISION_PREFIX = "decision_result"
_P_VALUE_PREFIX = "p_value"
_ALARM_PREFIX = "alarm"
_SECTION = r"(?:section|id)_\d+"
_BASELINE_TAIL = r"(?:_seed\d+)?(?:_id\([^)]*\))?(?:_(?:Eval|Dev))?"  # of the challenge's own baseline
_TAIL = rf"(?:_(?P<domain>source|target))?(?:_test)?{_BASELINE_TAIL}\.csv"
_NAME = rf"(?:DCASE20\d\dT\d)?(?P<machine>.+)_(?P<section>{_SECTION}){_TAIL}"
_EXPECTED_NAME = "{prefix}_<machine>_<section_NN or id_NN>_test.csv"


@dataclass(frozen=True, slots=True)
class ClipScore:
    """Score and decision of one clip.

    Parameters
    ----------
    file_name
        The clip's name, suffix included; unique within a machine and section.
    anomaly_score
        Finite; higher is more anomalous.
    decision
        1 for anomalous, 0 for normal.
    p_value
        See `soundness.scoring.decisions.calibration.Calibration`; ``None`` without a calibration.
    alarm
        1 if an alarm begins with the clip, otherwise 0; ``None`` without a rule.
    """

    file_name: str
    anomaly_score: float
    decision: int
    p_value: float | None = None
    alarm: int | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.anomaly_score):
            raise ScoresError(f"{self.file_name}: an anomaly score must be finite, got {self.anomaly_score}")
        if self.decision not in (0, 1):
            raise ScoresError(f"{self.file_name}: a decision must be 0 or 1, got {self.decision}")


@dataclass(frozen=True, slots=True, eq=False)
class MachineScores:
    """Scores of one section (2020: machine id) of one machine, in the order of their file.

    Scores are finite float64, decisions 0 or 1, shape ``(clip,)``; decisions are ``None`` without a file of them.
    """

    machine_type: str
    section: str
    file_names: tuple[str, ...]
    anomaly_scores: NDArray[np.float64]
    decisions: NDArray[np.int64] | None


class ScoreWriter:
    """Writer of a folder of scores, row by row; its memory does not grow with the number of clips.

    A context manager. Rows go to ``.partial`` files, closed after each row, so that a crash loses nothing. At the end
    of the block the files get their names, each replacing an earlier one in one step, and an earlier ``failed.csv`` is
    removed if nothing failed. After an error the rows stay under ``.partial``, until a later run begins that file anew.

    Parameters
    ----------
    folder
        Folder of the files; made if it does not exist.

    Raises
    ------
    OutputError
        If the folder or a file in it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._machines: dict[tuple[str, str], _MachineFiles] = {}
        self._failures: RowFile | None = None
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        """Enter the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the files their names, unless there was an error."""
        if kind is None:
            self._complete()

    def add(self, machine_type: str, section: str, score: ClipScore) -> None:
        """Append one clip to the files of its machine and section."""
        key = (machine_type, section)
        if key not in self._machines:
            self._machines[key] = _MachineFiles(self._folder, machine_type, section)
        self._machines[key].append(score)

    def add_failure(self, path: Path, message: str) -> None:
        """Append a recording that could not be scored, and the reason, to ``failed.csv``."""
        if self._failures is None:
            self._failures = RowFile(self._folder / FAILED_FILE)
            self._failures.append(("path", "message"))
        self._failures.append((spreadsheet_path(path), spreadsheet_cell(message)))

    def _complete(self) -> None:
        for files in self._machines.values():
            files.complete()
        if self._failures is not None:
            self._failures.complete()
            return
        stale = self._folder / FAILED_FILE
        with output_errors(stale):
            stale.unlink(missing_ok=True)


def write_scores(folder: Path, machine_type: str, section: str, scores: Iterable[ClipScore]) -> None:
    """Write the score files of one machine and section, replacing earlier ones in one step each.

    Parameters
    ----------
    folder
        Folder of the files; made if it does not exist. ``failed.csv`` is left as it is.
    machine_type, section
        Such as ``fan`` and ``section_00``, or ``id_00`` for the data of 2020.
    scores
        Scores in the order of the rows; numbers are written with all digits of a float64.

    Raises
    ------
    OutputError
        If the folder or a file in it cannot be written.
    """
    files = _MachineFiles(folder, machine_type, section)
    for score in scores:
        files.append(score)
    files.complete()


def read_scores(folder: Path) -> list[MachineScores]:
    """Read every machine's scores in a folder, with their decisions if there are any.

    Parameters
    ----------
    folder
        A folder of score files, of this or any other system of the challenge; other files in it are ignored.

    Returns
    -------
    list of MachineScores
        Sorted by machine type, then section; never empty.

    Raises
    ------
    ScoresError
        If there are no score files, a name or a row of one is wrong, or a file of decisions does not hold the clips of
        its file of scores.
    """
    if not folder.is_dir():
        raise ScoresError(f"{folder}: expected a folder of score files, but there is no such folder")
    score_files = files_by_machine(folder, _SCORE_PREFIX)
    decision_files = files_by_machine(folder, _DECISION_PREFIX)
    for key in sorted(decision_files.keys() - score_files.keys()):
        raise ScoresError(f"{decision_files[key][0]}: decisions without the file of scores that belongs to them")
    if not score_files:
        raise ScoresError(_no_scores_message(folder))
    return [_read_machine(*key, paths, decision_files.get(key, ())) for key, paths in sorted(score_files.items())]


def read_binary(path: Path) -> dict[str, int]:
    """Read the 0 or 1 of each clip in a file of decisions or of the official evaluator's labels.

    Raises
    ------
    ScoresError
        If a row is not a file name and 0 or 1, a file name is there twice, or there are no rows.
    """
    return {name: int(value) for name, value in _read_rows(path, expected="0 or 1", accept=_is_binary)}


def files_by_machine(folder: Path, prefix: str) -> dict[tuple[str, str], list[Path]]:
    """List the files ``<prefix>_<machine>_<section>_test.csv`` of a folder, by machine type and section.

    There is one for each, or one for each domain.

    Raises
    ------
    ScoresError
        If a file with the prefix has another name, or is the second of its section (and domain).
    """
    files: dict[tuple[str, str], dict[str | None, Path]] = {}
    for path in sorted(folder.glob(f"{prefix}_*.csv")):
        match = re.fullmatch(f"{prefix}_{_NAME}", path.name)
        if match is None:
            raise ScoresError(f"{path}: expected a name like {_EXPECTED_NAME.format(prefix=prefix)}")
        own = files.setdefault((match["machine"], match["section"]), {})
        for domain, other in own.items():
            if domain == match["domain"] or None in (domain, match["domain"]):
                raise ScoresError(f"{path}: expected one file of {match['machine']} {match['section']}, beside {other}")
        own[match["domain"]] = path
    return {name: list(own.values()) for name, own in files.items()}


def domain_of_file(path: Path) -> Domain | None:
    """Domain in the name of a score or truth file of 2021; ``None`` for all others."""
    match = re.search(f"_{_SECTION}{_TAIL}$", path.name)
    return None if match is None else next((domain for domain in DOMAINS if domain == match["domain"]), None)


class _MachineFiles:
    """Files of one machine and section during a run: the challenge's two, p-values and alarms."""

    def __init__(self, folder: Path, machine_type: str, section: str) -> None:
        self._folder = folder
        self._machine = (machine_type, section)
        self._files = {prefix: self._file(prefix) for prefix in (_DECISION_PREFIX, _SCORE_PREFIX)}

    def append(self, score: ClipScore) -> None:
        self._append(_DECISION_PREFIX, score.file_name, str(int(score.decision)))
        self._append(_SCORE_PREFIX, score.file_name, repr(float(score.anomaly_score)))
        if score.p_value is not None:
            self._append(_P_VALUE_PREFIX, score.file_name, repr(float(score.p_value)))
        if score.alarm is not None:
            self._append(_ALARM_PREFIX, score.file_name, str(int(score.alarm)))

    def complete(self) -> None:
        for file in self._files.values():
            file.complete()

    def _append(self, prefix: str, *row: str) -> None:
        if prefix not in self._files:
            self._files[prefix] = self._file(prefix)
        self._files[prefix].append(row)

    def _file(self, prefix: str) -> RowFile:
        return RowFile(self._folder / _file_name(prefix, *self._machine))


def _file_name(prefix: str, machine_type: str, section: str) -> str:
    if re.fullmatch(_SECTION, section) is None:
        raise ScoresError(f"{machine_type}: expected a section such as section_00 or id_00, got {section!r}")
    if machine_type == "" or Path(machine_type).name != machine_type:
        raise ScoresError(f"{machine_type!r}: a machine type must be usable within a file name")
    return f"{prefix}_{machine_type}_{section}_test.csv"


def _no_scores_message(folder: Path) -> str:
    message = f"{folder}: no score files; expected {_EXPECTED_NAME.format(prefix=_SCORE_PREFIX)}"
    n_partial = sum(1 for _ in folder.glob(f"{_SCORE_PREFIX}_*{PARTIAL_SUFFIX}"))
    return f"{message}, found {n_partial} unfinished (*{PARTIAL_SUFFIX})" if n_partial > 0 else message


def _read_machine(
    machine_type: str, section: str, paths: Sequence[Path], decision_paths: Sequence[Path]
) -> MachineScores:
    scores = _merged(paths, expected="a finite number", accept=math.isfinite)
    decisions = None
    if decision_paths:
        by_name = _merged(decision_paths, expected="0 or 1", accept=_is_binary)
        for name in sorted(scores.keys() ^ by_name.keys()):
            lacking = (decision_paths if name in scores else paths)[0]
            raise ScoresError(f"{lacking}: expected the same clips as its counterpart, but {_short(name)} is missing")
        decisions = np.array([by_name[name] for name in scores], dtype=np.int64)
    values = np.array(list(scores.values()), dtype=np.float64)
    return MachineScores(machine_type, section, tuple(scores), values, decisions)


def _merged(paths: Sequence[Path], *, expected: str, accept: Callable[[float], bool]) -> dict[str, float]:
    """Rows of all files of one section."""
    merged: dict[str, float] = {}
    for path in paths:
        rows = dict(_read_rows(path, expected=expected, accept=accept))
        for name in sorted(rows.keys() & merged.keys()):
            raise ScoresError(f"{path}: expected each file name once, got {_short(name)} again, which {paths[0]} holds")
        merged |= rows
    return merged


def _read_rows(path: Path, *, expected: str, accept: Callable[[float], bool]) -> Iterator[tuple[str, float]]:
    seen: set[str] = set()
    for number, row in _csv_rows(path):
        if len(row) != 2:
            raise ScoresError(f"{path}:{number}: expected a file name and {expected}, got {len(row)} columns")
        name, text = row
        if name in seen:
            raise ScoresError(f"{path}:{number}: expected each file name once, got {_short(name)} again")
        seen.add(name)
        value = parse_number(text)
        if not accept(value):
            raise ScoresError(f"{path}:{number}: expected {expected} for {_short(name)}, got {_short(text.strip())!r}")
        yield name, value
    if not seen:
        raise ScoresError(f"{path}: expected a row for each clip, but the file is empty")


def _csv_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    try:
        return read_rows(path, fits=lambda row: len(row) == 2 and not math.isnan(parse_number(row[1])))
    except (OSError, csv.Error) as error:
        raise ScoresError(f"{path}: cannot be read: {error}") from error


def _is_binary(value: float) -> bool:
    return value in (0, 1)


def _short(text: str) -> str:
    """Text of a file in a message of one line."""
    text = printable(text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
