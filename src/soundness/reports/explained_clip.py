"""A recording with the explanation of its score, and the nearest normal recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.audio.anomalous_regions import AnomalousRegion
from soundness.audio.reading import pick_channel
from soundness.data.clips import start_of_part, without_part
from soundness.data.finding import find_recordings
from soundness.detectors.detector import Detector
from soundness.detectors.explaining.explanation import Explanation, explain_clip, regions_of
from soundness.detectors.explaining.level import level_change
from soundness.detectors.reader import read_recording, read_window
from soundness.detectors.verdicts.records import TRAINED_ON, RecordingScore
from soundness.detectors.verdicts.score_table import against_threshold, recorded_at
from soundness.errors import AudioError, audio_errors_at
from soundness.plain_text import printable
from soundness.scoring.decisions.calibration import Calibration

__all__ = ["ExplainedClip", "NormalRecording", "explain_recording"]

_SAME_DB = 0.1  # largest difference between the level of a recording and the level that the detector remembers


@dataclass(frozen=True, slots=True, eq=False)
class NormalRecording:
    """The recording of a normal clip.

    Parameters
    ----------
    name
        Name that the detector remembers.
    waveform
        Samples of the channel that is used, shape ``(time,)``.
    log_mel
        Log-mel spectrogram that is scored, dB, shape ``(mel, frame)``.
    """

    name: str
    waveform: NDArray[np.float32]
    log_mel: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ExplainedClip:
    """A recording, its score and the explanation.

    Parameters
    ----------
    name
        Name of the file.
    time
        Time of the file's last change, as ISO 8601; empty where it is not known.
    detector
        Detector of the score.
    waveform, machine_sound
        Samples of the channel that is used (in a long recording, of its most anomalous window), and the machine sound
        separated from it (``None`` without separation), shape ``(time,)``.
    score
        Score, threshold and verdict.
    explanation
        Share of each band and frame in the anomaly.
    regions
        Anomalous regions, the strongest first; empty unless the verdict is anomalous.
    level
        Change of level in words, where it alone makes the recording anomalous; empty elsewhere.
    nearest
        Nearest normal recording; ``None`` where it is not found.
    notes
        Notes, a line each.
    """

    name: str
    time: str
    detector: Detector
    waveform: NDArray[np.float32]
    machine_sound: NDArray[np.float32] | None
    score: RecordingScore
    explanation: Explanation
    regions: tuple[AnomalousRegion, ...]
    level: str
    nearest: NormalRecording | None
    notes: tuple[str, ...]

    @property
    def frame_seconds(self) -> float:
        """Time from one frame to the next."""
        return self.detector.settings.frame_seconds

    @property
    def seconds(self) -> float:
        """Length of what is shown."""
        return len(self.waveform) / self.detector.settings.audio.sample_rate

    @property
    def start_seconds(self) -> float:
        """Start of what is explained: of the most anomalous window, of the part that alone was judged, else 0."""
        window, judged = self.score.most_anomalous, self.score.judged
        if window is not None:
            return window.start_seconds
        return 0.0 if judged is None else judged[0]

    @property
    def decision_words(self) -> str:
        """Score and threshold in words."""
        score, sign, threshold = against_threshold(self.score.anomaly_score, self.score.threshold).split()
        side = "above" if sign == ">" else "not above"
        rate = 100 * self.detector.settings.false_alarm_rate
        doubts = self.detector.threshold.notes
        return (
            f"The score {score} is {side} the threshold {threshold}, which is meant for {rate:.3g} % of false alarms"
            + (f"; {doubts[0]}" if doubts else "")
        )

    @property
    def calibration(self) -> Calibration | None:
        """Scores of normal clips that the p-value is by: cut to its length if it is short; ``None`` without any."""
        own = self.detector.judge.clip_calibration(self.seconds)
        return self.detector.calibration if own is None else own

    @property
    def p_value_words(self) -> str:
        """P-value and its calibration in words."""
        calibration = self.calibration
        if calibration is None:
            return "The detector has no calibration, so there is no p-value."
        if self.score.windows:
            return (
                f"The p-value is {self.score.p_value:.2g}, for the most anomalous of {len(self.score.windows)} windows."
            )
        return _p_value_words(calibration, self.score)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Reason of the verdict."""
        if self.score.cannot_tell:
            return (f"{_capitalized(self.score.cannot_tell)}.",)
        if self.score.verdict == "normal":
            return ("It differs from the normal recordings no more than they differ from each other.",)
        window = self.score.most_anomalous
        level = [f"{_capitalized(self.level)}"] if self.level else []
        tests = [self.explanation.tests] if self.explanation.tests else []
        return (
            *level,
            *self._reasons,
            *tests,
            *([] if window is None else [f"The most anomalous part is explained: {window}."]),
        )

    @property
    def _reasons(self) -> tuple[str, ...]:
        if not self.regions:
            return ("No single band stands out.",)
        first, *others = (region.later(self.start_seconds) for region in self.regions)
        if self.explanation.is_of_change:
            return (f"{_capitalized(str(first))}.", *(f"Beside it: {other}." for other in others))
        words = [f"{_capitalized(str(first))}; its share of the anomaly is {_per_cent(first.share)}."]
        words += [f"Next is {other} ({_per_cent(other.share)})." for other in others]
        if not others:
            words.append("The rest is spread over the other bands.")
        changes = (change.later(self.start_seconds) for change in self.explanation.changes)
        return (*words, *(f"Beside it: {change}." for change in changes))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds of changes, the one that counts most first; empty unless the verdict is anomalous."""
        if self.score.verdict != "anomalous":
            return ()
        return tuple(
            dict.fromkeys(
                (
                    *(["level"] if self.level else []),
                    *(region.name for region in self.regions),
                    *(change.name for change in self.explanation.changes),
                )
            )
        )

    @property
    def checks(self) -> tuple[str, ...]:
        """Advice on what to check next."""
        if self.score.verdict == "normal":
            return ()
        if self.score.cannot_tell == TRAINED_ON:
            return ("Explain a recording that the detector was not trained on.",)
        if self.score.cannot_tell:
            return ("Check microphone, cable and recorder, and record again as the normal recordings were made.",)
        setting = "Were microphone, place, gain, speed and load those of the normal recordings?"
        return (setting, *dict.fromkeys(region.check for region in self.regions if not self.level))


def explain_recording(detector: Detector, path: Path, *, normal: Path | None) -> ExplainedClip:
    """Score a recording and explain the score.

    Parameters
    ----------
    detector
        Detector of the score.
    path
        File of the recording.
    normal
        Folder with the normal recordings; ``None`` looks beside the recording.

    Raises
    ------
    AudioError
        If the recording cannot be used.
    """
    score, front_end = detector.score_recording(path), detector.front_end
    channel = _channel(detector, path, score)
    with audio_errors_at(path):
        sounds = {source: front_end.machine_sound(channel, source) for source in front_end.sources}
        clip = front_end.sound_spectrograms(sounds)
    completion = detector.reader.completion(path)
    clip = clip if completion is None else completion(clip)
    vectors = detector.vectors(clip)
    explanation = explain_clip(detector, clip, vectors=vectors)
    nearest, line = _nearest_recording(detector, explanation, path, normal)
    return ExplainedClip(
        name=path.name,
        time=recorded_at(path),
        detector=detector,
        waveform=channel[0],
        machine_sound=sounds["separated"][0] if "separated" in sounds else None,
        score=score,
        explanation=explanation,
        regions=tuple(regions_of(detector, explanation)) if score.verdict == "anomalous" else (),
        nearest=nearest,
        level=level_change(detector, clip, anomaly_score=detector.scorer.score(vectors)),
        notes=tuple(filter(None, (*score.notes, line))),
    )


def _channel(detector: Detector, path: Path, score: RecordingScore) -> Waveform:
    """Channel that the detector uses, shape ``(1, time)``: of the recording, or of the part that made its score."""
    audio, lengths, window = detector.settings.audio, detector.lengths, score.most_anomalous
    if window is None or lengths is None:
        with audio_errors_at(path):
            channel = pick_channel(read_recording(path, detector.settings), channel=audio.channel)
        if score.judged is None:
            return channel
        first, last = (round(seconds * audio.sample_rate) for seconds in score.judged)
        return channel[:, first:last]
    start = window.start_seconds
    return read_window(path, detector.settings, clip_seconds=lengths.clip_seconds, start_seconds=start)


def _nearest_recording(
    detector: Detector, explanation: Explanation, path: Path, folder: Path | None
) -> tuple[NormalRecording | None, str]:
    """Recording of the nearest normal clip, and a note, on the reason if it is not found."""
    kept = detector.normal_clips
    if kept is None:
        return (None, "no normal clip to show: the detector was trained by a version that did not remember its clips")
    index = int(explanation.nearest[0])
    name = kept.names[index]
    has_namesake = False
    for candidate in _candidates(name, path, folder):
        has_namesake = True
        try:
            channel = _normal_sound(detector, candidate, name)
            log_mel = detector.front_end.channel_spectrograms(channel).reference
        except AudioError:  # another recording of that name
            continue
        if log_mel.shape[0] == kept.means.shape[1] and _is_same(log_mel, kept.means[index]):
            return NormalRecording(name, detector.front_end.machine_sound(channel, "original")[0], log_mel), ""
    where = f"in {folder}" if folder is not None else "beside the clip; name its folder with --normal"
    found = "the recording of that name is another one" if has_namesake else "it is not found"
    return None, f"the nearest normal clip is {name}: {found} {where}"


def _normal_sound(detector: Detector, path: Path, name: str) -> Waveform:
    """The channel of a normal clip, which may be a part of a recording, shape ``(1, time)``."""
    start = start_of_part(name)
    if start is None or detector.lengths is None:
        waveform = read_recording(path, detector.settings)
        return pick_channel(waveform, channel=detector.settings.audio.channel)
    clip_seconds = detector.lengths.clip_seconds
    return read_window(
        path, detector.settings, clip_seconds=clip_seconds, start_seconds=start + clip_seconds / 2, is_overlapping=False
    )


def _candidates(name: str, path: Path, folder: Path | None) -> Iterator[Path]:
    """Files that may be a normal clip, the most likely first."""
    name = without_part(name)
    base = name.rpartition("/")[2]
    if folder is None:
        places = [path.parent.parent / name, path.parent / base, path.parent.parent.parent / name]
    else:
        places = [folder / name, folder / base]
    yield from (place for place in places if place.is_file())
    if folder is not None:
        yield from (
            place
            for place in find_recordings(folder).recordings
            if printable(place.name) == base and place not in places
        )


def _is_same(log_mel: NDArray[np.float32], level: NDArray[np.floating]) -> bool:
    return float(np.abs(log_mel.mean(axis=1) - level).mean()) < _SAME_DB


def _p_value_words(calibration: Calibration, score: RecordingScore) -> str:
    found = {
        domain: (int((values >= score.anomaly_score).sum()), len(values)) for domain, values in calibration.used.items()
    }
    domain, (n_above, n_clips) = max(found.items(), key=lambda item: (1 + item[1][0]) / (1 + item[1][1]))
    n_words = "none" if n_above == 0 else str(n_above)
    words = (
        f"The p-value is {score.p_value:.2g}: of {n_clips} normal {domain + ' ' if domain else ''}clips {n_words} "
        f"scored as high"
    )
    if not calibration.is_valid:
        words += "; the network was trained on these clips, so it is too small"
    return words + "."


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"
