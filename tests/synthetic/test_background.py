"""Noise of the factory: unit level, the tones of its mains, and a target domain that is brighter."""

import numpy as np
import pytest

from soundness.synthetic.background import background, draw_hall
from soundness.synthetic.signals import generator
from sounds import N_SAMPLES, share_between


@pytest.mark.parametrize("domain", ["source", "target"])
def test_noise_has_unit_level_and_differs_from_clip_to_clip(domain):
    hall = draw_hall(domain, generator(1))
    first, second = (background(hall, N_SAMPLES, generator(seed)) for seed in (2, 3))
    assert [np.mean(noise**2) for noise in (first, second)] == pytest.approx([1.0, 1.0])
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3


def test_the_target_domain_is_brighter_and_has_another_mains_frequency():
    halls = {domain: draw_hall(domain, generator(1)) for domain in ("source", "target")}
    assert [hall.hum_hz for hall in halls.values()] == [50.0, 60.0]
    high = {name: share_between(background(hall, N_SAMPLES, generator(2)), 2000, 8000) for name, hall in halls.items()}
    assert high["target"] > 1.5 * high["source"]
