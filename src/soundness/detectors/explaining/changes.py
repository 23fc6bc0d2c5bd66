"""Changes that a test beside the sound as a whole finds in a clip, with their places and in words: NumPy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from soundness.audio.anomalous_regions import AnomalousRegion, hertz

__all__ = ["Modulation", "ShortChange", "ToneChange", "are_missing", "is_part_of", "listed"]

_MOST_TIMES = 5
_FEWEST_REGULAR = 4
_IRREGULAR, _LEAST_IRREGULAR = 0.1, 0.03  # of a period: deviation from regular times
_RESOLVED_SECONDS = 0.02
_FOUND_SHARE = 0.75  # of the regular times between the first and the last
_SHORT_SECONDS = 0.08  # which frames do not resolve
_LONG_SECONDS = 1.0
_STANDS_OUT_DB = 4.0  # of a tone above its neighbourhood
_TIMES_LARGER = 2.0  # in dB, of what a short change is but a part of


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortChange(AnomalousRegion):
    """Short events, or short falls of the sound.

    Parameters
    ----------
    is_fall
        True for falls.
    is_rhythm
        True if falls lie where the clip has an event at all other regular times.
    is_everywhere
        True if they are those of nearly all bands.
    """

    is_fall: bool = False
    is_rhythm: bool = False
    is_everywhere: bool = False

    @property
    def moments(self) -> list[float]:
        """Middle of each, in seconds."""
        return [(start + end) / 2 for start, end in self.spans]

    @property
    def period_seconds(self) -> float | None:
        """Time from one to the next where they are regular; ``None`` elsewhere."""
        return _period(self.moments)

    @property
    def name(self) -> str:
        """Name of the kind of change."""
        if self.is_fall:
            return "missing event" if self.is_rhythm else "dropout"
        return "event" if self.period_seconds is None else "periodic event"

    @property
    def kind(self) -> str:
        """Kind and number, such as: 3 short events."""
        number = len(self.spans)
        if self.name == "missing event":
            return "an event is missing" if number == 1 else f"{number} events are missing"
        if self.is_fall:
            return "sound drops" if number == 1 else f"sound drops {number} times"
        adjective = "short " if self._longest < _LONG_SECONDS else ""
        adjective = adjective if self.period_seconds is None else "periodic "
        return f"{number} {adjective}events" if number > 1 else f"{'a' if adjective else 'an'} {adjective}event"

    def description(self, *, reference: str = "the rest of the clip") -> str:
        """Describe it, such as: 3 short events at 2.1, 4.6 and 7.0 s, 1.0 kHz to 2.6 kHz, 12 dB above ..."""
        amount = "" if self.excess_db is None else f"{abs(self.excess_db):.0f} dB"
        side = "below" if self.is_fall else "above"
        words = [
            f"{self.kind} {self.times}{self._length}",
            "in all bands" if self.is_everywhere else f"{hertz(self.fmin)} to {hertz(self.fmax)}",
            f"{amount} {side} {reference}" if amount else "",
        ]
        return ", ".join(word for word in words if word)

    @property
    def times(self) -> str:
        """Times, such as: at 2.1, 4.6 and 7.0 s."""
        moments, period = self.moments, self.period_seconds
        if period is not None:
            every = f"every {period:.2f} s ({1 / period:.2g} a second)"
            return f"{every}, from {moments[0]:.1f} s to {moments[-1]:.1f} s"
        if len(moments) > _MOST_TIMES:
            return f"from {moments[0]:.1f} s to {moments[-1]:.1f} s"
        return f"at {listed([f'{moment:.1f}' for moment in moments])} s"

    @property
    def check(self) -> str:
        """Advice on what to check at the machine."""
        if self.is_fall:
            return (
                "Play the marked times: a drop may be a stop of the machine, a stroke that is missing, or a fault of "
                "microphone, cable or recorder."
            )
        period = self.period_seconds
        if period is not None:
            return (
                f"Play the marked times: compare {1 / period:.2g} knocks a second ({60 / period:,.0f} a minute) with "
                f"the turns of the shaft and with the machine's cycle."
            )
        return "Play the marked times: knocks, clicks or rubbing of the machine, or a sound from beside it?"

    @property
    def _longest(self) -> float:
        return max(end - start for start, end in self.spans)

    @property
    def _length(self) -> str:
        usual = float(np.median([end - start for start, end in self.spans]))
        each = " each" if len(self.spans) > 1 else ""
        if usual <= _SHORT_SECONDS:
            return f" for at most {1000 * _SHORT_SECONDS:.0f} ms{each}"
        return f" for {10 * round(100 * usual):.0f} ms{each}" if usual < _LONG_SECONDS else f" for {usual:.1f} s{each}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToneChange(AnomalousRegion):
    """Steady tone that came, went, or changed its level.

    Parameters
    ----------
    hz
        Its frequency.
    level_db, normal_db
        Its level above its neighbourhood, and that of normal clips.
    others_hz
        Frequencies of further tones that changed in the same direction.
    """

    hz: float
    level_db: float
    normal_db: float
    others_hz: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """Name of the kind of change."""
        return "steady tone"

    @property
    def change(self) -> Literal["appeared", "is gone", "is louder", "is quieter"]:
        """Change of the tone."""
        if self.level_db > self.normal_db:
            return "is louder" if self.normal_db >= _STANDS_OUT_DB else "appeared"
        return "is quieter" if self.level_db >= _STANDS_OUT_DB else "is gone"

    @property
    def kind(self) -> str:
        """Kind and frequency, such as: a tone at 388 Hz."""
        return f"a tone at {self.hz:,.0f} Hz"

    def description(self, *, reference: str = "normal") -> str:
        """Describe it, such as: a tone at 388 Hz appeared, 12 dB above normal, all the time."""
        apart = self.level_db - self.normal_db
        level = f"{abs(apart):.0f} dB {'above' if apart > 0 else 'below'} {reference}"
        others = [f"{hz:,.0f} Hz" for hz in self.others_hz]
        also = f"; also at {' and '.join(filter(None, [', '.join(others[:-1]), others[-1]]))}" if others else ""
        return f"{self.kind} {self.change}, {level}{also}"

    @property
    def check(self) -> str:
        """Advice on what to check at the machine."""
        turns = 60 * self.hz
        if self.level_db < self.normal_db:
            return f"Look for what usually sounds at {self.hz:,.0f} Hz: does it run, and at its usual speed and load?"
        return (
            f"Compare {self.hz:,.0f} Hz with the shaft ({turns:,.0f} turns a minute), its multiples, gear teeth and "
            f"the mains frequency, and look for a whistle."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Modulation(AnomalousRegion):
    """Sound whose level goes up and down at a rate.

    Parameters
    ----------
    rate
        Hz.
    is_everywhere
        True if it is that of all bands.
    is_line
        True if it is that of one rate and its multiples; false where the level goes up and down at many rates.
    """

    rate: float
    is_everywhere: bool
    is_line: bool = True

    @property
    def name(self) -> str:
        """Name of the kind of change."""
        return "modulation"

    @property
    def kind(self) -> str:
        """Kind and rate, such as: modulated at 107 Hz."""
        rate = f"{self.rate:.0f} Hz" if self.rate >= 10.0 else f"{self.rate:.1f} Hz"
        return f"modulated at {rate}" if self.is_line else f"modulated at several rates, most at {rate}"

    def description(self, *, reference: str = "normal") -> str:
        """Describe it, such as: modulated at 107 Hz, mostly from 2.1 kHz to 8.0 kHz, 9 dB above normal."""
        where = "in all bands" if self.is_everywhere else f"mostly from {hertz(self.fmin)} to {hertz(self.fmax)}"
        level = "" if self.excess_db is None else f", {self.excess_db:.0f} dB more than {reference}"
        return f"{self.kind}, {where}{level}"

    @property
    def check(self) -> str:
        """Advice on what to check at the machine."""
        return (
            f"Compare {self.rate:.3g} Hz with the turns of the shaft ({60 * self.rate:,.0f} a minute), with the "
            f"passing of blades, balls and teeth, and with twice the mains frequency: a bearing, a blade or a gear."
        )


def listed(words: Sequence[str]) -> str:
    """Words as a list: 2.1, 4.6 and 7.0."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def are_missing(falls: Sequence[tuple[float, float]], events: Sequence[tuple[float, float]]) -> bool:
    """True if falls lie at regular times at which events are missing.

    Parameters
    ----------
    falls, events
        Start and end of each, in seconds.
    """
    moments = [(start + end) / 2 for start, end in falls]
    there = [(start + end) / 2 for start, end in events]
    period = _period(there)
    if period is None or _period(sorted(there + moments)) is None:
        return False
    return all(min(abs(moment - other) for other in there) > period / 2 for moment in moments)


