"""Score of one recording, its verdict and notes, alike for a trained detector and an exported one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from soundness.audio.decoding import AS_STATED
from soundness.audio.reading import read_info
from soundness.data.clips import clock
from soundness.errors import AudioError
from soundness.settings.system import AudioSettings

__all__ = [
    "NOT_CALIBRATED",
    "TRAINED_ON",
    "RecordingScore",
    "ScoredPart",
    "Verdict",
    "WindowScore",
    "cut_notes",
    "recording_notes",
    "score_reason",
]

NOT_CALIBRATED = "not calibrated, so there are no p-values; soundness calibrate makes some"

TRAINED_ON = "the detector was trained on it, so it looks more normal than it is"
"""Reason why nobody can tell of a training clip that its machine is normal now."""

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

    def __str__(self) -> str:
        return f"from {clock(self.start_seconds)} to {clock(self.start_seconds + self.seconds)}"


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
        See `soundness.scoring.decisions.calibration.Calibration`; ``None`` without one.
    notes
        Notes on the recording, such as digital silence.
    cannot_tell
        Reason why nobody can tell normal from anomalous here, such as a recording that is too short; empty where the
        decision holds.
    windows
        Scores of the windows of a long recording, by time; empty for a recording that is scored as a whole.
    trained_on
        Name of the training clip that the recording is, whatever its own name; empty if it is new to the detector.
    judged
        Start and end, in seconds, of the part that alone was judged, as where the rest has gaps; ``None`` where all of
        it was.

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
    trained_on: str = ""
    judged: tuple[float, float] | None = None

    @property
    def verdict(self) -> Verdict:
        """Answer for a person."""
        if self.cannot_tell:
            return "cannot tell"
        return "anomalous" if self.decision == 1 else "normal"

    @property
    def most_anomalous(self) -> WindowScore | None:
        """Window of the highest score that counts; ``None`` in a recording that is scored as a whole."""
        found = [window for window in self.windows if window.anomaly_score == self.anomaly_score]
        return found[0] if found else None

    def __post_init__(self) -> None:
        if not math.isfinite(self.anomaly_score):
            raise AudioError(f"its score is {self.anomaly_score}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPart:
    """Score of a part of a recording, or of the whole, before it is judged.

    Parameters
    ----------
    start_seconds, seconds
        Start of the part in the recording, and its length.
    anomaly_score
        Higher is more anomalous.
    notes
        Notes on the part.
    cannot_tell
        Reason why its score says nothing; empty where it counts.
    trained_on
        Name of the training clip that it is; empty if it is new.
    """

    start_seconds: float
    seconds: float
    anomaly_score: float
    notes: tuple[str, ...] = ()
    cannot_tell: str = ""
    trained_on: str = ""


def score_reason(score: RecordingScore, describe: Callable[[float, float | None], str]) -> str:
    """Reason of a score in words; empty for a normal recording.

    Parameters
    ----------
    score
        Score of the recording.
    describe
        Describes what is most anomalous in the window that begins at a time in seconds, or in the part from there to
        another time, see `RecordingScore.judged`.
    """
    if score.verdict != "anomalous":
        return score.cannot_tell
    window = score.most_anomalous
    if window is not None:
        return f"{window}: {describe(window.start_seconds, None)}"
    return describe(0.0, None) if score.judged is None else describe(*score.judged)


def cut_notes(path: Path, max_seconds: float | None, audio: AudioSettings = AS_STATED) -> tuple[str, ...]:
    """Note on a recording that is longer than what is read of it."""
    if max_seconds is None or (seconds := read_info(path, audio=audio).seconds) <= max_seconds:
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
