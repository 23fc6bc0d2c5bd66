"""Anomalous regions of a clip in frequency and time, and their description: NumPy alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array

__all__ = ["AnomalousRegion", "band_edges", "find_regions", "hertz", "reason", "strongest_band", "strongest_second"]

_NEIGHBOURS = np.array([0.25, 0.5, 0.25])
_FALL = 0.25  # of the share of the strongest band, at which a region ends
_TONE_MELS = 4 / 128  # of all bands: width of a pure tone
_HUM_HZ = 250.0
_BROAD_OCTAVES = 3.0
_SMOOTHED_SECONDS = 0.1
_GAP_SECONDS = 0.2  # shorter pauses are ignored
_SHORT_SECONDS = 0.4
_STEADY_SHARE = 0.85
_CLEAR = 4.5  # deviations by which events exceed fluctuations
_SMALLEST_SHARE = 0.05
_CHANGED_DB, _MANY_SHARE = 1.0, 2 / 3  # of a band's mean over time, and of all bands
_SHARE_SAID = 0.25  # of a region after the first, in the reason of a score


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalousRegion:
    """Neighbouring bands that are anomalous together.

    Parameters
    ----------
    bands
        Indices of the first and the last band.
    centre, fmin, fmax
        Frequencies in Hz; the centre is that of the strongest band.
    spans
        Start and end of each event in seconds; empty if it is anomalous all the time.
    excess_db
        Level above normal, or below (negative), in these bands at these times; ``None`` where it is not known.
    share
        Share of the whole anomaly, between 0 and 1.
    is_tone
        True if it is no wider than a tone.
    is_among_many
        True if most other bands are above normal, or below it, as these are.
    """

    bands: tuple[int, int]
    centre: float
    fmin: float
    fmax: float
    spans: tuple[tuple[float, float], ...]
    excess_db: float | None
    share: float
    is_tone: bool
    is_among_many: bool = False

    def __str__(self) -> str:
        """Describe it, such as: a tone near 3.1 kHz, 9 dB above normal, from 2.0 s to 4.5 s."""
        return self.description()

    def description(self, *, reference: str = "normal") -> str:
        """Describe it beside a reference, "normal" or "the others"; see `__str__`."""
        others = "and most other bands, too" if self.is_among_many and not self._is_broad else ""
        words = [self.kind, _level(self.excess_db, reference), self.times, others]
        return ", ".join(word for word in words if word)

    def later(self, seconds: float) -> Self:
        """The same region in a longer recording, of which this clip begins so many seconds after the start."""
        return replace(self, spans=tuple((start + seconds, end + seconds) for start, end in self.spans))

    @property
    def name(self) -> str:
        """Name of the kind of change: steady tone, broadband rise, event, periodic event, or band."""
        if self.spans and max(end - start for start, end in self.spans) < _SHORT_SECONDS:
            return "periodic event" if self._is_regular else "event"
        if not (self._is_broad or self.is_among_many):
            return "band" if not self.is_tone else "tone" if self.spans else "steady tone"
        return "broadband rise" if self.excess_db is None or self.excess_db >= 0.0 else "broadband fall"

    @property
    def kind(self) -> str:
        """Kind and frequency, such as: a tone near 3.1 kHz."""
        if self.is_tone:
            return f"a hum near {hertz(self.centre)}" if self.centre < _HUM_HZ else f"a tone near {hertz(self.centre)}"
        kind = "broad-band sound" if self._is_broad else "a band"
        return f"{kind} from {hertz(self.fmin)} to {hertz(self.fmax)}"

    @property
    def check(self) -> str:
        """Advice on what to check at the machine."""
        if self.excess_db is not None and self.excess_db < 0:
            return (
                f"Something is quieter than normal at {hertz(self.centre)}: check that the machine runs at its usual "
                f"speed and load, and that nothing covers the microphone."
            )
        if len(self.spans) > 2:
            return (
                f"Play the marked times: repeated events near {hertz(self.centre)} may be knocks or rubbing; compare "
                f"their spacing with one turn of the shaft and with the machine's cycle."
            )
        if self.is_tone and self.centre < _HUM_HZ:
            turns = round(60 * self.centre, -2)
            return (
                f"Compare {hertz(self.centre)} with the speed of the shaft (about {turns:,.0f} turns a minute) and "
                f"with multiples of the mains frequency: imbalance, a loose mount or an electrical hum."
            )
        if self.is_tone:
            return f"Look for a whistle, a bearing or gear teeth that sound near {hertz(self.centre)}."
        return (
            f"Look for rubbing, a dry bearing or a leak, and for new noise around the machine between "
            f"{hertz(self.fmin)} and {hertz(self.fmax)}."
        )

    @property
    def times(self) -> str:
        """Times, such as: from 2.0 s to 4.5 s."""
        if not self.spans:
            return "all the time"
        if len(self.spans) <= 2:
            return " and ".join(_span_words(start, end) for start, end in self.spans)
        longest = max(end - start for start, end in self.spans)
        events = "short events" if longest < _SHORT_SECONDS else "stretches"
        every = f", one every {self._gaps.mean():.1f} s" if self._is_regular else ""
        return f"in {len(self.spans)} {events} from {self.spans[0][0]:.1f} s to {self.spans[-1][1]:.1f} s{every}"

    @property
    def _gaps(self) -> Array:
        return np.diff([start for start, _ in self.spans])

    @property
    def _is_regular(self) -> bool:
        gaps = self._gaps
        return len(gaps) >= 3 and bool(gaps.std() < 0.25 * gaps.mean())

    @property
    def _is_broad(self) -> bool:
        return math.log2(self.fmax / max(self.fmin, 50.0)) >= _BROAD_OCTAVES


def find_regions(
    shares: Array,
    excess_db: Array | None,
    *,
    deviations: Array,
    centres: Array,
    frame_seconds: float,
    n_regions: int = 2,
) -> list[AnomalousRegion]:
    """Find the regions that carry most of the anomaly of a clip, the strongest first.

    Parameters
    ----------
    shares
        Share of each band and frame, never negative, shape ``(mel, frame)``.
    excess_db
        Level above normal, or below (negative), shape ``(mel, frame)``; ``None`` where it is not known.
    deviations
        Deviation from normal, above or below, in any unit, shape ``(mel, frame)``.
    centres
        Centre frequencies of the bands in Hz, shape ``(mel,)``.
    frame_seconds
        Time from one frame to the next.
    n_regions
        Largest number of regions; after the first, regions with a share below 0.05 are left out.
    """
    bands = shares.sum(axis=1)
    total = float(bands.sum())
    if total <= 0.0:
        return []
    left = _with_neighbours(bands)
    edges = band_edges(centres)
    found: list[AnomalousRegion] = []
    sides = np.sign((deviations * shares).sum(axis=1))
    changes = np.zeros(len(bands)) if excess_db is None else excess_db.mean(axis=1)
    for _ in range(n_regions):
        peak = int(left.argmax())
        first, last = _grown(left, bands, sides, peak)
        share = float(bands[first : last + 1].sum()) / total
        if left[peak] <= 0.0 or (found and share < _SMALLEST_SHARE):
            break
        left[max(0, first - 1) : last + 2] = 0.0
        weights = shares[first : last + 1].sum(axis=1)[:, None] / shares[first : last + 1].sum()
        course = (weights * deviations[first : last + 1]).sum(axis=0)
        active = _active(course if course.mean() >= 0 else -course, frame_seconds)
        level = None
        if excess_db is not None:
            level = float((weights * excess_db[first : last + 1]).sum(axis=0)[active].mean())
        region = AnomalousRegion(
            bands=(first, last),
            centre=float(centres[first + int(bands[first : last + 1].argmax())]),
            fmin=float(edges[first]),
            fmax=float(edges[last + 1]),
            spans=_spans(active, frame_seconds),
            excess_db=level,
            share=share,
            is_tone=last - first + 1 <= max(1, round(_TONE_MELS * len(centres))),
            is_among_many=bool((sides[peak] * changes >= _CHANGED_DB).mean() >= _MANY_SHARE),
        )
        found.append(region)
    found.sort(key=lambda region: -region.share)
    return [region if index == 0 else replace(region, is_among_many=False) for index, region in enumerate(found)]


def band_edges(centres: Array) -> Array:
    """Frequencies in Hz between neighbouring bands, and at both ends, shape ``(mel + 1,)``."""
    return np.concatenate([[centres[0] / 2], (centres[1:] + centres[:-1]) / 2, [1.5 * centres[-1] - centres[-2] / 2]])


def reason(regions: Sequence[AnomalousRegion]) -> str:
    """Describe the strongest regions, such as: a hum near 120 Hz, 9 dB above normal, all the time."""
    if not regions:
        return "no single band stands out"
    first, *others = regions
    return "; ".join([str(first), *(str(other) for other in others if other.share >= _SHARE_SAID)])


def strongest_band(shares: Array) -> int:
    """Index of the band with the largest share, neighbours included."""
    return int(_with_neighbours(shares.sum(axis=1)).argmax())


def strongest_second(shares: Array, *, frame_seconds: float) -> float:
    """Middle of the second with the largest share, in seconds; of the clip where it is shorter."""
    frames = shares.sum(axis=0)
    n_frames = min(len(frames), max(1, round(1.0 / frame_seconds)))
    sums = np.convolve(frames, np.ones(n_frames), mode="valid")
    return (int(sums.argmax()) + (n_frames - 1) / 2) * frame_seconds


def hertz(frequency: float) -> str:
    """Format a frequency with two significant digits."""
    if frequency >= 995.0:
        return f"{frequency / 1000:.1f} kHz"
    return f"{frequency:.0f} Hz" if frequency < 100.0 else f"{10 * round(frequency / 10)} Hz"


def _with_neighbours(bands: Array) -> Array:
    return np.convolve(np.pad(bands, 1, mode="edge"), _NEIGHBOURS, mode="valid")


def _grown(left: Array, bands: Array, sides: Array, peak: int) -> tuple[int, int]:
    """First and last band around a peak that belong to it; the shares of the outermost are large enough alone."""

    def belongs(band: int) -> bool:
        return 0 <= band < len(left) and left[band] >= _FALL * left[peak] and sides[band] == sides[peak]

    first = last = peak
    while belongs(first - 1):
        first -= 1
    while belongs(last + 1):
        last += 1
    enough = _FALL * left[peak]
    while first < peak and bands[first] < enough:
        first += 1
    while last > peak and bands[last] < enough:
        last -= 1
    return first, last


def _active(course: Array, frame_seconds: float) -> NDArray[np.bool_]:
    """Frames of events that come and go; all frames where the course merely fluctuates."""
    n_frames = max(1, round(_SMOOTHED_SECONDS / frame_seconds))
    everywhere = np.ones(len(course), np.bool_)
    if len(course) < 4 * n_frames:
        return everywhere
    smooth = np.convolve(np.pad(course, (n_frames // 2, (n_frames - 1) // 2), mode="edge"), np.ones(n_frames), "valid")
    smooth /= n_frames
    low, high = np.quantile(smooth, (0.1, 0.98))
    fluctuation = float(np.diff(course).std()) / math.sqrt(2 * n_frames)
    if high - low < _CLEAR * fluctuation or low > 0.5 * high:
        return everywhere
    active = smooth >= (max(float(low), 0.0) + high) / 2
    for start, end in _runs(~active):
        if (end - start) * frame_seconds < _GAP_SECONDS and start > 0 and end < len(active):
            active[start:end] = True
    return everywhere if active.mean() >= _STEADY_SHARE else active


def _spans(active: NDArray[np.bool_], frame_seconds: float) -> tuple[tuple[float, float], ...]:
    if active.all():
        return ()
    return tuple((start * frame_seconds, end * frame_seconds) for start, end in _runs(active))


def _runs(active: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    """Start and end of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], active, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _level(excess_db: float | None, reference: str) -> str:
    if excess_db is None:
        return ""
    amount = f"{abs(excess_db):.0f} dB" if abs(excess_db) >= 0.95 else "less than 1 dB"
    return f"{amount} {'above' if excess_db >= 0 else 'below'} {reference}"


def _span_words(start: float, end: float) -> str:
    """Start and end in seconds, or one time where they are the same to a tenth of a second."""
    first, last = f"{start:.1f} s", f"{end:.1f} s"
    return f"at {first}" if first == last else f"from {first} to {last}"
