"""The picture of an explanation is drawn in another process."""

import io
import subprocess
import sys
from dataclasses import replace

import pytest
from matplotlib.image import imread

from soundness.errors import OutputError
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_figure import draw, drawing_process
from soundness.reports.explanation_page import picture_of


@pytest.fixture(scope="module")
def explained(detectors, fan):
    return explain_recording(detectors["log-mel-whitened"], next((fan / "test").glob("*anomaly*")), normal=None)


def test_the_picture_is_one_and_the_same_in_another_process(explained):
    picture = picture_of(explained)
    with drawing_process() as drawing:
        png = drawing.draw(picture)
    assert png == draw(picture)
    height, width, _ = imread(io.BytesIO(png)).shape
    assert width > height > 500


def test_a_name_that_no_font_has_is_drawn_without_a_warning(explained):
    assert draw(replace(picture_of(explained), title="fan: \u6a5f\u68b0 $x"))


def test_matplotlib_is_loaded_before_there_is_a_picture():
    code = (
        "import sys, soundness.reports.explanation_figure as p\n"
        "p.run()\n"
        "print([name in sys.modules for name in p._DRAWN_WITH], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], input="", capture_output=True, text=True, check=True)
    assert done.stdout == "[True, True, True] False\n"


def test_a_process_that_cannot_be_started_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(OutputError, match=r"no picture: .*python: cannot be started: No such file"), drawing_process():
        pass


def test_a_process_that_draws_nothing_is_ended_and_one_that_fails_is_an_error(explained):
    with drawing_process() as drawing:
        process = drawing._process
    assert process.returncode != 0
    with (
        drawing_process() as drawing,
        pytest.raises(OutputError, match=r"no picture: the process that draws it ended with status [1-9]"),
    ):
        drawing.draw(replace(picture_of(explained), y_ticks=()))
