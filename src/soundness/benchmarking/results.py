"""Results of a benchmark: means and deviations over seeds, tables beside published figures, and files of them."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from soundness.benchmarking.published_figures import PublishedSystem, published_systems
from soundness.evaluation.bootstrap import Interval
from soundness.evaluation.metrics import harmonic_mean
from soundness.evaluation.results import Evaluation
from soundness.evaluation.year_metrics import OFFICIAL_FIGURES, Figures
from soundness.files.atomic import write_whole

__all__ = ["BenchmarkResult", "Measured", "Spread", "place_of"]

_TITLES = {
    "auc": "AUC",
    "auc_source": "AUC (source)",
    "auc_target": "AUC (target)",
    "pauc": "pAUC",
    "pauc_source": "pAUC (source)",
    "pauc_target": "pAUC (target)",
}


def place_of(out: Path, kind: Literal["runs", "scores"], system: str, seed: int) -> Path:
    """Folder of the detectors or of the scores of a system and seed, in the folder of a benchmark."""
    return out / kind / system / f"seed-{seed}"


class Measured(BaseModel):
    """Figures of one system with one seed."""

    model_config = ConfigDict(frozen=True)

    system: str
    seed: int
    evaluation: Evaluation
    interval: Interval | None
    """95 % interval of the score, by bootstrap over the clips; ``None`` where there is no score."""
    training_seconds: float
    """Wall-clock time on one core, with the reading of the clips, without the training of a shared separator."""
    scoring_seconds: float

    def __str__(self) -> str:
        """Format score and time in a line."""
        score = self.evaluation.score
        figure = "no score" if score is None else f"score {100 * score:.1f} %"
        return f"{figure}, trained in {self.training_seconds:.0f} s"


class Spread(BaseModel):
    """A figure over seeds, a fraction of 1."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float | None
    """Sample deviation; ``None`` for a single value."""
    n_values: int

    @classmethod
    def from_values(cls, values: Sequence[float]) -> "Spread":
        """Mean and deviation of at least one value."""
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(mean=float(np.mean(values)), deviation=deviation, n_values=len(values))

    def __str__(self) -> str:
        """Format in per cent with one decimal."""
        spread = "" if self.deviation is None else f" ± {100 * self.deviation:.1f}"
        return f"{100 * self.mean:.1f}{spread}"


