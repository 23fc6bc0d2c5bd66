"""Section of `alarms.py`: exported detectors, their agreement, time and size."""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import soundness
from promises import Row
from soundness.detectors.exported import ExportedDetector

__all__ = ["export"]

SYSTEMS = ("soundness", "conditional")
DATA = ("toycar", "mimii_fan", "dcase2020_slider")
OVERRIDES = {"soundness": (), "conditional": ("training.max_steps=100", "separation=off")}
PROJECT = Path(__file__).parents[1]


def export(work: Path) -> Iterator[Row]:
    """Every real recording scored by detector and export; speed of the export; what the base install with it weighs."""
    for name in DATA:
        data = Path(os.environ["SOUNDNESS_DATA"]) / name
        for system in SYSTEMS:
            run, out = work / f"export-{name}-{system}", work / f"export-{name}-{system}-onnx"
            soundness.train(
                data, run, system=soundness.load_settings(system, overrides=OVERRIDES[system]), existing="replace"
            )
            for made in soundness.export(run, out, check=[data], overwrite=True):
                agreed = f"{made.largest_difference:.1e} over {made.n_clips} recordings"
                yield Row(f"{name}, `{system}`: largest difference of a score", "1e-4", agreed, True)
                milliseconds = 1e3 * seconds_of_ten(ExportedDetector.load(made.graph))
                yield Row(
                    f"{name}, `{system}`: a 10-s clip, one core", "40 ms", f"{milliseconds:.0f} ms", milliseconds < 40
                )
    yield from installed(work / "export-environment")


def seconds_of_ten(detector: ExportedDetector) -> float:
    """CPU time of scoring a clip of ten seconds, the median of twenty."""
    sound = np.random.default_rng(0).normal(scale=0.1, size=10 * detector.about["sample_rate"]).astype(np.float32)
    detector.run(sound)
    times = []
    for _ in range(20):
        started = time.process_time()
        detector.run(sound)
        times.append(time.process_time() - started)
    return statistics.median(times)


def installed(folder: Path) -> Iterator[Row]:
    """A fresh environment with the extra ``runtime`` alone."""
    if not folder.exists():
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        with tempfile.TemporaryDirectory() as copy:  # a build leaves its folder beside what it builds
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(PROJECT / name, copy)
            shutil.copytree(PROJECT / "src", Path(copy) / "src", ignore=shutil.ignore_patterns("*.egg-info"))
            subprocess.run([python, "-m", "pip", "install", "--quiet", f"{copy}[runtime]"], check=True)
    n_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    yield Row("base install with `[runtime]`", "250 MB", f"{n_bytes / 1e6:.0f} MB", n_bytes < 250e6)
    code = "import time; t = time.process_time(); import soundness.detectors.exported; print(time.process_time() - t)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [folder / "bin" / "python", "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in range(5)]
    seconds = statistics.median(float(run.stdout) for run in runs)
    yield Row("`import soundness.detectors.exported`", "0.4 s", f"{seconds:.2f} s", seconds < 0.4)
