"""What the machines, their faults and their surroundings sound like: where physics says that energy lies."""

import numpy as np
import pytest

from soundness.synthetic import MACHINES
from soundness.synthetic.faults import RunningMachine
from soundness.synthetic.signals import (
    generator,
)
from sounds import N_SAMPLES


def test_the_factory_supplies_clean_sound_for_some_machines_and_noise_for_others() -> None:
    kinds = [machine.supplemental for machine in MACHINES.values()]
    assert 3 <= kinds.count("machine") <= 4
    assert all(machine.supplemental in machine.supplemental_name for machine in MACHINES.values())


@pytest.mark.parametrize("machine", MACHINES)
def test_a_healthy_machine_has_unit_rms_and_differs_from_clip_to_clip(machine: str) -> None:
    build = MACHINES[machine].conditions["source"][0].build
    first, second = (build(n_samples=N_SAMPLES, rng=generator(seed)) for seed in (1, 2))
    both: list[RunningMachine] = [first, second]
    assert [np.mean(one.normal**2) for one in both] == pytest.approx([1.0, 1.0])
    assert abs(np.corrcoef(first.normal, second.normal)[0, 1]) < 0.5
