"""A detector: everything between a waveform and its anomaly score, in one object that is ready to use."""

import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from soundness.audio.log_mel import LogMel, Spectrograms
from soundness.detectors.front_end import one_channel
from soundness.detectors.normal_clips import NormalClips
from soundness.errors import SettingsError
from soundness.representations.protocol import Representation
from soundness.scoring.alarms import AlarmRule
from soundness.scoring.calibration import Calibration, Threshold
from soundness.scoring.scorers import Scorer
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["Detector", "TrainingSummary"]


class TrainingSummary(BaseModel):
    """What a detector was made from, and what a person should know of it."""

    model_config = ConfigDict(frozen=True)

    system: str
    seed: int
    n_clips: dict[str, int]
    """Training clips by domain; ``""`` where there are no domains."""
    conditions: tuple[str, ...]
    """What the network was told, in words; empty in a system that is told nothing."""
    conditioned_on: tuple[str, ...]
    """Which of machine type, attributes and domain differ between the training clips."""
    n_parameters: int
    n_steps: int
    """Batches that the network was trained for; 0 without a network."""
    train_loss: float | None
    held_out_loss: float | None
    """Of the weights that are kept, in squared deviations of a band, or in dB squared."""
    pseudo_labels: dict[str, int] = {}
    """Training clips of each pseudo-label, by domain and label; the notes tell how they came about."""
    separation: str
    """What was done with separated machine sound: ``off``, ``augment``, ``denoise`` or ``target=separated``."""
    separator_seconds: float | None
    """Wall-clock time that the training of the separator took, in this run or before it; ``None`` without one."""
    seconds: dict[str, float]
    """Wall-clock time of reading the clips, of separating them (a part of reading), of training the network and of
    fitting the scorer."""
    notes: tuple[str, ...]
    versions: dict[str, str]


class Detector:
    """Scores one recording of one machine at a time; a score depends on nothing else.

    Parameters
    ----------
    machine_type
        The machine it listens to.
    settings
        Of the whole system.
    representation
        What a clip becomes.
    scorer
        Compares it with the normal clips.
    threshold
        Above which score a clip is called anomalous.
    summary
        What it was made from.
    separator
        What takes the machine out of a recording; ``None`` where recordings are heard as they are.
    calibration
        What gives p-values; ``None`` in a detector of an earlier version.
    alarm_rule
        When clips are an alarm; ``None`` where nobody has asked for one.
    normal_clips
        What is remembered of its normal clips: names, and what they sound like; ``None`` where nothing is.
    """

    def __init__(
        self,
        machine_type: str,
        *,
        settings: SystemSettings,
        representation: Representation,
        scorer: Scorer,
        threshold: Threshold,
        summary: TrainingSummary,
        separator: "Separator | None" = None,
        calibration: Calibration | None = None,
        alarm_rule: AlarmRule | None = None,
        normal_clips: NormalClips | None = None,
    ) -> None:
        self.machine_type = machine_type
        self.settings = settings
        self.representation = representation
        self.scorer = scorer
        self.threshold = threshold
        self.summary = summary
        self.separator = separator
        self.calibration = calibration
        self.alarm_rule = alarm_rule
        self.normal_clips = normal_clips
        self._log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)

    def score(self, waveform: NDArray[np.float32]) -> float:
        """Anomaly score of a recording; higher is more anomalous.

        Parameters
        ----------
        waveform
            In [-1, 1] at the detector's sample rate, shape ``(channel, time)``.

        Raises
        ------
        AudioError
            If the recording lacks the channel that the detector listens to.
        """
        return self.score_spectrograms(self.spectrograms(waveform))

    def score_spectrograms(self, clip: Spectrograms) -> float:
        """Anomaly score of a recording that was heard already; see `score` and `spectrograms`."""
        return self.scorer.score(self.representation.vectors(clip).astype(np.float64))

    def remarks(self, waveform: NDArray[np.float32]) -> list[str]:
        """What a person should know of a recording that can be scored all the same; see `score`."""
        return self.remarks_on(
            has_sound=bool(waveform[self.settings.audio.channel].any()), n_samples=waveform.shape[-1]
        )

    def remarks_on(self, *, has_sound: bool, n_samples: int) -> list[str]:
        """As `remarks`, of a recording that was heard already: whether it is silent, and its length."""
        settings = self.settings
        found = [] if has_sound else ["digital silence"]
        plan = self.representation.network_plan(settings)
        n_frames = 1 + n_samples // settings.log_mel.hop_length
        if plan is not None and n_frames < plan.segment_frames:
            found.append(f"{n_frames} frames, shorter than one segment of {plan.segment_frames}: repeated to fill it")
        return found

    def decide(self, anomaly_score: float) -> int:
        """1 if a score lies above the threshold, else 0."""
        return int(anomaly_score > self.threshold.value)

    def p_value(self, anomaly_score: float) -> float | None:
        """See `soundness.scoring.calibration.Calibration`; ``None`` without one."""
        return None if self.calibration is None else self.calibration.p_value(anomaly_score)

    def calibrated(self, calibration: Calibration) -> Self:
        """The same detector with other p-values, the threshold that these give, and no alarm rule.

        A rule promises what the calibration before it supported.
        """
        threshold = Threshold.from_scores(calibration.scores, false_alarm_rate=self.settings.false_alarm_rate)
        return self._changed(calibration=calibration, threshold=threshold, alarm_rule=None)

    def required_rule(self) -> AlarmRule:
        """The alarm rule.

        Raises
        ------
        SettingsError
            If there is none.
        """
        if self.alarm_rule is None or self.calibration is None:
            raise SettingsError(
                f"the detector of {self.machine_type} has no alarm rule; soundness alarms DETECTOR --false-alarms "
                f"1/day --clip-every 10s --out FILE makes one"
            )
        return self.alarm_rule

    def with_alarm_rule(self, rule: AlarmRule) -> Self:
        """The same detector with another rule."""
        return self._changed(alarm_rule=rule)

    def with_clips(self, scorer: Scorer, normal_clips: NormalClips | None, summary: TrainingSummary) -> Self:
        """The same detector with other normal clips."""
        return self._changed(scorer=scorer, normal_clips=normal_clips, summary=summary)

    def _changed(self, **parts: object) -> Self:
        changed = copy.copy(self)
        changed.__dict__.update(parts)
        return changed

    def spectrograms(self, waveform: NDArray[np.float32]) -> Spectrograms:
        """What the representation gets of the channel that the detector listens to; see `score`."""
        return self.hear(waveform)[0]

    def hear(self, waveform: NDArray[np.float32]) -> tuple[Spectrograms, NDArray[np.float32] | None]:
        """As `spectrograms`, with the machine sound, shape ``(1, time)``; ``None`` where nothing is separated."""
        channel = one_channel(waveform, channel=self.settings.audio.channel)
        if self.separator is None:
            original = self._log_mel(channel[0])
            return Spectrograms(original, original), None
        machine = self.separator.separate(channel)[0]
        separated = self._log_mel(machine[0])
        if self.settings.separation == "denoise":
            return Spectrograms(separated, separated), machine
        return Spectrograms(self._log_mel(channel[0]), separated), machine

    def error_map(self, waveform: NDArray[np.float32]) -> NDArray[np.floating]:
        """How odd each band and frame of a recording is, shape ``(mel, frame)``; see `score`."""
        return self.representation.error_map(self.spectrograms(waveform))
