"""Life of a sensor's alarms: raised by the rule, ended by quiet, continued within a gap. Arithmetic alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from soundness.monitoring.store.records import ClipRow
from soundness.scoring.decisions.alarms import AlarmRule, AlarmWindow

__all__ = ["AlarmLife", "AlarmStep", "FailingClips"]

Change = Literal["", "raised", "continued", "ended", "resumed"]

_FEWEST_FAILED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmStep:
    """Effect of a clip.

    Parameters
    ----------
    is_anomalous
        True if it counts as anomalous.
    change
        Change of the alarm: it is raised, continued by an anomalous clip, ended, or resumed after a short end.
    """

    is_anomalous: bool
    change: Change = ""


class AlarmLife:
    """Alarms of one sensor.

    Parameters
    ----------
    rule
        Rule of the alarms.
    quiet_clips
        Clips in a row, none of them part of an alarm by the rule, after which an alarm has ended.
    minimum_gap_us
        Time after an end within which an alarm is the same one again, in microseconds; 0 for another one at once.
    anomalous
        True for each of the clips before that was anomalous, the last one last.
    is_on
        True if an alarm has been raised and has not ended.
    ended_us
        End of the last alarm; ``None`` if there was none.
    """

    def __init__(
        self,
        rule: AlarmRule,
        *,
        quiet_clips: int,
        minimum_gap_us: int,
        anomalous: Iterable[bool] = (),
        is_on: bool = False,
        ended_us: int | None = None,
    ) -> None:
        self.rule = rule
        self.quiet_clips, self.minimum_gap_us = quiet_clips, minimum_gap_us
        self.is_on, self.ended_us = is_on, ended_us
        self._window = AlarmWindow(rule, anomalous)
        self._n_quiet = 0

    def add(self, p_value: float, *, end_us: int, is_muted: bool = False) -> AlarmStep:
        """Add the next clip.

        Parameters
        ----------
        p_value
            Its p-value.
        end_us
            Its end, microseconds since 1970, UTC.
        is_muted
            True in maintenance, and while alarms are ignored: it begins no alarm, counts for none, and as quiet for one
            that is on.
        """
        is_anomalous = self.rule.is_anomalous(p_value)
        self._window.add(1.0 if is_muted else p_value)
        if self._window.is_on:
            self._n_quiet = 0
            if self.is_on:
                return AlarmStep(is_anomalous=is_anomalous, change="continued" if is_anomalous else "")
            if not is_anomalous or is_muted:
                return AlarmStep(is_anomalous=is_anomalous)
            self.is_on = True
            has_ended = self.ended_us is not None and self.minimum_gap_us > 0
            is_same = has_ended and 0 <= end_us - (self.ended_us or 0) <= self.minimum_gap_us
            return AlarmStep(is_anomalous=True, change="resumed" if is_same else "raised")
        self._n_quiet += 1
        if self.is_on and self._n_quiet >= self.quiet_clips:
            self.is_on, self.ended_us = False, end_us
            return AlarmStep(is_anomalous=is_anomalous, change="ended")
        return AlarmStep(is_anomalous=is_anomalous)

    def forget(self) -> None:
        """Forget the clips before, and the alarm that is on: somebody has answered it."""
        self._window = AlarmWindow(self.rule)
        self._n_quiet, self.is_on, self.ended_us = 0, False, None


@dataclass(slots=True)
class FailingClips:
    """Clips in a row that could not be judged, which are a fault once they last.

    Parameters
    ----------
    fault_seconds
        Time for which they last before they are a fault.
    """

    fault_seconds: float
    _n_clips: int = 0
    _since_us: int = 0

    def add(self, row: ClipRow) -> str:
        """Add the row of a clip, of which one that is scored or learned ends it; the fault, or an empty text."""
        if row.outcome in ("scored", "learned"):
            self._n_clips = 0
        if row.outcome != "failed":
            return ""
        self._since_us = min(self._since_us, row.start_us) if self._n_clips else row.start_us
        self._n_clips += 1
        is_fault = self._n_clips >= _FEWEST_FAILED and row.end_us - self._since_us >= 1e6 * self.fault_seconds
        return f"no clip can be judged: {row.note}" if is_fault else ""
