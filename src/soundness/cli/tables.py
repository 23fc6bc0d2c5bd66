"""Tables of results in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.cli.console import say, show_lines, show_table
from soundness.evaluation.bootstrap import Comparison, Difference, Interval
from soundness.evaluation.results import Evaluation, table_rows
from soundness.scoring.decisions.alarms import duration, rate_in, rate_unit
from soundness.tables import notes_by_machine

if TYPE_CHECKING:
    from soundness.benchmarking.results import BenchmarkResult
    from soundness.detectors.detector import Detector
    from soundness.monitoring.alarm_proposals import AlarmProposal
    from soundness.screening.records import ScreeningRecord
    from soundness.separation.separator import Separator

__all__ = [
    "show_benchmark",
    "show_comparison",
    "show_detectors",
    "show_evaluation",
    "show_proposal",
    "show_screening",
    "show_separator",
]


def show_detectors(detectors: "Sequence[Detector]", out: Path) -> None:
    """Show the detectors of a training: suspects among their clips first, then clips, figures and notes."""
    show_screening({each.machine_type: each.summary.screening for each in detectors})
    rows: list[tuple[str, ...]] = [
        ("machine", "conditioned on", "separation", "clips", "conditions", "parameters", "steps", "held-out loss",
         "threshold", "s")
    ]  # fmt: skip
    rows += [_detector_row(detector) for detector in detectors]
    system = detectors[0].summary.system
    show_table(f"{system}, seed {detectors[0].summary.seed}, in {out}", rows, n_left=4)
    trained = detectors[0].summary.separator_seconds
    if trained is not None:
        say(f"the separator was trained for {trained / 60:.1f} minutes")
    notes = [(detector.machine_type, note) for detector in detectors for note in detector.summary.notes]
    show_lines("notes", notes_by_machine(notes, len(detectors)))


def show_screening(records: "Mapping[str, ScreeningRecord | None]") -> None:
    """Show the clips of each machine that are not like the others, before all else."""
    found = {machine: record for machine, record in records.items() if record is not None and record.lines}
    n_suspects = sum(len(record.suspects) for record in found.values())
    lines = [f"{machine}: {line}" for machine, record in found.items() for line in record.lines]
    show_lines(f"{n_suspects} training clip(s) not like the others" if n_suspects else "screening", lines)
    kept = [record for record in found.values() if record.set_aside]
    if kept:
        say(f"--keep FILE trains with one that is normal, such as --keep {kept[0].set_aside[0].name}")


def _detector_row(detector: "Detector") -> tuple[str, ...]:
    summary = detector.summary
    separation = "" if summary.separation == "off" else summary.separation
    if "separating" in summary.seconds and separation:
        separation += f", {summary.seconds['separating']:.0f} s"
    return (
        detector.machine_type,
        ", ".join(summary.conditioned_on),
        separation,
        " + ".join(f"{count} {domain or 'normal'}" for domain, count in summary.n_clips.items()),
        str(len(summary.conditions) or ""),
        f"{summary.n_parameters:,}" if summary.n_parameters else "",
        str(summary.n_steps or ""),
        "" if summary.held_out_loss is None else f"{summary.held_out_loss:.4f}",
        f"{detector.threshold.value:.3f}",
        f"{sum(summary.seconds.values()):.0f}",
    )


def show_separator(separator: "Separator", out: Path, pictures: Sequence[Path]) -> None:
    """Show a trained separator: its improvement for each machine, and notes."""
    rows = separator.improvement_rows()
    if rows:
        show_table(f"SI-SNR improvement in dB on held-out mixtures, {out}", rows, n_left=2)
    if any(one.is_noisy_target for one in separator.summary.improvements):
        say("a noisy reference makes the figure too low: removing the noise of the reference itself counts as an error")
    say(f"{separator}; in {out}")
    show_lines("notes", separator.summary.notes)
    if pictures:
        say(f"pictures in {pictures[0].parent}: {', '.join(picture.name for picture in pictures)}")


def show_evaluation(evaluation: Evaluation, *, title: str, is_quiet: bool) -> None:
    """Show the figures in per cent, the official score and notes; if quiet, only the score."""
    if not is_quiet:
        rows = _without_one_section(table_rows(evaluation))
        show_table(title, rows, n_left=1 + ("section" in rows[0]))
    if evaluation.official_score is not None:
        say(f"official score {100 * evaluation.official_score:.2f} %")
    elif evaluation.score is not None:
        say(f"mean of AUC and pAUC over all machines {100 * evaluation.score:.2f} %")
    if evaluation.mean_auc is not None and evaluation.mean_pauc is not None:
        say(f"mean AUC {100 * evaluation.mean_auc:.2f} %, mean pAUC {100 * evaluation.mean_pauc:.2f} %")
    if not is_quiet:
        say(evaluation.definition)
        show_lines("notes", evaluation.notes)


def show_comparison(comparison: Comparison, *, title: str, is_quiet: bool) -> None:
    """Show the scores of two systems and their difference, with 95 % intervals; if quiet, only the total."""
    if not is_quiet:
        rows = [("machine", "clips", "score", "against", "difference", "p")]
        rows += [(row.machine_type, str(row.n_clips), *_cells(row.score, n_digits=1)) for row in comparison.machines]
        if len(comparison.machines) > 1:
            rows.append(("all", str(comparison.n_clips), *_cells(comparison.score, n_digits=1)))
        show_table(f"{title}, per cent with 95 % intervals", rows)
    if comparison.score is None:
        say("no score of both: an official figure is missing")
    else:
        first, second, difference, p_value = _cells(comparison.score)
        say(f"score {first} against {second}: difference {difference}, p {p_value}")
    if not is_quiet:
        say(f"{comparison.n_resamples:,} resamples of the clips, the same for both; {comparison.definition}")
        show_lines("notes", comparison.notes)


def show_proposal(proposal: "AlarmProposal") -> None:
    """Show an alarm rule, its expected rates, and those of a recording."""
    rule, found = proposal.rule, proposal.replay
    say(f"{proposal.machine_type}: an alarm at {rule}")
    rates = [
        ("requested", rule.asked_per_day),
        ("expected" if rule.correlations else "expected of independent clips", rule.expected_per_day),
        ("the same, upper 95 % bound", rule.bound_per_day),
        ("however dependent clips are, upper 95 % bound", rule.dependent_per_day),
    ]
    if found is not None:
        rates.append((f"{found.n_alarms} on a recording of {found.n_clips} clips", found.per_day))
        rates.append(("the same, upper 95 % bound", found.upper_per_day))
    unit = rate_unit(rule.asked_per_day)
    show_table("", [("false alarms", f"a {unit}"), *((name, rate_in(rate, unit)) for name, rate in rates)])
    longest = duration(rule.n_clips * rule.clip_every_seconds)
    rows = [("a fault that is anomalous in", "raises an alarm")]
    rows += [("every clip", f"after {duration(rule.n_anomalous * rule.clip_every_seconds)}")]
    rows += [
        (f"{100 * share:.0f} % of the clips", f"within {longest} in {100 * rule.chance_of_alarm(share):.0f} %")
        for share in (0.9, 0.5)
    ]
    show_table("", rows, n_left=2)
    show_lines("notes", proposal.notes)


def show_benchmark(result: "BenchmarkResult", *, title: str) -> int:
    """Show the figures of a benchmark, and its failures; give the exit status, 2 if all jobs failed."""
    if result.measured:
        rows = _without_one_section(result.table_rows())
        show_table(f"{title}, per cent, mean ± deviation over seeds", rows, n_left=2 + ("section" in rows[0]))
        show_table("summary", result.summary_rows(), n_left=2)
    show_lines(f"{len(result.failures)} failed", result.failures)
    return int(bool(result.failures)) if result.measured else 2


def _without_one_section(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Rows without the column of the sections, where there is but one."""
    place = rows[0].index("section")
    is_alone = len({row[place] for row in rows[1:]} - {""}) < 2
    return [tuple(cell for index, cell in enumerate(row) if index != place or not is_alone) for row in rows]


def _cells(difference: Difference | None, *, n_digits: int = 2) -> tuple[str, str, str, str]:
    if difference is None:
        return ("-", "-", "-", "-")
    first, second = (_cell(one, n_digits) for one in (difference.first, difference.second))
    return (first, second, _cell(difference.difference, n_digits, sign="+"), f"{difference.p_value:.3f}")


def _cell(interval: Interval, n_digits: int, *, sign: str = "") -> str:
    figures = (interval.value, interval.low, interval.high)
    value, low, high = (f"{100 * figure:{sign}.{n_digits}f}" for figure in figures)
    return f"{value} [{low}, {high}]"
