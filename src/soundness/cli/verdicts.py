"""Verdicts on recordings in the terminal: a line each, and a summary of each machine."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence

from soundness.cli.console import elided, say, say_verdict
from soundness.detectors.verdicts.score_table import MachineVerdicts, ScoreRow, against_threshold
from soundness.detectors.verdicts.scoring_report import ScoringReport

__all__ = ["show_rows", "show_summary"]

_MOST_SHOWN = 12
_WIDTH = 80
_INDENT = " " * 13
_KINDS = (
    (r"^(an event is|\d+ events are) missing\b.*", "missing events"),
    (r"^(an?|\d+) ((short |periodic )?event)s? .*", r"\2s"),
    (r"^sound drops\b.*", "drops of the sound"),
    (r"^modulated at ", "modulation at "),
    (r"^(a tone at .*) (appeared|is \w+)$", r"\1 that \2"),
)


def show_rows(rows: Sequence[ScoreRow]) -> None:
    """Show recordings with verdict, score and threshold; a reason on a line of its own."""
    for row in rows:
        say_verdict(row.verdict, f"{_against_threshold(row):15} {elided(str(row.path), 50)}")
        for line in textwrap.wrap(row.reason, _WIDTH - len(_INDENT), break_long_words=False, break_on_hyphens=False):
            say(_INDENT + line)


def show_summary(report: ScoringReport, *, has_rows: bool) -> None:
    """Show the counts of each machine, and its most anomalous recordings unless all rows are shown already."""
    machines = sorted(report.machines, key=lambda one: -one.counts["anomalous"])
    n_shown = max(1, _MOST_SHOWN // max(1, sum(bool(one.worst) for one in machines)))
    for one in machines:
        say(_counts(one))
        if not has_rows:
            show_rows(one.worst[:n_shown])
            if len(one.worst) > n_shown:
                say(f"{_INDENT}and {len(one.worst) - n_shown} more ANOMALOUS")
            show_rows(one.undecided[:n_shown])
            if len(one.undecided) > n_shown:
                say(f"{_INDENT}and {len(one.undecided) - n_shown} more CANNOT TELL")


def _kind_in(reason: str) -> str:
    """Kind of change in the reason of a recording, without its times, so that recordings can be counted by it."""
    kind = reason.partition(",")[0]
    for pattern, words in _KINDS:
        kind = re.sub(pattern, words, kind)
    return kind


def _against_threshold(row: ScoreRow) -> str:
    if row.anomaly_score is None or row.threshold is None:
        return ""
    return against_threshold(row.anomaly_score, row.threshold)


def _counts(one: MachineVerdicts) -> str:
    total = sum(one.counts.values())
    words = [f"{count} {verdict.upper()}" for verdict, count in one.counts.items() if count]
    line = f"{one.machine}: {', '.join(words)}" + (f", of {total} recordings" if len(words) > 1 else "")
    if len(one.worst) < 2:
        return line
    (kind, count), *_ = Counter(_kind_in(row.reason) for row in one.worst).most_common(1)
    return f"{line}; {count} with {kind}" if count > 1 else line
