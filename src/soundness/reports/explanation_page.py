"""Page of an explained recording, and what its picture shares with it."""

import importlib.metadata
import math
import re
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from soundness.audio.anomalous_regions import hertz, strongest_second
from soundness.audio.log_mel import band_centres
from soundness.data.clips import clock
from soundness.detectors.verdicts.records import RecordingScore
from soundness.detectors.verdicts.score_table import against_threshold
from soundness.files.atomic import write_whole
from soundness.reports.explained_clip import ExplainedClip
from soundness.reports.frequency_axis import FrequencyAxis
from soundness.reports.pages import Colours, audio_uri, map_uri, player_gain, render_page, shrink
from soundness.reports.svg_charts import time_chart

__all__ = [
    "MOST_COLUMNS",
    "Scale",
    "boxes_of",
    "deviation_scale",
    "explanation_context",
    "frequency_axis",
    "is_signed",
    "level_scale",
    "score_scale",
    "when",
    "write_explanation",
    "x_ticks",
]

Array = NDArray[np.floating[Any]]

MOST_COLUMNS = 640
_MOST_MARKS = 300  # of normal recordings on the scale
_MOST_BARS = 200
_LONGEST_SECONDS = 30.0  # of a recording that are played
_SMALLEST_LIMIT = 4.0  # deviations at the ends of the colour scale


def write_explanation(explained: ExplainedClip, path: Path) -> None:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_whole(path, render_page("explanation.html", **explanation_context(explained)))


def score_scale(explained: ExplainedClip) -> dict[str, Any]:
    """Places of score, threshold and the scores of normal recordings on a scale, as shares of its width."""
    score, calibration = explained.score, explained.calibration
    normal = [] if calibration is None else [float(one) for values in calibration.used.values() for one in values]
    low = min(0.0, score.anomaly_score, score.threshold, *normal)
    high = max(score.anomaly_score, score.threshold)
    high += 0.15 * (high - low) or 1.0

    def place(value: float) -> float:
        return round(min(max((value - low) / (high - low), 0.0), 1.0), 4)

    words = against_threshold(score.anomaly_score, score.threshold).split()
    return {
        "score": place(score.anomaly_score),
        "threshold": place(score.threshold),
        "normal": sorted({place(value) for value in normal})[:_MOST_MARKS],
        "score_words": words[0],
        "threshold_words": words[2],
    }


def boxes_of(explained: ExplainedClip) -> list[dict[str, Any]]:
    """Boxes around the anomalous regions, as shares of width and height of the map, and their descriptions."""
    edges = frequency_axis(explained).edges
    seconds = explained.explanation.shares.shape[1] * explained.frame_seconds
    is_of_change = explained.explanation.is_of_change
    return [
        {
            "number": number,
            "bottom": round(float(edges[region.bands[0]]), 4),
            "height": round(float(edges[region.bands[1] + 1] - edges[region.bands[0]]), 4),
            "spans": [
                {"left": round(start / seconds, 4), "width": round((end - start) / seconds, 4)}
                for start, end in region.spans or ((0.0, seconds),)
            ],
            "band": f"{hertz(region.fmin)} to {hertz(region.fmax)}",
            "times": region.later(explained.start_seconds).times,
            "level": "" if region.excess_db is None else f"{region.excess_db:+.1f} dB",
            "kind": region.name,
            "share": "" if is_of_change and number > 1 else f"{100 * region.share:.0f} %",
        }
        for number, region in enumerate(explained.regions, start=1)
    ]


def frequency_axis(explained: ExplainedClip) -> FrequencyAxis:
    """Frequency axis of the maps."""
    return FrequencyAxis(band_centres(explained.detector.settings.log_mel))


def when(explained: ExplainedClip) -> str:
    """Date and time of the recording's file in words; empty where it is not known."""
    if not explained.time:
        return ""
    return datetime.fromisoformat(explained.time).strftime("%d %b %Y, %H:%M")


class Scale(NamedTuple):
    """Colours of a map, and the values of the first and the last of them."""

    low: float
    high: float
    colours: Colours


