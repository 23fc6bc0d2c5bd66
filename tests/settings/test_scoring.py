"""Settings of a scorer: values out of range, and those that do not go together, are refused by name."""

import pytest

from soundness.errors import SettingsError
from soundness.settings.loading import load_settings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scorer.n_neighbors=0", r"scorer\.n_neighbors: .*greater than or equal to 1; 0 came"),
        ("scorer.n_neighbors=1.5", r"scorer\.n_neighbors: .*; 1\.5 came"),
        ("scorer.n_neighbors=many", r"scorer\.n_neighbors: .*; 'many' came"),
        ("scorer.shrinkage=0", r"scorer\.shrinkage: .*greater than 0; 0 came"),
        ("scorer.shrinkage=1.1", r"scorer\.shrinkage: .*less than or equal to 1"),
        ("scorer.whitening=full", r"scorer\.whitening: .*'none', 'shrunk', .*'full' came"),
        ("scorer.anomaly_width=2", r"anomaly_width is 2, which needs is_standardised=true and whitening"),
        ("scorer.outlier_exponent=4", r"outlier_exponent is 4, which needs is_standardised=true and whitening"),
        ("scorer.members=[{view=-1}]", r"scorer\.members\.0\.view: "),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(override, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings("conditional", overrides=[override])
    assert "\n" not in str(caught.value)
