"""Places of the peaks that tests beside the sound as a whole found: times, bands and frequencies. No files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from soundness.aliases import Array
from soundness.audio.anomalous_regions import AnomalousRegion
from soundness.audio.log_mel import Spectrograms
from soundness.detectors.explaining.changes import Modulation, ShortChange
from soundness.detectors.explaining.line_places import band_at, modulation_at, tone_at
from soundness.detectors.explaining.measured_clip import CLEAR_DEVIATIONS, MeasuredClip, PeakPlace
from soundness.detectors.explaining.short_places import short_changes_at
from soundness.representations.statistics import PooledLogMel
from soundness.scoring.joining.joined import JoinedScorer, Peak
from soundness.settings.fields import ViewName

if TYPE_CHECKING:  # it uses this module
    from soundness.detectors.detector import Detector

__all__ = ["places_of"]

_SMALLEST_DB = 3.0  # of a short change beside another
_WAVE_SHARE = 0.25  # of a period, that regular rises last which are no events


def places_of(
    detector: "Detector", clip: Spectrograms, vectors: Array, *, scorer: JoinedScorer, found: Sequence[int]
) -> list[PeakPlace]:
    """Places of what tests beside the sound as a whole found, each kind once.

    A few events or drops of the sound make its level go up and down at many rates at once: where that is all that the
    test of modulation found, their place is told.

    Parameters
    ----------
    detector
        Detector of the scores.
    clip
        Spectrograms of the clip.
    vectors
        Vectors of the clip, shape ``(condition, feature)``.
    scorer
        Scorer of the detector.
    found
        Indices of tests among `JoinedScorer.peaks`, the one that counts most first.
    """
    representation, places = detector.representation, list[PeakPlace]()
    if not isinstance(representation, PooledLogMel):
        return places
    measured = MeasuredClip(detector, representation, clip)
    for index in found:
        place = replace(_place(measured, scorer.peak_of(vectors, index)), test=index)
        if not _is_plain(place.change):
            short = _short_place(measured, vectors, scorer=scorer)
            is_wave = short is not None and _is_wave(short.change, place.change, measured.seconds)
            place = _as_line(place) if is_wave else short or place
        if not places or _is_new(place.change, [own.change for own in places]):
            places.append(place)
    return places


def _is_plain(change: AnomalousRegion) -> bool:
    """True if a change is what its test is for: a line of a modulation, a rise of an event, a fall of a dropout."""
    if isinstance(change, Modulation):
        return change.is_line
    if isinstance(change, ShortChange):
        return change.excess_db is not None and abs(change.excess_db) >= _SMALLEST_DB
    return True


def _is_wave(short: AnomalousRegion, change: AnomalousRegion, seconds: float) -> bool:
    """True if short rises or falls are merely the crests or the troughs of a modulation."""
    if not isinstance(change, Modulation):
        return False
    usual = float(np.median([end - start for start, end in short.spans]))
    return usual * change.rate >= _WAVE_SHARE and len(short.spans) >= seconds * change.rate / 2


def _as_line(place: PeakPlace) -> PeakPlace:
    assert isinstance(place.change, Modulation)
    return replace(place, change=replace(place.change, is_line=True))


def _short_place(measured: MeasuredClip, vectors: Array, *, scorer: JoinedScorer) -> PeakPlace | None:
    """Clearest short rise or fall of a clip; ``None`` if there is none."""
    peaks = {test: scorer.peak_of(vectors, test) for test in range(len(scorer.peaks))}
    clear = [test for test, own in peaks.items() if measured.is_short(own) and own.deviations >= CLEAR_DEVIATIONS]
    for test in sorted(clear, key=lambda test: -peaks[test].deviations):
        place = _place(measured, peaks[test])
        if _is_plain(place.change):
            return replace(place, test=test)
    return None


def _is_new(change: AnomalousRegion, before: Sequence[AnomalousRegion]) -> bool:
    """True for a change that is not an effect of those before: what rises beside a fall, or the other way round."""
    if isinstance(change, Modulation) and not change.is_line:
        return not any(isinstance(own, ShortChange) for own in before)
    if not isinstance(change, ShortChange):
        return True
    if not _is_plain(change):
        return False
    short = [own for own in before if isinstance(own, ShortChange)]
    meets = [a < d and c < b for own in short for a, b in own.spans for c, d in change.spans]
    return not any(own.is_fall == change.is_fall for own in short) and not any(meets)


def _place(measured: MeasuredClip, peak: Peak) -> PeakPlace:
    name = measured.view(peak)
    return band_at(measured, peak) if name is None else _PLACES[name](measured, peak)


_PLACES: dict[ViewName, Callable[[MeasuredClip, Peak], PeakPlace]] = {
    "events": short_changes_at,
    "dropouts": short_changes_at,
    "modulation": modulation_at,
    "tones": tone_at,
}
