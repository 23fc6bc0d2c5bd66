"""Scoring of one recording, alike for a trained detector and an exported one."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from soundness.audio.reading import read_info
from soundness.errors import AudioError
from soundness.scoring.alarms import AlarmRule

__all__ = ["NOT_CALIBRATED", "AnyDetector", "RecordingScore", "Verdict", "WindowScore", "cut_notes", "recording_notes"]

NOT_CALIBRATED = "not calibrated, so there are no p-values; soundness calibrate makes some"

Verdict = Literal["anomalous", "normal", "cannot tell"]
"""Answer for a person; no recording is called normal that could not be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowScore:
    """Score of one window of a long recording.

    Parameters
    ----------
    start_seconds, seconds
        Start of the window in the recording, and its length.
    anomaly_score
        Higher is more anomalous.
    p_value
        P-value of the window on its own; ``None`` without a calibration.
    decision
        1 if a recording with this most anomalous window is anomalous, else 0.
    """

    start_seconds: float
    seconds: float
    anomaly_score: float
    p_value: float | None
    decision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingScore:
    """Score of a recording and the detector's decision.

    Parameters
    ----------
    anomaly_score
        Finite; higher is more anomalous. Score of the most anomalous window of a long recording.
    threshold
        Score above which a recording of this length is anomalous.
    decision
        1 if the score lies above the threshold, else 0; the challenge's files hold it, people read `verdict`.
    p_value
        See `soundness.scoring.calibration.Calibration`; ``None`` without one.
    notes
        Notes on the recording, such as digital silence.
    cannot_tell
        Reason why nobody can tell normal from anomalous here, such as a recording that is too short; empty where the
        decision holds.
    windows
        Scores of the windows of a long recording, by time; empty for a recording that is scored as a whole.

    Raises
    ------
    AudioError
        If the score is not finite.
    """

    anomaly_score: float
    threshold: float
    decision: int
    p_value: float | None
    notes: tuple[str, ...]
    cannot_tell: str = ""
    windows: tuple[WindowScore, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Answer for a person."""
        if self.cannot_tell:
            return "cannot tell"
        return "anomalous" if self.decision == 1 else "normal"

    def __post_init__(self) -> None:
        if not math.isfinite(self.anomaly_score):
            raise AudioError(f"its score is {self.anomaly_score}")


class AnyDetector(Protocol):
    """A detector that scores recordings: `Detector` or `ExportedDetector`."""

    @property
    def machine_type(self) -> str:
        """Machine that the detector was trained for."""

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

    def reason(self, path: Path) -> str:
        """Description of what is most anomalous in a recording, in words.

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


def cut_notes(path: Path, max_seconds: float | None) -> tuple[str, ...]:
    """Note on a recording that is longer than what is read of it."""
    if max_seconds is None or (seconds := read_info(path).seconds) <= max_seconds:
        return ()
    return (f"only the first {max_seconds:g} s of {seconds:,.0f} s were scored",)


def recording_notes(*, has_sound: bool, n_samples: int, hop_length: int, segment_frames: int | None) -> tuple[str, ...]:
    """Notes on a recording that can be scored all the same.

    Parameters
    ----------
    has_sound
        True if the channel is not digital silence.
    n_samples
        Length at the system's sample rate.
    hop_length
        Samples from one frame to the next.
    segment_frames
        Frames that a network reads at once; ``None`` without segments.
    """
    notes = () if has_sound else ("digital silence",)
    n_frames = 1 + n_samples // hop_length
    if segment_frames is None or n_frames >= segment_frames:
        return notes
    return (*notes, f"{n_frames} frames, shorter than one segment of {segment_frames}: repeated to fill it")
