"""Charts show their values."""

import re

import numpy as np
import pytest

from soundness.reports.svg_charts import line_chart, roc_chart, score_chart, time_chart


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


@pytest.mark.parametrize("threshold", [0.501, 0.9, 0.05])
def test_a_bar_lies_on_one_side_of_the_threshold(threshold):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0, 1, 200), [threshold, np.nextafter(threshold, 2), threshold - 1e-9]])
    chart = score_chart({"all": values}, span=(0.0, 1.0), threshold=threshold, title="")
    line = float(re.search(r'class="threshold" points="([\d.]+)', chart)[1])
    bars = re.findall(r"M([\d.]+),([\d.]+)V([\d.]+)H([\d.]+)", re.search(r'class="bars all" d="([^"]*)"', chart)[1])
    assert not [left for left, _, _, right in bars if float(left) < line < float(right)]
    right = sum(float(base) - float(top) for left, base, top, _ in bars if float(left) >= line)
    total = sum(float(base) - float(top) for _, base, top, _ in bars)
    assert right / total == pytest.approx((values > threshold).mean(), abs=0.01)


def test_dots_over_time_lie_at_their_times_and_those_above_the_threshold_have_another_colour():
    chart = time_chart([0.0, 50.0, 100.0], [1.0, 3.0, 2.0], threshold=2.5, ends=("monday", "friday"), title="x")
    assert re.findall(r'class="dots anomaly" d="M([\d.]+),', chart) == ["175.0"]
    assert [float(x) for x in re.findall(r"M([\d.]+),[\d.]+h0", chart)] == [40.0, 310.0, 175.0]
    assert "monday" in chart


def test_curves_lie_where_their_points_are():
    roc = roc_chart({"source": ([0, 0, 1], [0, 1, 1])}, title="")
    assert 'class="curve source" points="40.0,146.0 40.0,10.0 310.0,10.0"' in roc
    losses = line_chart({"train": ([10, 20], [4.0, 2.0])}, x_title="steps", title="")
    assert 'class="curve train" points="40.0,10.0 310.0,146.0"' in losses
    assert "nan" not in line_chart({"train": ([1], [3.0])}, x_title="steps", title="")
