"""The picture of an explanation has the colours of the page, and shows the verdict as the largest thing."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_picture import draw_explanation
from soundness.reports.pages import page_colours


@pytest.fixture(scope="module")
def explained(detectors, fan):
    return explain_recording(detectors["log-mel-whitened"], next((fan / "test").glob("*anomaly*")), normal=None)


def share_of(image, colour):
    expected = np.array(list(bytes.fromhex(colour[1:])))
    return float((np.abs(np.asarray(image).astype(int) - expected).max(axis=-1) < 6).mean())


@pytest.mark.parametrize(
    ("verdict", "name"), [("anomalous", "anomaly"), ("normal", "normal"), ("cannot tell", "unknown")]
)
def test_the_verdict_has_its_colour(explained, verdict, name):
    score = replace(explained.score, decision=int(verdict == "anomalous"), cannot_tell="x" * (verdict == "cannot tell"))
    png = draw_explanation(replace(explained, score=score, regions=()))
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.width > image.height > 600
    assert share_of(image.crop((0, 0, image.width, 140)), page_colours()[name]) > 0.3
    others = {"anomaly", "normal", "unknown"} - {name}
    assert all(share_of(image.crop((0, 0, image.width, 130)), page_colours()[other]) < 0.01 for other in others)


def test_a_name_that_no_font_has_is_drawn(explained):
    assert draw_explanation(replace(explained, name="\u6a5f\u68b0 $x_{1}$.wav", nearest=None, time=""))


def test_the_reason_stays_within_the_margins(explained):
    many = tuple((0.7 * index, 0.7 * index + 0.4) for index in range(4))
    region = replace(explained.regions[0], spans=many, is_among_many=True)
    long = replace(explained, regions=(region,))
    assert len(long.sentences[0]) > 110
    image = Image.open(io.BytesIO(draw_explanation(long))).convert("RGB")
    assert share_of(image.crop((image.width - 42, 160, image.width, 360)), page_colours()["paper"]) == 1.0
