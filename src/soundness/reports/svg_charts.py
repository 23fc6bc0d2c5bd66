"""Small charts as SVG in the colours of the page, legible in light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from soundness.aliases import Array

__all__ = ["line_chart", "roc_chart", "score_chart", "time_chart"]

_N_BARS = 28
_WIDTH, _HEIGHT = 320, 180  # about the size on a phone, so that letters keep their size


@dataclass(frozen=True, slots=True)
class _Frame:
    """Axes of a chart: position and range of values."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    left: int = 40
    right: int = 10
    top: int = 10
    bottom: int = 34

    @property
    def floor(self) -> int:
        return _HEIGHT - self.bottom

    def x(self, values: ArrayLike) -> Array:
        low, high = self.x_range
        return self.left + (np.asarray(values) - low) / (high - low) * (_WIDTH - self.left - self.right)

    def y(self, values: ArrayLike) -> Array:
        low, high = self.y_range
        return self.floor - (np.asarray(values) - low) / (high - low) * (self.floor - self.top)

    def line(self, xs: ArrayLike, ys: ArrayLike, style: str) -> Markup:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(self.x(xs), self.y(ys), strict=True))
        return Markup('<polyline class="{}" points="{}"/>').format(style, points)

    def ticks(self, xs: Iterable[tuple[float, str]], ys: Iterable[tuple[float, str]], x_title: str) -> Markup:
        parts = [
            Markup('<text x="{:.1f}" y="{}" class="mid">{}</text>').format(self.x(v), self.floor + 16, t) for v, t in xs
        ]
        parts += [
            Markup('<text x="{}" y="{:.1f}" class="end">{}</text>').format(self.left - 5, self.y(v) + 3.5, t)
            for v, t in ys
        ]
        middle = (self.left + _WIDTH - self.right) / 2
        parts.append(Markup('<text x="{:.0f}" y="{}" class="mid">{}</text>').format(middle, _HEIGHT - 5, x_title))
        return Markup("").join(parts)

    def svg(self, parts: Iterable[Markup], title: str) -> Markup:
        return Markup('<svg class="chart" role="img" viewBox="0 0 {} {}"><title>{}</title>{}</svg>').format(
            _WIDTH, _HEIGHT, title, Markup("").join(parts)
        )


def score_chart(
    scores: Mapping[str, ArrayLike], *, span: tuple[float, float], threshold: float | None, title: str
) -> Markup:
    """Draw a histogram of anomaly scores: normal clips (or all) upwards, anomalous ones downwards.

    Parameters
    ----------
    scores
        Scores by label: ``normal`` and ``anomaly``, or another where labels are not known.
    span
        Lowest and highest score on the axis; the last bar holds all above.
    threshold
        Threshold of the decisions; ``None`` where it is not known.
    title
        Description for screen readers.
    """
    low, high = span if span[1] > span[0] else (span[0] - 0.5, span[0] + 0.5)
    edges = _edges(low, high, threshold)
    low, high = float(edges[0]), float(edges[-1])
    counts = {label: _counts(values, edges) for label, values in scores.items()}
    up = max([1, *(int(count.max()) for label, count in counts.items() if label != "anomaly")])
    down = int(counts["anomaly"].max()) if "anomaly" in counts else 0
    frame = _Frame((low, high), (-down, up))
    parts = [_bars(frame, edges, -count if label == "anomaly" else count, label) for label, count in counts.items()]
    parts.append(frame.line((low, high), (0, 0), "axis"))
    if threshold is not None and low <= threshold <= high:
        parts.append(frame.line((threshold, threshold), (-down, up), "threshold"))
    xs = [(low, f"{low:.3g}"), ((low + high) / 2, f"{(low + high) / 2:.3g}"), (high, f"≥ {high:.3g}")]
    ys = [(float(up), str(up)), (0.0, "0"), *([(-float(down), str(down))] if down else [])]
    return frame.svg([*parts, frame.ticks(xs, ys, "anomaly score")], title)


def roc_chart(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str) -> Markup:
    """Draw ROC curves; the range of false alarms of pAUC is shaded.

    Parameters
    ----------
    curves
        False-positive and true-positive rates, by the class of their line: ``source``, ``target`` or ``all``.
    title
        Description, as in `score_chart`.
    """
    frame = _Frame((0.0, 1.0), (0.0, 1.0))
    shade = Markup('<rect class="shade" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
        frame.x(0), frame.top, frame.x(0.1) - frame.x(0), frame.floor - frame.top
    )
    axes = [frame.line((0, 0, 1), (1, 0, 0), "axis"), frame.line((0, 1), (0, 1), "chance")]
    lines = [frame.line(*curve, f"curve {name}") for name, curve in curves.items()]
    ticks = [(0.0, "0"), (0.5, "50"), (1.0, "100")]
    return frame.svg([shade, *axes, *lines, frame.ticks(ticks, ticks, "false alarms, %")], title)


