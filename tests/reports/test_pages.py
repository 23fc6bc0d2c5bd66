"""Pages hold their pictures and sounds, and charts show what they were given."""

import base64
import io
import re

import matplotlib.image
import numpy as np
import pytest
import soundfile
from jinja2 import UndefinedError
from matplotlib import colormaps

from soundness.errors import OutputError
from soundness.reports.pages import audio_uri, map_uri, render_page, write_page
from soundness.reports.svg_charts import line_chart, roc_chart, score_chart


def content(uri, media_type):
    start = f"data:{media_type};base64,"
    assert uri.startswith(start)
    return base64.b64decode(uri.removeprefix(start))


def test_a_map_is_a_picture_with_the_lowest_band_at_the_bottom():
    picture = matplotlib.image.imread(io.BytesIO(content(map_uri(np.eye(2, 3), low=0.0, high=1.0), "image/png")))
    dark, bright = (np.array(colormaps["magma"](value))[:3] for value in (0.0, 1.0))
    assert picture.shape[:2] == (2, 3)
    for pixel, expected in (((1, 0), bright), ((0, 1), bright), ((0, 0), dark), ((1, 2), dark)):
        assert picture[pixel][:3] == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("colours", ["magma", "RdBu_r"])
def test_colours_are_matplotlibs(colours):
    shares = np.linspace(0, 1, 64)
    uri = map_uri(shares[None], low=0.0, high=1.0, colours=colours)
    picture = matplotlib.image.imread(io.BytesIO(content(uri, "image/png")))
    np.testing.assert_allclose(picture[0, :, :3], colormaps[colours](shares)[:, :3], atol=0.003)


@pytest.mark.parametrize("rate", [16_000, 44_100, 20_000])
def test_a_sound_is_as_long_and_as_high_as_it_was(rate):
    time = np.arange(2 * rate) / rate
    uri = audio_uri((0.5 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32), sample_rate=rate)
    heard, heard_rate = soundfile.read(io.BytesIO(content(uri, "audio/mpeg")))
    assert heard_rate == 16_000
    assert len(heard) / heard_rate == pytest.approx(2.0, abs=0.1)
    spectrum = np.abs(np.fft.rfft(heard[8000:24000]))
    assert spectrum.argmax() == 1000
    assert len(uri) < 2 * 4000 * 4 / 3 * 1.5


def test_a_page_escapes_what_is_put_into_it_and_lacks_nothing(tmp_path):
    with pytest.raises(UndefinedError):
        render_page("report.html")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/page.html: cannot be written"):
        write_page(tmp_path / "file" / "page.html", "")


def test_bars_are_as_high_as_the_clips_are_many():
    chart = score_chart({"normal": [0.0, 0.0, 1.0], "anomaly": [5.0]}, span=(0.0, 1.0), threshold=0.5, title="a<b")
    assert "<title>a&lt;b</title>" in chart
    heights = {}
    for label in ("normal", "anomaly"):
        path = re.search(rf'class="bars {label}" d="([^"]*)"', chart)[1]
        heights[label] = [float(y) - float(base) for base, y in re.findall(r"M[\d.]+,([\d.]+)V([\d.]+)", path)]
    unit = 136 / 3  # pixels of a clip: two upwards, one downwards
    assert heights["normal"] == pytest.approx([-2 * unit, -unit], abs=0.2)
    assert heights["anomaly"] == pytest.approx([unit], abs=0.2)  # what lies above the axis shares the last bar
    assert 'class="threshold" points="175.0' in chart  # the middle of 40 to 310


def test_a_threshold_beyond_the_scores_is_not_drawn_and_equal_scores_are_no_trouble():
    chart = score_chart({"all": [2.0, 2.0]}, span=(2.0, 2.0), threshold=9.0, title="")
    assert "threshold" not in chart
    assert "nan" not in chart


def test_curves_lie_where_their_points_are():
    roc = roc_chart({"source": ([0, 0, 1], [0, 1, 1])}, title="")
    assert 'class="curve source" points="40.0,146.0 40.0,10.0 310.0,10.0"' in roc
    losses = line_chart({"train": ([10, 20], [4.0, 2.0])}, x_title="steps", title="")
    assert 'class="curve train" points="40.0,10.0 310.0,146.0"' in losses
    assert "nan" not in line_chart({"train": ([1], [3.0])}, x_title="steps", title="")
