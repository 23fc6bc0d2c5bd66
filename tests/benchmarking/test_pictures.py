"""Pictures of a benchmark show their values."""

import matplotlib.image
import numpy as np
import pytest

from soundness.benchmarking.pictures import ClipPicture, draw_clips, draw_score_histograms
from soundness.settings.loading import load_settings

SETTINGS = load_settings("log-mel-knn")


def clip(hot_band):
    log_mel = np.full((128, 100), -60.0, dtype=np.float32)
    error_map = np.zeros((128, 100), dtype=np.float32)
    error_map[hot_band : hot_band + 8] = 9.0
    return ClipPicture(title="a clip", log_mel=log_mel, error_map=error_map)


@pytest.mark.parametrize("hot_band", [8, 110])
def test_an_anomalous_band_is_bright_at_its_height(tmp_path, hot_band):
    draw_clips([clip(hot_band)], tmp_path / "clip.png", settings=SETTINGS, title="fan")
    image = matplotlib.image.imread(tmp_path / "clip.png")[..., :3]
    lower = image[len(image) // 2 :, : image.shape[1] * 3 // 4]
    yellow = (lower[..., 0] > 0.8) & (lower[..., 1] > 0.8) & (lower[..., 2] < 0.4)
    rows = np.flatnonzero(yellow.sum(axis=1) > 50)
    height = 1 - rows.mean() / len(lower)
    assert (height > 0.5) == (hot_band > 64)


def test_histograms_have_a_panel_for_each_machine_and_domain(tmp_path):
    rng = np.random.default_rng(0)
    panels = {
        (domain, label): rng.normal(size=20) for domain in ("source", "target") for label in ("normal", "anomaly")
    }
    sizes = {}
    for machines in (("fan",), ("fan", "valve")):
        path = tmp_path / f"{len(machines)}.png"
        draw_score_histograms(
            dict.fromkeys(machines, panels), path, thresholds=dict.fromkeys(machines, 1.0), title="scores"
        )
        sizes[len(machines)] = matplotlib.image.imread(path).shape
    assert sizes[2][0] == 2 * sizes[1][0]
    assert sizes[2][1] == sizes[1][1]


def test_a_domain_without_anomalies_is_drawn(tmp_path):
    scores = {"pump": {("", "normal"): [0.1, 0.2, 0.3]}}
    draw_score_histograms(scores, tmp_path / "x.png", thresholds={"pump": 0.25}, title="scores")
    assert (tmp_path / "x.png").stat().st_size > 5_000
