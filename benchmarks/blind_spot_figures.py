"""Scores of planted recordings, kept in files, and what follows from them: areas under the curve, tables, a picture."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from rich.console import Console
from sklearn.metrics import roc_auc_score

from plants import GROUPS, KINDS, Kind
from promises import Row, put_rows, put_section, show

__all__ = ["CLEAN", "Cell", "Score", "keep_scores", "kept_scores", "promised_cells", "write_page"]

DOCS = Path(__file__).parents[1] / "docs"
SEEN = 0.9
PROMISED_ALARMS = 0.1

Cell = tuple[str, float]
"""Kind and strength."""
CLEAN: Cell = ("clean", 0.0)

PROMISES: Mapping[tuple[str, str, float], float] = {
    ("toy-car", "event-2x128", 15): 99.5,
    ("toy-car", "event-5x128", 10): 98,
    ("toy-car", "event-10x128", 6): 85,
    ("toy-car", "event-40x128", 3): 70,
    ("toy-car", "event-5x16", 15): 85,
    ("toy-car", "event-10x16", 10): 80,
    ("toy-car", "event-40x16", 3): 65,
    ("toy-car", "tone", 3): 92,
    ("toy-car", "band", 6): 98,
    ("toy-car", "knock-10", 4): 95,
    ("toy-car", "knock-3", 10): 95,
    ("fan", "modulation-20", 2): 90,
}
"""Least AUC in per cent, by machine, kind and strength."""
EXCHANGEABLE = ("one-car", "fan", "slider")
"""Machines whose held-out recordings are drawn as those of the training were; of the others the domains differ."""
NAMES = {
    "toy-car": "two toy cars",
    "one-car": "one toy car",
    "fan": "fan",
    "slider": "slide rail",
    "compressor": "compressor",
    "valve": "valve (synthetic)",
    "gearbox": "gearbox (synthetic)",
}


@dataclass(frozen=True, kw_only=True)
class Score:
    """Score of a planted recording; no score where it cannot be used."""

    kind: str
    strength: float
    clip: int
    anomaly_score: float | None
    verdict: str

    @property
    def cell(self) -> Cell:
        """Kind and strength."""
        return self.kind, self.strength


def promised_cells(machine: str) -> list[Cell]:
    """Kinds and strengths that something is promised of."""
    return [(kind, strength) for name, kind, strength in PROMISES if name == machine]


def keep_scores(work: Path, key: tuple[str, int, str], scores: Iterable[Score]) -> None:
    """Write the scores of a machine, a split and a system."""
    file = _file(work, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [each.name for each in fields(Score)])
        writer.writeheader()
        writer.writerows(asdict(score) for score in scores)


def kept_scores(work: Path, key: tuple[str, int, str]) -> list[Score]:
    """Scores of a machine, a split and a system; none where they were not measured."""
    file = _file(work, key)
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Score(
            kind=row["kind"],
            strength=float(row["strength"]),
            clip=int(row["clip"]),
            anomaly_score=float(row["anomaly_score"]) if row["anomaly_score"] else None,
            verdict=row["verdict"],
        )
        for row in rows
    ]


def _file(work: Path, key: tuple[str, int, str]) -> Path:
    machine, split, system = key
    return work / "scores" / machine / str(split) / f"{system}.csv"


class Map:
    """Scores of one system on all machines.

    Parameters
    ----------
    work
        Folder in which they are kept.
    system
        Its name.
    """

    def __init__(self, work: Path, system: str) -> None:
        self.system = system
        self.scores: dict[str, list[list[Score]]] = {}
        for machine in NAMES:
            found = sorted((work / "scores" / machine).glob(f"*/{system}.csv"))
            splits = [kept_scores(work, (machine, int(path.parent.name), system)) for path in found]
            self.scores[machine] = [scores for scores in splits if scores]
        self._aucs = {machine: [_aucs(scores) for scores in splits] for machine, splits in self.scores.items()}

    @property
    def machines(self) -> list[str]:
        """Machines on which something was planted."""
        return [machine for machine, splits in self._aucs.items() if any(splits)]

    def aucs(self, machine: str, cell: Cell) -> list[float]:
        """Area under the curve in each split that it was measured in."""
        return [aucs[cell] for aucs in self._aucs[machine] if cell in aucs]

    def flagged(self, machine: str) -> list[float]:
        """Share of the recordings as they are that are called anomalous, in each split."""
        return [
            float(np.mean([score.verdict == "anomalous" for score in scores if score.cell == CLEAN]))
            for scores in self.scores[machine]
        ]

    def place(self, machine: str, kind: Kind) -> float | None:
        """Place among a kind's strengths at which the area reaches 0.9: 0 is the weakest, their number is never.

        ``None`` where it was not measured.
        """
        found = [self.aucs(machine, (kind.name, strength)) for strength in kind.strengths]
        if not all(found):
            return None
        means = [float(np.mean(aucs)) for aucs in found]
        seen = [index for index, mean in enumerate(means) if mean >= SEEN]
        if not seen:
            return float(len(means))
        first = seen[0]
        return 0.0 if first == 0 else first - (means[first] - SEEN) / (means[first] - means[first - 1])


def _aucs(scores: Sequence[Score]) -> dict[Cell, float]:
    """Area under the curve of each cell against the same recordings as they are; those without a score are left out."""
    by_cell: dict[Cell, dict[int, float]] = {}
    for score in scores:
        if score.anomaly_score is not None:
            by_cell.setdefault(score.cell, {})[score.clip] = score.anomaly_score
    clean = by_cell.pop(CLEAN)
    aucs = {}
    for cell, planted in by_cell.items():
        pairs = [(clean[clip], score) for clip, score in planted.items() if clip in clean]
        labels = np.repeat([0, 1], len(pairs))
        aucs[cell] = float(roc_auc_score(labels, np.array(pairs).T.ravel()))
    return aucs


def promised_rows(found: Map) -> list[Row]:
    """What is promised of kinds and strengths, and of false alarms."""
    rows = []
    for (machine, name, strength), least in PROMISES.items():
        aucs = 100 * np.array(found.aucs(machine, (name, strength)))
        if len(aucs):
            kind = KINDS[name]
            what = f"{NAMES[machine]}: {kind.words}, {strength:g} {kind.unit}: AUC"
            rows.append(Row(what, f">= {least:g}", _mean_and_spread(aucs), bool(aucs.mean() >= least)))
    flagged = {machine: 100 * np.array(shares) for machine in NAMES if (shares := found.flagged(machine))}
    drawn = [flagged[machine].mean() for machine in EXCHANGEABLE if machine in flagged]
    if drawn:
        mean = float(np.mean(drawn))
        what = "false alarms among normal recordings drawn as those of the training, mean of the machines, per cent"
        rows.append(Row(what, "8 to 12", f"{mean:.1f}", 8 <= mean <= 12))
    for machine, shares in flagged.items():
        rows.append(Row(f"{NAMES[machine]}: false alarms, per cent", "", _mean_and_spread(shares), True))
    return rows


def _mean_and_spread(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values.mean():.1f}"


def threshold_lines(found: Map) -> list[str]:
    """Table of the strengths at which the area reaches 0.9: kinds down, machines across."""
    machines = found.machines
    lines = [f"### `{found.system}`", "", f"| | unit | {' | '.join(NAMES[name] for name in machines)} |"]
    lines.append("|---|---|" + "---|" * len(machines))
    for group in GROUPS:
        lines.append(f"| **{group}** | |" + " |" * len(machines))
        for kind in (kind for kind in KINDS.values() if kind.group == group):
            cells = " | ".join(_strength(kind, found.place(machine, kind)) for machine in machines)
            lines.append(f"| {kind.words} | {kind.unit} | {cells} |")
    return [*lines, ""]


def _strength(kind: Kind, place: float | None) -> str:
    """Strength at a place among a kind's, in words."""
    strengths = kind.strengths
    if place is None or place >= len(strengths):
        return "" if place is None else "never"
    if place == 0:
        return f"≤ {strengths[0]:g}"
    return f"{np.interp(place, range(len(strengths)), strengths):.2g}"