def is_part_of(change: AnomalousRegion, region: AnomalousRegion, *, seconds: float) -> bool:
    """True if events or falls are but a part of what a region of the sound as a whole shows far better.

    What lasts most of a clip is its usual sound to a test of short changes, which finds the rest of the clip to be a
    fall; what lasts for seconds is a long event to it.

    Parameters
    ----------
    change
        What a test beside the sound as a whole found.
    region
        Region of the sound as a whole, compared with normal clips.
    seconds
        Length of the clip.
    """
    if not isinstance(change, ShortChange) or not region.spans:
        return False
    own, whole = change.excess_db or 0.0, region.excess_db or 0.0
    has_bands = region.bands[0] <= change.bands[1] and change.bands[0] <= region.bands[1]
    if not has_bands or abs(whole) < _TIMES_LARGER * abs(own):
        return False
    met = sum(max(0.0, min(b, d) - max(a, c)) for a, b in region.spans for c, d in change.spans)
    if (whole < 0.0) == change.is_fall:
        lasting = sum(end - start for start, end in change.spans)
        return lasting >= _LONG_SECONDS and met >= lasting / 2
    return met == 0.0 and sum(end - start for start, end in region.spans) >= seconds / 2


def _period(moments: list[float]) -> float | None:
    """Time between regular moments, of which some may be missing; ``None`` if they are not regular."""
    if len(moments) < _FEWEST_REGULAR:
        return None
    times = np.array(moments)
    best: float | None = None
    for guess in np.unique(np.round(np.diff(times), 3)):
        if guess <= 0.0:
            continue
        steps = np.round((times - times[0]) / guess)
        if len(np.unique(steps)) < len(steps):
            continue
        period, start = np.polyfit(steps, times, 1)
        steps = np.round((times - start) / period)
        apart = (times - start) / period - steps
        n_expected = 1 + steps[-1] - steps[0]
        deviation = np.sqrt(np.square(apart).sum() / (len(times) - 2))
        if (
            deviation < min(_IRREGULAR, _LEAST_IRREGULAR + _RESOLVED_SECONDS / period)
            and len(times) >= _FOUND_SHARE * n_expected
        ):
            best = float(period) if best is None else max(best, float(period))
    return best
