"""Section of a report on one system: training, anomaly scores, decisions and clips."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from soundness.detectors.detector import Detector
from soundness.detectors.verdicts.records import Verdict
from soundness.detectors.verdicts.score_table import VERDICTS, ScoreRow
from soundness.errors import BundleError
from soundness.evaluation.labelled_scores import LabelledScores
from soundness.evaluation.metrics import roc_auc, roc_curve
from soundness.evaluation.results import FIGURE_TITLES, Evaluation
from soundness.evaluation.score_files import MachineScores
from soundness.evaluation.year_metrics import Figures, LabelledClips
from soundness.files.sealed import SUFFIX
from soundness.regular_files import open_regular
from soundness.reports.players import Player, Recordings, add_sound, extreme_clips, n_players
from soundness.reports.recording_rows import Links, MachineRecordings, machine_recordings
from soundness.reports.svg_charts import line_chart, roc_chart, score_chart
from soundness.separation.saving import load_separator
from soundness.tables import notes_by_machine, split_constant

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["NOTHING_SCORED", "LossCurve", "MachinePart", "Scored", "SystemPart", "Trained", "system_part"]

_MOST_PLAYED = 24  # machines with recordings to play
_SHARE_ON_THE_AXIS = 85  # per cent of the clips; those with higher scores share the last bar


@dataclass(frozen=True, slots=True)
class Trained:
    """Run to report on.

    Parameters
    ----------
    run
        Folder of the run.
    detectors
        Detectors by machine type, at least one.
    shared
        Folder of separators that it shares with other runs; ``None`` where there is none.
    """

    run: Path
    detectors: Mapping[str, Detector]
    shared: Path | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of a system, with labels and figures where they are known."""

    machines: Sequence[MachineScores]
    labelled: LabelledScores | None
    evaluation: Evaluation | None
    table: Sequence[ScoreRow] = ()
    """Rows of ``scores.csv``."""
    links: Links = field(default_factory=dict)
    """Explanations of recordings."""

    def clips_of(self, scores: MachineScores) -> LabelledClips | None:
        """Labelled clips of a machine and section."""
        clips = () if self.labelled is None else self.labelled.clips
        own = (one for one in clips if (one.machine_type, one.section) == (scores.machine_type, scores.section))
        return next(own, None)

    def figures_of(self, scores: MachineScores) -> Figures | None:
        """Figures of a machine and section."""
        rows = () if self.evaluation is None else self.evaluation.machines
        own = (row.figures for row in rows if (row.machine_type, row.section) == (scores.machine_type, scores.section))
        return next(own, None)


NOTHING_SCORED = Scored((), None, None)


@dataclass(frozen=True, slots=True)
class MachinePart:
    """One machine (and section) in the report of a system.

    ``panels`` are pairs of a caption and a chart, ``figures`` and ``decisions`` pairs of a name and a formatted value.
    """

    name: str
    figures: tuple[tuple[str, str], ...]
    decisions: tuple[tuple[str, str], ...]
    panels: tuple[tuple[str, Markup], ...]
    roc: Markup | None
    roc_lines: tuple[str, ...]
    recordings: MachineRecordings
    highest: tuple[Player, ...]
    lowest: tuple[Player, ...]

    @property
    def anchor(self) -> str:
        """Identifier within the section of a system."""
        return anchor_of(self.name)

    @property
    def n_anomalous(self) -> int:
        """Number of anomalous recordings."""
        return self.recordings.counts["anomalous"]


@dataclass(frozen=True, slots=True)
class LossCurve:
    """Losses of a network over the epochs; ``caption`` gives the last ones."""

    name: str
    chart: Markup
    caption: str


@dataclass(frozen=True, slots=True)
class SystemPart:
    """One system in a report."""

    name: str
    seed: int
    training: tuple[tuple[str, ...], ...]
    """A table; the first row is the heading."""
    training_constants: tuple[tuple[str, str], ...]
    """Columns that are the same for all machines, and what they say."""
    losses: tuple[LossCurve, ...]
    separator: tuple[tuple[str, ...], ...]
    separator_notes: tuple[str, ...]
    machines: tuple[MachinePart, ...]
    settings: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    has_labels: bool

    @property
    def has_sounds(self) -> bool:
        """True if any of its clips can be played."""
        return any(clip.sound is not None for one in self.machines for clip in (*one.highest, *one.lowest))

    @property
    def anchor(self) -> str:
        """Identifier within the page."""
        return f"system-{anchor_of(self.name)}"

    @property
    def counts(self) -> dict[Verdict, int]:
        """Number of recordings by verdict, of all machines."""
        return {verdict: sum(one.recordings.counts[verdict] for one in self.machines) for verdict in VERDICTS}


