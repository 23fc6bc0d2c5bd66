"""Vibration of bearings in tables of numbers, by the default system: promised and measured.

python benchmarks/vibration.py [--work DIR]

Bearings that do not exist (`soundness.synthetic.vibration.bearings`), at loads of 0 to 3 hp and 12 kHz, in .mat and
.csv files, trained and scored by the command line, as any data set. Exit status 1 if a promise is not kept.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from promises import Row, measure_rows
from soundness.evaluation.metrics import roc_auc
from soundness.evaluation.score_files import read_scores
from soundness.synthetic.vibration.bearings import FAULTS, SAMPLE_RATE, BearingFault, bearing_vibration

N_TRAIN, N_HEALTHY, N_FAULTY, SECONDS = 40, 40, 12, 2.0
SEEDS = (0, 1, 2)
SEVERITIES = {1.0: 98.0, 0.5: 98.0, 0.25: None}  # share of a pit of half a millimetre: AUC in %, which is promised
SCALES = {
    "mel": [],
    "log from 1 Hz": ["log_mel.frequency_scale=log", "log_mel.fmin=1"],
    "linear": ["log_mel.frequency_scale=linear"],
}


def write(path: Path, vibration: np.ndarray, rng: np.random.Generator) -> None:
    """Two accelerometers in a .mat file, named as in public recordings; or one in a .csv file with its times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        other = 0.3 * vibration + 0.01 * rng.standard_normal(len(vibration))
        scipy.io.savemat(path, {"X097_FE_time": other[:, None], "X097_DE_time": vibration[:, None], "X097RPM": 1797.0})
    else:
        rows = np.c_[np.arange(len(vibration)) / SAMPLE_RATE, vibration]
        np.savetxt(path, rows, delimiter=",", header="time [s],acceleration [g]", comments="", fmt="%.7g")


def make(root: Path, suffix: str, *, severity: float, seed: int) -> None:
    """A data set: healthy bearings to train and to test, and faulty ones."""
    rng = np.random.default_rng(seed)
    for folder, count in (("train", N_TRAIN), ("test/normal", N_HEALTHY)):
        for index in range(count):
            vibration = bearing_vibration(rng, load=index % 4, seconds=SECONDS)
            write(root / folder / f"{Path(folder).name}_{index:02d}{suffix}", vibration, rng)
    for fault in FAULTS:
        for index in range(N_FAULTY):
            vibration = bearing_vibration(rng, load=index % 4, seconds=SECONDS, fault=fault, severity=severity)
            write(root / "test/abnormal" / f"{fault.replace(' ', '')}_{index:02d}{suffix}", vibration, rng)


def soundness(*arguments: object) -> None:
    """Run a command as a user does."""
    subprocess.run([sys.executable, "-m", "soundness", *map(str, arguments), "-q"], check=True, capture_output=True)


def scores(root: Path, suffix: str, changes: list[str]) -> dict[str, float]:
    """Anomaly score of each test recording, by its file name."""
    options = ["--rate", SAMPLE_RATE, "--columns", "*_DE_time"] if suffix == ".mat" else []
    options += [word for change in changes for word in ("--set", change)]
    soundness("train", root / "train", "--out", root / "run", "--native", "--overwrite", *options)
    soundness(
        "score", root / "run", root / "test/normal", root / "test/abnormal", "--out", root / "scores", "--overwrite"
    )
    (own,) = read_scores(root / "scores")
    return dict(zip(own.file_names, own.anomaly_scores.tolist(), strict=True))


def auc(found: dict[str, float], faults: list[BearingFault]) -> float:
    """AUC in % of healthy bearings against those with some faults."""
    prefixes = tuple(fault.replace(" ", "") for fault in faults)
    chosen = {name: score for name, score in found.items() if name.startswith(("normal", *prefixes))}
    is_faulty = np.array([not name.startswith("normal") for name in chosen])
    return 100 * roc_auc(is_faulty.astype(int), np.array(list(chosen.values())))


def rows(work: Path) -> Iterator[Row]:
    """Every figure, promised and measured."""
    for severity, promised in SEVERITIES.items():
        for suffix in (".mat", ".csv") if severity == 1.0 else (".mat",):
            found = []
            for seed in SEEDS:
                root = work / f"{suffix[1:]}-{severity}-{seed}"
                make(root, suffix, severity=severity, seed=seed)
                found.append(scores(root, suffix, []))
            for faults in [[fault] for fault in FAULTS] + [list(FAULTS)]:
                values = [auc(one, faults) for one in found]
                what = faults[0] if len(faults) == 1 else "all faults"
                yield Row(
                    f"{what}, impacts x {severity:g}, {suffix}: AUC, mean of {len(SEEDS)} seeds",
                    "" if promised is None else f">= {promised:g}",
                    f"{np.mean(values):.1f} (least {min(values):.1f})",
                    promised is None or float(np.mean(values)) >= promised,
                )
    root = work / f"mat-{min(SEVERITIES)}-{SEEDS[0]}"
    for name, changes in SCALES.items():
        value = auc(scores(root, ".mat", changes), list(FAULTS))
        yield Row(f"all faults, impacts x {min(SEVERITIES):g}, bands {name}: AUC", "", f"{value:.1f}", True)


if __name__ == "__main__":
    sys.exit(measure_rows(rows, description=__doc__))
