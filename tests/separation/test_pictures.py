"""Pictures of separated mixtures: each spectrogram is drawn in its panel."""

import matplotlib.image
import numpy as np
import pytest

from soundness.separation.measurement import Example
from soundness.separation.pictures import draw_separation

RATE = 16_000


def tone(frequency):
    return np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE).astype(np.float32)


@pytest.mark.parametrize("high", [False, True])
def test_a_line_is_bright_at_its_height_in_its_panel_alone(tmp_path, high):
    machine, silence = tone(6_000.0 if high else 1_000.0), np.zeros(RATE, np.float32)
    path = tmp_path / "pictures" / "fan.png"
    draw_separation(Example("fan", mixture=machine, estimate=silence, reference=silence), path, sample_rate=RATE)
    image = matplotlib.image.imread(path)[..., :3]
    is_bright = (image[..., 0] > 0.8) & (image[..., 2] < 0.9)  # the top of the scale, and not the paper
    rows, columns = np.nonzero(is_bright[:, : int(0.9 * image.shape[1])])
    assert np.median(columns) < image.shape[1] / 3
    assert (np.median(rows) < len(image) / 2) == high
