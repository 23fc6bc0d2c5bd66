"""The picture of the README is one that `explain` draws of an anomalous recording."""

from pathlib import Path

import numpy as np
from PIL import Image

from soundness.reports.pages import page_colours

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_readme_has_the_verdict_that_its_caption_says():
    assert "called ANOMALOUS" in (ROOT / "README.md").read_text(encoding="utf-8")
    with Image.open(ROOT / "docs" / "hero.png") as image:
        banner = np.asarray(image.convert("RGB").crop((60, 35, image.width - 60, 45))).astype(int)
    expected = list(bytes.fromhex(page_colours()["anomaly"][1:]))
    assert np.abs(banner - expected).max() < 8
