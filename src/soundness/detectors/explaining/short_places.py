"""Times and bands of short rises and falls of a clip."""

import numpy as np

from soundness.aliases import Array
from soundness.detectors.explaining.changes import ShortChange, are_missing
from soundness.detectors.explaining.measured_clip import CLEAR_DEVIATIONS, MeasuredClip, PeakPlace
from soundness.representations.views.events import event_changes, window_step
from soundness.scoring.joining.joined import Peak

__all__ = ["short_changes_at"]

_UNUSUAL = 1.5  # deviations above normal, of maxima that are similar to the largest
_SIMILAR_EVENTS = 0.6  # of the largest
_SMOOTHED_SHARE = 1 / 16  # of all bands
_FALL = 0.4  # of the largest change in a band, at which an event ends in frequency
_HALF_DB = 3.0  # fall of a frame of which half is silent
_EVERYWHERE = 0.9  # of the bands


def short_changes_at(clip: MeasuredClip, peak: Peak) -> PeakPlace:
    """Place of events, or of falls."""
    filters = clip.representation.events
    assert filters is not None
    is_fall = clip.view(peak) == "dropouts"
    sign = -1.0 if is_fall else 1.0
    duration, change = divmod(peak.feature, filters.offsets.shape[1])
    n_frames = int(filters.durations[duration])
    course = sign * filters.course(clip.clip.reference, peak.feature).astype(np.float64)
    last = clip.log_mel.shape[1]
    runs = _frames_of(course, _bound(course, peak), n_frames=n_frames, last=last)
    rise, shape = sign * clip.differences, event_changes(clip.n_bands)[change]
    level, is_rhythm = shape @ rise / shape.sum(), False
    if is_fall:
        runs = _merged([_whole_fall(level, run) for run in runs])
        is_rhythm = are_missing(clip.spans(runs), clip.spans(_events_beside(level)))
    frames = np.zeros(last, np.bool_)
    for start, end in runs:
        frames[start:end] = True
    profile = _smoothed(rise[:, frames].mean(axis=1))
    first_band, last_band = _bands_of(profile, shape)
    weights = np.zeros(rise.shape)
    weights[first_band : last_band + 1, frames] = np.maximum(rise[first_band : last_band + 1, frames], 0.0)
    weights = weights if weights.any() else frames * np.ones((clip.n_bands, 1))
    spans = clip.spans(runs)
    region = ShortChange(
        bands=(first_band, last_band),
        centre=clip.centre(first_band + int(profile[first_band : last_band + 1].argmax())),
        fmin=float(clip.edges[first_band]),
        fmax=float(clip.edges[last_band + 1]),
        spans=spans,
        excess_db=sign * float(rise[first_band : last_band + 1, frames].mean()),
        share=1.0,
        is_tone=False,
        is_fall=is_fall,
        is_rhythm=is_rhythm,
        is_everywhere=last_band - first_band + 1 >= _EVERYWHERE * clip.n_bands,
    )
    return PeakPlace(change=region, weights=weights / weights.sum())


def _bound(course: Array, peak: Peak) -> float:
    """Value of a separate maximum that belongs to a peak: one that normal clips hardly reach, or that is similar."""
    usual, spread, top = peak.expected[peak.feature], peak.spread[peak.feature], float(course.max())
    return float(min(top, usual + CLEAR_DEVIATIONS * spread, max(usual + _UNUSUAL * spread, _SIMILAR_EVENTS * top)))


def _frames_of(course: Array, bound: float, *, n_frames: int, last: int) -> list[tuple[int, int]]:
    """First frame, and the one after the last, of each separate maximum above a bound.

    Parameters
    ----------
    course
        Output of the filters over windows, shape ``(window,)``.
    bound
        Value that a maximum reaches.
    n_frames
        Frames of a window.
    last
        Frames of the clip.
    """
    step = window_step(n_frames)
    found: list[tuple[int, int]] = []
    left = course.copy()
    while left.max() >= bound:
        top = int(left.argmax())
        high = course >= course[top] / 2
        first = top - int(np.argmin(high[: top + 1][::-1])) + 1 if not high[: top + 1].all() else 0
        after = top + int(np.argmin(high[top:])) if not high[top:].all() else len(course)
        middle = (first + after - 1) / 2 * step + n_frames / 2
        length = (after - first) * step
        start = max(0, round(middle - length / 2))
        found.append((start, min(last, max(start + 1, round(middle + length / 2)))))
        apart = -(-n_frames // step)
        left[max(0, min(first, top - apart)) : max(after, top + apart + 1)] = -np.inf
    return _merged(sorted(found))


def _whole_fall(level: Array, run: tuple[int, int]) -> tuple[int, int]:
    """Run of frames around a fall, whose level is that of half a frame of silence or less.

    Parameters
    ----------
    level
        Fall of each frame in dB, shape ``(frame,)``.
    run
        First frame of a fall, and the one after its last.
    """
    deepest = run[0] + int(level[run[0] : run[1]].argmax())
    is_low = level >= min(level[deepest] / 2.0, _HALF_DB)
    start, end = deepest, deepest + 1
    while start > 0 and is_low[start - 1]:
        start -= 1
    while end < len(level) and is_low[end]:
        end += 1
    return start, end


def _events_beside(level: Array) -> list[tuple[int, int]]:
    """Runs of frames between falls, each of which may be an event of a rhythm."""
    is_high = np.concatenate([[False], level < level.max() / 2.0, [False]])
    edges = np.flatnonzero(np.diff(is_high.astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found = spans[:1]
    for start, end in spans[1:]:
        if start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _smoothed(profile: Array) -> Array:
    n_bands = max(1, round(_SMOOTHED_SHARE * len(profile)))
    padded = np.pad(profile, (n_bands // 2, (n_bands - 1) // 2), mode="edge")
    return np.convolve(padded, np.full(n_bands, 1.0 / n_bands), mode="valid")


def _bands_of(profile: Array, change: Array) -> tuple[int, int]:
    """First and last band around the largest change, small gaps included."""
    top = int((profile * change).argmax())
    gap = max(1, round(_SMOOTHED_SHARE * len(profile)))
    inside = np.flatnonzero(profile >= _FALL * profile[top]) if profile[top] > 0.0 else np.array([top])
    parts = np.split(inside, np.flatnonzero(np.diff(inside) > gap) + 1)
    own = next(part for part in parts if part[0] <= top <= part[-1])
    return int(own[0]), int(own[-1])
