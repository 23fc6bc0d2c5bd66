"""Verdict and tables of a report: data, systems and machines."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from soundness.benchmarking.results import BenchmarkResult, Spread
from soundness.data.clips import condition_of
from soundness.data.datasets import Dataset, open_dataset
from soundness.detectors.detector import Detector
from soundness.evaluation.metrics import harmonic_mean
from soundness.evaluation.results import Evaluation
from soundness.reports.system_section import Scored

__all__ = ["Verdict", "benchmark_verdict", "count", "data_rows", "heat_rows", "run_verdict", "summary_rows", "versions"]

_GRADES = ((0.9, "Very good"), (0.75, "Good"), (0.6, "Fair"), (0.55, "Weak"), (0.0, "Close to chance"))
"""Smallest score of each grade; chance is 0.5."""

_NBSP = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome in words.

    Parameters
    ----------
    grade
        Grade of the score.
    sentences
        Explanation.
    facts
        Most important figures: pairs of a value and its name.
    """

    grade: str
    sentences: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    is_known: bool = True
    """False where no labels grade the scores."""


def run_verdict(detectors: Mapping[str, Detector], evaluation: Evaluation | None) -> Verdict:
    """Verdict on a training, with figures where its scores have labels."""
    summaries = [detector.summary for detector in detectors.values()]
    n_clips = sum(sum(summary.n_clips.values()) for summary in summaries)
    seconds = _training_seconds(detectors)
    facts = (_fact(len(detectors), "machine"), _fact(n_clips, "training clip"), (_duration(seconds), "training"))
    if evaluation is None or evaluation.score is None:
        trained = f"{count(len(detectors), 'detector')} trained on {count(n_clips, 'normal clip')}."
        rest = "Their quality is not known yet: it takes scores of labelled clips."
        return Verdict("Not yet evaluated", (trained, rest), facts, is_known=False)
    return Verdict(
        _grade(evaluation.score),
        (
            f"The score over all machines is {_percent(evaluation.score)}; chance is 50{_NBSP}%.",
            *_extremes(evaluation),
            *_alarms(evaluation),
        ),
        ((_percent(evaluation.score), "official score" if evaluation.official_score is not None else "score"), *facts),
    )


def benchmark_verdict(result: BenchmarkResult) -> Verdict:
    """Verdict on a benchmark: the best system, its lead and its machines."""
    best, *others = result.ranked
    spread = result.score(best)
    n_clips = sum(row.n_normal + row.n_anomalous for row in result.measured[0].evaluation.machines)
    facts = (
        _fact(len(result.systems), "system"),
        _fact(len(result.machine_types), "machine"),
        _fact(n_clips, "test clip"),
        (_duration(sum(one.training_seconds + one.scoring_seconds for one in result.measured)), "of one core"),
    )
    if spread is None:
        return Verdict("Not yet evaluated", ("No system has all the figures that the score needs.",), facts)
    own = next(one for one in result.measured if one.system == best)
    sentences = [
        f"{best} is the best of {count(len(result.systems), 'system')}, with a score of {_percent(spread.mean)} "
        f"(chance is 50{_NBSP}%)."
    ]
    sentences += [_runner_up(result, best, others[0])] if others else []
    sentences += [*_extremes(own.evaluation), *_alarms(own.evaluation)]
    return Verdict(_grade(spread.mean), tuple(sentences), ((_percent(spread.mean), "best score"), *facts))


def summary_rows(result: BenchmarkResult) -> list[tuple[str, ...]]:
    """Summary of a benchmark, the best system first, published ones last."""
    heading, *rows = result.summary_rows()
    place = {name: number for number, name in enumerate(result.ranked)}
    return [heading, *sorted(rows, key=lambda row: place.get(row[0], len(place)))]


def heat_rows(result: BenchmarkResult) -> list[tuple[str, bool, list[float | None]]]:
    """Score of each machine by system, the best first, published ones last: name, True if published, scores."""
    rows = [
        (name, False, [result.machine_score(name, machine) for machine in result.machine_types])
        for name in result.ranked
    ]
    for known in result.published:
        own = {one.machine_type: harmonic_mean(getattr(one, name) for name in result.figures) for one in known.machines}
        rows.append((f"published: {known.name}", True, [own[machine] for machine in result.machine_types]))
    return rows


