"""Systems and baselines: promised and measured, side by side; writes the tables of docs/benchmarks.md.

SOUNDNESS_DATA=... python benchmarks/systems.py [--only toycar,factory,speed] [--work DIR]

Needs the environment variable SOUNDNESS_DATA and up to two hours on an idle machine of two cores. What is finished is
kept in the work folder and not measured again. Exit status 1 if a promise is not kept.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

from promises import Row, measure

COMMAND = str(Path(sys.executable).with_name("soundness"))
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"
OFFICIAL = {"baseline-mse": 78.8, "baseline-mahalanobis": 83.4}
OFFICIAL_STEPS = 14_500
OFFICIAL_TRAINING_SECONDS = 221.0
OFFICIAL_SCORING_SECONDS = 9.8
OFFICIAL_PEAK_GB = 1.5
TIMED_STEPS = 500


@dataclass(frozen=True)
class Usage:
    """Time and memory of a command."""

    seconds: float
    peak_gb: float


def soundness(*arguments: object) -> Usage:
    """Run a command, and measure the whole process."""
    started = time.perf_counter()
    process = subprocess.Popen([COMMAND, *map(str, arguments), "-q"], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"soundness {' '.join(map(str, arguments))}: exit status {process.returncode}")
    return Usage(time.perf_counter() - started, usage.ru_maxrss * 1024 / 1e9)


def scores_of(out: Path) -> dict[str, list[float]]:
    """Official scores in per cent of each system of a benchmark, by seed."""
    scores: dict[str, list[float]] = {}
    for one in json.loads((out / "results.json").read_text())["measured"]:
        scores.setdefault(one["system"], []).append(100 * one["evaluation"]["official_score"])
    return scores


def shown(values: list[float]) -> str:
    """Mean and deviation."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def toycar(work: Path) -> Iterator[Row]:
    """Real toy cars, all systems, three seeds, against the official code's figures."""
    data, out = Path(os.environ["SOUNDNESS_DATA"]) / "toycar", work / "toycar"
    soundness("benchmark", data, "--out", out, "--seeds", "0,1,2", "--separation", "off")
    scores = scores_of(out)
    means = {system: statistics.mean(values) for system, values in scores.items()}
    for system, values in scores.items():
        promised, is_kept = "", True
        if system in OFFICIAL:
            promised = f"{OFFICIAL[system]} ± 3 (the official code's)"
            is_kept = abs(means[system] - OFFICIAL[system]) <= 3
        elif system == "fully-connected":
            promised, is_kept = ">= 80", means[system] >= 80
        elif system == "conditional":
            promised = f">= {means['baseline-mse']:.1f} (`baseline-mse`)"
            is_kept = means[system] >= means["baseline-mse"]
        yield Row(f"toy cars, `{system}`, official score", promised, shown(values), is_kept)


def factory(work: Path) -> Iterator[Row]:
    """The factory's seven machines, all systems, one seed; and again."""
    data, out = work / "factory-data", work / "factory"
    if not data.exists():
        soundness("make-data", data, "--seed", "5")
    command = ("benchmark", data, "--out", out, "--seeds", "0", "--separation", "off")
    first, again = soundness(*command, "--overwrite"), soundness(*command)
    yield Row("factory, all systems, one seed", "<= 25 min", f"{first.seconds / 60:.1f} min", first.seconds <= 1500)
    yield Row("the same command again", "seconds", f"{again.seconds:.0f} s", again.seconds <= 30)
    for system, values in scores_of(out).items():
        yield Row(f"factory, `{system}`, official score", "", shown(values), True)


def speed(work: Path) -> Iterator[Row]:
    """Training and scoring of `baseline-mse` as whole commands, against the official code's times."""
    data, run = Path(os.environ["SOUNDNESS_DATA"]) / "toycar", work / "speed" / "run"
    before = official_step_seconds()
    training = soundness("train", data, "--system", "baseline-mse", "--out", run, "--overwrite")
    step = statistics.mean((before, official_step_seconds()))
    scoring = soundness("score", run, data, "--out", work / "speed" / "scores", "--overwrite")
    ratio = OFFICIAL_STEPS * step / training.seconds
    measured = (
        f"{training.seconds:.0f} s, {ratio:.1f} times (the official code's {OFFICIAL_STEPS:,} steps of "
        f"{1000 * step:.1f} ms here; {OFFICIAL_TRAINING_SECONDS:.0f} s where it was timed)"
    )
    yield Row("`baseline-mse`, training, whole command", ">= 2.5 times faster", measured, ratio >= 2.5)
    half = OFFICIAL_PEAK_GB / 2
    yield Row(
        "`baseline-mse`, peak memory", f"<= {half:.2f} GB", f"{training.peak_gb:.2f} GB", training.peak_gb <= half
    )
    ratio = OFFICIAL_SCORING_SECONDS / scoring.seconds
    measured = f"{scoring.seconds:.1f} s, {ratio:.1f} times (the official code: {OFFICIAL_SCORING_SECONDS} s)"
    yield Row("scoring 200 clips", ">= 3 times faster", measured, ratio >= 3)


def official_step_seconds() -> float:
    """A training step as the official code makes it, on this machine now: one item of a `Dataset` at a time, Adam."""
    widths = (640, *[128] * 4, 8, *[128] * 4)
    layers = [
        layer
        for n_in, n_out in itertools.pairwise(widths)
        for layer in (nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, momentum=0.01, eps=1e-3), nn.ReLU())
    ]
    network = nn.Sequential(*layers, nn.Linear(128, 640))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    vectors = TensorDataset(torch.randn(256 * TIMED_STEPS, 640))
    started = time.perf_counter()
    for (batch,) in DataLoader(vectors, batch_size=256, shuffle=True):
        optimizer.zero_grad()
        mse_loss(network(batch), batch, reduction="none").mean().backward()
        optimizer.step()
    return (time.perf_counter() - started) / TIMED_STEPS


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {"toycar": toycar, "factory": factory, "speed": speed}


if __name__ == "__main__":
    sys.exit(measure(SECTIONS, description=__doc__.splitlines()[0], page=DOCS, work=Path("out/benchmark-systems")))
