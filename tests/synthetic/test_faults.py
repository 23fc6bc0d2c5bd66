"""Faults grow with their severity."""

import numpy as np
import pytest

from soundness.synthetic.faults import FALL_DB
from soundness.synthetic.render import render
from sounds import ALL_FAULTS, WIDE_BAND, anomalous_plan


@pytest.mark.parametrize(("machine", "kind"), ALL_FAULTS)
def test_a_fault_grows_with_its_severity(machine: str, kind: str) -> None:
    levels = []
    for severity in (0.0, 0.3, 0.6, 1.0):
        anomaly = render(anomalous_plan(machine, kind, severity=severity)).anomaly
        assert anomaly is not None
        levels.append(np.sqrt(np.mean(anomaly.waveform**2)))
    if kind in WIDE_BAND:  # another speed is another sound, however far off
        assert levels[0] < 0.1 < min(levels[1:])
    else:
        assert np.all(np.diff(levels) > 0.0)


def test_the_level_of_a_fault_falls_as_stated_from_severity_one_to_zero() -> None:
    loud, quiet = (render(anomalous_plan("fan", "whistle", severity=severity)).anomaly for severity in (1.0, 0.0))
    assert loud is not None
    assert quiet is not None
    assert 10.0 * np.log10(np.sum(loud.waveform**2) / np.sum(quiet.waveform**2)) == pytest.approx(FALL_DB)
