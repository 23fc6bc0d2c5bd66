"""Units of the selection whose anomalies are planted: recordings that a system must not be blind to.

They are made of training recordings alone, so that none of them stands in the map of blindness, which is reported.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from arrangements import Unit, factory, linked, real
from plants import KINDS, plant

__all__ = ["PLANTED", "planted_units"]

PLANTED = (
    ("event-2x128", 15.0),
    ("event-5x128", 10.0),
    ("event-10x128", 6.0),
    ("event-40x128", 3.0),
    ("event-5x16", 15.0),
    ("event-10x16", 10.0),
    ("event-40x16", 3.0),
    ("knock-10", 4.0),
    ("knock-3", 10.0),
    ("tone", 3.0),
    ("band", 6.0),
    ("modulation-20", 2.0),
    ("modulation-107", 2.0),
    ("modulation-5", 2.0),
)
"""Kinds and strengths, each planted into every recording that is held out."""

_N_HELD_OUT = 25


def planted_units(work: Path, seeds: tuple[int, ...]) -> list[Unit]:
    """Toy car 1, the slide rail, and three synthetic machines of each data seed, all in one group."""
    return [Unit("blind spots", f"planted {name}", _made(work, name, paths)) for name, paths in _sources(work, seeds)]


def _sources(work: Path, seeds: tuple[int, ...]) -> Iterator[tuple[str, list[Path]]]:
    """Normal training recordings of one domain."""
    yield "toy car", sorted((real("toycar") / "ToyCar" / "train").glob("*_source_*.wav"))
    yield "slider", sorted((real("dcase2020_slider") / "slider" / "train").glob("*.wav"))
    for seed in seeds:
        for machine in ("valve", "gearbox", "bearing"):
            yield f"{machine} {seed}", sorted((factory(work, seed) / machine / "train").glob("*_source_*.wav"))


def _made(work: Path, name: str, paths: list[Path]) -> Path:
    """Folder of a machine: links to most recordings, and to those held out, as they are and with anomalies."""
    if not paths:
        raise FileNotFoundError(f"no training recordings of {name}")
    folder = work / "planted" / name.replace(" ", "-")
    order = np.random.default_rng(7).permutation(len(paths))
    n_held_out = min(_N_HELD_OUT, len(paths) // 2)
    held_out, training = ([paths[index] for index in some] for some in (order[:n_held_out], order[n_held_out:]))
    planted = [_planted(folder / "made", index, path) for index, path in enumerate(held_out)]
    parts = {
        ("train", "source", "normal"): training,
        ("test", "source", "normal"): held_out,
        ("test", "source", "anomaly"): [path for own in planted for path in own],
    }
    return linked(folder / "machine", parts)


def _planted(folder: Path, index: int, path: Path) -> list[Path]:
    """A recording with each anomaly, in files of floats, which are made once."""
    folder.mkdir(parents=True, exist_ok=True)
    samples, rate = soundfile.read(path)
    found = []
    for place, (kind, strength) in enumerate(PLANTED):
        made = folder / f"{index:03d}_{kind}.wav"
        if not made.exists():
            rng = np.random.default_rng([7, index, place])
            changed = plant(samples, KINDS[kind], strength, sample_rate=rate, rng=rng)
            soundfile.write(made, changed.astype(np.float32), rate, subtype="FLOAT")
        found.append(made)
    return found
