"""Long and short recordings: false alarms, faults that are found, memory: promised and measured.

    SOUNDNESS_DATA=/path/to/recordings python benchmarks/windows.py

Steady machines are made by this script; the toy cars are those of `SOUNDNESS_DATA`. The table goes into docs/data.md.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

import soundness
from promises import Row, measure
from soundness.detectors.detector import Detector
from soundness.detectors.saving import load_detector

RATE = 16_000
SEEDS = 3
PROMISED = 0.1
PAGE = Path(__file__).parents[1] / "docs" / "data.md"

Samples = NDArray[np.float32]


def main() -> int:
    """Measure all sections."""
    return measure({"windows": windows}, description=__doc__, page=PAGE, work=Path("windows-work"))


def windows(work: Path) -> Iterator[Row]:
    """Rows on long recordings, short ones, and cost."""
    yield from long_synthetic(work)
    yield from long_toy_cars(work)
    yield from short_synthetic(work)
    yield from short_toy_cars(work)
    yield from memory(work)


def machine(seconds: float, seed: int) -> Samples:
    """Hum, tones and noise of a steady machine, which differs a little from recording to recording."""
    rng = np.random.default_rng(seed)
    moments = np.arange(round(seconds * RATE)) / RATE
    speed = 1 + 0.004 * rng.standard_normal()
    tones = (
        np.sin(2 * np.pi * hz * speed * moments + rng.uniform(0, 6.28)) / (1 + i) * (1 + 0.1 * rng.standard_normal())
        for i, hz in enumerate((48, 96, 144, 388, 776))
    )
    hz = np.fft.rfftfreq(len(moments), 1 / RATE)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(len(moments))) / np.sqrt(1 + (hz / 800) ** 2), len(moments))
    level = 0.3 * (1 + 0.1 * rng.standard_normal())
    return (0.05 * (sum(tones) + level * noise / noise.std())).astype(np.float32)


def with_whistle(samples: Samples, start: float, seconds: float = 10.0) -> Samples:
    """The same with a whistle."""
    found, here = samples.copy(), slice(round(start * RATE), round((start + seconds) * RATE))
    moments = np.arange(len(found[here])) / RATE
    found[here] += 0.01 * np.sin(2 * np.pi * 2_300 * moments).astype(np.float32)
    return found


def detector_of(folder: Path, clips: list[Samples]) -> Detector:
    """The default detector of normal clips."""
    run = folder / "run"
    if not run.exists():
        for index, clip in enumerate(clips):
            write(folder / "machine" / "normal" / f"{index:03d}.wav", clip)
        soundness.train(folder / "machine", run)
    return load_detector(next(run.glob("*.soundness")))


def write(path: Path, samples: Samples) -> Path:
    """Write a recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path


def n_anomalous(detector: Detector, recordings: Iterator[Samples], work: Path) -> tuple[int, int, int]:
    """Numbers of recordings, of those that are anomalous, and of those that nobody can tell."""
    verdicts = [detector.score_recording(write(work / "now.wav", each)).verdict for each in recordings]
    return len(verdicts), verdicts.count("anomalous"), verdicts.count("cannot tell")


def at_most(name: str, counts: list[tuple[int, int, int]]) -> Row:
    """Row on false alarms, which are to be at most as promised, but for chance."""
    n, flagged, undecided = (sum(each[i] for each in counts) for i in range(3))
    limit = PROMISED * n + 2 * np.sqrt(PROMISED * (1 - PROMISED) * n)
    words = f"{flagged} of {n} ({100 * flagged / n:.0f} %)" + (f", {undecided} not decided" if undecided else "")
    return Row(name, f"at most {100 * PROMISED:.0f} %, by chance {limit:.0f}", words, flagged <= limit)


def long_synthetic(work: Path) -> Iterator[Row]:
    """Recordings of 600 s, of one machine throughout, and of one that changes every 10 s."""
    same, changing, faults, clips = [], [], [], []
    for seed in range(SEEDS):
        base = 10_000 * (seed + 1)
        detector = detector_of(work / f"steady{seed}", [machine(10, base + i) for i in range(40)])
        same.append(n_anomalous(detector, (machine(600, base + 1_000 + i) for i in range(8)), work))
        mixed = (np.concatenate([machine(10, base + 2_000 + 60 * i + j) for j in range(60)]) for i in range(4))
        changing.append(n_anomalous(detector, mixed, work))
        faulty = (with_whistle(machine(600, base + 5_000 + i), 100.0 + 10 * i) for i in range(6))
        faults.append(n_anomalous(detector, faulty, work))
        clips.append(n_anomalous(detector, (machine(10, base + 6_000 + i) for i in range(40)), work))
    yield at_most("steady machine: normal clips of 10 s", clips)
    yield at_most("steady machine: normal recordings of 600 s", same)
    yield at_most("steady machine: normal recordings of 600 s that change every 10 s", changing)
    n, found, _ = (sum(each[i] for each in faults) for i in range(3))
    yield Row("steady machine: a fault of 10 s in 600 s is found", "all", f"{found} of {n}", found == n)


