"""The default system: promised and measured, how it was selected, what each step to it gives, and robustness.

SOUNDNESS_DATA=... python benchmarks/default_system.py [--only toycar,fan,...] [--work DIR]

Needs the environment variable SOUNDNESS_DATA and some hours on an idle machine of two cores, most of them for the
networks of `factory` and `ablation`. What is finished is kept in the work folder and not measured
again. Writes the tables of docs/default_system.md. Exit status 1 if a promise is not kept.
"""

import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arrangements import (
    FACTORY_MACHINES,
    Unit,
    compressor_units,
    factory,
    factory_units,
    fan_units,
    feature_units,
    real,
    timed,
    toycar_units,
)
from planted_units import planted_units
from promises import Row, measure
from site_units import site_units
from soundness.benchmarking.results import place_of
from soundness.evaluation.bootstrap import compare
from trials import System, Trial, feature_figure, outcomes

DOCS = Path(__file__).parents[1] / "docs" / "default_system.md"
DEFAULT = System("soundness")
REPORT = ("conditional", "unconditional", "conditional-256", "fully-connected")
BASELINES = ("baseline-mse", "baseline-mahalanobis")
SELECTION_SEEDS, REPORT_SEEDS = (3, 4), (11, 12, 13)
UNSEEN_SEEDS = (901, 902, 903, 904, 905, 906)
SEEDS = (0, 1, 2)
WORST_LOSS_WEIGHT = 0.25

STANDARDISED = ("scorer.whitening=scaled", "scorer.is_standardised=true", "scorer.shrinkage=0.005")
DENSITY = ("scorer.distance=density-ratio", "scorer.n_density_neighbors=48", "scorer.normalization=min")
MEAN, LOW = System("log-mel-whitened", STANDARDISED), System("log-mel-quantile", ("quantile=0.1", *STANDARDISED))
BOTH = ("representation=log-mel", 'poolings=["mean","quantile-0.1"]', "scorer.name=fused", *STANDARDISED)
SOUND_ALONE = ("views=[]", "scorer.name=fused", "scorer.peaks=[]")


def _members(normalization: str, *kinds: tuple[int, str]) -> str:
    """Setting of the nearest neighbour of the mean, and of further members, view and distance, of a normalization."""
    further = [f'{{view={view},distance="{name}",normalization="{normalization}"}}' for view, name in kinds]
    every = ",".join(['{view=0,distance="nearest"}', *further])
    return f"scorer.members=[{every}]"


THREE_MEMBERS = _members("min", (0, "density-ratio"), (1, "density-ratio"))
NARROW_IN_THE_MEAN_ALONE = _members("shrunk-z-score", (0, "density-ratio"), (1, "density-ratio"), (0, "narrow-change"))
BEFORE = (*SOUND_ALONE, THREE_MEMBERS)
NOTHING_EXPECTED = ("scorer.anomaly_width=0", "scorer.shrinkage=0.005", *BEFORE)
PRICES = {"event": 1.5, "dropout": 2.5, "modulation": 1.5, "tone": 1.5}
"""Of the default, in the order of its views."""


def _prices(**changes: float | None) -> str:
    """Setting of the default's tests with other prices; ``None`` leaves one out."""
    tests = [
        f'{{kind="{kind}",view={view},price={price},is_two_sided={str(kind == "tone").lower()}}}'
        for view, (kind, price) in enumerate((PRICES | changes).items(), start=2)
        if price is not None
    ]
    return f"scorer.peaks=[{','.join(tests)}]"


