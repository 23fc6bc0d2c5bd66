"""Loss of the main systems where test clips, or training clips, are not as they should be."""

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from arrangements import Waveform, changed_tests, compressor_units, factory, linked, parts_of, real
from promises import Row
from trials import System, Trial, outcomes

__all__ = ["every_other_louder", "robustness", "spoilt"]

SYSTEMS = ("soundness", "log-mel-whitened", "conditional", "baseline-mahalanobis")
FACTORY_SEED = 11
NOISE_DB = -5.0
CUT_OFF_HZ = 4_000.0
RATE = 16_000


def every_other_louder(waveform: Waveform, index: int) -> Waveform:
    """Every other clip is 6 dB louder, normal and anomalous ones alike."""
    return waveform * 10 ** (6 / 20) if index % 2 == 1 else waveform


def all_louder(waveform: Waveform, index: int) -> Waveform:  # noqa: ARG001  # as all changes
    """All clips are 6 dB louder."""
    return waveform * 10 ** (6 / 20)


def in_another_room(waveform: Waveform, index: int) -> Waveform:
    """A room with people and a street is added, 5 dB below the clip."""
    paths = sorted(real("background").glob("*.wav"))
    noise = np.resize(soundfile.read(paths[index % len(paths)])[0], waveform.shape)
    return waveform + noise * np.sqrt(np.mean(waveform**2) / np.mean(noise**2)) * 10 ** (NOISE_DB / 20)


def low_passed(waveform: Waveform, index: int) -> Waveform:  # noqa: ARG001  # as all changes
    """A microphone that falls off above 4 kHz, 12 dB an octave."""
    hertz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return np.fft.irfft(np.fft.rfft(waveform) / np.sqrt(1 + (hertz / CUT_OFF_HZ) ** 4), len(waveform))


CHANGES: dict[str, Callable[[Waveform, int], Waveform]] = {
    "every other test clip 6 dB louder": every_other_louder,
    "all test clips 6 dB louder": all_louder,
    "another room's noise, 5 dB below": in_another_room,
    "low-pass of 4 kHz": low_passed,
}


def robustness(work: Path) -> Iterator[Row]:
    """Mean official score over the toy cars and three machines of the factory; two states: AUC on the compressor."""
    folders = [real("toycar") / "ToyCar", *(factory(work, FACTORY_SEED) / name for name in ("ToyCar", "fan", "valve"))]
    rows: dict[str, list[str]] = {}
    for name in SYSTEMS:
        changed = [
            tuple(changed_tests(_place(work, name, folder), folder, change) for name, change in CHANGES.items())
            for folder in folders
        ]
        as_they_are = [
            Trial(System(name), folder, (folder, *tests)) for folder, tests in zip(folders, changed, strict=True)
        ]
        found = outcomes(work, as_they_are)
        for index, what in enumerate(("as recorded", *CHANGES)):
            rows.setdefault(what, []).append(_mean(name, [one.figures[index] for one in found]))
        for what, arrange in (("a third of the training clips removed", _fewer), ("two anomalies hidden", spoilt)):
            tried = outcomes(work, [Trial(System(name), arrange(work, folder)) for folder in folders])
            rows.setdefault(what, []).append(_mean(name, [one.figure for one in tried]))
        (two_states,) = outcomes(work, [Trial(System(name), compressor_units(work)[-1].folder)])
        rows.setdefault("two states in one folder, AUC", []).append(_mean(name, [two_states.figure]))
    for what, cells in rows.items():
        yield Row(what, "", ", ".join(cells), True)


def _mean(system: str, figures: list[float]) -> str:
    return f"`{system}` {statistics.mean(figures):.1f}"


def _place(work: Path, what: str, folder: Path) -> Path:
    """A folder named as the machine, so that its detector scores it."""
    return work / "changed" / what.replace(" ", "-").replace(",", "") / folder.parent.name / folder.name


def _fewer(work: Path, folder: Path) -> Path:
    """The machine with two of three training clips of each domain."""
    parts = parts_of(folder)
    fewer = {
        part: [path for index, path in enumerate(paths) if index % 3 != 2] if part[0] == "train" else paths
        for part, paths in parts.items()
    }
    return linked(_place(work, "fewer", folder), fewer)


def spoilt(work: Path, folder: Path) -> Path:
    """The machine with two anomalies of the source among its training clips, and without them in its test."""
    parts = parts_of(folder)
    anomalous = parts["test", "source", "anomaly"]
    hidden = [anomalous[index] for index in np.random.default_rng(0).permutation(len(anomalous))[:2]]
    spoilt = {part: [path for path in paths if path not in hidden] for part, paths in parts.items()}
    spoilt["train", "source", "normal"] = [*spoilt["train", "source", "normal"], *hidden]
    return linked(_place(work, "spoilt", folder), spoilt)
