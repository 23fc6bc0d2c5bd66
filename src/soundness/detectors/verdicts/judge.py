"""From the scores of the parts of a recording to one verdict."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from soundness.data.clips import clock
from soundness.detectors.form import FormDifference
from soundness.detectors.verdicts.records import TRAINED_ON, RecordingScore, ScoredPart, WindowScore
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.decisions.clip_lengths import ClipLengths, recording_p_value, recording_threshold

__all__ = ["Judge", "with_form"]

_MOST_KNOWN = 3  # windows of a recording for each that is a training clip, up to which the recording is known
_MOST_OF_IT = 0.5  # share of a recording that has to be judged before it can be called normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Threshold, p-value and verdict of a recording of any length.

    Parameters
    ----------
    threshold
        Score above which a clip is anomalous.
    false_alarm_rate
        Share of normal recordings that are to be flagged.
    calibration
        Scores of normal clips; ``None`` without.
    lengths
        Lengths of the clips that the detector learned; ``None`` where they are not known, and count for nothing.
    """

    threshold: float
    false_alarm_rate: float
    calibration: Calibration | None
    lengths: ClipLengths | None

    def judge(self, parts: Sequence[ScoredPart], *, notes: tuple[str, ...] = ()) -> RecordingScore:
        """Judge a recording by its windows, or by its one part.

        Parameters
        ----------
        parts
            In the order of time, at least one.
        notes
            Notes on the recording.

        Raises
        ------
        AudioError
            If its score is not finite.
        """
        found = self._whole(parts[0], notes) if len(parts) == 1 else self._long(parts, notes)
        known = [part.trained_on for part in parts if part.trained_on]
        if _MOST_KNOWN * len(known) < len(parts):
            return found
        is_told = found.decision == 1 or found.cannot_tell
        return replace(found, trained_on=known[0], cannot_tell=found.cannot_tell if is_told else TRAINED_ON)

    def clip_threshold(self, seconds: float) -> float:
        """Score above which a recording of a length is anomalous, if it is not long."""
        return self._threshold(self.clip_calibration(seconds))

    def clip_calibration(self, seconds: float) -> Calibration | None:
        """Calibration of a recording of a length, if it is not long; ``None`` where there is none for its length."""
        if self.lengths is None or self.calibration is None:
            return self.calibration
        return self.lengths.calibration(seconds, self.calibration)

    def _threshold(self, own: Calibration | None) -> float:
        """Threshold of `clip_calibration`: that of whole clips, unless there is one of shorter clips."""
        if own is None or own is self.calibration:
            return self.threshold
        return Threshold.from_scores(own.scores, false_alarm_rate=self.false_alarm_rate).value

    def _long(self, parts: Sequence[ScoredPart], notes: tuple[str, ...]) -> RecordingScore:
        usable = [part for part in parts if not part.cannot_tell] or list(parts)
        highest = max(usable, key=lambda part: part.anomaly_score)
        threshold, n_windows = self._long_threshold(parts)
        windows = tuple(self._window(part, threshold) for part in parts)
        calibration, score = self.calibration, highest.anomaly_score
        p_value = None if calibration is None else recording_p_value(calibration, score, n_windows=n_windows)
        return RecordingScore(
            anomaly_score=score,
            threshold=threshold,
            decision=int(score > threshold),
            p_value=p_value,
            notes=(*notes, *_notes_of_parts(parts), *self._long_notes(parts, threshold)),
            cannot_tell=highest.cannot_tell,
            windows=windows,
        )

    def _whole(self, part: ScoredPart, notes: tuple[str, ...]) -> RecordingScore:
        own, cannot_tell, score = self.clip_calibration(part.seconds), part.cannot_tell, part.anomaly_score
        if own is None and self.calibration is not None and self.lengths is not None:
            cannot_tell = cannot_tell or self.lengths.reason(part.seconds)
        calibration, threshold = self.calibration if own is None else own, self._threshold(own)
        return RecordingScore(
            anomaly_score=score,
            threshold=threshold,
            decision=int(score > threshold),
            p_value=None if calibration is None else calibration.p_value(score),
            notes=(*part.notes, *notes),
            cannot_tell=cannot_tell,
        )

    def _long_threshold(self, parts: Sequence[ScoredPart]) -> tuple[float, float]:
        """Threshold of a long recording, and the number of independent windows that it is as good as."""
        clip_seconds = parts[0].seconds if self.lengths is None else self.lengths.clip_seconds
        n_windows = max(1.0, (parts[-1].start_seconds + parts[-1].seconds) / clip_seconds)
        if self.calibration is None:
            return self.threshold, n_windows
        found = recording_threshold(self.calibration, self.false_alarm_rate, n_windows=n_windows)
        return max(self.threshold, found), n_windows

    def _window(self, part: ScoredPart, threshold: float) -> WindowScore:
        calibration, score = self.calibration, part.anomaly_score
        return WindowScore(
            start_seconds=part.start_seconds,
            seconds=part.seconds,
            anomaly_score=score,
            p_value=None if calibration is None else recording_p_value(calibration, score, n_windows=1.0),
            decision=int(score > threshold and not part.cannot_tell),
        )

    def _long_notes(self, parts: Sequence[ScoredPart], threshold: float) -> tuple[str, ...]:
        note = f"scored in {len(parts)} windows of {parts[0].seconds:g} s"
        largest = math.inf if self.calibration is None else max(max(own) for own in self.calibration.used.values())
        beyond = "; its threshold lies beyond all calibration scores, where it is extrapolated"
        return (note + (beyond if threshold > largest else ""),)