STEPS = {
    "`conditional`, the report's": System("conditional"),
    "no network: mean log-mel, nearest neighbour (`log-mel-knn`)": System("log-mel-knn"),
    "whitened (`log-mel-whitened`)": System("log-mel-whitened"),
    "standardised first; shrinkage by features and clips": MEAN,
    "10 % quantile beside the mean": System("log-mel-whitened", BOTH),
    "local density beside the nearest neighbour": System("soundness", NOTHING_EXPECTED),
    "smooth changes expected, twice the shrinkage": System("soundness", BEFORE),
    "narrow changes beside, domains balanced": System("soundness", SOUND_ALONE),
    "events, dropouts, modulation and tones beside: `soundness`": DEFAULT,
}
CANDIDATES = {
    **{name: system for name, system in STEPS.items() if system.name not in REPORT},
    "standardised, local density": System("log-mel-whitened", STANDARDISED + DENSITY),
    "10 % quantile beside the mean, local density": System("log-mel-whitened", BOTH + DENSITY),
    "nothing expected, twice the shrinkage": System(
        "soundness", ("scorer.anomaly_width=0", "scorer.shrinkage=0.01", *BEFORE)
    ),
    **{
        f"`soundness`, {kind}s at a price of {price} nats": System("soundness", (_prices(**{kind: price}),))
        for kind in ("event", "modulation", "tone")
        for price in (1.0, 2.0)
    },
    "`soundness`, each further test dearer by 0.5 nats": System(
        "soundness", (_prices(event=2.0, dropout=3.0, modulation=2.0, tone=2.0),)
    ),
    "`soundness` without a test for narrow changes by itself": System("soundness", (NARROW_IN_THE_MEAN_ALONE,)),
    "`soundness`, no further price of few clips": System("soundness", ("scorer.few_clips_price=0",)),
    "`soundness`, twice the further price of few clips": System("soundness", ("scorer.few_clips_price=24",)),
    "`soundness`, further tests without a bound": System("soundness", ("scorer.is_bounded=false",)),
    "`soundness` without tests for dropouts": System("soundness", (_prices(dropout=None),)),
    "`soundness` without outliers in the covariance": System("soundness", ("scorer.outlier_exponent=0",)),
    "`soundness`, half the shrinkage": System("soundness", ("scorer.shrinkage=0.015",)),
    "`soundness`, twice the shrinkage": System("soundness", ("scorer.shrinkage=0.06",)),
    **{
        f"`soundness`, changes of {width} bands": System("soundness", (f"scorer.anomaly_width={width}",))
        for width in (2, 4, 12, 16)
    },
    "`soundness`, changes of 4 bands, twice the shrinkage": System(
        "soundness", ("scorer.anomaly_width=4", "scorer.shrinkage=0.06")
    ),
    "`soundness`, changes of 0.5 dB": System("soundness", ("scorer.anomaly_level=0.5",)),
    "`soundness`, density of 16 clips": System("soundness", ("scorer.n_density_neighbors=16",)),
    "10 % quantile in place of the mean": LOW,
    "10 % quantile, local density": System(LOW.name, LOW.overrides + DENSITY),
    "whitened, not standardised, local density": System("log-mel-whitened", DENSITY),
    "Ledoit and Wolf's shrinkage": System(MEAN.name, (*STANDARDISED, "scorer.whitening=ledoit-wolf")),
    "standardised, Mahalanobis distance": System(MEAN.name, (*STANDARDISED, "scorer.distance=mahalanobis")),
    "standardised, quantile normalization": System(MEAN.name, (*STANDARDISED, "scorer.normalization=quantile")),
    "standardised, synthetic neighbours": System(MEAN.name, (*STANDARDISED, "scorer.synthetic_neighbors=3")),
}
Figures = dict[str, dict[tuple[str, str], float]]
"""Figures of each candidate, by group and machine."""


def soundness(*arguments: object) -> float:
    """Run a command quietly; its wall-clock seconds."""
    return timed(*arguments, "-q")


