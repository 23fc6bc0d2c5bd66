"""Low frequencies can be seen in pictures, and bands keep their order."""

import numpy as np
import pytest

from soundness.audio.log_mel import band_centres
from soundness.reports.frequency_axis import FrequencyAxis
from soundness.settings.system import LogMelSettings


@pytest.mark.parametrize("n_mels", [64, 128, 224])
def test_bands_below_250_hz_get_a_fifth_of_the_height_and_all_bands_have_a_place(n_mels):
    centres = band_centres(LogMelSettings(n_mels=n_mels))
    axis = FrequencyAxis(centres)
    assert axis.edges[0] == 0.0
    assert axis.edges[-1] == 1.0
    assert np.all(np.diff(axis.edges) > 0)
    assert axis.edges[(centres < 250).sum()] >= 0.2
    rows = axis.drawn(np.arange(n_mels)[:, None])[:, 0]
    assert np.all(np.diff(rows) >= 0)
    assert set(rows) == set(range(n_mels))
    assert np.mean(rows < (centres < 250).sum()) >= 0.2


def test_axes_without_low_bands_are_left_as_they_are():
    for centres in (np.linspace(1_000, 8_000, 32), np.linspace(5, 200, 32), np.linspace(200, 96_000, 32)):
        assert FrequencyAxis(centres).edges == pytest.approx(np.linspace(0, 1, 33))


def test_ticks_stand_at_their_frequencies():
    centres = np.linspace(50, 8_000, 160)  # every 50 Hz
    axis = FrequencyAxis(centres)
    ticks = {words: place for place, words in axis.ticks()}
    band = int(np.argmin(abs(centres - 4_000)))
    assert ticks["4 kHz"] == pytest.approx((axis.edges[band] + axis.edges[band + 1]) / 2, abs=1e-3)
    assert min(np.diff(sorted(ticks.values()))) >= 0.07
