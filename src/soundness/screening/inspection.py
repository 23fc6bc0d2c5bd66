"""Inspect a data set: count and measure its recordings, and report what is wrong with them."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeVar

from soundness.aliases import CountProgress, PathLike
from soundness.audio.decoding import AS_STATED
from soundness.audio.defects import Defect, DefectKind, find_defects
from soundness.audio.measures import ClipMeasures, measure_clip
from soundness.data.clips import DOMAINS, Clip, Split
from soundness.data.datasets import FEWEST_TRAINING_CLIPS, Machine, Problem, Selection, open_dataset
from soundness.errors import AudioError
from soundness.screening.doubles import double_problems
from soundness.settings.system import AudioSettings, LogMelSettings
from soundness.threads import map_recordings

__all__ = ["COLUMNS", "Inspection", "Range", "SplitReport", "inspect", "table_rows"]

COLUMNS = (
    *("machine", "split", "clips", "domains", "labels", "conditions", "supplemental"),
    *("total s", "clip s", "Hz", "channels", "level dBFS"),
)
"""The columns of `table_rows`."""

_SPLITS: tuple[Split, ...] = ("train", "test", "supplemental")
_UNKNOWN = "unknown"
_CONDITIONS_SHOWN = 4
_MOST_WORKERS = 8  # recordings in memory at once, each of which may last hours

Key = TypeVar("Key", str, int)


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest, middle and largest value, in the values' unit."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Contents of one split of one machine; audio figures leave out the clips that cannot be read.

    Clips are counted by domain and label (``labels``), by attribute string and domain (``conditions``), by section, by
    kind (``supplemental``), by sample rate in Hz and by number of channels; ``unknown`` or ``""`` stands for what is
    not known. ``seconds`` is the duration of a clip, ``level_dbfs`` that of `ClipMeasures`, without silent clips;
    ``None`` if there is none. ``n_silent`` and ``n_clipped`` count clips without any sound, and clips that are clipped.
    """

    machine_type: str
    split: Split
    n_clips: int
    n_unreadable: int
    labels: dict[str, dict[str, int]]
    conditions: dict[str, dict[str, int]]
    sections: dict[str, int]
    supplemental: dict[str, int]
    total_seconds: float
    seconds: Range | None
    sample_rates: dict[int, int]
    channels: dict[int, int]
    level_dbfs: Range | None
    n_silent: int
    n_clipped: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """Result of `inspect`: a report of each split of each machine, and problems.

    Problems of folders and names come first, then those of the recordings.
    """

    root: Path
    splits: tuple[SplitReport, ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, object]:
        """Convert to types that `json.dumps` takes."""
        problems = [asdict(problem) | {"path": str(problem.path)} for problem in self.problems]
        return {"root": str(self.root), "splits": [asdict(split) for split in self.splits], "problems": problems}


def inspect(
    data: PathLike | Selection, *, audio: AudioSettings = AS_STATED, progress: CountProgress | None = None
) -> Inspection:
    """Read every recording of a data set and report what it holds and what is wrong with it.

    Parameters
    ----------
    data
        A data set of any layout, or a folder of recordings.
    audio
        Its ``rate`` and ``columns`` say how tables of numbers are read.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    DataError
        If there is no data set there.
    """
    dataset = open_dataset(data)
    clips = [clip for machine in dataset.machines.values() for clip in machine.clips]
    measures: dict[Path, ClipMeasures] = {}
    problems = list(dataset.problems)
    found_defects: dict[tuple[str, Split, DefectKind], list[tuple[Path, Defect]]] = {}
    results = map_recordings(partial(_try_to_measure, audio), clips, n_workers=min(_MOST_WORKERS, os.cpu_count() or 1))
    for n_done, (clip, found) in enumerate(zip(clips, results, strict=True), start=1):
        if isinstance(found, ClipMeasures):
            measures[clip.path] = found
            problems += _refusals(clip, found)
            for defect in find_defects(found, channel=audio.channel):
                key = (clip.machine_type, clip.split, defect.kind)
                found_defects.setdefault(key, []).append((clip.path, defect))
        else:
            problems.append(Problem(clip.path, found.reason))
        if progress is not None:
            progress(n_done, len(clips))
    problems += _grouped(found_defects)
    splits = []
    for machine in dataset.machines.values():
        splits += [_report(machine.machine_type, split, machine.clips, measures) for split in _SPLITS]
        problems += [*_machine_problems(machine, measures), *double_problems(machine, measures.keys(), audio)]
    return Inspection(dataset.root, tuple(report for report in splits if report.n_clips > 0), tuple(problems))


def table_rows(inspection: Inspection) -> list[tuple[str, ...]]:
    """Splits as rows of text, one cell for each of `COLUMNS`; empty where nothing is known."""
    return [_row(report) for report in inspection.splits]


def _try_to_measure(audio: AudioSettings, clip: Clip) -> ClipMeasures | AudioError:
    try:
        return measure_clip(clip.path, audio=audio)
    except AudioError as error:
        return error


def _report(
    machine_type: str, split: Split, all_clips: Iterable[Clip], measures: Mapping[Path, ClipMeasures]
) -> SplitReport:
    clips = [clip for clip in all_clips if clip.split == split]
    measured = [measures[clip.path] for clip in clips if clip.path in measures]
    levels = [each.level_dbfs for each in measured if each.level_dbfs is not None]
    kinds = [_word(clip.supplemental) for clip in clips if split == "supplemental"]
    return SplitReport(
        machine_type=machine_type,
        split=split,
        n_clips=len(clips),
        n_unreadable=len(clips) - len(measured),
        labels=_cross_counts((_word(clip.domain), _word(clip.label)) for clip in clips),
        conditions=_cross_counts((clip.attributes, _word(clip.domain)) for clip in clips),
        sections=_counts(clip.section for clip in clips),
        supplemental=_counts(kinds),
        total_seconds=sum(each.seconds for each in measured),
        seconds=_spread([each.seconds for each in measured]),
        sample_rates=_counts(each.sample_rate for each in measured),
        channels=_counts(len(each.silent_channels) for each in measured),
        level_dbfs=_spread(levels),
        n_silent=len(measured) - len(levels),
        n_clipped=sum(each.is_clipped for each in measured),
    )


