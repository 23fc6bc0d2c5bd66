"""Settings of a discriminative embedding: values out of range are refused by name."""

import pytest

from soundness.errors import SettingsError
from soundness.settings.loading import load_settings


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("embedding.noise_snr_db=[5, 0]", r"embedding: noise_snr_db: 5 dB is more than 0 dB"),
        ("embedding.mixup_share=1.1", r"embedding\.mixup_share: .*less than or equal to 1"),
        ("embedding.channels=[]", r"embedding\.channels: .*at least 1"),
        ("embedding.n_sub_clusters=0", r"embedding\.n_sub_clusters: "),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(override, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings("discriminative", overrides=[override])
    assert "\n" not in str(caught.value)