def line_chart(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x_title: str, title: str) -> Markup:
    """Draw lines of values over steps.

    Parameters
    ----------
    lines
        Steps and values, at least one point each, by the class of their line: ``train`` or ``held-out``.
    x_title
        Title of the axis.
    title
        Description, as in `score_chart`.
    """
    xs = np.concatenate([np.asarray(steps, dtype=np.float64) for steps, _ in lines.values()])
    ys = np.concatenate([np.asarray(values, dtype=np.float64) for _, values in lines.values()])
    frame = _Frame(_spread(xs), _spread(ys))
    parts = [frame.line(frame.x_range, (frame.y_range[0],) * 2, "axis")]
    parts += [frame.line(*line, f"curve {name}") for name, line in lines.items()]
    x_ticks = [(float(value), f"{value:,.0f}") for value in frame.x_range]
    y_ticks = [(float(value), f"{value:.3g}") for value in np.linspace(*frame.y_range, 3)]
    return frame.svg([*parts, frame.ticks(x_ticks, y_ticks, x_title)], title)


def time_chart(
    times: Sequence[float], scores: Sequence[float], *, threshold: float | None, ends: tuple[str, str], title: str
) -> Markup:
    """Draw scores over time, those above the threshold in another colour.

    Parameters
    ----------
    times, scores
        Time of each recording in seconds, and its score.
    threshold
        Score above which a recording is anomalous; ``None`` where it is not known.
    ends
        First and last time in words.
    title
        Description, as in `score_chart`.
    """
    limits = [] if threshold is None else [threshold]
    low, high = _spread(np.array([min(0.0, *scores), *scores, *limits]))
    first, last = _spread(np.array(times))
    frame = _Frame((first, last), (low, high + 0.05 * (high - low)))
    parts = [frame.line((first, last), (low, low), "axis")]
    if threshold is not None:
        parts.append(frame.line((first, last), (threshold, threshold), "threshold"))
    is_above = [threshold is not None and score > threshold for score in scores]
    for label, wanted in (("normal", False), ("anomaly", True)):
        dots = "".join(
            f"M{x:.1f},{y:.1f}h0"
            for x, y, above in zip(frame.x(times), frame.y(scores), is_above, strict=True)
            if above == wanted
        )
        parts.append(Markup('<path class="dots {}" d="{}"/>').format(label, dots or "M0,0"))
    xs = [(first + 0.1 * (last - first), ends[0]), (last - 0.1 * (last - first), ends[1])]
    return frame.svg([*parts, frame.ticks(xs, [(low, f"{low:.3g}"), (high, f"{high:.3g}")], "time")], title)


def _edges(low: float, high: float, threshold: float | None) -> Array:
    """Edges of the bars, one of which is the threshold, so that no bar has clips of both its sides."""
    if threshold is None or not low < threshold < high:
        return np.linspace(low, high, _N_BARS + 1)
    width = (high - low) / _N_BARS
    n_below, n_above = int(np.ceil((threshold - low) / width)), int(np.ceil((high - threshold) / width))
    edges: Array = threshold + width * np.arange(-n_below, n_above + 1, dtype=np.float64)
    return edges


def _counts(values: ArrayLike, edges: Array) -> NDArray[np.int64]:
    """Clips of each bar; its right edge belongs to it, for a score that equals the threshold is normal."""
    inside = np.clip(np.asarray(values, np.float64), edges[0], edges[-1])
    places = np.clip(np.searchsorted(edges, inside, side="left") - 1, 0, len(edges) - 2)
    return np.bincount(places, minlength=len(edges) - 1).astype(np.int64)


def _bars(frame: _Frame, edges: Array, counts: NDArray[np.int64], label: str) -> Markup:
    base = float(frame.y(0))
    bars = []
    for left, right, count in zip(frame.x(edges[:-1]), frame.x(edges[1:]), counts, strict=True):
        if count:
            bars.append(f"M{left + 0.5:.1f},{base:.1f}V{float(frame.y(count)):.1f}H{right - 0.5:.1f}V{base:.1f}Z")
    return Markup('<path class="bars {}" d="{}"/>').format(label, "".join(bars) or "M0,0")


def _spread(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
