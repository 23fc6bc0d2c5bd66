"""A detector: everything between a waveform and its anomaly score, in one object that is ready to use."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soundness.aliases import Array, PathLike, Waveform
from soundness.audio.arrays import as_waveform
from soundness.audio.log_mel import Spectrograms
from soundness.audio.log_mel_cache import LogMelCache
from soundness.audio.reading import Observer
from soundness.detectors.explaining.explanation import explain_clip, reason_of
from soundness.detectors.explaining.level import level_change
from soundness.detectors.form import Measuring, RecordingForm
from soundness.detectors.front_end import Completion, FrontEnd
from soundness.detectors.reader import RecordingLogMels, RecordingReader
from soundness.detectors.training_summary import TrainingSummary
from soundness.detectors.verdicts.judge import Judge, with_form
from soundness.detectors.verdicts.records import (
    NOT_CALIBRATED,
    RecordingScore,
    ScoredPart,
    cut_notes,
    recording_notes,
    score_reason,
)
from soundness.errors import AudioError, SettingsError, audio_errors_at
from soundness.processes import can_be_handed_over
from soundness.representations.protocol import Representation
from soundness.representations.statistics import MeanLogMel
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.decisions.clip_lengths import ClipLengths
from soundness.scoring.protocol import Scorer
from soundness.screening.known_recordings import KnownRecordings
from soundness.screening.normal_clips import NormalClips
from soundness.settings.system import AudioSettings, SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["Detector"]

_SAME_SECONDS = 1e-6
_KNOWN_SHARE = 0.75  # of the bands


class _MeasuredClip(NamedTuple):
    """Window of a recording, its vectors, and their score."""

    recording: RecordingLogMels
    vectors: Array
    anomaly_score: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Detector:
    """Scores one recording of one machine at a time; a score depends on nothing else.

    Parameters
    ----------
    machine_type
        Machine that the detector was trained for.
    settings
        Settings of the whole system.
    representation
        Turns the log-mels of a clip into vectors.
    scorer
        Compares the vectors with those of normal clips.
    threshold
        Scores above it are called anomalous.
    summary
        Record of the training.
    separator
        Separator that recordings pass through; ``None`` where they are used as they are.
    calibration
        Scores of normal clips that give p-values; ``None`` in a detector of an earlier version.
    alarm_rule
        Rule by which clips raise an alarm; ``None`` until one was asked for.
    normal_clips
        Names and band statistics of the normal clips; ``None`` where they are not kept.
    lengths
        Lengths of the clips that were learned; ``None`` where they are not known, and recordings are scored whole.
    form
        Form of the recordings that were learned; ``None`` where it is not known.
    cache
        Log-mels kept on disk while recordings are scored; ``None`` to keep none. It is not saved.
    """

    machine_type: str
    settings: SystemSettings
    representation: Representation
    scorer: Scorer
    threshold: Threshold
    summary: TrainingSummary
    separator: "Separator | None" = None
    calibration: Calibration | None = None
    alarm_rule: AlarmRule | None = None
    normal_clips: NormalClips | None = None
    lengths: ClipLengths | None = None
    form: RecordingForm | None = None
    cache: LogMelCache | None = None

    @cached_property
    def front_end(self) -> FrontEnd:
        """Channel, separation and log-mel of the system."""
        return FrontEnd(self.settings, self.separator)

    @property
    def audio(self) -> AudioSettings:
        """Settings with which it reads recordings."""
        return self.settings.audio

    @cached_property
    def reader(self) -> RecordingReader:
        """Reader of recordings for the front end."""
        return RecordingReader(self.front_end, self.cache, self._completion if self._completes_bands else None)

    @property
    def _completes_bands(self) -> bool:
        """True if bands that cannot be compared, in recordings of another rate, are replaced by normal ones."""
        is_statistical = isinstance(self.representation, MeanLogMel) and self.separator is None
        return is_statistical and self.form is not None and self.normal_clips is not None

    def _n_known_bands(self, sample_rate: int) -> int:
        """Number of bands that can be compared at a rate; 0 if they are too few to tell the others from."""
        assert self.form is not None
        n_bands = self.settings.log_mel.n_mels
        n_known = self.form.n_comparable_bands(sample_rate, self.settings)
        return n_known if n_known >= _KNOWN_SHARE * n_bands else 0

    def _completion(self, sample_rate: int) -> Completion | None:
        n_known = self._n_known_bands(sample_rate)
        if n_known in (0, self.settings.log_mel.n_mels):
            return None
        assert self.normal_clips is not None
        assert self.form is not None
        hz = self.form.comparable_hz(sample_rate, used_rate=self.audio.sample_rate)
        return Completion(
            log_mel=partial(self.normal_clips.completed, n_known=n_known),
            details=partial(self.front_end.details_below, hz=hz),
        )

    def score_recording(self, path: PathLike, *, max_seconds: float | None = None) -> RecordingScore:
        """Score a recording; see `soundness.detectors.protocol.AnyDetector`."""
        return self._score_and_clip(Path(path), max_seconds)[0]

    def score_and_reason(self, path: PathLike) -> tuple[RecordingScore, str]:
        """Score a recording, with its reason; see `soundness.detectors.protocol.AnyDetector`."""
        path = Path(path)
        score, clip = self._score_and_clip(path)
        return score, score_reason(score, lambda *part: self._reason(self._clip_at(path, *part, read=clip)))

    def _score_and_clip(self, path: Path, max_seconds: float | None = None) -> tuple[RecordingScore, "_MeasuredClip"]:
        """Score of a recording, and its window of the highest score."""
        parts, highest = [], None
        measuring = Measuring(path, audio=self.audio, max_seconds=max_seconds)
        for recording in self.windows(path, max_seconds=max_seconds, observer=measuring.begin):
            clip = self._measured(recording)
            parts.append(self._scored(clip))
            if highest is None or clip.anomaly_score > highest.anomaly_score:
                highest = clip
        assert highest is not None  # a recording has a window
        with audio_errors_at(path):
            found = self.judge.judge(parts, notes=cut_notes(path, max_seconds, self.audio))
        if self.form is None:
            return found, highest
        measures = measuring.result()
        completes = self._completes_bands and self._n_known_bands(measures.sample_rate) > 0
        difference = self.form.difference(measures, self.settings, completes_bands=completes)

        def scored(start: float, end: float) -> list[ScoredPart]:
            windows = self.windows(path, start_seconds=start, max_seconds=end)
            is_whole = self.lengths is None  # it scores whole recordings alone
            return [] if is_whole else [self._scored(self._measured(one)) for one in windows]

        return with_form(found, difference, judge=self.judge, parts=parts, scored=scored), highest

    def windows(
        self,
        path: Path,
        *,
        start_seconds: float = 0.0,
        max_seconds: float | None = None,
        observer: Observer | None = None,
    ) -> Iterator[RecordingLogMels]:
        """Log-mels of the windows that a recording is scored in, which is one unless it is long.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """
        if self.lengths is None:
            yield self.reader.read(path, max_seconds=max_seconds)
            return
        clip_seconds = self.lengths.clip_seconds
        yield from self.reader.windows(
            path, clip_seconds=clip_seconds, start_seconds=start_seconds, max_seconds=max_seconds, observer=observer
        )

    def window(self, path: Path, *, start_seconds: float) -> RecordingLogMels:
        """Log-mels of the window that begins nearest to a time; see `windows`."""
        found = None
        for each in self.windows(path):
            if found is not None and each.start_seconds > start_seconds + _SAME_SECONDS:
                break
            found = each
        assert found is not None  # a recording has a window
        return found

    def _measured(self, recording: RecordingLogMels) -> "_MeasuredClip":
        vectors = self.vectors(recording.spectrograms)
        return _MeasuredClip(recording, vectors, self.scorer.score(vectors))

    def _scored(self, clip: "_MeasuredClip") -> ScoredPart:
        recording = clip.recording
        return ScoredPart(
            start_seconds=recording.start_seconds,
            seconds=recording.n_samples / self.settings.audio.sample_rate,
            anomaly_score=clip.anomaly_score,
            notes=self._notes(has_sound=recording.has_sound, n_samples=recording.n_samples),
            cannot_tell="" if recording.has_sound else "digital silence",
            trained_on=(self.known_recording(recording.spectrograms) or "") if recording.has_sound else "",
        )

    @cached_property
    def judge(self) -> Judge:
        """Threshold, p-value and verdict of recordings of any length."""
        return Judge(
            threshold=self.threshold.value,
            false_alarm_rate=self.settings.false_alarm_rate,
            calibration=self.calibration,
            lengths=self.lengths,
        )

    def reason(self, path: PathLike, *, start_seconds: float = 0.0, end_seconds: float | None = None) -> str:
        """Description of what is most anomalous; see `soundness.detectors.protocol.AnyDetector`."""
        return self._reason(self._clip_at(Path(path), start_seconds, end_seconds))

    def _clip_at(
        self, path: Path, start_seconds: float, end_seconds: float | None, *, read: "_MeasuredClip | None" = None
    ) -> "_MeasuredClip":
        """Window that begins at a time: the one that was read, if it does; or the part up to another time."""
        if end_seconds is not None:
            recording = next(self.windows(path, start_seconds=start_seconds, max_seconds=end_seconds))
        elif read is not None and abs(read.recording.start_seconds - start_seconds) <= _SAME_SECONDS:
            return read
        else:
            recording = self.window(path, start_seconds=start_seconds)
        return self._measured(recording)

    def _reason(self, clip: "_MeasuredClip") -> str:
        spectrograms, start = clip.recording.spectrograms, clip.recording.start_seconds
        change = level_change(self, spectrograms, anomaly_score=clip.anomaly_score)
        return change or reason_of(self, explain_clip(self, spectrograms, vectors=clip.vectors), start_seconds=start)

    def score(self, samples: ArrayLike, *, sample_rate: int | None = None) -> float:
        """Anomaly score of samples in an array; higher is more anomalous.

        Parameters
        ----------
        samples
            Floats, signed integers or bytes, shape ``(time,)``, ``(channel, time)`` or ``(time, channel)``; see
            `soundness.audio.arrays.as_waveform`.
        sample_rate
            Rate of the samples in Hz; ``None`` if it is the detector's. Other rates are resampled.

        Raises
        ------
        AudioError
            If the samples cannot be understood, lack the channel that the detector uses, are too few or too loud, or
            of a rate that the detector cannot compare with.
        """
        settings = self.settings
        waveform = as_waveform(
            samples,
            sample_rate=sample_rate,
            target_rate=settings.audio.sample_rate,
            fmax=settings.log_mel.fmax,
            min_samples=settings.log_mel.n_fft,
        )
        clip = self.spectrograms(waveform)
        return self.score_spectrograms(clip if sample_rate is None else self._comparable(clip, sample_rate))

    def _comparable(self, clip: Spectrograms, sample_rate: int) -> Spectrograms:
        """Spectrograms of samples of a rate, with normal bands in the place of those that cannot be compared."""
        if self.form is None or (problem := self.form.rate_text(sample_rate, self.settings)) == "":
            return clip
        completion = self._completion(sample_rate) if self._completes_bands else None
        if completion is None:
            raise AudioError(problem)
        return completion(clip)

    def score_spectrograms(self, clip: Spectrograms) -> float:
        """Anomaly score of spectrograms that were computed before; see `score` and `spectrograms`."""
        return self.scorer.score(self.vectors(clip))

    def vectors(self, clip: Spectrograms) -> Array:
        """Vectors of spectrograms as the scorer takes them, shape ``(condition, feature)``."""
        return self.representation.vectors(clip).astype(np.float64)

    def spectrograms(self, waveform: Waveform) -> Spectrograms:
        """Spectrograms that the representation takes; see `score`."""
        return self.front_end.spectrograms(waveform)

    @cached_property
    def known_recordings(self) -> KnownRecordings:
        """Normal clips that are recognised by their sound prints."""
        clips = self.normal_clips
        return KnownRecordings((), np.empty((0, 0))) if clips is None else KnownRecordings(clips.prints, clips.means)

    def known_recording(self, clip: Spectrograms) -> str | None:
        """Name of the normal clip of the training that a recording is a copy of, whatever its own name and container.

        ``None`` if it is none of them. It takes about a millisecond, so that `soundness.score` may ask it of each.
        """
        index = self.known_recordings.copy_of_log_mel(clip.reference)
        return None if self.normal_clips is None or index is None else self.normal_clips.names[index]

    def error_map(self, waveform: Waveform) -> NDArray[np.floating]:
        """Deviation from normal of each band and frame of a waveform, shape ``(mel, frame)``; see `score`."""
        return self.representation.error_map(self.spectrograms(waveform))

    def notes(self, waveform: Waveform) -> tuple[str, ...]:
        """Notes on a waveform that can be scored all the same; see `score`."""
        channel = self.front_end.sound(waveform, "original")
        return self._notes(has_sound=bool(channel.any()), n_samples=waveform.shape[-1])

    def _notes(self, *, has_sound: bool, n_samples: int) -> tuple[str, ...]:
        plan = self.representation.network_plan(self.settings)
        return recording_notes(
            has_sound=has_sound,
            n_samples=n_samples,
            hop_length=self.settings.log_mel.hop_length,
            segment_frames=None if plan is None else plan.segment_frames,
        )

    def decide(self, anomaly_score: float) -> int:
        """1 if a score lies above the threshold, else 0."""
        return int(anomaly_score > self.threshold.value)

    def p_value(self, anomaly_score: float) -> float | None:
        """P-value of a score, see `soundness.scoring.decisions.calibration.Calibration`; ``None`` without one."""
        return None if self.calibration is None else self.calibration.p_value(anomaly_score)

    @property
    def shortest_seconds(self) -> float:
        """Length of the shortest recording that can be scored."""
        return self.settings.log_mel.n_fft / self.settings.audio.sample_rate

    @property
    def calibration_note(self) -> str | None:
        """Reason why p-values are missing or cannot be relied on; ``None`` if there is none."""
        if self.calibration is None:
            return NOT_CALIBRATED
        return None if self.calibration.is_valid else self.calibration.notes[0]

    def calibrated(self, calibration: Calibration, *, short: Mapping[float, Calibration] | None = None) -> Self:
        """The same detector with another calibration, its threshold, and no alarm rule.

        A rule keeps to its rate only with the calibration that it was made from.

        Parameters
        ----------
        calibration
            Calibration of whole clips.
        short
            Calibration of clips of each shorter length in seconds; ``None`` without, so that nobody can tell.
        """
        threshold = Threshold.from_scores(calibration.scores, false_alarm_rate=self.settings.false_alarm_rate)
        lengths = None if self.lengths is None else replace(self.lengths, short=short or {})
        return replace(self, calibration=calibration, threshold=threshold, alarm_rule=None, lengths=lengths)

    def for_processes(self) -> Self | None:
        """The detector, to be handed to other processes; see `soundness.detectors.protocol.AnyDetector`."""
        has_network = self.separator is not None or self.representation.network_plan(self.settings) is not None
        if has_network or self.cache is not None or not can_be_handed_over(self.representation, self.scorer):
            return None
        return replace(self)  # without what it has computed for itself

    def required_rule(self) -> AlarmRule:
        """Alarm rule of the detector.

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