def anchor_of(name: str) -> str:
    """Name as a part of an identifier of a page."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def system_part(
    trained: Trained, scored: Scored, recordings: Recordings, *, has_players: bool
) -> tuple[SystemPart, list[str]]:
    """Section of a system, and a line for each recording that cannot be read.

    Parameters
    ----------
    trained
        Run of the system.
    scored
        Scores, or `NOTHING_SCORED`.
    recordings
        Recordings that can be played.
    has_players
        True to show the most and the least normal clips.
    """
    first = next(iter(trained.detectors.values()))
    machines, problems = [], []
    played = _machines_with_players(scored.machines) if has_players else set()
    for one in scored.machines:
        is_played = (one.machine_type, one.section) in played
        part, lines = _machine_part(one, scored, trained.detectors.get(one.machine_type), recordings, is_played)
        machines.append(part)
        problems += lines
    separators = _separators_of(trained)
    training, constants = split_constant(list(_training_rows(trained.detectors)))
    system = SystemPart(
        name=first.settings.name,
        seed=first.summary.seed,
        training=tuple(training),
        training_constants=constants,
        losses=_losses(trained.run),
        separator=next((tuple(rows) for one in separators if (rows := one.improvement_rows())), ()),
        separator_notes=tuple(note for one in separators for note in (str(one), *one.summary.notes)),
        machines=tuple(machines),
        has_labels=scored.labelled is not None and bool(scored.labelled.clips),
        settings=tuple(_flat(first.settings.model_dump(mode="json"))),
        notes=(*_notes(trained.detectors), *(scored.evaluation.notes if scored.evaluation is not None else ())),
    )
    return system, problems


def _machines_with_players(machines: Sequence[MachineScores]) -> set[tuple[str, str]]:
    """Machines and sections whose recordings can be played: those with the most anomalous ones."""
    counts = {
        (one.machine_type, one.section): 0 if one.decisions is None else int(one.decisions.sum()) for one in machines
    }
    return set(sorted(counts, key=lambda key: -counts[key])[:_MOST_PLAYED])


def _machine_part(
    scores: MachineScores, scored: Scored, detector: Detector | None, recordings: Recordings, has_players: bool
) -> tuple[MachinePart, list[str]]:
    clips, figures = scored.clips_of(scores), scored.figures_of(scores)
    n_clips = n_players(len(scored.machines)) if has_players else 0
    highest, lowest = extreme_clips(scores, clips, n_clips=n_clips)
    problems: list[str] = []
    if detector is not None and has_players:
        shown, problems = add_sound(
            [*highest, *lowest], machine_type=scores.machine_type, recordings=recordings, detector=detector
        )
        highest, lowest = shown[: len(highest)], shown[len(highest) :]
    is_alone = sum(one.machine_type == scores.machine_type for one in scored.machines) == 1
    part = MachinePart(
        name=scores.machine_type if is_alone else f"{scores.machine_type}, {scores.section}",
        figures=tuple(
            (title, f"{100 * value:.1f}")
            for name, title in FIGURE_TITLES.items()
            if "auc" in name and figures is not None and (value := getattr(figures, name)) is not None
        ),
        decisions=tuple(_decisions(scores, clips, detector)),
        panels=tuple(_panels(scores, clips, None if detector is None else detector.threshold.value)),
        roc=_roc(clips),
        roc_lines=tuple(_curves(clips)),
        recordings=machine_recordings(scores, scored.table, clips, links=scored.links),
        highest=tuple(highest),
        lowest=tuple(lowest),
    )
    return part, problems


def _notes(detectors: Mapping[str, Detector]) -> list[str]:
    """Notes of the detectors, each once, with its machines."""
    notes = ((name, note) for name, detector in detectors.items() for note in _notes_of(detector))
    return notes_by_machine(notes, len(detectors))


def _notes_of(detector: Detector) -> Iterator[str]:
    """Notes on a training, first those on clips that are not like the others."""
    if detector.summary.screening is not None:
        yield from detector.summary.screening.lines
    yield from detector.summary.notes


def _training_rows(detectors: Mapping[str, Detector]) -> Iterator[tuple[str, ...]]:
    yield (
        "machine", "conditioned on", "separation", "parameters", "steps", "loss", "held-out loss",
        "reading s", "separating s", "fitting s", "scoring s",
    )  # fmt: skip
    for name, detector in detectors.items():
        summary = detector.summary
        losses = ("" if loss is None else f"{loss:.4g}" for loss in (summary.train_loss, summary.held_out_loss))
        conditions = ", ".join(name.replace("_", " ") for name in summary.conditioned_on) or "nothing"
        counts = (f"{summary.n_parameters:,}", f"{summary.n_steps:,}") if summary.n_parameters else ("", "")
        seconds = (summary.seconds.get(part, 0.0) for part in ("reading", "separating", "fitting", "scoring"))
        yield (name, conditions, summary.separation, *counts, *losses, *(f"{value:.1f}" for value in seconds))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings in the form of ``--set``."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value)


def _losses(run: Path) -> tuple[LossCurve, ...]:
    """Losses of each network of a run, from the logs of Lightning."""
    curves = []
    for folder in sorted((run / "training").glob("*/")):
        lines = _logged(folder)
        if lines:
            last = ", ".join(f"{name} {values[-1]:.4g}" for name, (_, values) in lines.items())
            chart = line_chart(lines, x_title="epochs", title=f"loss of {folder.name} over the epochs; last: {last}")
            curves.append(LossCurve(folder.name, chart, last))
    return tuple(curves)


def _separators_of(trained: Trained) -> "list[Separator]":
    """Separators that a system used and that can still be read, each once."""
    detectors = trained.detectors.values()
    found = [detector.separator for detector in detectors if detector.separator is not None]
    if any(detector.summary.separation != "off" for detector in detectors) and not found:
        shared = [] if trained.shared is None else sorted(trained.shared.glob(f"*{SUFFIX}"))
        files = [trained.run / "training" / f"separator{SUFFIX}", *shared]
        found = [load_separator(file) for file in files if file.exists()]
    return list({separator.fingerprint: separator for separator in found}.values())


def _logged(folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Epochs, counted from 1, and values of each loss; a resumed training has a log for each start."""
    lines: dict[str, dict[float, float]] = {}
    starts = {
        int(file.parent.name.removeprefix("version_")): file
        for file in folder.glob("logs/version_*/metrics.csv")
        if re.fullmatch(r"version_[0-9]{1,9}", file.parent.name)
    }
    for _, file in sorted(starts.items()):
        try:
            with TextIOWrapper(open_regular(file), encoding="utf-8", newline="") as stream:
                for row in csv.DictReader(stream):
                    for column, name in (("train_loss", "train"), ("held_out_loss", "held-out")):
                        if row.get(column) and np.isfinite(float(row[column])):
                            lines.setdefault(name, {})[float(row["epoch"]) + 1] = float(row[column])
        except (ValueError, TypeError, KeyError, csv.Error) as error:
            raise BundleError(f"{file}: not the log of a training: {error}; remove it by hand") from None
    return {name: (sorted(points), [points[step] for step in sorted(points)]) for name, points in lines.items()}


