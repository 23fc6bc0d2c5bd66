"""Plans of clips cover severities and operating conditions."""

import pytest

from soundness.synthetic import MACHINES, FactorySettings
from soundness.synthetic.machines import fault_kinds
from soundness.synthetic.plan import plan_machine


@pytest.mark.parametrize("machine", MACHINES)
def test_severities_and_conditions_of_each_kind_are_spread(machine: str) -> None:
    plans = [plan for plan in plan_machine(machine, FactorySettings()) if plan.fault is not None]
    for kind in fault_kinds(machine):
        of_kind = [plan for plan in plans if plan.fault == kind]
        severities = sorted(plan.severity for plan in of_kind)
        assert len(of_kind) >= 8
        assert severities[0] < 0.25
        assert severities[-1] > 0.75
        for domain in ("source", "target"):
            conditions = {id(plan.condition) for plan in of_kind if plan.domain == domain}
            assert len(conditions) == min(len(MACHINES[machine].conditions[domain]), 4)
