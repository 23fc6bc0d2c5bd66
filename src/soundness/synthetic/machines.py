"""The seven machine types of DCASE 2025: operating conditions by domain, and supplemental clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import numpy as np

from soundness.data.clips import Domain, SupplementalKind
from soundness.errors import SettingsError
from soundness.synthetic.cyclic import Slider, SliderSetting, Valve, ValveSetting
from soundness.synthetic.faults import RunningMachine
from soundness.synthetic.rotating import Bearing, BearingSetting, Fan, FanSetting, Gearbox, GearboxSetting
from soundness.synthetic.signals import generator
from soundness.synthetic.toys import ToyCar, ToyCarSetting, ToyTrain, ToyTrainSetting

__all__ = ["MACHINES", "MachineType", "OperatingCondition", "fault_kinds", "machine_type"]


class _Builder(Protocol):
    def __call__(self, *, n_samples: int, rng: np.random.Generator) -> RunningMachine: ...


@dataclass(frozen=True, slots=True)
class OperatingCondition:
    """Operating condition: attributes (parameter, value), none if hidden, and its machine."""

    attributes: tuple[tuple[str, str], ...]
    build: _Builder

    @property
    def name(self) -> str:
        """Last part of a file's name, such as ``car_A1_spd_28V_mic_1``."""
        return "_".join(f"{key}_{value}" for key, value in self.attributes) or "noAttribute"


@dataclass(frozen=True, slots=True)
class MachineType:
    """Machine type of the challenge.

    ``supplemental`` is the kind of its supplemental clips, ``supplemental_name`` their file names, a format of
    ``index``, which differ by machine as in the real data. ``snr_db`` is the mean ratio of machine to noise, which
    varies by up to 2 dB between clips.
    """

    conditions: Mapping[Domain, tuple[OperatingCondition, ...]]
    supplemental: SupplementalKind
    supplemental_name: str
    snr_db: float


def _fan(name: str, shaft_hz: float, n_blades: int, flow_db: float) -> OperatingCondition:
    return OperatingCondition((("n", name),), partial(Fan, FanSetting(shaft_hz, n_blades, flow_db)))


def _gearbox(name: str, shaft_hz: float, n_teeth: tuple[int, int], load: float) -> OperatingCondition:
    return OperatingCondition((("pro", name),), partial(Gearbox, GearboxSetting(shaft_hz, n_teeth, load)))


def _bearing(shaft_hz: float, whine: float) -> OperatingCondition:
    return OperatingCondition((), partial(Bearing, BearingSetting(shaft_hz, whine)))


def _slider(stroke_seconds: float, speed: float, friction: float) -> OperatingCondition:
    return OperatingCondition((), partial(Slider, SliderSetting(stroke_seconds, speed, friction)))


def _valve(first: str, second: str) -> OperatingCondition:
    attributes = (("v1pat", first), ("v2pat", second))
    return OperatingCondition(attributes, partial(Valve, ValveSetting((first, second))))


def _toy_car(car: str, volts: int, mic: str, n_teeth: int, tyres: float) -> OperatingCondition:
    attributes = (("car", car), ("spd", f"{volts}V"), ("mic", mic))
    return OperatingCondition(attributes, partial(ToyCar, ToyCarSetting(float(volts), n_teeth, tyres)))


def _toy_train(speed: float, n_teeth: int, rolling: float) -> OperatingCondition:
    return OperatingCondition((), partial(ToyTrain, ToyTrainSetting(speed, n_teeth, rolling)))


MACHINES: Mapping[str, MachineType] = {
    "ToyCar": MachineType(
        conditions={
            "source": (
                _toy_car("B1", 31, "1", 9, 1.0),
                _toy_car("C1", 34, "1", 10, 0.8),
                _toy_car("B2", 40, "1", 9, 1.0),
                _toy_car("D2", 34, "1", 11, 1.2),
            ),
            "target": (_toy_car("A1", 28, "2", 10, 1.3), _toy_car("E2", 37, "2", 9, 0.7)),
        },
        supplemental="noise",
        supplemental_name="section_00_noise_supplemental_normal_{index:04d}.wav",
        snr_db=0.0,
    ),
    "ToyTrain": MachineType(
        conditions={
            "source": (_toy_train(0.42, 8, 0.8), _toy_train(0.50, 8, 0.9), _toy_train(0.58, 9, 1.0)),
            "target": (_toy_train(0.46, 9, 1.1), _toy_train(0.64, 8, 0.8)),
        },
        supplemental="noise",
        supplemental_name="section_00_noise_{index:04d}_.wav",
        snr_db=0.0,
    ),
    "bearing": MachineType(
        conditions={
            "source": (_bearing(14.0, 0.8), _bearing(18.0, 0.7), _bearing(22.0, 0.6)),
            "target": (_bearing(11.0, 0.9), _bearing(26.0, 0.5)),
        },
        supplemental="machine",
        supplemental_name="section_00_machine_source_{index:04d}_noAttribute.wav",
        snr_db=1.0,
    ),
    "fan": MachineType(
        conditions={
            "source": (_fan("A", 46.0, 5, -1.0), _fan("B", 41.0, 5, 0.0), _fan("C", 48.5, 7, 1.0)),
            "target": (_fan("D", 36.0, 7, 0.0), _fan("E", 52.0, 5, 2.0)),
        },
        supplemental="noise",
        supplemental_name="section_00_noise_supplemental_normal_{index:04d}.wav",
        snr_db=-0.5,
    ),
    "gearbox": MachineType(
        conditions={
            "source": (
                _gearbox("A", 17.0, (23, 51), 0.3),
                _gearbox("B", 20.0, (23, 51), 0.5),
                _gearbox("C", 17.0, (29, 45), 0.4),
            ),
            "target": (_gearbox("X", 23.0, (23, 51), 0.4), _gearbox("Y", 20.0, (29, 45), 0.6)),
        },
        supplemental="machine",
        supplemental_name="section_00_machine_{index:04d}_.wav",
        snr_db=1.0,
    ),
    "slider": MachineType(
        conditions={
            "source": (_slider(0.9, 1.0, 1.0), _slider(1.1, 0.85, 0.9), _slider(1.3, 0.7, 0.8)),
            "target": (_slider(1.0, 1.15, 1.2), _slider(1.5, 0.6, 0.9)),
        },
        supplemental="machine",
        supplemental_name="section_00_machine_source_{index:04d}_.wav",
        snr_db=0.5,
    ),
    "valve": MachineType(
        conditions={
            "source": (_valve("00", "05"), _valve("04", "00"), _valve("05", "00")),
            "target": (_valve("04", "05"), _valve("05", "05")),
        },
        supplemental="machine",
        supplemental_name="section_00_machine_source_{index:04d}.wav",
        snr_db=3.0,
    ),
}


def machine_type(name: str) -> MachineType:
    """Find a machine type by its name.

    Raises
    ------
    SettingsError
        If there is no such machine type.
    """
    if name not in MACHINES:
        raise SettingsError(f"machine {name!r} is unknown; there are {', '.join(MACHINES)}")
    return MACHINES[name]


@cache
def fault_kinds(name: str) -> tuple[str, ...]:
    """Names of the possible faults of a machine type."""
    condition = machine_type(name).conditions["source"][0]
    return tuple(condition.build(n_samples=4096, rng=generator(0)).faults)
