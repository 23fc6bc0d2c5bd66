"""The figures that the first whole system promises: promised, measured, pass or fail.

    python benchmarks/first_system.py [--only speed,demo,...]

Every figure is measured through the command line, as a user would get it. Needs the recordings in SOUNDNESS_DATA for
the figures on real sound; two idle cores for the timings. Exit status 1 if a promise is not kept.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from promises import Row, show

COMMAND = str(Path(sys.executable).with_name("soundness"))
SEEDS = (0, 1, 2)
GIB = 2**30


@dataclass(frozen=True)
class Run:
    """Time and memory of a command."""

    seconds: float
    peak_bytes: int
    output: str


def run(*arguments: str) -> Run:
    """Run a command to its end; its own wall-clock time and peak memory, from the operating system."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: exit status {process.returncode}\n{text}")
    return Run(seconds, usage.ru_maxrss * 1024, text)


def soundness(*arguments: str) -> Run:
    """Run a command of soundness."""
    return run(COMMAND, *arguments)


def toy_cars(work: Path, data: Path) -> Iterator[Row]:
    """Official score on real toy cars, the mean of three seeds."""
    for system, promised in (("conditional", 74), ("log-mel-whitened", 85)):
        scores, seconds, false_alarms = [], [], []
        for seed in SEEDS:
            out = work / system / str(seed)
            training = soundness(
                "train", str(data / "toycar"), "--out", str(out / "run"), "--system", system, "--seed", str(seed), "-q"
            )
            seconds.append(training.seconds)
            soundness("score", str(out / "run"), str(data / "toycar"), "--out", str(out / "scores"), "-q")
            soundness("evaluate", str(out / "scores"), "--json", str(out / "figures.json"))
            figures = json.loads((out / "figures.json").read_text())
            scores.append(100 * figures["official_score"])
            false_alarms.append(100 * figures["arithmetic_means"]["false_alarm_rate"])
        mean, spread = statistics.mean(scores), statistics.stdev(scores)
        each = ", ".join(f"{score:.1f}" for score in scores)
        yield Row(f"toy cars, {system}", f">= {promised}", f"{mean:.1f} ± {spread:.1f} ({each})", mean >= promised)
        alarms = ", ".join(f"{rate:.0f}" for rate in false_alarms)
        yield Row(f"toy cars, {system}, false alarms", "none; 10 % are asked for", f"{alarms} %", True)
        if system == "conditional":
            slowest = max(seconds)
            yield Row("toy cars, training, slowest seed", "<= 180 s", f"{slowest:.0f} s", slowest <= 180)


def scoring_speed(work: Path, data: Path) -> Iterator[Row]:  # noqa: ARG001  # as all of them
    """Clips a second from WAV files to CSV files, and the memory that takes."""
    made = work / "made"
    soundness("make-data", str(made), "--machines", "fan", "--train", "50", "--target", "10", "-q")
    four = work / "four" / "fan" / "train"
    four.mkdir(parents=True)
    for index, clip in enumerate(sorted((made / "fan" / "train").glob("*.wav"))):
        domain, condition = ("target", "D") if "_target_" in clip.name else ("source", "ABC"[index % 3])
        shutil.copy(clip, four / f"section_00_{domain}_train_normal_{index:04d}_{condition}.wav")
    soundness("train", str(work / "four"), "--out", str(work / "speed"), "--set", "training.max_steps=20", "-q")
    sources = sorted((made / "fan" / "test").glob("*.wav"))
    peaks = []
    for count in (500, 5_000):
        clips = work / f"clips_{count}"
        clips.mkdir()
        for index in range(count):
            os.link(sources[index % len(sources)], clips / f"clip_{index:05d}.wav")
        result = soundness("score", str(work / "speed"), str(clips), "--out", str(work / f"scores_{count}"), "-q")
        rate = count / result.seconds
        peaks.append(result.peak_bytes)
        yield Row(
            f"scoring {count:,} clips of 10 s, four conditions",
            ">= 60 clips/s",
            f"{rate:.0f} clips/s, start-up included; peak {result.peak_bytes / GIB:.2f} GiB",
            rate >= 60,
        )
    growth = peaks[1] / peaks[0]
    yield Row("memory for 5,000 clips against 500", "<= 1.1 times", f"{growth:.2f} times", growth <= 1.1)


def demo(work: Path, data: Path) -> Iterator[Row]:  # noqa: ARG001
    """The demonstration's time and memory."""
    result = soundness("demo", "--out", str(work / "demo"), "-q")
    yield Row("demo", "<= 300 s", f"{result.seconds:.0f} s", result.seconds <= 300)
    yield Row("demo, peak memory", "< 4 GiB", f"{result.peak_bytes / GIB:.2f} GiB", result.peak_bytes < 4 * GIB)


def start_up(work: Path, data: Path) -> Iterator[Row]:  # noqa: ARG001
    """Median time of an import and of the help text."""
    for what, promised, command in (
        ("import soundness", 0.3, (sys.executable, "-c", "import soundness")),
        ("soundness --help", 0.7, (COMMAND, "--help")),
    ):
        seconds = statistics.median(run(*command).seconds for _ in range(7))
        yield Row(what, f"< {promised} s", f"{seconds:.2f} s", seconds < promised)


def published(work: Path, data: Path) -> Iterator[Row]:
    """Somebody else's published scores, evaluated."""
    folder = data.parent / "published" / "scores_frozen_beats_1nn_dcase2025_dev"
    soundness("evaluate", str(folder), "--json", str(work / "published.json"))
    figures = json.loads((work / "published.json").read_text())
    official = 100 * figures["official_score"]
    yield Row("published scores, official score", "58.73", f"{official:.2f}", f"{official:.2f}" == "58.73")
    (car,) = (machine["figures"] for machine in figures["machines"] if machine["machine_type"] == "ToyCar")
    measured = " / ".join(f"{100 * car[key]:.2f}" for key in ("auc_source", "auc_target", "pauc"))
    yield Row("published scores, ToyCar", "75.76 / 58.98 / 52.11", measured, measured == "75.76 / 58.98 / 52.11")


def factory(work: Path, data: Path) -> Iterator[Row]:  # noqa: ARG001
    """Difficulty of the demo factory, seed 0; `factory_difficulty.py` shows more seeds."""
    script = Path(__file__).with_name("factory_difficulty.py")
    subprocess.run([sys.executable, script, "--json", work / "difficulty.json"], stdout=subprocess.DEVNULL, check=False)
    for row in json.loads((work / "difficulty.json").read_text()):
        measured, is_kept = f"{100 * row['auc']:.1f}", 0.6 <= row["auc"] <= 0.9
        yield Row(f"factory, {row['machine_type']}, {row['detector']}", "60 to 90", measured, is_kept)


SECTIONS: dict[str, Callable[[Path, Path], Iterator[Row]]] = {
    "start-up": start_up,
    "published": published,
    "speed": scoring_speed,
    "toy-cars": toy_cars,
    "demo": demo,
    "factory": factory,
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    chosen = parser.parse_args().only.split(",")
    if "SOUNDNESS_DATA" not in os.environ:
        parser.error("SOUNDNESS_DATA is not set: it names the folder of the real recordings")
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            work = Path(folder) / name
            work.mkdir()
            for row in SECTIONS[name](work, Path(os.environ["SOUNDNESS_DATA"]).resolve()):
                rows.append(row)
                console.print(f"{row.what}: {row.measured}", highlight=False)
    return show(rows, console)


if __name__ == "__main__":
    sys.exit(main())
