"""Rendered clips: machine, anomaly and noise."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.synthetic import MACHINES, FactorySettings
from soundness.synthetic.plan import plan_machine
from soundness.synthetic.render import render
from soundness.synthetic.signals import (
    SAMPLE_RATE,
)
from sounds import ALL_FAULTS, WIDE_BAND, anomalous_plan, share_between


@pytest.mark.parametrize(("machine", "kind"), ALL_FAULTS)
def test_an_anomaly_adds_its_energy_in_its_stated_band_and_time_only(machine: str, kind: str) -> None:
    plan = anomalous_plan(machine, kind)
    anomalous, normal = render(plan), render(replace(plan, fault=None))
    difference = anomalous.machine - normal.machine
    anomaly = anomalous.anomaly
    assert anomaly is not None
    assert np.array_equal(anomalous.noise, normal.noise)
    if kind not in WIDE_BAND:
        assert share_between(difference, anomaly.fmin, anomaly.fmax) > 0.85
    tail_seconds = 0.1  # of the room
    times = np.arange(difference.size) / SAMPLE_RATE
    inside = (times >= anomaly.start) & (times <= anomaly.end + tail_seconds)
    assert np.sum(difference[inside] ** 2) > 0.98 * np.sum(difference**2)


@pytest.mark.parametrize("machine", MACHINES)
def test_supplemental_clips_hold_machine_or_noise_alone(machine: str) -> None:
    settings = FactorySettings(machines=(machine,), n_supplemental=1, seconds=2.0)
    stems = render(next(plan for plan in plan_machine(machine, settings) if plan.split == "supplemental"))
    loud, quiet = stems.machine, stems.noise
    if MACHINES[machine].supplemental == "noise":
        loud, quiet = quiet, loud
    assert np.std(loud) > 0.005
    assert np.std(quiet) < 0.0002
