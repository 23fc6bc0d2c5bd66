"""Systems and baselines: promised and measured, side by side; writes the tables of docs/benchmarks.md.

SOUNDNESS_DATA=... python benchmarks/systems.py [--only toycar,factory,speed] [--work DIR]

Needs the environment variable SOUNDNESS_DATA and about two hours on an idle machine of two cores. What is finished is
kept in the work folder and not measured again. Exit status 1 if a promise is not kept.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

COMMAND = str(Path(sys.executable).with_name("soundness"))
DOCS = Path(__file__).parents[1] / "docs" / "benchmarks.md"
OFFICIAL = {"baseline-mse": 78.8, "baseline-mahalanobis": 83.4}
OFFICIAL_TRAINING_SECONDS = 221.0
OFFICIAL_SCORING_SECONDS = 9.8
OFFICIAL_STEP_MS = 15.0
OFFICIAL_PEAK_GB = 1.5


@dataclass(frozen=True)
class Row:
    """One line of the table; without a promise it is kept."""

    what: str
    promised: str
    measured: str
    is_kept: bool


@dataclass(frozen=True)
class Usage:
    """What a command took."""

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
    training = soundness("train", data, "--system", "baseline-mse", "--out", run, "--overwrite")
    scoring = soundness("score", run, data, "--out", work / "speed" / "scores", "--overwrite")
    ratio = OFFICIAL_TRAINING_SECONDS / training.seconds
    measured = f"{training.seconds:.0f} s, {ratio:.1f} times (the official code: {OFFICIAL_TRAINING_SECONDS:.0f} s)"
    yield Row("`baseline-mse`, training", ">= 2.5 times faster", measured, ratio >= 2.5)
    half = OFFICIAL_PEAK_GB / 2
    yield Row(
        "`baseline-mse`, peak memory", f"<= {half:.2f} GB", f"{training.peak_gb:.2f} GB", training.peak_gb <= half
    )
    ratio = OFFICIAL_SCORING_SECONDS / scoring.seconds
    measured = f"{scoring.seconds:.1f} s, {ratio:.1f} times (the official code: {OFFICIAL_SCORING_SECONDS} s)"
    yield Row("scoring 200 clips", ">= 3 times faster", measured, ratio >= 3)


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {"toycar": toycar, "factory": factory, "speed": speed}


def write_docs(rows: dict[str, list[Row]]) -> None:
    """Put the tables between the markers of the page."""
    text = DOCS.read_text(encoding="utf-8")
    for section, found in rows.items():
        start, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
        lines = ["| | promised | measured |", "|---|---|---|"]
        lines += [f"| {row.what} | {row.promised} | {row.measured} |" for row in found]
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        text = f"{before}{start}" + "\n".join(lines) + f"\n{end}{after}"
    DOCS.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--work", type=Path, default=Path("out/benchmark-systems"))
    arguments = parser.parse_args()
    if "SOUNDNESS_DATA" not in os.environ:
        parser.error("SOUNDNESS_DATA is not set: it names the folder of the real recordings")
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "rows.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    rows = {name: [Row(**row) for row in found] for name, found in known.items()}
    console = Console(width=None if sys.stdout.isatty() else 160)
    for name in arguments.only.split(","):
        if name not in rows:
            rows[name] = list(SECTIONS[name](work))
            kept.write_text(json.dumps({key: [asdict(row) for row in found] for key, found in rows.items()}, indent=2))
    table = Table("what", "promised", "measured", "")
    for row in (row for name in arguments.only.split(",") for row in rows[name]):
        table.add_row(row.what, row.promised, row.measured, "pass" if row.is_kept else "FAIL")
    console.print(table)
    write_docs(rows)
    return 0 if all(row.is_kept for found in rows.values() for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
