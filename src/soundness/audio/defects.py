"""Defects of a recording in words: silence, gaps, clipping, offset, few values, a channel without a microphone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from soundness.audio.measures import ChannelMeasures, ClipMeasures, Gap

__all__ = ["QUIETER_DB", "Defect", "DefectKind", "find_defects"]

DefectKind = Literal[
    "header", "silent", "constant", "quiet channel", "gap", "clipped", "few values", "offset", "wandering offset"
]

QUIETER_DB = 40.0
"""Difference between channels from which on nothing seems to be plugged into the quieter one."""

_NOISE_DBFS = -75.0  # level of a channel beside a louder one, up to which it is taken for an open input's noise
_OFFSET_DB = -10.0  # re the sound, from which on an offset is named
_WANDER_DB = -10.0  # likewise
_GAP_SHARE = 0.002  # of the samples, from which on gaps are named: less are single lost packets


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Defect of a recording.

    Parameters
    ----------
    kind
        Kind, by which recordings are counted.
    text
        The defect in words, with this recording's figures.
    is_deaf
        True if the channel that is used holds no sound that could be judged.
    """

    kind: DefectKind
    text: str
    is_deaf: bool = False


def find_defects(measures: ClipMeasures, *, channel: int) -> list[Defect]:
    """Find the defects of a recording.

    Parameters
    ----------
    measures
        Measures of the recording.
    channel
        Channel that is used, from 0; clipping and the like are looked for in it alone.
    """
    found = [Defect(kind="header", text=measures.note)] if measures.note else []
    if all(one.is_silent for one in measures.channels):
        return [*found, Defect(kind="silent", text="digital silence: all samples are zero", is_deaf=True)]
    if measures.is_constant:
        return [*found, Defect(kind="constant", text="constant: all samples are equal, though not zero", is_deaf=True)]
    own = measures.channels[min(channel, len(measures.channels) - 1)]
    return [*found, *_of_channels(measures, channel), *_of_channel(own)]


def _of_channels(measures: ClipMeasures, used: int) -> Iterator[Defect]:
    channels, last = measures.channels, len(measures.channels) - 1
    if last == 0 or used > last:
        return
    levels = [-300.0 if one.level_dbfs is None else one.level_dbfs for one in channels]
    loudest = levels.index(max(levels))
    hint = f"--set audio.channel={loudest} uses channel {loudest}"
    if channels[used].is_constant:
        what = "digital silence" if channels[used].is_silent else "samples that are all equal"
        yield Defect(
            kind="silent", text=f"{what} in channel {used}, which is used, of 0 to {last}; {hint}", is_deaf=True
        )
    elif levels[loudest] - levels[used] >= QUIETER_DB:
        apart = levels[loudest] - levels[used]
        text = f"channel {used}, which is used, is {apart:.0f} dB quieter than channel {loudest}; {hint}"
        is_noise = channels[used].is_coarse or levels[used] <= _NOISE_DBFS
        yield Defect(kind="quiet channel", text=text, is_deaf=is_noise)
    silent = [index for index, one in enumerate(channels) if one.is_silent and index != used]
    if silent:
        text = f"digital silence in channel {', '.join(map(str, silent))} of 0 to {last}"
        yield Defect(kind="quiet channel", text=text)


def _of_channel(measures: ChannelMeasures) -> Iterator[Defect]:
    if measures.is_constant:
        return
    if measures.longest_gap is not None and measures.gap_share >= _GAP_SHARE:
        yield Defect(kind="gap", text=_gap_text(measures.longest_gap, measures.gap_share))
    if measures.n_clipped:
        value = measures.highest if measures.highest >= -measures.lowest else measures.lowest
        text = f"clipped: {measures.n_clipped:,} times several samples in a row at the largest value, {abs(value):.3g}"
        yield Defect(kind="clipped", text=text)
    if measures.is_coarse:
        text = f"too quiet for its format: only few values occur, at a level of {measures.level_dbfs:.0f} dBFS"
        yield Defect(kind="few values", text=text)
    if measures.offset_db >= _OFFSET_DB and not measures.is_coarse:
        text = (
            f"an offset of {measures.offset:.3g} ({_beside_sound(measures.offset_db)}): the electronics' mean, no sound"
        )
        yield Defect(kind="offset", text=text)
    if measures.wander_db is not None and measures.wander_db >= _WANDER_DB:
        text = f"an offset that wanders, {_beside_sound(measures.wander_db)}: the electronics warm up or settle"
        yield Defect(kind="wandering offset", text=text)


def _beside_sound(decibels: float) -> str:
    return f"{abs(decibels):.0f} dB {'above' if decibels >= 0 else 'below'} the sound"


def _gap_text(gap: Gap, share: float) -> str:
    what = "zeros" if gap.value == 0.0 else f"the same value, {gap.value:.3g},"
    total = f"; gaps are {100 * share:.0f} % of it" if share >= 0.01 else ""
    return f"{what} for {gap.seconds:.2g} s at {gap.start_seconds:.2f} s{total}: a gate, a pause or lost data"
