"""Interface of detectors, trained or exported, that score recordings."""

from pathlib import Path
from typing import Protocol, Self

from soundness.detectors.verdicts.judge import Judge
from soundness.detectors.verdicts.records import RecordingScore
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration
from soundness.settings.system import AudioSettings

__all__ = ["AnyDetector"]


class AnyDetector(Protocol):
    """A detector that scores recordings: `Detector` or `ExportedDetector`."""

    @property
    def machine_type(self) -> str:
        """Machine that the detector was trained for."""

    @property
    def audio(self) -> AudioSettings:
        """Settings with which it reads recordings."""

    @property
    def alarm_rule(self) -> AlarmRule | None:
        """Rule by which its scores raise alarms; ``None`` without one."""

    @property
    def calibration(self) -> Calibration | None:
        """Scores of normal clips that give its p-values; ``None`` without them."""

    @property
    def judge(self) -> Judge:
        """Threshold, p-value and verdict of recordings of any length."""

    @property
    def shortest_seconds(self) -> float:
        """Length of the shortest recording that it can score."""

    @property
    def calibration_note(self) -> str | None:
        """Reason why p-values are missing or cannot be relied on; ``None`` if there is none."""

    def score_recording(self, path: Path, *, max_seconds: float | None = None) -> RecordingScore:
        """Score a recording, or the first ``max_seconds`` of it.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """

    def score_and_reason(self, path: Path) -> tuple[RecordingScore, str]:
        """Score of a recording, and the reason why it is anomalous or cannot be judged; empty for a normal one.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """

    def reason(self, path: Path, *, start_seconds: float = 0.0, end_seconds: float | None = None) -> str:
        """Description of what is most anomalous in a recording, in words.

        Parameters
        ----------
        path
            The recording.
        start_seconds
            Start of the window that is described, in a long recording, or of the part.
        end_seconds
            End of the part that alone is described; ``None`` for a window, or all of the recording.

        Raises
        ------
        AudioError
            If the recording cannot be used any more.
        """

    def required_rule(self) -> AlarmRule:
        """Alarm rule of the detector.

        Raises
        ------
        SettingsError
            If there is none.
        """

    def for_processes(self) -> Self | None:
        """The detector, to be handed to other processes that score with it; ``None`` where threads score as fast."""