def unseen_lines(maps: Sequence[Map]) -> list[str]:
    """Kinds that no system sees on any machine, whatever the strength, by group."""
    lines = []
    for group in GROUPS:
        unseen = []
        for kind in (kind for kind in KINDS.values() if kind.group == group):
            places = [found.place(machine, kind) for found in maps for machine in NAMES]
            known = [place for place in places if place is not None]
            if known and min(known) >= len(kind.strengths):
                unseen.append(f"{kind.words} ({kind.strengths[-1]:g} {kind.unit})")
        if unseen:
            lines.append(f"* **{group}**: {'; '.join(unseen)}")
    return lines or ["* nothing: each kind is seen by some system on some machine"]


def draw(maps: Sequence[Map], file: Path) -> None:
    """Picture like an audiogram: each kind's strength at which the area reaches 0.9, from weak (above) to never.

    Systems are compared on the machines that all of them were measured on; if some were measured on fewer than others,
    those with the most machines stand alone above.
    """
    most = max((found.machines for found in maps), key=len)
    common = [machine for machine in most if all(machine in found.machines for found in maps)]
    panels = [(most, [found for found in maps if found.machines == most])]
    if common != most:
        panels.append((common, list(maps)))
    kinds = list(KINDS.values())
    figure, rows = plt.subplots(
        len(panels), figsize=(15, 2.2 + 4 * len(panels)), layout="constrained", sharex=True, squeeze=False
    )
    for axes, (machines, own) in zip(rows[:, 0], panels, strict=True):
        for number, found in enumerate(own):
            _line(axes, found, machines, (0.6 * ((number + 0.5) / len(own) - 0.5), f"C{maps.index(found)}"))
        for x in range(1, len(kinds)):
            if kinds[x].group != kinds[x - 1].group:
                axes.axvline(x - 0.5, color="0.8", lw=0.8)
        for group in GROUPS:
            axes.text(_places(group).mean(), 1.03, group, ha="center", fontsize=9)
        axes.set_title(", ".join(NAMES[machine] for machine in machines), fontsize=9)
        axes.set_yticks([0, 0.5, 1], ["never", "strong ones", "weak ones, too"])
        axes.set(xlim=(-0.7, len(kinds) - 0.3), ylim=(-0.04, 1.1), ylabel="strength at which AUC reaches 0.9")
        axes.grid(axis="y", color="0.9")
    axes.set_xticks(range(len(kinds)), [kind.words for kind in kinds], rotation=90, fontsize=7.5)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(maps), fontsize=9, frameon=False)
    figure.savefig(file, dpi=80)
    plt.close(figure)
    Image.open(file).convert("RGB").quantize(255).save(file, optimize=True)  # half the size


