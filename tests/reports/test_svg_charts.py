"""Charts show their values."""

import re

import pytest

from soundness.reports.svg_charts import line_chart, roc_chart, score_chart


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