def _panels(
    scores: MachineScores, clips: LabelledClips | None, threshold: float | None
) -> Iterator[tuple[str, Markup]]:
    values = scores.anomaly_scores
    limits = [] if threshold is None else [threshold]
    high = max([float(np.percentile(values, _SHARE_ON_THE_AXIS)), *limits])
    low = min([float(values.min()), *limits])
    span = (low, high + 0.05 * (high - low))
    if clips is None:
        caption = f"{len(values)} clips, labels unknown"
        yield caption, score_chart({"all": values}, span=span, threshold=threshold, title=f"anomaly scores: {caption}")
        return
    for domain in sorted(set(clips.domains.tolist())):
        is_own = clips.domains == domain
        spread = {
            "normal": clips.anomaly_scores[is_own & ~clips.is_anomaly],
            "anomaly": clips.anomaly_scores[is_own & clips.is_anomaly],
        }
        caption = f"{domain or 'all'}: {len(spread['normal'])} normal, {len(spread['anomaly'])} anomalous"
        title = f"anomaly scores of {scores.machine_type}, {caption}; medians {_medians(spread)}"
        yield caption, score_chart(spread, span=span, threshold=threshold, title=title)


def _medians(spread: Mapping[str, NDArray[np.float64]]) -> str:
    return ", ".join(f"{label} {np.median(values):.3g}" for label, values in spread.items() if len(values))


def _curves(clips: LabelledClips | None) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    """Labels and scores of each ROC curve: normal clips of a domain against all anomalous ones, as in the challenge."""
    if clips is None:
        return {}
    found = {}
    for domain in sorted(set(clips.domains.tolist())):
        chosen = clips.is_anomaly | (clips.domains == domain)
        labels = clips.is_anomaly[chosen]
        if labels.any() and not labels.all():
            found[domain or "all"] = (labels, clips.anomaly_scores[chosen])
    return found


def _roc(clips: LabelledClips | None) -> Markup | None:
    curves = _curves(clips)
    if clips is None or not curves:
        return None
    areas = ", ".join(f"{name} {100 * roc_auc(*curve):.1f} %" for name, curve in curves.items())
    lines = {name: roc_curve(*curve) for name, curve in curves.items()}
    return roc_chart(lines, title=f"ROC of {clips.machine_type}; area under the curve: {areas}")


def _decisions(
    scores: MachineScores, clips: LabelledClips | None, detector: Detector | None
) -> Iterator[tuple[str, str]]:
    if detector is not None:
        own = detector.threshold.domains
        domains = f" ({', '.join(f'{name} {value:.3g}' for name, value in own.items())})" if len(own) > 1 else ""
        yield "threshold", f"{detector.threshold.value:.3g}{domains}"
    if scores.decisions is None:
        yield "decisions", "none"
    elif clips is None or clips.decisions is None:
        yield "called anomalous", _share(int(scores.decisions.sum()), len(scores.decisions))
    else:
        for domain in sorted(set(clips.domains.tolist())):
            normal = clips.decisions[~clips.is_anomaly & (clips.domains == domain)]
            yield f"false alarms{f', {domain}' if domain else ''}", _share(int(normal.sum()), len(normal))
        found = clips.decisions[clips.is_anomaly]
        yield "anomalies found", _share(int(found.sum()), len(found))


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.0f} %)" if whole else "no clips"
