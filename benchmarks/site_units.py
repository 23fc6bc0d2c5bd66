"""Units of the selection as sites record: gains that drift, other lengths, anomalies in the training, vibration.

They are made of the toy cars, of three machines of the first data seed of the selection, and of bearings that do not
exist; of what is reported, only the toy cars stand among them, as they do among the other units.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from arrangements import Unit, Waveform, changed_tests, factory, real
from robustness import every_other_louder, spoilt
from soundness.synthetic.vibration.bearings import FAULTS, SAMPLE_RATE, bearing_vibration

__all__ = ["site_units"]

MACHINES = ("ToyCar", "fan", "valve")
SECONDS = 4.0
"""Length of a clip that was cut, of ten."""
_RATE = 16_000
_N_TRAIN, _N_HEALTHY, _N_FAULTY = 40, 40, 12
_SEVERITY = 0.25  # of the bearings' faults: a larger one every candidate finds


def site_units(work: Path, seed: int) -> list[Unit]:
    """Gains, lengths and contamination of four machines, and bearings of two seeds, all in one group."""
    folders = [real("toycar") / "ToyCar", *(factory(work, seed) / name for name in MACHINES)]
    changes = {"gain": every_other_louder, "length": _first_part}
    units = []
    for folder in folders:
        name = "toy car" if folder.parent.name == "toycar" else folder.name
        for what, change in changes.items():
            out = work / "sites" / what / folder.parent.name / folder.name
            units.append(Unit("sites", f"{what} {name}", changed_tests(out, folder, change)))
        units.append(Unit("sites", f"contamination {name}", spoilt(work, folder)))
    return [*units, *(Unit("sites", "bearings", _bearings(work, own)) for own in (0, 1))]


def _first_part(waveform: Waveform, index: int) -> Waveform:  # noqa: ARG001  # all are cut
    return waveform[: round(SECONDS * _RATE)]


def _bearings(work: Path, seed: int) -> Path:
    """Acceleration as clips of sound: healthy bearings at four loads, and all faults."""
    out, rng = work / "sites" / f"bearings-{seed}" / "bearing", np.random.default_rng(seed)
    for name, waveform in _vibrations(rng):
        made = out / name
        made.parent.mkdir(parents=True, exist_ok=True)
        if not made.exists():
            soundfile.write(made, (0.05 * waveform).astype(np.float32), _RATE, subtype="FLOAT")
    return out


def _vibrations(rng: np.random.Generator) -> Iterator[tuple[str, Waveform]]:
    seconds = 4.0 * _RATE / SAMPLE_RATE
    for split, count in (("train", _N_TRAIN), ("test", _N_HEALTHY)):
        for index in range(count):
            name = f"{split}/section_00_source_{split}_normal_{index:04d}_noAttribute.wav"
            yield name, bearing_vibration(rng, load=index % 4, seconds=seconds)
    for place, fault in enumerate(FAULTS):
        for index in range(_N_FAULTY):
            number = place * _N_FAULTY + index
            name = f"test/section_00_source_test_anomaly_{number:04d}_noAttribute.wav"
            yield name, bearing_vibration(rng, load=index % 4, seconds=seconds, fault=fault, severity=_SEVERITY)
