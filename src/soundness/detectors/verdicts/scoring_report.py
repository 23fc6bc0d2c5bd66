"""Recordings that were scored, and all that a person is told about them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from soundness.data.clips import Clip
from soundness.detectors.verdicts.records import RecordingScore
from soundness.detectors.verdicts.score_table import MachineVerdicts, ScoreRow, machine_verdicts, recorded_at

__all__ = ["ScoredClip", "ScoringReport"]

_FIGURES = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredClip:
    """A recording with its score.

    Parameters
    ----------
    clip
        The recording.
    machine_type
        Machine of the detector that scored it.
    score
        ``None`` where the recording cannot be used.
    reason
        Reason in words why it is anomalous, or cannot be judged or used; empty for a normal one.
    """

    clip: Clip
    machine_type: str
    score: RecordingScore | None
    reason: str = ""

    @property
    def row(self) -> ScoreRow:
        """Verdict for a person."""
        found = self.score
        return ScoreRow(
            path=self.clip.path,
            machine=self.machine_type,
            time=recorded_at(self.clip.path),
            anomaly_score=None if found is None else found.anomaly_score,
            p_value=None if found is None else found.p_value,
            threshold=None if found is None else found.threshold,
            verdict="cannot tell" if found is None else found.verdict,
            reason=self.reason,
        )


@dataclass(slots=True, kw_only=True)
class ScoringReport:
    """Outcome of scoring many recordings.

    Parameters
    ----------
    rows
        Verdict on each recording, in their order.
    alarms
        Recordings with which an alarm begins, in the order of the recordings; empty where no rule was applied.
    recording_notes
        Notes on recordings, by machine and kind of note: path and text of each.
    notes
        Notes on what was left out or assumed.
    n_known
        Number of recordings that a detector was trained on.
    """

    rows: list[ScoreRow] = field(default_factory=list)
    alarms: list[Path] = field(default_factory=list)
    recording_notes: dict[tuple[str, str], list[tuple[Path, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_known: int = 0

    @property
    def warnings(self) -> list[str]:
        """Notes on recordings, a line for each kind, with the first recording and the number of the others."""
        lines = []
        for (machine, _), found in self.recording_notes.items():
            path, note = found[0]
            more = f" (and {len(found) - 1:,} more recordings of {machine})" if len(found) > 1 else ""
            lines.append(f"{path}: {note}{more}")
        return lines

    def add_notes(self, path: Path, machine: str, notes: Iterable[str]) -> None:
        """Add the notes on a recording; those that differ in their figures alone are of one kind."""
        for note in notes:
            self.recording_notes.setdefault((machine, _FIGURES.sub("#", note)), []).append((path, note))

    @property
    def n_scored(self) -> int:
        """Number of recordings that have a score."""
        return sum(row.anomaly_score is not None for row in self.rows)

    @property
    def n_flagged(self) -> int:
        """Number of recordings that are called anomalous."""
        return sum(row.verdict == "anomalous" for row in self.rows)

    @property
    def n_undecided(self) -> int:
        """Number of recordings that have a score, and that nobody can tell anything of."""
        return sum(row.verdict == "cannot tell" and row.anomaly_score is not None for row in self.rows)

    @property
    def failures(self) -> list[str]:
        """Recordings that cannot be used, a line each with path and reason."""
        return [f"{row.path}: {row.reason}" for row in self.rows if row.anomaly_score is None]

    @property
    def machines(self) -> list[MachineVerdicts]:
        """Verdicts by machine."""
        return machine_verdicts(self.rows)