def _notes_of_parts(parts: Sequence[ScoredPart]) -> tuple[str, ...]:
    """Notes on windows, each once."""
    starts: dict[str, list[float]] = {}
    for part in parts:
        for note in dict.fromkeys((*part.notes, *((part.cannot_tell,) if part.cannot_tell else ()))):
            starts.setdefault(note, []).append(part.start_seconds)
    return tuple(
        f"{note}: {len(found)} of {len(parts)} windows, the first from {clock(found[0])} on"
        for note, found in starts.items()
    )


def with_form(
    score: RecordingScore,
    difference: FormDifference,
    *,
    judge: Judge,
    parts: Sequence[ScoredPart],
    scored: Callable[[float, float], Sequence[ScoredPart]],
) -> RecordingScore:
    """Score with the notes on the recording's form, and the reason why it cannot be judged if there is one.

    What no change of the machine explains is not called anomalous; a recording with gaps is judged by its longest part
    without one, or its windows without any.

    Parameters
    ----------
    score
        Score of the recording.
    difference
        Difference in form between it and those of the training.
    judge, parts
        Judge of the score, and the parts that it judged.
    scored
        Scores the part of the recording from one time to another, in seconds.
    """
    doubt = difference.doubt if score.decision == 1 and not (difference.cannot_tell or score.cannot_tell) else ""
    if doubt and difference.stretches:
        start, end = max(difference.stretches, key=lambda stretch: stretch[1] - stretch[0])
        if len(parts) == 1:
            own, share = scored(start, end), (end - start) / parts[0].seconds
            note, judged = f"judged from {clock(start)} to {clock(end)}, its longest part without a gap", (start, end)
        else:
            own = [part if _is_within(part, difference) else replace(part, cannot_tell=doubt) for part in parts]
            share = sum(part.cannot_tell != doubt for part in own) / len(own)
            note, judged = f"judged by its windows without a gap, {100 * share:.0f} % of them", None
        again = judge.judge(own) if own else None
        if again is not None and not again.cannot_tell and (again.decision or share > _MOST_OF_IT):
            return replace(again, notes=(*difference.notes, note, *score.notes), judged=judged)
    cannot_tell = difference.cannot_tell or score.cannot_tell or doubt
    return replace(score, notes=(*difference.notes, *score.notes), cannot_tell=cannot_tell)


def _is_within(part: ScoredPart, difference: FormDifference) -> bool:
    end = part.start_seconds + part.seconds
    return any(first <= part.start_seconds and end <= last for first, last in difference.stretches)
