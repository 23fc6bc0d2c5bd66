"""Field types that settings share."""

import pytest

from soundness.settings.fields import quantile_of
from soundness.settings.loading import (
    load_settings,
)


def test_settings_cannot_be_changed_once_they_are_made():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().false_alarm_rate = 0.5


@pytest.mark.parametrize(("name", "expected"), [("quantile-0.1", 0.1), ("quantile-.25", 0.25)])
def test_a_quantile_is_read_from_the_name_of_a_pooling(name, expected):
    assert quantile_of(name) == expected


@pytest.mark.parametrize("name", ["mean", "quantile", "quantile-0.0", "quantile-1.0", "quantile-1e-3", "quantile--0.1"])
def test_any_other_name_is_no_quantile(name):
    assert quantile_of(name) is None