def toy_cars() -> tuple[list[Samples], list[Samples]]:
    """Normal clips of car 1 of the training, in their order, and 50 further ones."""
    import os

    data = Path(os.environ["SOUNDNESS_DATA"])
    train = sorted((data / "toycar" / "ToyCar" / "train").glob("*source*"))
    clean = sorted((data / "toycar_clean").glob("*.wav"))
    return tuple([soundfile.read(path, dtype="float32")[0] for path in paths] for paths in (train, clean))  # type: ignore[return-value]


def toy_splits() -> Iterator[tuple[int, list[Samples], list[Samples]]]:
    """For each seed, 100 clips to learn from and the other normal ones."""
    train, clean = toy_cars()
    yield 0, train[:100], clean
    for seed in range(1, SEEDS):
        order = np.random.default_rng(seed).permutation(len(train))
        yield seed, [train[i] for i in order[:100]], [train[i] for i in order[100:]] + clean


def long_toy_cars(work: Path) -> Iterator[Row]:
    """Recordings of 15 and 30 toy-car clips one after the other, with and without an anomalous one."""
    import os

    data = Path(os.environ["SOUNDNESS_DATA"]) / "toycar" / "ToyCar" / "test"
    anomalous = [soundfile.read(path, dtype="float32")[0] for path in sorted(data.glob("*source*anomaly*"))]
    normal, found, alone = [], [], []
    for seed, train, others in toy_splits():
        detector, rng = detector_of(work / f"toy{seed}", train), np.random.default_rng(100 + seed)
        joined = [np.concatenate([others[i] for i in rng.choice(len(others), 15, replace=False)]) for _ in range(8)]
        normal.append(n_anomalous(detector, iter(joined), work))
        chosen = [anomalous[i] for i in rng.choice(len(anomalous), 16, replace=False)]
        alone.append(n_anomalous(detector, iter(chosen), work))
        pairs = zip(joined + joined, chosen, strict=True)
        found.append(n_anomalous(detector, (np.concatenate([long, fault]) for long, fault in pairs), work))
    yield at_most("toy cars: normal recordings of 15 clips", normal)
    n, n_alone = sum(each[0] for each in alone), sum(each[1] for each in alone)
    n_found = sum(each[1] for each in found)
    words = f"{n_found} of {n}; as clips of their own {n_alone}"
    yield Row(
        "toy cars: an anomalous clip behind 15 normal ones is found",
        "more often than a normal one is flagged",  # each of the 16 clips may be at 0.66 %
        words,
        n_found > PROMISED * n,
    )


def short_synthetic(work: Path) -> Iterator[Row]:
    """Normal recordings shorter than the clips of the training."""
    for seconds in (9.0, 5.0, 4.0, 2.0, 1.3, 1.0):
        counts = []
        for seed in range(SEEDS):
            base = 10_000 * (seed + 1)
            detector = detector_of(work / f"steady{seed}", [])
            n_samples = round(seconds * RATE)
            counts.append(n_anomalous(detector, (machine(10, base + 7_000 + i)[:n_samples] for i in range(40)), work))
        yield at_most(f"steady machine: normal recordings of {seconds:g} s by clips of 10 s", counts)


def short_toy_cars(work: Path) -> Iterator[Row]:
    """Toy-car clips cut short."""
    for seconds in (6.4, 4.0, 2.0, 1.0):
        counts = []
        for seed, train, others in toy_splits():
            detector = detector_of(work / f"toy{seed}", train)
            n_samples = round(seconds * RATE)
            counts.append(n_anomalous(detector, (clip[:n_samples] for clip in others[:50]), work))
        yield at_most(f"toy cars: normal recordings of {seconds:g} s by clips of 6.4 s", counts)


def memory(work: Path) -> Iterator[Row]:
    """Memory and time of scoring an hour, and of many channels."""
    run = work / "steady0" / "run"
    rng, peaks = np.random.default_rng(0), {}
    for name, seconds, n_channels in (("10 min", 600, 1), ("1 h", 3_600, 1), ("10 min of 64 channels", 600, 64)):
        path = work / "long.wav"
        with soundfile.SoundFile(path, "w", RATE, n_channels, subtype="PCM_16") as file:
            for _ in range(seconds):
                file.write((0.05 * rng.standard_normal((RATE, n_channels))).astype(np.float32))
        program = f"import soundness; soundness.score({str(run)!r}, [{str(path)!r}]); "
        program += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # of this program alone
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        peaks[name] = int(done.stdout.split()[-1]) // 1024
        seconds_taken = time.perf_counter() - started
        path.unlink()
        yield Row(
            f"memory of scoring {name}",
            "twice that of 10 min at most",
            f"{peaks[name]} MB, {seconds_taken:.0f} s",
            peaks[name] <= 2 * peaks["10 min"],
        )


if __name__ == "__main__":
    sys.exit(main())
