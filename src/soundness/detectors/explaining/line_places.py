"""Frequencies of tones, and rates and bands of modulations."""

import numpy as np

from soundness.aliases import Array
from soundness.audio.anomalous_regions import AnomalousRegion
from soundness.detectors.explaining.changes import Modulation, ToneChange
from soundness.detectors.explaining.measured_clip import CLEAR_DEVIATIONS, MeasuredClip, PeakPlace
from soundness.representations.views.modulation import BAND_GROUPS, N_FREQUENCIES, ModulationView
from soundness.representations.views.tones import ToneView
from soundness.scoring.joining.joined import Peak

__all__ = ["band_at", "modulation_at", "tone_at"]

_SIMILAR = 0.6  # of the largest change of a tone: further tones that are said
_APART_BINS = 4
_MOST_TONES = 3
_SAME_DEPTH = 0.5  # of the deepest modulation of a third of the bands
_LINE_ORDERS = 4  # multiples of a rate among which it is a line
_LINE_WIDTH = 2  # rates on both sides of a line
_BROAD_SHARE = 0.25  # of the other rates up to the fourth multiple
_BROAD_SHARE_OF_ALL = 0.1  # of all other rates


def tone_at(clip: MeasuredClip, peak: Peak) -> PeakPlace:
    """Place of a tone that appeared or is gone."""
    view = clip.representation.detailed["tones"]
    assert isinstance(view, ToneView)
    own, changes = peak.feature, peak.changes
    levels = peak.expected + changes
    hz = view.hz(own) + view.bin_hz * _beside(levels if changes[own] > 0.0 else peak.expected, own)
    band = clip.bands_between(hz, hz)[0]
    region = ToneChange(
        bands=(band, band),
        centre=hz,
        fmin=float(clip.edges[band]),
        fmax=float(clip.edges[band + 1]),
        spans=(),
        excess_db=float(changes[own]),
        share=1.0,
        is_tone=True,
        hz=hz,
        level_db=float(levels[own]),
        normal_db=float(peak.expected[own]),
        others_hz=tuple(view.hz(feature) for feature in _similar(peak.standardised, own)),
    )
    return PeakPlace(change=region, weights=clip.even_weights((band, band)))


def _similar(deviations: Array, own: int) -> list[int]:
    """Further features that changed in the same direction, the largest first, no two of one tone."""
    left = np.nan_to_num(deviations * np.sign(deviations[own]), nan=0.0)
    enough = _SIMILAR * left[own]
    found = [own]
    while len(found) <= _MOST_TONES:
        for feature in found[-1:]:
            left[max(0, feature - _APART_BINS) : feature + _APART_BINS + 1] = 0.0
        if left.max() < max(enough, CLEAR_DEVIATIONS):
            break
        found.append(int(left.argmax()))
    return found[1:]


def _beside(values: Array, top: int) -> float:
    """Place of the maximum of the parabola through a value and its neighbours, in steps from that value."""
    if not 0 < top < len(values) - 1 or not np.isfinite(values[top - 1 : top + 2]).all():
        return 0.0
    before, here, after = values[top - 1 : top + 2]
    bend = before - 2.0 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0.0 else 0.0


def modulation_at(clip: MeasuredClip, peak: Peak) -> PeakPlace:
    """Place of a modulation, in frequency."""
    view = clip.representation.detailed["modulation"]
    assert isinstance(view, ModulationView)
    group, line = divmod(peak.feature, N_FREQUENCIES)
    edges = view.group_hz
    levels = (peak.expected + peak.changes).reshape(len(BAND_GROUPS), -1)
    power = 10.0 ** (levels / 10.0) - 10.0 ** (peak.expected / 10.0).reshape(levels.shape)
    each = power[-3:, max(0, line - 1) : line + 2].max(axis=1)  # low, middle and high bands
    is_everywhere = group < len(BAND_GROUPS) - 3 or bool(np.nanmin(each) > _SAME_DEPTH**2 * np.nanmax(each))
    own = edges if is_everywhere else np.array_split(edges, 3)[group - len(BAND_GROUPS) + 3]
    fmin, fmax = float(own[0, 0]), float(own[-1, 1])
    bands = clip.bands_between(fmin, fmax)
    region = Modulation(
        bands=bands,
        centre=float(np.sqrt(max(fmin, 1.0) * fmax)),
        fmin=fmin,
        fmax=fmax,
        spans=(),
        excess_db=float(peak.changes[peak.feature]),
        share=1.0,
        is_tone=False,
        rate=view.rate(line) + (view.rate(1) - view.rate(0)) * _beside(levels[group], line),
        is_everywhere=is_everywhere,
        is_line=_is_line(peak.standardised.reshape(levels.shape)[group], line),
    )
    return PeakPlace(change=region, weights=clip.even_weights(bands))


def _is_line(deviations: Array, line: int) -> bool:
    """True if few other rates than one and its multiples are unusual, too."""
    is_own = np.zeros(len(deviations), np.bool_)
    width = min(_LINE_WIDTH, (line + 1) // 3)
    for order in range(1, len(deviations) // (line + 1) + 1):
        middle = order * (line + 1) - 1
        is_own[max(0, middle - width) : middle + width + 1] = True
    others = deviations[: _LINE_ORDERS * (line + 1)][~is_own[: _LINE_ORDERS * (line + 1)]]
    if len(others) == 0 or (deviations[~is_own] >= deviations[line] / 2).mean() >= _BROAD_SHARE_OF_ALL:
        return False
    return bool((others >= deviations[line] / 2).mean() < _BROAD_SHARE)


def band_at(clip: MeasuredClip, peak: Peak) -> PeakPlace:
    """Place of a band whose mean or quantile over time is far from normal."""
    band = peak.feature
    region = AnomalousRegion(
        bands=(band, band),
        centre=clip.centre(band),
        fmin=float(clip.edges[band]),
        fmax=float(clip.edges[band + 1]),
        spans=(),
        excess_db=float(peak.changes[band]),
        share=1.0,
        is_tone=True,
    )
    return PeakPlace(change=region, weights=clip.even_weights((band, band)))