def explanation_context(explained: ExplainedClip) -> dict[str, Any]:
    """Values of the page by the names that its template uses."""
    detector, explanation, score = explained.detector, explained.explanation, explained.score
    levels, scale, nearest = level_scale(explained), deviation_scale(explained), None
    is_anomalous = score.verdict == "anomalous"
    if explained.nearest is not None:
        seconds = len(explained.nearest.waveform) / detector.settings.audio.sample_rate
        nearest = {
            "map": _map(explained, explained.nearest.log_mel, levels),
            "player": _player(explained, "nearest", explained.nearest.name, explained.nearest.waveform, seconds / 2),
        }
    return {
        "clip": explained.name,
        "machine": detector.machine_type,
        "system": detector.summary.system,
        "version": importlib.metadata.version("soundness"),
        "verdict": score.verdict,
        "scale": score_scale(explained),
        "sentences": [_kept_together(sentence) for sentence in explained.sentences],
        "decision": _kept_together(explained.decision_words),
        "p_value": _kept_together(explained.p_value_words),
        "checks": [_kept_together(line) for line in explained.checks],
        "facts": _facts(explained),
        "notes": explained.notes,
        "is_signed": is_signed(explained),
        "limit": f"{scale.high:.0f}",
        "deviations": _map(explained, explanation.deviations, scale, start=explained.start_seconds),
        "log_mel": _map(explained, explanation.log_mel, levels, start=explained.start_seconds),
        "regions": boxes_of(explained),
        "bands": _band_bars(explained) if is_anomalous else "",
        "frames": _frame_bars(shrink(explanation.frames[None], _MOST_BARS)[0]) if is_anomalous else "",
        "players": _players(explained),
        "time_line": "" if score.most_anomalous is None else _time_line(score),
        "nearest": nearest,
        "reading": _reading(explained),
    }


def _facts(explained: ExplainedClip) -> list[tuple[str, str]]:
    """Name and value of each fact under the verdict."""
    score = explained.score
    facts = [("machine", explained.detector.machine_type)]
    facts += [("recorded", when(explained))] if explained.time else []
    facts += [] if score.p_value is None else [("p-value", f"{score.p_value:.2g}")]
    window, windows = score.most_anomalous, score.windows
    if score.judged is not None:
        start, end = score.judged
        return [*facts, ("shown", f"from {clock(start)} to {clock(end)}")]
    if window is None:
        return [*facts, ("length", f"{explained.seconds:.1f} s")]
    return [*facts, ("length", clock(windows[-1].start_seconds + windows[-1].seconds)), ("shown", str(window))]


def _time_line(score: RecordingScore) -> Markup:
    windows = score.windows
    middles = [window.start_seconds + window.seconds / 2 for window in windows]
    return time_chart(
        middles,
        [window.anomaly_score for window in windows],
        threshold=score.threshold,
        ends=(clock(middles[0]), clock(middles[-1])),
        title="scores of the windows over time",
    )


def _reading(explained: ExplainedClip) -> list[str]:
    explanation = explained.explanation
    bars = [
        f"The bars are shares of the anomaly: bands at the right, times below. They are {explanation.meaning}; their "
        f"sum is {explanation.total:.3g}.",
        explanation.spreading,
    ]
    return [
        f"The map shows the difference from {explanation.normality}; low bands are drawn larger than high ones.",
        *(bars if explained.score.verdict == "anomalous" else []),
        f"The nearest normal clip is the nearest {explanation.nearest_by}.",
        *([] if explained.machine_sound is None else ["The explanation is of the machine sound, after the separator."]),
    ]


def _kept_together(text: str) -> str:
    """Join numbers and their units by no-break spaces."""
    return re.sub(r"(?<=\d) (?=(?:dB|s|Hz|kHz)\b|%)", "\N{NO-BREAK SPACE}", text)


def is_signed(explained: ExplainedClip) -> bool:
    """True if deviations lie above or below normal; false for an error map."""
    return explained.explanation.excess_db is not None


def deviation_scale(explained: ExplainedClip) -> Scale:
    """Scale of the deviations from normal."""
    values = np.abs(explained.explanation.deviations)
    limit = max(_SMALLEST_LIMIT, float(np.ceil(np.percentile(values, 99.5))))
    return Scale(-limit, limit, "RdBu_r") if is_signed(explained) else Scale(0.0, limit, "magma")