def _places(group: str) -> np.ndarray:
    """Places of a group's kinds on the horizontal axis."""
    return np.flatnonzero([kind.group == group for kind in KINDS.values()])


def _line(axes: Axes, found: Map, machines: Sequence[str], look: tuple[float, str]) -> None:
    """One system: small dots for machines, large ones for their mean, joined within a group."""
    (shift, colour), kinds = look, list(KINDS.values())
    for group in GROUPS:
        places = _places(group)
        heights = [[_height(found, machine, kinds[x]) for machine in machines] for x in places]
        known = [[height for height in some if height is not None] for some in heights]
        for x, some in zip(places, known, strict=True):
            axes.plot([x + shift] * len(some), some, "o", color=colour, ms=3, alpha=0.35, markeredgewidth=0)
        means = [np.mean(some) if some else np.nan for some in known]
        label = found.system if group == GROUPS[0] else None
        axes.plot(places + shift, means, "o-", color=colour, ms=5, lw=1.0, label=label)


def _height(found: Map, machine: str, kind: Kind) -> float | None:
    """Height in the picture: 1 where the weakest strength is seen, 0 where none is."""
    place = found.place(machine, kind)
    return None if place is None else 1 - place / len(kind.strengths)


def write_page(work: Path, systems: Sequence[str]) -> int:
    """Put tables and the picture into the page, and print what is promised of the first system; 1 if it is not kept."""
    maps = [Map(work, system) for system in systems]
    page, rows = DOCS / "blind_spots.md", promised_rows(maps[0])
    put_rows(page, "promised", rows)
    put_section(page, "unseen", unseen_lines(maps))
    put_section(page, "thresholds", [line for found in maps for line in threshold_lines(found)])
    draw(maps, DOCS / "blind_spots.png")
    return show(rows, Console(width=160))
