"""The interface keeps its own OpenAPI description, whatever is sent to it."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from served import served, two_sensors

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

_ENDLESS = "/api/events"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), two_sensors) as found:
        yield found


def test_every_answer_is_one_that_is_described(running):
    description = schemathesis.openapi.from_url(f"{running.address}api/openapi.json")
    operations = [found.ok() for found in description.exclude(path=_ENDLESS).get_all_operations()]
    assert len(operations) >= 16
    # a time in the past and bytes that are no recording are refused, which no schema can say
    refusals = [schemathesis.specs.openapi.checks.positive_data_acceptance]
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=8,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            case.call_and_validate(excluded_checks=refusals)

        check()
