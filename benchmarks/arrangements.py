"""Training sets and test sets made of recordings that are there: links with names of the challenge, nothing is copied.

A *unit* is one training set with one test set; units of one *machine* are selected on, or left out, together. Where a
log-mel store is used, a recording that stands in several units is read once: a link leads to the same file.
"""

import csv
import lzma
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

COMMAND = str(Path(sys.executable).with_name("soundness"))
FACTORY_MACHINES = ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve")
N_TARGET = 10
Waveform = np.ndarray
Part = tuple[str, str, str]
"""Split, domain and label of a clip."""


@dataclass(frozen=True)
class Unit:
    """A folder of one machine, in the layout of the challenge, and what it counts for."""

    group: str
    machine: str
    folder: Path


@dataclass(frozen=True, eq=False)
class FeatureUnit:
    """Vectors of normal clips, domains (0 source, 1 target), and test clips with labels and domains."""

    machine: str
    training: np.ndarray
    training_domains: np.ndarray
    test: np.ndarray
    labels: np.ndarray
    domains: np.ndarray


def timed(*arguments: object) -> float:
    """Run a command of soundness; its wall-clock seconds."""
    started = time.perf_counter()
    subprocess.run([COMMAND, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def real(name: str) -> Path:
    """A folder of real recordings."""
    return Path(os.environ["SOUNDNESS_DATA"]) / name


def factory(work: Path, seed: int) -> Path:
    """The factory's recordings of a data seed, made once."""
    out = work / f"factory-{seed}"
    if not out.exists():
        timed("make-data", out, "--seed", seed, "-q")
    return out


def factory_units(work: Path, seeds: Iterable[int]) -> list[Unit]:
    """The seven machines of each data seed."""
    return [Unit("factory", machine, factory(work, seed) / machine) for seed in seeds for machine in FACTORY_MACHINES]


def toycar_units(work: Path) -> list[Unit]:
    """The toy cars as they are; with ten source and three target clips; and with source and target changed over."""
    folder = real("toycar") / "ToyCar"
    source, target = (sorted(folder.glob(f"train/*_{domain}_*.wav")) for domain in ("source", "target"))
    tests = {part: sorted(folder.glob(f"test/*_{part[1]}_test_{part[2]}_*.wav")) for part in _parts("test")}
    few = {("train", "source", "normal"): source[::20], ("train", "target", "normal"): target[:3], **tests}
    other = tests["test", "target", "normal"]
    changed = {
        ("train", "source", "normal"): [*other[:40], *target],
        ("train", "target", "normal"): source[::20],
        ("test", "source", "normal"): other[40:],
        ("test", "target", "normal"): tests["test", "source", "normal"],
        ("test", "source", "anomaly"): tests["test", "target", "anomaly"],
        ("test", "target", "anomaly"): tests["test", "source", "anomaly"],
    }
    made = [linked(work / "toycar-few" / "ToyCar", few), linked(work / "toycar-changed" / "ToyCar", changed)]
    return [Unit("toy cars", "toy car", path) for path in (folder, *made)]


def fan_units(work: Path, n_splits: int, *, n_train: int = 10) -> list[Unit]:
    """The real fan: ten normal clips, drawn anew for each split, and all others to test with."""
    normal, abnormal = (sorted(real("mimii_fan").glob(f"{name}/*.wav")) for name in ("normal", "abnormal"))
    units = []
    for split in range(n_splits):
        order = np.random.default_rng(split).permutation(len(normal))
        drawn, others = ([normal[index] for index in some] for some in (order[:n_train], order[n_train:]))
        folder = linked(work / f"fan-{n_train}" / f"fan{split:02d}", _one_domain(drawn, others, abnormal))
        units.append(Unit("fan", "real fan", folder))
    return units


def compressor_units(work: Path) -> list[Unit]:
    """An air compressor: its states rest, run, and both as normal; recordings of one prefix stay together."""
    paths = {state: sorted(real("compressor").glob(f"{state}/*.wav")) for state in ("off", "rest", "run")}
    prefixes = sorted({recording_prefix(path) for some in paths.values() for path in some})
    order = np.random.default_rng(0).permutation(len(prefixes))
    is_training = {prefix: bool(place % 2 == 0) for prefix, place in zip(prefixes, order, strict=True)}
    units = []
    for states in (("rest",), ("run",), ("rest", "run")):
        normal = [path for state in states for path in paths[state]]
        others = [path for state in paths if state not in states for path in paths[state]]
        train = [path for path in normal if is_training[recording_prefix(path)]]
        test = [path for path in normal if not is_training[recording_prefix(path)]]
        anomalous = [path for path in others if not is_training[recording_prefix(path)]]
        folder = linked(work / "compressor" / "".join(states), _one_domain(train, test, anomalous))
        units.append(Unit("compressor", "compressor", folder))
    return units


def feature_units() -> Iterator[FeatureUnit]:
    """Sixteen shifts of noise: each fan and slider, source at 6 dB, target at 0 or -6 dB with ten clips.

    Half of the normal clips train, the others test, whatever the level; no clip stands in both domains of a test.
    """
    for machine in ("fan", "slider"):
        with lzma.open(real("mimii_features") / f"{machine}.csv.xz", "rt", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        values = np.array([list(row.values())[5:] for row in rows], dtype=np.float64)
        levels = np.array([float(row["snr_db"]) for row in rows])
        is_normal = np.array([row["is_normal"] == "1" for row in rows])
        clips = np.array([int(row["clip"]) for row in rows])
        ids = np.array([row["machine_id"] for row in rows])
        for machine_id in sorted(set(ids.tolist())):
            own = ids == machine_id
            order = np.random.default_rng(int(machine_id)).permutation(np.unique(clips[own & is_normal]))
            training, target = order[: len(order) // 2], order[:N_TARGET]
            trained = own & is_normal & np.isin(clips, training)
            tested = own & ~trained
            for level in (0.0, -6.0):
                source_train = trained & (levels == 6.0) & ~np.isin(clips, target)
                target_train = trained & (levels == level) & np.isin(clips, target)
                source_test = tested & (levels == 6.0) & (clips % 2 == 0)
                target_test = tested & (levels == level) & (clips % 2 == 1)
                train, test = (
                    np.flatnonzero(source_train | target_train),
                    np.flatnonzero(source_test | target_test),
                )
                yield FeatureUnit(
                    f"{machine} {machine_id}",
                    values[train],
                    target_train[train].astype(np.int64),
                    values[test],
                    (~is_normal[test]).astype(np.int64),
                    target_test[test].astype(np.int64),
                )


def linked(folder: Path, parts: dict[Part, Sequence[Path]]) -> Path:
    """A machine's folder of links, made once."""
    for (split, domain, label), paths in parts.items():
        (folder / split).mkdir(parents=True, exist_ok=True)
        for index, path in enumerate(paths):
            link = folder / split / f"section_00_{domain}_{split}_{label}_{index:04d}_noAttribute.wav"
            if not link.exists():
                link.symlink_to(path.resolve())
    return folder


def changed_tests(out: Path, folder: Path, change: Callable[[Waveform, int], Waveform]) -> Path:
    """A machine's folder of changed test clips, made once; the training clips are links."""
    if out.exists():
        return out
    partial = out.with_name(f".{out.name}.partial")
    parts = parts_of(folder)
    linked(partial, {part: paths for part, paths in parts.items() if part[0] == "train"})
    (partial / "test").mkdir(exist_ok=True)
    for part, paths in parts.items():
        for index, path in enumerate(paths if part[0] == "test" else []):
            waveform, sample_rate = soundfile.read(path)
            changed = change(waveform, index).astype(np.float32)
            soundfile.write(partial / "test" / path.name, changed, sample_rate, subtype="FLOAT")
    partial.rename(out)
    return out


def parts_of(folder: Path) -> dict[Part, list[Path]]:
    """The recordings of a machine's folder by split, domain and label."""
    found = {}
    for part in (*_parts("train"), *_parts("test")):
        split, domain, label = part
        paths = sorted(folder.glob(f"{split}/*_{domain}_{split}_{label}_*.wav"))
        if paths:
            found[part] = paths
    return found


def _parts(split: str) -> list[Part]:
    return [(split, domain, label) for domain in ("source", "target") for label in ("normal", "anomaly")]


def _one_domain(train: Sequence[Path], normal: Sequence[Path], anomalous: Sequence[Path]) -> dict[Part, Sequence[Path]]:
    return {
        ("train", "source", "normal"): train,
        ("test", "source", "normal"): normal,
        ("test", "source", "anomaly"): anomalous,
    }


def recording_prefix(path: Path) -> str:
    """Prefix of the recordings that were cut from one file."""
    return re.split(r"_data_|_part_", path.name)[0]