def level_scale(explained: ExplainedClip) -> Scale:
    """Scale of both log-mel spectrograms, in dB."""
    maps = [explained.explanation.log_mel]
    maps += [] if explained.nearest is None else [explained.nearest.log_mel]
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), (2, 99.8))
    return Scale(float(low), float(max(high, low + 1.0)), "magma")


def x_ticks(seconds: float, *, start: float = 0.0) -> list[tuple[float, str]]:
    """Places as shares of the width, and seconds from the start of the recording: about five."""
    steps = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]
    step = next((step for step in steps if seconds / step <= 6), steps[-1])
    first = math.ceil(start / step)
    n_ticks = int((start + 0.96 * seconds) / step) - first + 1
    times = [(first + index) * step for index in range(n_ticks)]
    return [(round((time - start) / seconds, 4), f"{time:g} s") for time in times]


def _map(explained: ExplainedClip, values: Array, scale: Scale, *, start: float = 0.0) -> dict[str, Any]:
    axis = frequency_axis(explained)
    return {
        "picture": map_uri(axis.drawn(shrink(values, MOST_COLUMNS)), **scale._asdict()),
        "y_ticks": axis.ticks(),
        "x_ticks": x_ticks(values.shape[1] * explained.frame_seconds, start=start),
    }


def _band_bars(explained: ExplainedClip) -> Markup:
    """Bars at the height of their bands, the largest over the whole width."""
    edges, shares = 1000 * (1 - frequency_axis(explained).edges), explained.explanation.bands
    widths = 100 * shares / max(float(shares.max()), 1e-300)
    rows = zip(widths, edges[:-1], edges[1:], strict=True)
    path = "".join(f"M0,{bottom:.1f}H{width:.1f}V{top:.1f}H0Z" for width, bottom, top in rows)
    return _svg("0 0 100 1000", "share of each band in the anomaly", path)


def _frame_bars(values: Array) -> Markup:
    """Bars side by side, the largest over the whole height."""
    heights = 100 * values / max(float(values.max()), 1e-300)
    path = "".join(f"M{i},100V{100 - height:.1f}H{i + 1}V100Z" for i, height in enumerate(heights))
    return _svg(f"0 0 {len(values)} 100", "share of each moment in the anomaly", path)


def _svg(box: str, title: str, path: str) -> Markup:
    return Markup(
        '<svg viewBox="{}" preserveAspectRatio="none" role="img"><title>{}</title><path d="{}"/></svg>'
    ).format(box, title, path)


def _players(explained: ExplainedClip) -> list[dict[str, Any]]:
    middle = strongest_second(explained.explanation.shares, frame_seconds=explained.frame_seconds)
    found = [_player(explained, "clip", "this clip", explained.waveform, middle)]
    if explained.machine_sound is not None:
        label = "the machine sound, separated from it"
        found.append(_player(explained, "machine", label, explained.machine_sound, middle))
    return found


def _player(
    explained: ExplainedClip, identifier: str, label: str, waveform: NDArray[np.float32], middle: float
) -> dict[str, Any]:
    """Player of a sound around a moment; the gain is the same for all sounds of a page."""
    sample_rate = explained.detector.settings.audio.sample_rate
    sounds = [explained.waveform] if explained.nearest is None else [explained.waveform, explained.nearest.waveform]
    peak = max(float(np.abs(sound).max()) for sound in sounds)
    n_samples = round(_LONGEST_SECONDS * sample_rate)
    start = int(np.clip(middle * sample_rate - n_samples / 2, 0, max(0, len(waveform) - n_samples)))
    played = waveform[start : start + n_samples] * player_gain(peak)
    if len(waveform) > n_samples:
        label += f" ({_LONGEST_SECONDS:.0f} of {len(waveform) / sample_rate:.0f} s, from {start / sample_rate:.0f} s)"
    return {
        "id": identifier,
        "label": label,
        "sound": audio_uri(played, sample_rate=sample_rate),
        "start": round(start / sample_rate, 3),
        "length": round(len(waveform) / sample_rate, 3),
    }