def _word(value: str | None) -> str:
    return _UNKNOWN if value is None else value


def _counts(keys: Iterable[Key]) -> dict[Key, int]:
    return dict(sorted(Counter(keys).items()))


def _cross_counts(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(Counter(pairs).items()):
        table.setdefault(first, {})[second] = count
    return table


def _spread(values: Sequence[float]) -> Range | None:
    return Range(min(values), median(values), max(values)) if values else None


def _refusals(clip: Clip, measured: ClipMeasures) -> list[Problem]:
    """Reasons why a detector with default settings would refuse a clip; none reads supplemental ones."""
    if clip.split == "supplemental":
        return []
    fmax, n_fft, messages = LogMelSettings().fmax, LogMelSettings().n_fft, []
    if measured.sample_rate < 2 * fmax:
        what = f"recorded at {measured.sample_rate} Hz"
        messages.append(f"{what}; a detector with the default log_mel.fmax of {fmax:g} Hz refuses it")
    if (n_samples := round(measured.seconds * (sample_rate := AudioSettings().sample_rate))) < n_fft:
        what = f"{n_samples:,} samples at {sample_rate} Hz"
        messages.append(f"{what}; a detector with the default log_mel.n_fft of {n_fft:,} refuses it")
    return [Problem(clip.path, message) for message in messages]


def _grouped(
    defects: Mapping[tuple[str, Split, DefectKind], Sequence[tuple[Path, Defect]]],
) -> list[Problem]:
    """One problem for all clips of a machine and split with the same kind of defect."""
    return [
        Problem(
            found[0][0], found[0][1].text + _and_more(len(found) - 1, f"{split} clips of {machine_type}"), "warning"
        )
        for (machine_type, split, _), found in defects.items()
    ]


def _and_more(count: int, what: str) -> str:
    return f" (and {count:,} more {what})" if count > 0 else ""


def _machine_problems(machine: Machine, measures: Mapping[Path, ClipMeasures]) -> list[Problem]:
    measured = [measures[clip.path] for clip in machine.clips if clip.path in measures]
    n_train = sum(clip.path in measures for clip in machine.train)
    warnings = _domain_warnings(machine) + _label_warnings(machine)
    if len(codings := _counts(f"as {each.coding or '16 bits or more'}" for each in measured)) > 1:
        warnings.append("codings differ, which change the sound: " + _listed(codings))
    if len(rates := _counts(each.sample_rate for each in measured)) > 1:
        warnings.append("sample rates differ: " + _listed({f"at {rate} Hz": n for rate, n in rates.items()}))
    if len(channels := _counts(len(each.silent_channels) for each in measured)) > 1:
        warnings.append("channels differ: " + _listed({f"with {n}": count for n, count in channels.items()}))
    problems = [Problem(machine.root, message, "warning") for message in warnings]
    if n_train < FEWEST_TRAINING_CLIPS:
        message = f"{n_train} readable training clips; training needs at least {FEWEST_TRAINING_CLIPS}"
        problems.append(Problem(machine.root, message))
    return problems


def _domain_warnings(machine: Machine) -> list[str]:
    present = {clip.domain for clip in machine.train} - {None}
    missing = [domain for domain in DOMAINS if domain not in present]
    return [f"no training clip of the {missing[0]} domain"] if len(missing) == 1 else []


def _label_warnings(machine: Machine) -> list[str]:
    labels = {clip.label for clip in machine.test} - {None}
    if not machine.test or len(labels) == 2:
        return []
    if not labels:
        return ["no test clip is labelled; they can be scored, but not evaluated"]
    return [f"all labelled test clips are labelled {labels.pop()}; an evaluation needs both labels"]


def _row(report: SplitReport) -> tuple[str, ...]:
    domains = {domain: sum(by_label.values()) for domain, by_label in report.labels.items()}
    labels: Counter[str] = Counter()
    for by_label in report.labels.values():
        labels.update(by_label)
    unreadable = f" ({report.n_unreadable} unreadable)" if report.n_unreadable else ""
    return (
        report.machine_type,
        report.split,
        f"{report.n_clips:,}{unreadable}",
        _known(domains),
        _known(dict(sorted(labels.items()))),
        _condition_cell(report.conditions),
        _listed(report.supplemental),
        f"{report.total_seconds:,.1f}",
        _range(report.seconds),
        ", ".join(map(str, report.sample_rates)),
        ", ".join(map(str, report.channels)),
        _range(report.level_dbfs),
    )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _known(counts: Mapping[str, int]) -> str:
    return "" if set(counts) <= {_UNKNOWN} else _listed(counts)


def _condition_cell(conditions: Mapping[str, object]) -> str:
    names = [name for name in conditions if name != ""]
    if not names:
        return ""
    more = ", ..." if len(names) > _CONDITIONS_SHOWN else ""
    return f"{len(names)}: {', '.join(names[:_CONDITIONS_SHOWN])}{more}"


def _range(spread: Range | None) -> str:
    """``min / median / max``, or one figure where they agree."""
    if spread is None:
        return ""
    cells = [f"{value:.1f}" for value in (spread.minimum, spread.median, spread.maximum)]
    return cells[0] if len(set(cells)) == 1 else " / ".join(cells)
