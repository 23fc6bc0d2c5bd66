"""Two installations of soundness give the same scores, p-values and decisions, to the last bit.

SOUNDNESS_DATA=... python benchmarks/same_scores.py OLD_VENV NEW_VENV [--work DIR]

Each virtual environment makes the synthetic data, and trains and scores every system with seed 0 on real toy cars and
on a synthetic fan and valve, where a small separator is trained, too. What the old one has finished is kept in the
work folder and not measured again. Needs about 15 minutes for each of the two on an idle machine of two cores.
Exit status 1 if a file differs.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SEED = 0
FACTORY = ("--seed", "5", "--machines", "fan,valve")
SEPARATOR = ("separator.max_steps=100", "separator.minutes=600")  # steps end its training, so that it can be repeated
SCORE_FILES = ("anomaly_score_*.csv", "p_value_*.csv", "decision_result_*.csv")


def main() -> int:
    """Run both installations and compare what they wrote."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--work", type=Path, default=Path("out/same_scores"))
    options = parser.parse_args()
    toycar = Path(os.environ["SOUNDNESS_DATA"]) / "toycar"
    old, new = (options.work.resolve() / name for name in ("old", "new"))
    shutil.rmtree(new, ignore_errors=True)
    for venv, folder in ((options.old, old), (options.new, new)):
        measure(venv.absolute() / "bin" / "soundness", folder, toycar)
    n_different = 0
    for name, files, different in compared(old, new):
        n_different += len(different)
        print(f"{name:45} {len(files):3} files  {'FAIL: ' + ', '.join(different) if different else 'equal'}")
    return 1 if n_different else 0


def measure(soundness: Path, folder: Path, toycar: Path) -> None:
    """Make the synthetic data, and benchmark every system on both data sets."""
    factory = folder / "factory"
    if not factory.exists():
        run(soundness, "make-data", factory, *FACTORY)
    for name, data in (("toycar", toycar), ("fan-valve", factory)):
        settings = [part for setting in SEPARATOR for part in ("--set", setting)]
        run(soundness, "benchmark", data, "--seeds", SEED, *settings, "--out", folder / name)


def run(soundness: Path, command: str, *arguments: object) -> None:
    """Run a command of one installation; what it prints goes to stderr."""
    words = [str(soundness), command, *(str(argument) for argument in arguments), "--quiet"]
    print("$", " ".join(words), file=sys.stderr, flush=True)
    subprocess.run(words, check=True, stdout=sys.stderr)


def compared(old: Path, new: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Name, files, and those that differ: of the synthetic data, and of each system on each data set."""
    yield "synthetic recordings", *differences(old / "factory", new / "factory", ("**/*.wav", "**/*.csv"))
    for data in ("toycar", "fan-valve"):
        scores = old / data / "scores"
        systems = sorted({folder.name for each in (old, new) for folder in (each / data / "scores").iterdir()})
        for system in systems:
            seed = Path(system) / f"seed-{SEED}"
            found = differences(scores / seed, new / data / "scores" / seed, SCORE_FILES)
            yield f"{data}: {system}", *found


def differences(old: Path, new: Path, patterns: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Files of either folder, and those that are missing in one or not equal."""
    digests = [
        {
            str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for pattern in patterns
            for file in folder.glob(pattern)
        }
        for folder in (old, new)
    ]
    names = sorted(digests[0].keys() | digests[1].keys())
    if not names:
        raise SystemExit(f"{old}: nothing to compare")
    return names, [name for name in names if digests[0].get(name) != digests[1].get(name)]


if __name__ == "__main__":
    sys.exit(main())
