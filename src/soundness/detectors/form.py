"""Form of recordings: rate, level, channels and defects of those that a detector learned, and of those that it scores.

A recording whose form differs from that of the training says nothing about the machine until the difference is named:
what cannot have changed at the machine raises no alarm, and what makes a detector deaf is said.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from soundness.aliases import Waveform
from soundness.audio.decoding import Recording
from soundness.audio.defects import DefectKind, find_defects
from soundness.audio.log_mel import USABLE_SHARE, n_bands_below
from soundness.audio.measures import ClipMeasures, Measurement, measure_clip
from soundness.files.stored_values import Finite, NotNegativeInt
from soundness.settings.fields import PositiveInt
from soundness.settings.system import AudioSettings, SystemSettings

__all__ = ["FormDifference", "Measuring", "RecordingForm"]

_EXACT = "16 bits or more"
_HALF = 0.5  # of the recordings of the training, or of the samples of one
_LOUDER_DB = 3.0  # beyond all levels of the training, from which on a change of level is named
_NAMED: tuple[DefectKind, ...] = (
    *("silent", "constant", "quiet channel", "gap", "clipped", "few values", "offset", "wandering offset"),
)
_NO_FAULT = frozenset({"gap", "few values", "wandering offset"})  # defects that no machine makes


@dataclass(frozen=True, slots=True, kw_only=True)
class FormDifference:
    """Difference in form between a recording and those of the training.

    Parameters
    ----------
    notes
        Notes on it, for the user.
    cannot_tell
        Reason why the recording cannot be judged; empty where it can be.
    doubt
        Reason why the recording may be unlike those of the training without a change of the machine; so it can be
        called normal, and not anomalous. Empty without one.
    stretches
        Start and end, in seconds, of the parts without a gap, where gaps are the reason for doubt; else none.
    """

    notes: tuple[str, ...] = ()
    cannot_tell: str = ""
    doubt: str = ""
    stretches: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingForm:
    """Form of the recordings that a detector learned.

    Parameters
    ----------
    n_recordings
        Number of recordings.
    sample_rates
        Sample rates that occur, in Hz, ascending.
    n_channels
        Numbers of channels that occur, ascending.
    codings
        Codings that occur, see `soundness.audio.formats.coding_of`.
    levels
        Lowest and highest level of the channel that is used, without its offset, dBFS.
    gap_share
        Largest share of a recording that lies in gaps.
    defects
        Number of recordings with each kind of defect.
    """

    n_recordings: PositiveInt
    sample_rates: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    n_channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    codings: Annotated[tuple[str, ...], Field(min_length=1)]
    levels: tuple[Finite, Finite]
    gap_share: Annotated[float, Field(ge=0.0, le=1.0)]
    defects: dict[str, NotNegativeInt]

    @classmethod
    def from_measures(cls, measures: Sequence[ClipMeasures], *, channel: int) -> Self:
        """Summarize recordings that hold sound.

        Parameters
        ----------
        measures
            Measures of each, at least one.
        channel
            Channel that is used, from 0.
        """
        own = [each.channels[channel] for each in measures]
        levels = [each.level_dbfs for each in own if each.level_dbfs is not None]
        kinds = [{defect.kind for defect in find_defects(each, channel=channel)} for each in measures]
        return cls(
            n_recordings=len(measures),
            sample_rates=tuple(sorted({each.sample_rate for each in measures})),
            n_channels=tuple(sorted({len(each.channels) for each in measures})),
            codings=tuple(sorted({each.coding for each in measures})),
            levels=(min(levels), max(levels)),
            gap_share=max(each.gap_share for each in own),
            defects={kind: sum(kind in found for found in kinds) for kind in _NAMED if any(kind in f for f in kinds)},
        )

    def plain(self) -> dict[str, Any]:
        """Fields as plain values."""
        return {**asdict(self), "defects": dict(self.defects)}

    def comparable_hz(self, recorded_rate: int, *, used_rate: int) -> float:
        """Frequency up to which a recording can be compared with those of the training, in Hz; infinite where alike.

        Below half of the lower rate, the filters of recorders and converters differ from one to the next. Recordings
        that are resampled to the rate of the detector all pass the same filter.

        Parameters
        ----------
        recorded_rate
            Rate of the recording.
        used_rate
            Rate to which the detector resamples.
        """
        own, known = ({_as_used(rate, used_rate) for rate in rates} for rates in ([recorded_rate], self.sample_rates))
        return float("inf") if own & known else USABLE_SHARE * min(own | known) / 2

    def difference(
        self, measures: ClipMeasures, settings: SystemSettings, *, completes_bands: bool = False
    ) -> FormDifference:
        """Compare a recording with those of the training.

        Parameters
        ----------
        measures
            Measures of the recording.
        settings
            Settings of the detector.
        completes_bands
            True if the detector does without bands that cannot be compared.
        """
        channel = settings.audio.channel
        if channel >= len(measures.channels):
            return FormDifference()  # which is an error, of its reader
        defects = find_defects(measures, channel=channel)
        deaf = [defect.text for defect in defects if defect.is_deaf]
        notes = [defect.text for defect in defects if not (defect.is_deaf or self._is_usual(defect.kind))]
        own = measures.channels[channel]
        if not deaf and own.gap_share > max(_HALF, self.gap_share):
            deaf = [defect.text for defect in defects if defect.kind == "gap"]
        if own.level_dbfs is not None:
            notes += self._level_notes(own.level_dbfs)
        rates = self.rate_text(measures.sample_rate, settings)
        if rates and completes_bands:
            notes.append(f"{rates}; normal is assumed above")
        elif rates and not deaf:
            hz = self.comparable_hz(measures.sample_rate, used_rate=settings.audio.sample_rate)
            deaf = [f"{rates}; a detector that was trained with --set log_mel.fmax={hz:.0f} uses nothing above"]
        unusual = [one for one in defects if one.kind in _NO_FAULT and one.text in notes]
        doubt = self._coding_text(measures.coding) or "; ".join(one.text for one in unusual)
        has_gaps = [one.kind for one in unusual] == ["gap"] and measures.coding in self.codings
        return FormDifference(
            notes=tuple(notes),
            cannot_tell=deaf[0] if deaf else "",
            doubt=doubt,
            stretches=own.stretches if has_gaps else (),
        )

    def n_comparable_bands(self, recorded_rate: int, settings: SystemSettings) -> int:
        """Number of bands, from the lowest, that can be compared in a recording of a rate; see `comparable_hz`."""
        hz = self.comparable_hz(recorded_rate, used_rate=settings.audio.sample_rate)
        return n_bands_below(settings.log_mel, hz)

    def rate_text(self, recorded_rate: int, settings: SystemSettings) -> str:
        """Reason why not all bands of a recording of a rate can be compared; empty if they can."""
        if self.n_comparable_bands(recorded_rate, settings) == settings.log_mel.n_mels:
            return ""
        hz = self.comparable_hz(recorded_rate, used_rate=settings.audio.sample_rate)
        learned = ", ".join(f"{rate:,}" for rate in self.sample_rates)
        return (
            f"recorded at {recorded_rate:,} Hz, the training at {learned} Hz: they can be compared up to {hz:,.0f} Hz"
        )

    def training_notes(self) -> Iterator[str]:
        """Notes on recordings of the training that do not agree in form."""
        if len(self.sample_rates) > 1:
            rates = ", ".join(f"{rate:,}" for rate in self.sample_rates)
            yield f"training recordings of different sample rates ({rates} Hz), whose highest bands differ therefore"
        if len(self.codings) > 1:
            codings = ", ".join(coding or _EXACT for coding in self.codings)
            yield (
                f"training recordings of different codings ({codings}), which change the sound by more than faults do: "
                f"the detector misses them; train on recordings of one coding"
            )

    def _coding_text(self, coding: str) -> str:
        """Reason why a coding may make a recording unlike those of the training; empty if some have it."""
        if coding in self.codings:
            return ""
        own, learned = coding or _EXACT, " or ".join(one or _EXACT for one in self.codings)
        return f"coded as {own}, the training recordings as {learned}: a coding changes the sound, as a fault would"

    def _is_usual(self, kind: DefectKind) -> bool:
        return kind != "quiet channel" and self.defects.get(kind, 0) >= _HALF * self.n_recordings

    def _level_notes(self, level: float) -> Iterator[str]:
        below, above = self.levels[0] - level, level - self.levels[1]
        if max(below, above) < _LOUDER_DB:
            return
        word = f"{above:.0f} dB louder" if above > below else f"{below:.0f} dB quieter"
        than = "the loudest recording of the training" if above > below else "the quietest recording of the training"
        yield f"{word} than {than}: the gain of the microphone, or the machine?"


def _as_used(rate: int, used_rate: int) -> int:
    """Rate that a recording's highest bands depend on: its own, unless that is far above the detector's."""
    return min(rate, round(used_rate / USABLE_SHARE))


class Measuring:
    """Measures of a recording that is read for something else, so that it is read once.

    Parameters
    ----------
    path
        The recording.
    audio
        Settings with which it is read.
    max_seconds
        The part that is read; ``None`` for all of it.
    """

    def __init__(self, path: Path, *, audio: AudioSettings, max_seconds: float | None) -> None:
        self._path, self._audio, self._max_seconds = path, audio, max_seconds
        self._begun: Measurement | None = None

    def begin(self, recording: Recording) -> Callable[[Waveform], None] | None:
        """Observer of the recording; see `soundness.audio.reading.Observer`."""
        if self._max_seconds is not None:
            return None
        self._begun = Measurement(recording.sample_rate, note=recording.note, coding=recording.coding)
        return self._begun.add

    def result(self) -> ClipMeasures:
        """Measures of the recording, which is read now where nobody else has read it."""
        if self._begun is not None:
            return self._begun.result()
        return measure_clip(self._path, max_seconds=self._max_seconds, audio=self._audio)
