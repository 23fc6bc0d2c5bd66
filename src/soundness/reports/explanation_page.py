"""An explained recording as a page that needs nothing but itself, and as a picture."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from soundness.audio.log_mel import band_centres
from soundness.reports.anomalous_regions import AnomalousRegion, hertz, strongest_second
from soundness.reports.explained_clip import ExplainedClip
from soundness.reports.explanation_figure import Picture, PictureMap
from soundness.reports.pages import Colours, audio_uri, map_uri, render_page, write_page

__all__ = ["picture_of", "write_explanation"]

Array = NDArray[np.floating[Any]]

_MOST_COLUMNS = 640
_MOST_BARS = 200
_LONGEST_SECONDS = 30.0  # of a recording that are played
_PEAK = 0.9
_SMALLEST_LIMIT = 4.0  # deviations at the ends of the colour scale
_TICKS_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)
_FEWEST_APART = 0.07  # of a map's height, between two ticks


def write_explanation(explained: ExplainedClip, path: Path) -> None:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_page(path, render_page("explanation.html", **_context(explained)))


def picture_of(explained: ExplainedClip) -> Picture:
    """What the picture shows: the log-mel of the clip, that of the nearest normal clip, and what is odd."""
    explanation, (low, high), limit = explained.explanation, _levels(explained), _limit(explained)
    heard = [("this clip: log-mel, dB", explanation.log_mel)]
    heard += [] if explained.nearest is None else [("nearest normal clip", explained.nearest.log_mel)]
    is_signed = _is_signed(explained)
    title = f"from normal, in deviations of the band (±{limit:.0f})" if is_signed else "error map"
    lowest, colours = (-limit, "RdBu_r") if is_signed else (0.0, "magma")
    boxes = [
        (start, end, *part.bands)
        for part in explained.parts
        for start, end in part.spans or ((0.0, explained.seconds),)
    ]
    return Picture(
        title=f"{explained.detector.machine_type}: {explained.name}",
        verdict=explained.verdict,
        sentences=explained.sentences,
        heard=tuple(_picture_map(explained, values, title, low, high, "magma") for title, values in heard),
        odd=_picture_map(explained, explanation.deviations, title, lowest, limit, colours),
        boxes=tuple(boxes),
        bands=explanation.bands,
        y_ticks=tuple(_y_ticks(explained)),
    )


def _picture_map(
    explained: ExplainedClip, values: Array, title: str, low: float, high: float, colours: str
) -> PictureMap:
    seconds = values.shape[1] * explained.frame_seconds
    return PictureMap(title, _shrunk(values, _MOST_COLUMNS), low, high, colours, seconds)


def _context(explained: ExplainedClip) -> dict[str, Any]:
    detector, explanation = explained.detector, explained.explanation
    p_value = detector.p_value(explained.anomaly_score)
    facts = [("score", f"{explained.anomaly_score:.3g}"), ("threshold", f"{detector.threshold.value:.3g}")]
    facts += [] if p_value is None else [("p-value", f"{p_value:.2g}")]
    facts.append(("length", f"{explained.seconds:.1f} s"))
    low, high = _levels(explained)
    limit, players, nearest = _limit(explained), _players(explained), None
    if explained.nearest is not None:
        seconds = len(explained.nearest.waveform) / detector.settings.audio.sample_rate
        nearest = {
            "map": _map(explained, explained.nearest.log_mel, low=low, high=high, colours="magma"),
            "player": _player(explained, "nearest", explained.nearest.name, explained.nearest.waveform, seconds / 2),
        }
    signed: dict[str, Any] = {"low": -limit, "high": limit, "colours": "RdBu_r"}
    unsigned: dict[str, Any] = {"low": 0.0, "high": limit, "colours": "magma"}
    return {
        "clip": explained.name,
        "machine": detector.machine_type,
        "system": detector.summary.system,
        "version": importlib.metadata.version("soundness"),
        "is_anomalous": explained.is_anomalous,
        "sentences": [_kept_together(sentence) for sentence in explained.sentences],
        "verdict": _kept_together(explained.verdict),
        "p_value": _kept_together(explained.p_value_words),
        "facts": facts,
        "notes": explained.notes,
        "is_signed": _is_signed(explained),
        "limit": f"{limit:.0f}",
        "odd": _map(explained, explanation.deviations, **(signed if _is_signed(explained) else unsigned)),
        "heard": _map(explained, explanation.log_mel, low=low, high=high, colours="magma"),
        "parts": [_part(explained, number, part) for number, part in enumerate(explained.parts, start=1)],
        "bands": _bars(explanation.bands[::-1], is_upright=False),
        "frames": _bars(_shrunk(explanation.frames[None], _MOST_BARS)[0], is_upright=True),
        "players": players,
        "nearest": nearest,
        "reading": _reading(explained),
    }


def _reading(explained: ExplainedClip) -> list[str]:
    explanation = explained.explanation
    return [
        f"The map is measured from {explanation.normality}.",
        f"The bars at the right are {explanation.meaning}; their sum is {explanation.total:.3g}.",
        "The share of a band is spread over time in proportion to how far the clip lies from normal there, on the side "
        "on which the band's mean does; the bars below are the sums over all bands.",
        f"The nearest normal clip is the nearest {explanation.nearest_by}.",
        *([] if explained.machine_sound is None else ["What is explained is the machine sound, after the separator."]),
    ]


def _kept_together(text: str) -> str:
    """With spaces at which no line ends between numbers and their units."""
    return re.sub(r"(?<=\d) (?=(?:dB|s|Hz|kHz)\b|%)", "\N{NO-BREAK SPACE}", text)


def _is_signed(explained: ExplainedClip) -> bool:
    return explained.explanation.excess_db is not None


def _limit(explained: ExplainedClip) -> float:
    values = np.abs(explained.explanation.deviations)
    return max(_SMALLEST_LIMIT, float(np.ceil(np.percentile(values, 99.5))))


def _levels(explained: ExplainedClip) -> tuple[float, float]:
    """First and last level of the colour scale, dB, of both log-mels."""
    maps = [explained.explanation.log_mel]
    maps += [] if explained.nearest is None else [explained.nearest.log_mel]
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), (2, 99.8))
    return float(low), float(max(high, low + 1.0))


def _map(explained: ExplainedClip, values: Array, *, low: float, high: float, colours: Colours) -> dict[str, Any]:
    return {
        "picture": map_uri(_shrunk(values, _MOST_COLUMNS), low=low, high=high, colours=colours),
        "y_ticks": _y_ticks(explained),
        "x_ticks": _x_ticks(values.shape[1] * explained.frame_seconds),
    }


def _y_ticks(explained: ExplainedClip) -> list[tuple[float, str]]:
    """Places in per cent of the height, and frequencies."""
    centres = band_centres(explained.detector.settings.log_mel)
    found: list[tuple[float, str]] = []
    for frequency in _TICKS_HZ:
        if centres[0] <= frequency <= centres[-1]:
            place = 100 * (float(np.interp(frequency, centres, np.arange(len(centres)))) + 0.5) / len(centres)
            if not found or place - found[-1][0] >= 100 * _FEWEST_APART:
                found.append((round(place, 2), f"{frequency} Hz" if frequency < 1000 else f"{frequency // 1000} kHz"))
    return found or [(50.0, hertz(float(centres[len(centres) // 2])))]


def _x_ticks(seconds: float) -> list[tuple[float, str]]:
    """Places in per cent of the width, and seconds: about five."""
    steps = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]
    step = next((step for step in steps if seconds / step <= 6), steps[-1])
    n_ticks = int((seconds - 0.04 * seconds) / step) + 1
    return [(round(100 * index * step / seconds, 2), f"{index * step:g} s") for index in range(n_ticks)]


def _part(explained: ExplainedClip, number: int, part: AnomalousRegion) -> dict[str, Any]:
    n_bands, n_frames = explained.explanation.shares.shape
    seconds = n_frames * explained.frame_seconds
    first, last = part.bands
    return {
        "number": number,
        "bottom": round(100 * first / n_bands, 2),
        "height": round(100 * (last - first + 1) / n_bands, 2),
        "boxes": [
            {"left": round(100 * start / seconds, 2), "width": round(100 * (end - start) / seconds, 2)}
            for start, end in part.spans or ((0.0, seconds),)
        ],
        "band": f"{hertz(part.fmin)} to {hertz(part.fmax)}",
        "when": part.when,
        "level": "" if part.excess_db is None else f"{part.excess_db:+.1f} dB",
        "share": f"{100 * part.share:.0f} %",
    }


def _bars(values: Array, *, is_upright: bool) -> Markup:
    """Bars side by side, as long as the largest of them allows."""
    heights = 100 * values / max(float(values.max()), 1e-300)
    if is_upright:
        path = "".join(f"M{i},100V{100 - height:.1f}H{i + 1}V100Z" for i, height in enumerate(heights))
        box = f"0 0 {len(values)} 100"
    else:
        path = "".join(f"M0,{i}H{height:.1f}V{i + 1}H0Z" for i, height in enumerate(heights))
        box = f"0 0 100 {len(values)}"
    title = "share of each moment" if is_upright else "share of each band"
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
    """A sound around a moment; all sounds of a page are made louder by the same factor."""
    sample_rate = explained.detector.settings.audio.sample_rate
    sounds = [explained.waveform] if explained.nearest is None else [explained.waveform, explained.nearest.waveform]
    peak = max(float(np.abs(sound).max()) for sound in sounds)
    n_samples = round(_LONGEST_SECONDS * sample_rate)
    start = int(np.clip(middle * sample_rate - n_samples / 2, 0, max(0, len(waveform) - n_samples)))
    played = waveform[start : start + n_samples] * np.float32(_PEAK / peak if peak > 0 else 1.0)
    if len(waveform) > n_samples:
        label += f" ({_LONGEST_SECONDS:.0f} of {len(waveform) / sample_rate:.0f} s, from {start / sample_rate:.0f} s)"
    return {
        "id": identifier,
        "label": label,
        "sound": audio_uri(played, sample_rate=sample_rate),
        "start": round(start / sample_rate, 3),
        "length": round(len(waveform) / sample_rate, 3),
    }


def _shrunk(values: Array, most: int) -> Array:
    """Means of neighbouring frames, so that no more than about so many are left."""
    step = -(-values.shape[1] // most)
    starts = np.arange(0, values.shape[1], step)
    counts = np.diff(np.append(starts, values.shape[1]))
    shrunk: Array = np.add.reduceat(values, starts, axis=1) / counts
    return shrunk
