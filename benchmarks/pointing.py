"""Section of `alarms.py`: whether an explanation points at the right band and the right second.

Anomalies of the factory, whose place is known, are explained, and the strongest band and second compared with where the
fault is. By chance a band is right as often as the share of bands that the fault covers says, a second likewise.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import soundness
from promises import Row
from soundness.audio.anomalous_regions import strongest_band, strongest_second
from soundness.audio.log_mel import band_centres
from soundness.detectors.detector import Detector
from soundness.detectors.explaining.explanation import explain_clip
from soundness.detectors.reader import read_recording

__all__ = ["explain"]

MACHINES = ("fan", "gearbox", "slider")
SYSTEM = "soundness"
SEVERITIES = ((2 / 3, 1.0), (1 / 3, 2 / 3), (0.0, 1 / 3))
WHOLE = 0.8  # of a clip: a fault that lasts longer has no second that is wrong


@dataclass(frozen=True)
class Pointed:
    """One anomaly: whether band and second are right, and how likely that is by chance."""

    machine: str
    kind: str
    severity: float
    is_band_right: bool
    band_chance: float
    is_second_right: bool
    second_chance: float

    @property
    def has_second(self) -> bool:
        """True if the fault is confined to a part of the clip."""
        return self.second_chance < WHOLE


def explain(work: Path) -> Iterator[Row]:
    """Rows of all machines by severity, then of each kind of fault."""
    pointed = [one for machine in MACHINES for one in point(work, machine)]
    for lowest, highest in SEVERITIES:
        chosen = [one for one in pointed if lowest <= one.severity < highest + 1e-9]
        yield from rows(chosen, f"all kinds, severity {lowest:.2f} to {highest:.2f}", is_promised=True)
    for machine, kind in sorted({(one.machine, one.kind) for one in pointed}):
        for lowest, highest in ((0.5, 1.0), (0.0, 0.5)):
            own = [one for one in pointed if (one.machine, one.kind) == (machine, kind)]
            chosen = [one for one in own if lowest <= one.severity < highest + (highest == 1.0)]
            what = f"{machine}, {kind.replace('_', ' ')}, severity {lowest:g} to {highest:g}"
            yield from rows(chosen, what, is_promised=False)


def rows(pointed: Sequence[Pointed], what: str, *, is_promised: bool) -> Iterator[Row]:
    """Hits of the strongest band, and of the strongest second where some faults are confined to a part of the clip."""
    bands = [(one.is_band_right, one.band_chance) for one in pointed]
    seconds = [(one.is_second_right, one.second_chance) for one in pointed if one.has_second]
    for name, found in (("band", bands), ("second", seconds)):
        if found:
            share, chance = (float(np.mean(values)) for values in zip(*found, strict=True))
            promised = f"{'more than chance' if is_promised else 'chance'}, {100 * chance:.0f} %"
            measured = f"{100 * share:.0f} % of {len(found)}"
            yield Row(f"{what}: strongest {name}", promised, measured, share > chance or not is_promised)


def point(work: Path, machine: str) -> Iterator[Pointed]:
    """Explain every anomaly of a machine."""
    data, run = work / "pointing-data" / machine, work / "pointing-run" / machine
    if not data.exists():
        soundness.make_data(
            data,
            machines=(machine,),
            n_train=60,
            n_test_normal=2,
            n_test_anomaly=60,
            n_supplemental=0,
            seconds=8.0,
            seed=3,
        )
    if not run.exists():
        soundness.train(data, run, system=SYSTEM)
    detector = soundness.load(run)[machine]
    with (data.with_name(f"{machine}_truth") / machine / "anomalies.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            yield compared(detector, data / machine / "test" / row["file_name"], row)


def compared(detector: Detector, path: Path, row: dict[str, str]) -> Pointed:
    """The place that an explanation points at, against the truth."""
    settings = detector.settings
    waveform = read_recording(path, settings)
    explanation = explain_clip(detector, detector.spectrograms(waveform))
    centres = band_centres(settings.log_mel)
    middles = (centres[1:] + centres[:-1]) / 2
    is_there = np.append(0.0, middles) <= float(row["fmax"])
    is_there &= np.append(middles, settings.log_mel.fmax) >= float(row["fmin"])
    seconds = waveform.shape[-1] / settings.audio.sample_rate
    start, end = float(row["start_seconds"]), float(row["end_seconds"])
    frame_seconds = settings.log_mel.hop_length / settings.audio.sample_rate
    second = strongest_second(explanation.shares, frame_seconds=frame_seconds)
    return Pointed(
        detector.machine_type,
        row["kind"],
        float(row["severity"]),
        bool(is_there[strongest_band(explanation.shares)]),
        float(is_there.mean()),
        start <= second <= end,
        (end - start) / seconds,
    )