def _benchmark(
    data: Path, systems: Sequence[str], out: Path, *, seeds: Sequence[int] = SEEDS[:1]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a benchmark without separation; name and evaluation of each system and seed."""
    names, numbers = ",".join(systems), ",".join(map(str, seeds))
    soundness("benchmark", data, "--systems", names, "--out", out, "--seeds", numbers, "--separation", "off")
    for one in json.loads((out / "results.json").read_text())["measured"]:
        yield one["system"], one["evaluation"]


def shown(values: list[float]) -> str:
    """Mean and deviation."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def toycar(work: Path) -> Iterator[Row]:
    """Real toy cars, three seeds, whole command; then the time that training alone takes."""
    systems = ("soundness", "conditional", "log-mel-whitened", *BASELINES)
    scores: dict[str, list[float]] = {}
    for system, evaluation in _benchmark(real("toycar"), systems, work / "toycar", seeds=SEEDS):
        scores.setdefault(system, []).append(100 * evaluation["official_score"])
    means = {system: statistics.mean(values) for system, values in scores.items()}
    spread = statistics.stdev(scores["soundness"]) if len(scores["soundness"]) > 1 else 0.0
    for system, values in scores.items():
        promised = f">= 95.5, > {means['log-mel-whitened']:.1f} (`log-mel-whitened`)" if system == "soundness" else ""
        is_kept = system != "soundness" or (
            means[system] >= 95.5 and means[system] - means["log-mel-whitened"] > spread
        )
        yield Row(f"toy cars, `{system}`, official score", promised, shown(values), is_kept)
    seconds = soundness("train", real("toycar"), "--system", "soundness", "--out", work / "toycar-run", "--overwrite")
    yield Row("toy cars, training of `soundness`", "<= 180 s", f"{seconds:.0f} s", seconds <= 180)


def fan(work: Path) -> Iterator[Row]:
    """The real fan, 30 random splits; and with fewer clips than ten."""
    for n_train in (10, 5, 3):
        units = fan_units(work, 30, n_train=n_train)
        for name, system in (("soundness", DEFAULT), ("log-mel-whitened", System("log-mel-whitened"))):
            figures = [one.figure for one in outcomes(work, [Trial(system, unit.folder) for unit in units])]
            is_promised = n_train == 10 and system is DEFAULT
            yield Row(
                f"real fan, {n_train} training clips, `{name}`, AUC, 30 splits",
                ">= 88" if is_promised else "",
                shown(figures),
                not is_promised or statistics.mean(figures) >= 88,
            )


def features(work: Path) -> Iterator[Row]:  # noqa: ARG001  # nothing is kept
    """Features of MIMII that others computed, the scorer alone, under a shift of noise."""
    units = list(feature_units())
    for name, system in (("soundness", DEFAULT), ("log-mel-whitened", System("log-mel-whitened"))):
        figures = {index: feature_figure(unit, system) for index, unit in enumerate(units)}
        mean = statistics.mean(figures.values())
        detail = ", ".join(
            f"{kind} {statistics.mean(figures[i] for i, unit in enumerate(units) if unit.machine.startswith(kind)):.1f}"
            for kind in ("fan", "slider")
        )
        is_default = system is DEFAULT
        yield Row(
            f"features of 16 machines, scorer of `{name}`, mean official score",
            ">= 82" if is_default else "",
            f"{mean:.1f} ({detail})",
            not is_default or mean >= 82,
        )


def factory_report(work: Path) -> Iterator[Row]:
    """The factory with the data seeds that nothing was chosen on, against the report's systems and both baselines."""
    outs, scores = [], {}
    for seed in REPORT_SEEDS:
        out = work / f"factory-{seed}-benchmark"
        outs.append(out)
        for system, evaluation in _benchmark(factory(work, seed), ("soundness", *REPORT, *BASELINES), out):
            scores.setdefault(system, []).append(100 * evaluation["official_score"])
    means = {system: statistics.mean(values) for system, values in scores.items()}
    best = max((system for system in means if system != "soundness"), key=means.__getitem__)
    for system, values in scores.items():
        is_default = system == "soundness"
        yield Row(
            f"factory, data seeds 11-13, `{system}`, official score",
            f">= 82 (best other: `{best}`, {means[best]:.1f})" if is_default else "",
            shown(values),
            not is_default or means[system] >= 82,
        )
    yield from _machine_rows(outs)


def _machine_rows(outs: list[Path]) -> Iterator[Row]:
    """Against each machine's best: the lower bound of the difference, averaged over the data seeds."""
    differences: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for out in outs:
        for system in (*REPORT, *BASELINES):
            folders = [place_of(out, "scores", name, 0) for name in ("soundness", system)]
            for machine in compare(*folders).machines:
                if machine.score is not None:
                    found = machine.score
                    differences.setdefault((machine.machine_type, system), []).append(
                        (100 * found.second.value, 100 * found.difference.value, 100 * found.difference.low)
                    )
    for machine_type in FACTORY_MACHINES:
        means = {
            system: np.mean(values, axis=0) for (name, system), values in differences.items() if name == machine_type
        }
        best = max(means, key=lambda system: means[system][0])
        figure, difference, low = means[best]
        measured = f"{difference:+.1f}, lower bound {low:+.1f} (`{best}`: {figure:.1f})"
        yield Row(f"factory, {machine_type}, against its best", "lower bound >= -4", measured, low >= -4)


def target(work: Path) -> Iterator[Row]:
    """The target domain of the factory, against the default's ancestor, with the seeds above and others."""
    names, found = ("soundness", "log-mel-whitened"), {}
    for seed in (*REPORT_SEEDS, *UNSEEN_SEEDS):
        for system, evaluation in _benchmark(factory(work, seed), names, work / f"target-{seed}-benchmark"):
            targets = [100 * machine["figures"]["auc_target"] for machine in evaluation["machines"]]
            found[system, seed] = (100 * evaluation["official_score"], statistics.mean(targets))
    for name in names:
        scores, targets = zip(*(found[name, seed] for seed in (*REPORT_SEEDS, *UNSEEN_SEEDS)), strict=True)
        is_kept = name != "soundness" or statistics.mean(scores) >= 82
        promised = ">= 82" if name == "soundness" else ""
        measured = f"{shown(list(scores))}; mean AUC target {shown(list(targets))}"
        yield Row(f"factory, data seeds 11-13 and 901-906, `{name}`, official score", promised, measured, is_kept)
    for seed in (*REPORT_SEEDS, *UNSEEN_SEEDS):
        own, other = (found[name, seed][1] for name in names)
        yield Row(
            f"factory, data seed {seed}, AUC target", f">= {other:.1f} (`{names[1]}`)", f"{own:.1f}", own >= other
        )


def speed(work: Path) -> Iterator[Row]:
    """Scoring ten-second clips as a whole command, in wall-clock time."""
    data, run = factory(work, REPORT_SEEDS[0]), work / "speed-run"
    soundness("train", data, "--system", "soundness", "--out", run, "--separation", "off", "--overwrite")
    seconds = soundness("score", run, data, "--out", work / "speed-scores", "--overwrite")
    n_clips = sum(1 for _ in data.glob("*/test/*.wav"))
    rate = n_clips / seconds
    measured = f"{rate:.0f} a second on {os.cpu_count()} cores ({n_clips} clips, {seconds:.1f} s, start included)"
    yield Row("`soundness`, scoring of ten-second clips", ">= 150 a second", measured, rate >= 150)


def selection(work: Path) -> Iterator[Row]:
    """The procedure of docs/default_system.md: every candidate, its loss, and what is chosen without each machine."""
    figures = _candidate_figures(work)
    merits = merits_of(figures)
    for name in sorted(merits, key=merits.__getitem__, reverse=True):
        groups = ", ".join(f"{group} {value:.1f}" for group, value in _group_means(figures[name]).items())
        lost, where = _worst_loss(figures, name)
        yield Row(name, "", f"merit {merits[name]:.1f}: {groups}; worst loss {lost:.1f} ({where})", True)
    machines = list(figures[next(iter(figures))])
    chosen, left_out, best = [], [], []
    for machine in machines:
        others = merits_of({name: {m: v for m, v in own.items() if m != machine} for name, own in figures.items()})
        chosen.append(max(others, key=others.__getitem__))
        left_out.append(figures[chosen[-1]][machine])
        best.append(max(own[machine] for own in figures.values()))
    picks = ", ".join(f"{name} ({count} of {len(chosen)})" for name, count in Counter(chosen).most_common())
    yield Row("chosen with one machine left out", "", picks, True)
    measured = f"{statistics.mean(left_out):.1f} (each machine's own best candidate: {statistics.mean(best):.1f})"
    yield Row("mean figure of the machines left out", "", measured, True)


def merits_of(figures: Figures) -> dict[str, float]:
    """Rating of each candidate: mean over the groups, less a quarter of its worst loss to the best on a machine."""
    return {
        name: statistics.mean(_group_means(own).values()) - WORST_LOSS_WEIGHT * _worst_loss(figures, name)[0]
        for name, own in figures.items()
    }


def _group_means(own: Mapping[tuple[str, str], float]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for (group, _), value in own.items():
        groups.setdefault(group, []).append(value)
    return {group: statistics.mean(values) for group, values in groups.items()}


def _worst_loss(figures: Figures, name: str) -> tuple[float, str]:
    machines = figures[name]
    losses = {machine: max(own[machine] for own in figures.values()) - machines[machine] for machine in machines}
    worst = max(losses, key=losses.__getitem__)
    return losses[worst], worst[1]


def _candidate_figures(work: Path) -> Figures:
    units = [
        *factory_units(work, SELECTION_SEEDS),
        *toycar_units(work),
        *fan_units(work, 10),
        *compressor_units(work),
        *planted_units(work, SELECTION_SEEDS),
        *site_units(work, SELECTION_SEEDS[0]),
    ]
    trials = [Trial(system, unit.folder) for system in CANDIDATES.values() for unit in units]
    found = iter(outcomes(work, trials))
    figures = {}
    for name, system in CANDIDATES.items():
        values: dict[tuple[str, str], list[float]] = {}
        for unit in units:
            values.setdefault((unit.group, unit.machine), []).append(next(found).figure)
        for unit in feature_units():
            values.setdefault(("features", unit.machine), []).append(feature_figure(unit, system))
        figures[name] = {machine: statistics.mean(some) for machine, some in values.items()}
    return figures


def ablation(work: Path) -> Iterator[Row]:
    """From the report's system to the default, one step at a time; three seeds where something is random."""
    groups: dict[str, list[Unit]] = {
        "toy cars": toycar_units(work)[:1],
        "factory": factory_units(work, REPORT_SEEDS[:1]),
        "fan": fan_units(work, 3),
        "compressor": compressor_units(work),
    }
    for step, system in STEPS.items():
        seeds = SEEDS if system.name in REPORT else SEEDS[:1]
        cells, seconds, per_clip = [], [], []
        for group, units in groups.items():
            trials = [Trial(System(system.name, system.overrides, seed), u.folder) for seed in seeds for u in units]
            found = outcomes(work, trials)
            by_seed = np.reshape([one.figure for one in found], (len(seeds), len(units))).mean(axis=1)
            cells.append(f"{group} {shown(by_seed.tolist())}")
            seconds += [one.training_seconds for one in found]
            per_clip += [one.scoring_seconds / one.n_scored for one in found]
        if system.name not in REPORT:
            figures = [feature_figure(unit, system) for unit in feature_units()]
            cells.append(f"features {statistics.mean(figures):.1f}")
        cost = f"{statistics.mean(seconds):.1f} s training, {1000 * statistics.mean(per_clip):.1f} ms a clip"
        yield Row(step, "", f"{', '.join(cells)}; {cost}", True)


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "toycar": toycar,
    "fan": fan,
    "features": features,
    "factory": factory_report,
    "target": target,
    "speed": speed,
    "selection": selection,
    "ablation": ablation,
}


if __name__ == "__main__":
    from robustness import robustness

    work = Path("out/benchmark-default")
    sections = {**SECTIONS, "robustness": robustness}
    sys.exit(measure(sections, description=__doc__.splitlines()[0], page=DOCS, work=work))
