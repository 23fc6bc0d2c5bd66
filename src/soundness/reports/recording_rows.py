"""Every recording of a report: verdict, score, time, reason, and its explanation where there is one."""

import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from soundness.data.clips import clip_key
from soundness.detectors.verdicts.records import Verdict
from soundness.detectors.verdicts.score_table import VERDICTS, ScoreRow, against_threshold
from soundness.evaluation.score_files import MachineScores
from soundness.evaluation.year_metrics import LabelledClips
from soundness.regular_files import open_regular
from soundness.reports.svg_charts import time_chart

__all__ = ["Links", "MachineRecordings", "RecordingRow", "find_explanations", "machine_recordings"]

Links = Mapping[tuple[str, str], str]
"""Addresses of explanations, seen from the page, by machine type and file name."""

_TITLE = re.compile(r"<title>(?:ANOMALOUS|NORMAL|CANNOT TELL): (.*), ([^,]*)</title>")
_HEAD_BYTES = 2_000  # of a page, in which its title is
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRow:
    """One recording in a list that can be sorted.

    Parameters
    ----------
    name
        Name of its file.
    verdict
        Verdict on it.
    score
        Score against the threshold, in words; empty without a score.
    order
        Number by which rows are sorted by score.
    p_value, time, reason, truth
        In words; empty where there are none.
    link
        Address of its explanation; empty where there is none.
    """

    name: str
    verdict: Verdict
    score: str
    order: float
    p_value: str
    time: str
    reason: str
    truth: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecordings:
    """Recordings of one machine, the anomalous ones with the highest score first.

    Parameters
    ----------
    rows
        One for each recording.
    counts
        Number of recordings by verdict.
    reason
        Reason of the most anomalous one; empty without.
    chart
        Scores over time; ``None`` where their times are not known.
    """

    rows: tuple[RecordingRow, ...]
    counts: dict[Verdict, int]
    reason: str
    chart: Markup | None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the fields that differ between rows, or are not empty."""
        return tuple(
            name for name in ("p_value", "time", "truth", "reason") if any(getattr(r, name) for r in self.rows)
        )


def machine_recordings(
    scores: MachineScores, table: Sequence[ScoreRow], labelled: LabelledClips | None, *, links: Links
) -> MachineRecordings:
    """List the recordings of one machine and section.

    Parameters
    ----------
    scores
        Scores of the challenge's files.
    table
        Rows of ``scores.csv``; without them there are no times and reasons, and verdicts are the decisions.
    labelled
        Labels, where they are known.
    links
        Explanations.
    """
    own = {row.path.name: row for row in table if row.machine == scores.machine_type}
    truths = _truths(labelled)
    found = [_of_score(scores, index, own.get(name)) for index, name in enumerate(scores.file_names)]
    found += [row for row in own.values() if row.anomaly_score is None]
    rank = {verdict: number for number, verdict in enumerate(("anomalous", "cannot tell", "normal"))}
    found.sort(key=lambda row: (rank[row.verdict], -(row.anomaly_score or 0.0)))
    return MachineRecordings(
        rows=tuple(
            RecordingRow(
                name=row.path.name,
                verdict=row.verdict,
                score=_score_words(row),
                order=float("-inf") if row.anomaly_score is None else row.anomaly_score,
                p_value="" if row.p_value is None else f"{row.p_value:.2g}",
                time=row.time[:16].replace("T", " "),
                reason=row.reason,
                truth=truths.get(clip_key(row.path.name), ""),
                link=links.get((row.machine, row.path.name), ""),
            )
            for row in found
        ),
        counts={verdict: sum(row.verdict == verdict for row in found) for verdict in VERDICTS},
        reason=next((row.reason for row in found if row.verdict == "anomalous"), ""),
        chart=_over_time(scores.machine_type, found),
    )


def find_explanations(page: Path) -> dict[tuple[str, str], str]:
    """Explanations in the folder of a page, and in the folders there, by machine type and file name."""
    folder = page.parent
    found: dict[tuple[str, str], str] = {}
    if folder.is_dir():
        for file in _pages(folder):
            match = _TITLE.search(_beginning(file))
            if match is not None:
                address = quote(os.fsencode(os.path.relpath(file, folder).replace(os.sep, "/")))
                found[html.unescape(match[2]), html.unescape(match[1])] = address
    return found


def _pages(folder: Path) -> Iterator[Path]:
    pages = (file for pattern in ("*.html", "*/*.html") for file in sorted(folder.glob(pattern)))
    yield from (file for file, _ in zip(pages, range(_MOST_PAGES), strict=False) if file.is_file())


def _beginning(file: Path) -> str:
    try:
        with open_regular(file) as stream:
            return stream.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:  # a page of somebody else
        return ""


def _of_score(scores: MachineScores, index: int, row: ScoreRow | None) -> ScoreRow:
    if row is not None:
        return row
    is_anomalous = scores.decisions is not None and scores.decisions[index] == 1
    return ScoreRow(
        path=Path(scores.file_names[index]),
        machine=scores.machine_type,
        time="",
        anomaly_score=float(scores.anomaly_scores[index]),
        p_value=None,
        threshold=None,
        verdict="cannot tell" if scores.decisions is None else "anomalous" if is_anomalous else "normal",
        reason="no threshold" if scores.decisions is None else "",
    )


def _score_words(row: ScoreRow) -> str:
    if row.anomaly_score is None:
        return ""
    return f"{row.anomaly_score:.3g}" if row.threshold is None else against_threshold(row.anomaly_score, row.threshold)


def _over_time(machine: str, rows: Sequence[ScoreRow]) -> Markup | None:
    known = sorted((row.time, row.anomaly_score) for row in rows if row.time and row.anomaly_score is not None)
    if len({time for time, _ in known}) < 3:
        return None
    times = [datetime.fromisoformat(time).timestamp() for time, _ in known]
    threshold = next((row.threshold for row in rows if row.threshold is not None), None)
    ends = (known[0][0][:10], known[-1][0][:10])
    if ends[0] == ends[1]:
        ends = (known[0][0][11:16], known[-1][0][11:16])
    title = f"anomaly scores of {machine} over time, from {known[0][0]} to {known[-1][0]}"
    return time_chart(times, [score for _, score in known], threshold=threshold, ends=ends, title=title)


def _truths(labelled: LabelledClips | None) -> dict[str, str]:
    if labelled is None:
        return {}
    pairs = zip(labelled.keys, labelled.is_anomaly, strict=True)
    return {key: "anomalous" if is_anomaly else "normal" for key, is_anomaly in pairs}