def data_rows(detectors: Mapping[str, Detector], scored: Scored, data: Path | None) -> list[tuple[str, ...]]:
    """Table of the clips of each machine; with conditions and supplemental clips where the data set is there."""
    dataset = None if data is None else open_dataset(data)
    domains = list(dict.fromkeys(domain for one in detectors.values() for domain in one.summary.n_clips))
    titles = [f"training, {domain}" if domain else "training" for domain in domains]
    rows = [("machine", *titles, "test, normal", "test, anomalous", "test, no label", "conditions", "supplemental")]
    for name, detector in detectors.items():
        trained = (str(detector.summary.n_clips.get(domain, 0)) for domain in domains)
        rows.append((name, *trained, *_tested(scored, name), *_found(dataset, name)))
    kept = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    return [tuple(row[column] for column in kept) for row in rows]


def versions(detectors: Mapping[str, Detector]) -> list[tuple[str, str]]:
    """Versions of the packages of the training; all of them where detectors differ."""
    found: dict[str, dict[str, None]] = {}
    for detector in detectors.values():
        for package, version in detector.summary.versions.items():
            found.setdefault(package, {})[version] = None
    return [(package, ", ".join(each)) for package, each in found.items()]


def count(number: int, noun: str) -> str:
    """Format a number with a noun, such as ``1 machine`` or ``7 machines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _fact(number: int, noun: str) -> tuple[str, str]:
    value, _, name = count(number, noun).partition(" ")
    return value, name


def _grade(score: float) -> str:
    return next(words for least, words in _GRADES if score >= least)


def _runner_up(result: BenchmarkResult, best: str, second: str) -> str:
    spread = result.score(second)
    if spread is None:
        return ""
    intervals = [[one.interval for one in result.measured if one.system == name] for name in (best, second)]
    known = [[interval for interval in own if interval is not None] for own in intervals]
    follows = f"{second} follows with {_percent(spread.mean)}"
    if not all(known):
        return f"{follows}."
    low = Spread.from_values([interval.low for interval in known[0]]).mean
    high = Spread.from_values([interval.high for interval in known[1]]).mean
    if low > high:
        return f"{follows}, and the 95 % intervals do not overlap."
    return f"{follows}; the 95 % intervals overlap, so compare the two with soundness evaluate --against."


def _extremes(evaluation: Evaluation) -> Iterator[str]:
    known = sorted((mean.score, mean.machine_type) for mean in evaluation.machine_means if mean.score is not None)
    if len(known) > 1:
        (low, hardest), (high, easiest) = known[0], known[-1]
        yield f"Easiest is {easiest} ({_percent(high)}), hardest {hardest} ({_percent(low)})."


def _alarms(evaluation: Evaluation) -> Iterator[str]:
    means = evaluation.arithmetic_means
    if means.false_alarm_rate is not None and means.recall is not None:
        yield (
            f"With its thresholds {100 * means.false_alarm_rate:.0f}{_NBSP}% of normal clips raise an alarm, "
            f"and {100 * means.recall:.0f}{_NBSP}% of the anomalous ones are found."
        )


def _tested(scored: Scored, machine_type: str) -> tuple[str, str, str]:
    own = [one for one in scored.machines if one.machine_type == machine_type]
    clips = [found for one in own if (found := scored.clips_of(one)) is not None]
    n_anomalous = sum(int(one.is_anomaly.sum()) for one in clips)
    n_normal = sum(len(one.is_anomaly) for one in clips) - n_anomalous
    n_unknown = sum(len(one.file_names) for one in own) - n_normal - n_anomalous
    return (str(n_normal or ""), str(n_anomalous or ""), str(n_unknown or ""))


def _found(dataset: Dataset | None, machine_type: str) -> tuple[str, str]:
    machine = None if dataset is None else dataset.machines.get(machine_type)
    if machine is None:
        return ("", "")
    kinds = Counter(clip.supplemental or "unknown" for clip in machine.supplemental)
    supplemental = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return (str(len({str(condition_of(clip)) for clip in machine.train})), supplemental)


def _training_seconds(detectors: Mapping[str, Detector]) -> float:
    """Seconds of all machines; a shared network counts once, separation is part of reading."""
    fitting = [detector.summary.seconds["fitting"] for detector in detectors.values()]
    is_shared = all(detector.settings.scope == "shared" for detector in detectors.values())
    others = sum(one.summary.seconds["reading"] + one.summary.seconds["scoring"] for one in detectors.values())
    return others + (max(fitting) if is_shared else sum(fitting))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{_NBSP}%"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