class BenchmarkResult(BaseModel):
    """Figures of all systems and seeds, and failures."""

    model_config = ConfigDict(frozen=True)

    data: str
    machine_types: tuple[str, ...]
    separation: dict[str, str]
    """Use of separated machine sound by each system."""
    measured: tuple[Measured, ...]
    failures: tuple[str, ...]
    is_synthetic: bool = False
    """True for sounds of machines that do not exist, which published figures say nothing of."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems that have figures, in order."""
        return tuple(dict.fromkeys(one.system for one in self.measured))

    @property
    def ranked(self) -> tuple[str, ...]:
        """Names of the systems that have figures, the best score first; those without a score come last."""
        scores = {name: self.score(name) for name in self.systems}
        means = {name: -1.0 if spread is None else spread.mean for name, spread in scores.items()}
        return tuple(sorted(self.systems, key=lambda name: -means[name]))

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the figures of which the score of the year consists."""
        return OFFICIAL_FIGURES[self.measured[0].evaluation.metric] if self.measured else ()

    @property
    def published(self) -> list[PublishedSystem]:
        """Published systems with figures of exactly these machines; none beside synthetic sounds."""
        if self.is_synthetic:
            return []
        return published_systems(self.machine_types) if self.figures == OFFICIAL_FIGURES["2022"] else []

    def score(self, system: str) -> Spread | None:
        """Score of a system over its seeds; ``None`` where no seed has one."""
        return self.spread(system, lambda evaluation: evaluation.score)

    def spread(self, system: str, figure: Callable[[Evaluation], float | None]) -> Spread | None:
        """A figure of a system over its seeds; ``None`` where no seed has it."""
        values = [figure(one.evaluation) for one in self.measured if one.system == system]
        found = [value for value in values if value is not None]
        return Spread.from_values(found) if found else None

    def machine_score(self, system: str, machine_type: str) -> float | None:
        """Harmonic mean of a machine's figures, averaged over seeds and sections."""
        found = []
        for one in (one for one in self.measured if one.system == system):
            for row in one.evaluation.machines:
                values = [getattr(row.figures, name) for name in self.figures]
                if row.machine_type == machine_type and all(value is not None for value in values):
                    found.append(harmonic_mean(values))
        return float(np.mean(found)) if found else None

    def summary_rows(self) -> list[tuple[str, ...]]:
        """Rows of a table: score, means of the figures and times of each system; published systems last."""
        titles = [_TITLES[name] for name in self.figures]
        rows = [("system", "separation", "seeds", "score", "95 % of clips", *titles, "training s", "scoring s")]
        for system in self.systems:
            own = [one for one in self.measured if one.system == system]
            means = [self.spread(system, _mean_figure(name)) for name in self.figures]
            score = _cell(self.score(system))
            seconds = [np.mean([one.training_seconds for one in own]), np.mean([one.scoring_seconds for one in own])]
            cells = (score, _interval_cell(own), *map(_cell, means), *(f"{value:.0f}" for value in seconds))
            rows.append((system, self.separation[system], str(len(own)), *cells))
        for known in self.published:
            means_of = [harmonic_mean(getattr(machine, name) for machine in known.machines) for name in self.figures]
            cells = (f"{100 * known.official_score:.1f}", "", *(f"{100 * value:.1f}" for value in means_of))
            rows.append((f"published: {known.name}", "", "", *cells, "", ""))
        return rows

    def table_rows(self) -> list[tuple[str, ...]]:
        """Rows of a table as the report's Table 1: machines and figures down, systems across, published ones last."""
        heading = ("machine", "section", "figure", *self.systems, *(f"published: {one.name}" for one in self.published))
        rows: list[tuple[str, ...]] = [heading]
        for machine, section in self._places():
            for name in self.figures:
                own = [_cell(self.spread(system, _figure_at(machine, section, name))) for system in self.systems]
                known = [_published_cell(one, machine, name) for one in self.published]
                rows.append((machine, section, _TITLES[name], *own, *known))
        summary = self.summary_rows()
        columns = [*range(5, 5 + len(self.figures)), 3]
        return rows + [("All", "", summary[0][column], *(row[column] for row in summary[1:])) for column in columns]

    def write(self, out: Path) -> list[Path]:
        """Write ``results.json``, ``results.csv`` and ``results.md``, and return their paths.

        Raises
        ------
        OutputError
            If one cannot be written.
        """
        texts = {"results.json": self._json(), "results.csv": self._csv(), "results.md": self._markdown()}
        for name, text in texts.items():
            write_whole(out / name, text)
        return [out / name for name in texts]

    def is_written(self, out: Path) -> bool:
        """Return True if ``results.json`` in a benchmark's folder holds exactly this."""
        file = out / "results.json"
        return file.is_file() and file.read_bytes() == self._json().encode("utf-8")

    def _json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"

    def _places(self) -> list[tuple[str, str]]:
        places = ((row.machine_type, row.section) for one in self.measured for row in one.evaluation.machines)
        return list(dict.fromkeys(places))

    def _csv(self) -> str:
        """Format a row for each system, seed, machine and section; fractions of 1."""
        text = io.StringIO()
        names = list(Figures.model_fields)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("system", "seed", "machine_type", "section", "n_normal", "n_anomalous", *names))
        for one in self.measured:
            for row in one.evaluation.machines:
                values = ("" if value is None else repr(value) for _, value in row.figures)
                place = (row.machine_type, row.section, row.n_normal, row.n_anomalous)
                writer.writerow((one.system, one.seed, *place, *values))
        return text.getvalue()

    def _markdown(self) -> str:
        parts = [
            f"# Benchmark of {', '.join(self.machine_types)}",
            "In per cent; mean ± deviation over seeds; 95 % intervals by bootstrap over clips, the mean of the seeds'.",
            _markdown_table(self.summary_rows()),
            _markdown_table(self.table_rows()),
        ]
        if self.measured:
            parts.insert(2, f"{self.measured[0].evaluation.definition}.")
        if self.failures:
            parts.append("Failed:\n\n" + "\n".join(f"* {failure}" for failure in self.failures))
        return "\n\n".join(parts) + "\n"


def _mean_figure(name: str) -> Callable[[Evaluation], float | None]:
    def figure(evaluation: Evaluation) -> float | None:
        means = evaluation.arithmetic_means if evaluation.metric == "2020" else evaluation.harmonic_means
        value: float | None = getattr(means, name)
        return value

    return figure


def _interval_cell(measured: Sequence[Measured]) -> str:
    """Mean over seeds of both ends of the intervals."""
    found = [one.interval for one in measured if one.interval is not None]
    if not found:
        return "-"
    low, high = np.mean([[interval.low, interval.high] for interval in found], axis=0)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _figure_at(machine_type: str, section: str, name: str) -> Callable[[Evaluation], float | None]:
    def figure(evaluation: Evaluation) -> float | None:
        for row in evaluation.machines:
            if (row.machine_type, row.section) == (machine_type, section):
                value: float | None = getattr(row.figures, name)
                return value
        return None

    return figure


def _published_cell(system: PublishedSystem, machine_type: str, name: str) -> str:
    values = [getattr(machine, name) for machine in system.machines if machine.machine_type == machine_type]
    return f"{100 * values[0]:.1f}" if values else ""


def _cell(spread: Spread | None) -> str:
    return "-" if spread is None else str(spread)


def _markdown_table(rows: Iterable[Sequence[str]]) -> str:
    heading, *others = rows
    lines = [heading, ["---"] * len(heading), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
