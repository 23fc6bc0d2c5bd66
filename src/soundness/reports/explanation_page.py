"""Page and picture of an explained recording."""

import importlib.metadata
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from soundness.atomic_files import write_whole
from soundness.audio.anomalous_regions import AnomalousRegion, hertz, strongest_second
from soundness.audio.log_mel import band_centres
from soundness.reports.explained_clip import ExplainedClip
from soundness.reports.explanation_figure import Picture, PictureMap
from soundness.reports.pages import Colours, audio_uri, map_uri, render_page, shrink

__all__ = ["picture_of", "write_explanation"]

Array = NDArray[np.floating[Any]]

_MOST_COLUMNS = 640
_MOST_BARS = 200
_LONGEST_SECONDS = 30.0  # of a recording that are played
_PEAK = 0.9
_SMALLEST_LIMIT = 4.0  # deviations at the ends of the colour scale
_TICKS_HZ = (63, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)
_FEWEST_APART = 0.07  # of the height of a map, between two ticks


def write_explanation(explained: ExplainedClip, path: Path) -> None:
    """Write the page.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_whole(path, render_page("explanation.html", **_context(explained)))


def picture_of(explained: ExplainedClip) -> Picture:
    """Picture with the log-mel spectrograms of the clip and of the nearest normal one, and the deviations."""
    explanation, levels = explained.explanation, _levels(explained)
    log_mels = [_picture_map(explained, explanation.log_mel, "this clip: log-mel, dB", levels)]
    if explained.nearest is not None:
        log_mels.append(_picture_map(explained, explained.nearest.log_mel, "nearest normal clip", levels))
    scale = _deviation_scale(explained)
    title = f"from normal, in deviations of the band (±{scale.high:.0f})" if _is_signed(explained) else "error map"
    boxes = [
        (start, end, *region.bands)
        for region in explained.regions
        for start, end in region.spans or ((0.0, explained.seconds),)
    ]
    return Picture(
        title=f"{explained.detector.machine_type}: {explained.name}",
        verdict=explained.verdict,
        sentences=explained.sentences,
        log_mels=tuple(log_mels),
        deviations=_picture_map(explained, explanation.deviations, title, scale),
        boxes=tuple(boxes),
        bands=explanation.bands,
        y_ticks=tuple(_y_ticks(explained)),
    )


class _Scale(NamedTuple):
    """Colours of a map, and the values of the first and the last of them."""

    low: float
    high: float
    colours: Colours


def _picture_map(explained: ExplainedClip, values: Array, title: str, scale: _Scale) -> PictureMap:
    seconds = values.shape[1] * explained.frame_seconds
    return PictureMap(title=title, values=shrink(values, _MOST_COLUMNS), seconds=seconds, **scale._asdict())


def _context(explained: ExplainedClip) -> dict[str, Any]:
    detector, explanation = explained.detector, explained.explanation
    p_value = detector.p_value(explained.anomaly_score)
    facts = [("score", f"{explained.anomaly_score:.3g}"), ("threshold", f"{detector.threshold.value:.3g}")]
    facts += [] if p_value is None else [("p-value", f"{p_value:.2g}")]
    facts.append(("length", f"{explained.seconds:.1f} s"))
    levels, scale, nearest = _levels(explained), _deviation_scale(explained), None
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
        "is_anomalous": explained.is_anomalous,
        "sentences": [_kept_together(sentence) for sentence in explained.sentences],
        "verdict": _kept_together(explained.verdict),
        "p_value": _kept_together(explained.p_value_words),
        "facts": facts,
        "notes": explained.notes,
        "is_signed": _is_signed(explained),
        "limit": f"{scale.high:.0f}",
        "deviations": _map(explained, explanation.deviations, scale),
        "log_mel": _map(explained, explanation.log_mel, levels),
        "regions": [_region(explained, number, region) for number, region in enumerate(explained.regions, start=1)],
        "bands": _bars(explanation.bands[::-1], is_upright=False),
        "frames": _bars(shrink(explanation.frames[None], _MOST_BARS)[0], is_upright=True),
        "players": _players(explained),
        "nearest": nearest,
        "reading": _reading(explained),
    }


def _reading(explained: ExplainedClip) -> list[str]:
    explanation = explained.explanation
    return [
        f"The map shows the difference from {explanation.normality}.",
        f"The bars at the right are {explanation.meaning}; their sum is {explanation.total:.3g}.",
        "The share of a band is spread over time in proportion to the deviation from normal, on the side of the band's "
        "mean; the bars below are the sums over all bands.",
        f"The nearest normal clip is the nearest {explanation.nearest_by}.",
        *([] if explained.machine_sound is None else ["The explanation is of the machine sound, after the separator."]),
    ]


def _kept_together(text: str) -> str:
    """Join numbers and their units by no-break spaces."""
    return re.sub(r"(?<=\d) (?=(?:dB|s|Hz|kHz)\b|%)", "\N{NO-BREAK SPACE}", text)


def _is_signed(explained: ExplainedClip) -> bool:
    return explained.explanation.excess_db is not None


def _deviation_scale(explained: ExplainedClip) -> _Scale:
    values = np.abs(explained.explanation.deviations)
    limit = max(_SMALLEST_LIMIT, float(np.ceil(np.percentile(values, 99.5))))
    return _Scale(-limit, limit, "RdBu_r") if _is_signed(explained) else _Scale(0.0, limit, "magma")


def _levels(explained: ExplainedClip) -> _Scale:
    """Scale of both log-mel spectrograms, in dB."""
    maps = [explained.explanation.log_mel]
    maps += [] if explained.nearest is None else [explained.nearest.log_mel]
    low, high = np.percentile(np.concatenate([values.ravel() for values in maps]), (2, 99.8))
    return _Scale(float(low), float(max(high, low + 1.0)), "magma")


def _map(explained: ExplainedClip, values: Array, scale: _Scale) -> dict[str, Any]:
    return {
        "picture": map_uri(shrink(values, _MOST_COLUMNS), **scale._asdict()),
        "y_ticks": _y_ticks(explained),
        "x_ticks": _x_ticks(values.shape[1] * explained.frame_seconds),
    }


def _y_ticks(explained: ExplainedClip) -> list[tuple[float, str]]:
    """Positions in per cent of the height, and frequencies."""
    centres = band_centres(explained.detector.settings.log_mel)
    found: list[tuple[float, str]] = []
    for frequency in _TICKS_HZ:
        if centres[0] <= frequency <= centres[-1]:
            place = 100 * (float(np.interp(frequency, centres, np.arange(len(centres)))) + 0.5) / len(centres)
            if not found or place - found[-1][0] >= 100 * _FEWEST_APART:
                found.append((round(place, 2), f"{frequency} Hz" if frequency < 1000 else f"{frequency // 1000} kHz"))
    return found or [(50.0, hertz(float(centres[len(centres) // 2])))]


def _x_ticks(seconds: float) -> list[tuple[float, str]]:
    """Positions in per cent of the width, and seconds: about five."""
    steps = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]
    step = next((step for step in steps if seconds / step <= 6), steps[-1])
    n_ticks = int((seconds - 0.04 * seconds) / step) + 1
    return [(round(100 * index * step / seconds, 2), f"{index * step:g} s") for index in range(n_ticks)]


def _region(explained: ExplainedClip, number: int, region: AnomalousRegion) -> dict[str, Any]:
    n_bands, n_frames = explained.explanation.shares.shape
    seconds = n_frames * explained.frame_seconds
    first, last = region.bands
    return {
        "number": number,
        "bottom": round(100 * first / n_bands, 2),
        "height": round(100 * (last - first + 1) / n_bands, 2),
        "boxes": [
            {"left": round(100 * start / seconds, 2), "width": round(100 * (end - start) / seconds, 2)}
            for start, end in region.spans or ((0.0, seconds),)
        ],
        "band": f"{hertz(region.fmin)} to {hertz(region.fmax)}",
        "times": region.times,
        "level": "" if region.excess_db is None else f"{region.excess_db:+.1f} dB",
        "share": f"{100 * region.share:.0f} %",
    }


def _bars(values: Array, *, is_upright: bool) -> Markup:
    """Draw bars, the largest over the whole width or height."""
    heights = 100 * values / max(float(values.max()), 1e-300)
    if is_upright:
        path = "".join(f"M{i},100V{100 - height:.1f}H{i + 1}V100Z" for i, height in enumerate(heights))
        box = f"0 0 {len(values)} 100"
    else:
        path = "".join(f"M0,{i}H{height:.1f}V{i + 1}H0Z" for i, height in enumerate(heights))
        box = f"0 0 100 {len(values)}"
    title = "share of each frame" if is_upright else "share of each band"
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
