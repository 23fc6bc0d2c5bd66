"""Table of scored recordings for a person: verdict and reason of each, and a summary of each machine."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from soundness.detectors.verdicts.records import Verdict, WindowScore
from soundness.errors import ScoresError
from soundness.files.atomic import RowFile, open_text
from soundness.plain_text import spreadsheet_cell, spreadsheet_path

__all__ = [
    "SCORE_TABLE_FILE",
    "VERDICTS",
    "WINDOW_TABLE_FILE",
    "MachineVerdicts",
    "ScoreRow",
    "ScoreTable",
    "WindowTable",
    "against_threshold",
    "machine_verdicts",
    "read_score_table",
    "recorded_at",
]

SCORE_TABLE_FILE = "scores.csv"
WINDOW_TABLE_FILE = "windows.csv"

VERDICTS: tuple[Verdict, ...] = ("anomalous", "normal", "cannot tell")

_COLUMNS = ("path", "machine", "time", "score", "p_value", "threshold", "verdict", "reason")
_WINDOW_COLUMNS = ("path", "start_seconds", "seconds", "score", "p_value", "anomalous")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """Verdict on one recording.

    Parameters
    ----------
    path
        The recording.
    machine
        Machine type of the detector.
    time
        Time of the file's last change, local time as ISO 8601; empty where the file is not there.
    anomaly_score, p_value, threshold
        Score, its p-value, and the score above which a recording of this length is anomalous; ``None`` where there is
        none.
    verdict
        ``anomalous``, ``normal`` or ``cannot tell``.
    reason
        Reason of the verdict in words; empty for normal recordings.
    """

    path: Path
    machine: str
    time: str
    anomaly_score: float | None
    p_value: float | None
    threshold: float | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineVerdicts:
    """Verdicts on the recordings of one machine.

    Parameters
    ----------
    machine
        Machine type.
    counts
        Number of recordings by verdict; all three are there.
    worst
        Anomalous recordings, the highest score first.
    undecided
        Recordings that have a score and no verdict.
    """

    machine: str
    counts: dict[Verdict, int]
    worst: tuple[ScoreRow, ...]
    undecided: tuple[ScoreRow, ...]


class ScoreTable:
    """Writer of ``scores.csv``, row by row.

    Parameters
    ----------
    folder
        Folder of the file; made if it does not exist.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = RowFile(folder / SCORE_TABLE_FILE)
        self._file.append(_COLUMNS)

    def add(self, row: ScoreRow) -> None:
        """Append a recording; numbers have all digits of a float64."""
        numbers = ("" if value is None else repr(value) for value in (row.anomaly_score, row.p_value, row.threshold))
        path, machine, reason = spreadsheet_path(row.path), spreadsheet_cell(row.machine), spreadsheet_cell(row.reason)
        self._file.append((path, machine, row.time, *numbers, row.verdict, reason))

    def complete(self) -> None:
        """Give the file its name, replacing an earlier one."""
        self._file.complete()


class WindowTable:
    """Writer of ``windows.csv``: windows of long recordings, by time. Without any there is no such file.

    Parameters
    ----------
    folder
        Folder of the file, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / WINDOW_TABLE_FILE
        self._file: RowFile | None = None

    def add(self, path: Path, windows: Sequence[WindowScore]) -> None:
        """Append the windows of a recording; numbers have all digits of a float64.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        if not windows:
            return
        if self._file is None:
            self._file = RowFile(self._path)
            self._file.append(_WINDOW_COLUMNS)
        for window in windows:
            p_value = "" if window.p_value is None else repr(window.p_value)
            times = (f"{window.start_seconds:.3f}", f"{window.seconds:.3f}")
            self._file.append(
                (spreadsheet_path(path), *times, repr(window.anomaly_score), p_value, str(window.decision))
            )

    def complete(self) -> None:
        """Give the file its name, replacing an earlier one."""
        if self._file is not None:
            self._file.complete()


def read_score_table(folder: Path) -> list[ScoreRow]:
    """Read ``scores.csv`` of a folder of scores; nothing where there is none, or a file of other columns.

    Raises
    ------
    ScoresError
        If the file cannot be read, or a row is none of `ScoreTable`.
    """
    file = folder / SCORE_TABLE_FILE
    if not file.exists():
        return []
    try:
        with open_text(file, mode="r") as stream:
            rows = csv.DictReader(stream)
            is_table = set(_COLUMNS) <= set(rows.fieldnames or ())  # else somebody else's file of this name
            return [_read_row(row) for row in rows] if is_table else []
    except (OSError, csv.Error, ValueError) as error:
        raise ScoresError(f"{file}: cannot be read as a table of scores: {error}") from None


def machine_verdicts(rows: Iterable[ScoreRow]) -> list[MachineVerdicts]:
    """Verdicts by machine, in the order in which machines come first."""
    machines: dict[str, list[ScoreRow]] = {}
    for row in rows:
        machines.setdefault(row.machine, []).append(row)
    return [_verdicts(machine, own) for machine, own in machines.items()]


def against_threshold(anomaly_score: float, threshold: float) -> str:
    """Score and threshold, with so many digits that they differ, such as: 2.66 > 1.68."""
    sign = ">" if anomaly_score > threshold else "≤"
    pairs = [(f"{anomaly_score:.{digits}g}", f"{threshold:.{digits}g}") for digits in (3, 4, 5, 6, 8, 12)]
    pair = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
    return f"{pair[0]} {sign} {pair[1]}"


def recorded_at(path: Path) -> str:
    """Time of a file's last change, local time as ISO 8601; empty where it is not there."""
    try:
        changed = path.stat().st_mtime
        return datetime.fromtimestamp(changed).astimezone().isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):  # not there, or a time that no calendar has
        return ""


def _read_row(row: dict[str, str]) -> ScoreRow:
    if any(row[name] is None for name in _COLUMNS):  # of a line that is too short
        raise ValueError(f"expected the columns {', '.join(_COLUMNS)} in each line")
    numbers = {name: float(row[name]) if row[name] else None for name in ("score", "p_value", "threshold")}
    if not all(value is None or math.isfinite(value) for value in numbers.values()):
        raise ValueError(f"expected numbers, got {', '.join(row[name] for name in numbers)}")
    verdict = next((one for one in VERDICTS if one == row["verdict"]), None)
    if verdict is None:
        raise ValueError(f"expected a verdict, got {row['verdict']!r}")
    return ScoreRow(
        path=Path(row["path"]),
        machine=row["machine"],
        time=row["time"],
        anomaly_score=numbers["score"],
        p_value=numbers["p_value"],
        threshold=numbers["threshold"],
        verdict=verdict,
        reason=row["reason"],
    )


def _verdicts(machine: str, rows: Sequence[ScoreRow]) -> MachineVerdicts:
    found = Counter(row.verdict for row in rows)
    anomalous = [row for row in rows if row.verdict == "anomalous"]
    return MachineVerdicts(
        machine=machine,
        counts={"anomalous": found["anomalous"], "normal": found["normal"], "cannot tell": found["cannot tell"]},
        worst=tuple(sorted(anomalous, key=lambda row: -(row.anomaly_score or 0.0))),
        undecided=tuple(row for row in rows if row.verdict == "cannot tell" and row.anomaly_score is not None),
    )
