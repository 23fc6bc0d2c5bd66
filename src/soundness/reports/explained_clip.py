"""A recording with the explanation of its score, and the nearest normal recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.audio.anomalous_regions import AnomalousRegion
from soundness.audio.reading import iter_audio
from soundness.detectors.detector import Detector
from soundness.detectors.explanation import Explanation, explain_clip, regions_of
from soundness.detectors.front_end import pair
from soundness.detectors.reader import read_recording
from soundness.errors import AudioError, audio_errors_at
from soundness.scoring.calibration import Calibration

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
    detector
        Detector of the score.
    waveform, machine_sound
        Samples of the channel that is used, and the machine sound separated from it (``None`` without separation),
        shape ``(time,)``.
    anomaly_score
        Score; higher is more anomalous.
    explanation
        Share of each band and frame in the score.
    regions
        Anomalous regions, the strongest first.
    nearest
        Nearest normal recording; ``None`` where it is not found.
    notes
        Notes, a line each.
    """

    name: str
    detector: Detector
    waveform: NDArray[np.float32]
    machine_sound: NDArray[np.float32] | None
    anomaly_score: float
    explanation: Explanation
    regions: tuple[AnomalousRegion, ...]
    nearest: NormalRecording | None
    notes: tuple[str, ...]

    @property
    def is_anomalous(self) -> bool:
        """True if the score is above the threshold."""
        return self.detector.decide(self.anomaly_score) == 1

    @property
    def frame_seconds(self) -> float:
        """Time from one frame to the next."""
        return self.detector.settings.log_mel.hop_length / self.detector.settings.audio.sample_rate

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self.waveform) / self.detector.settings.audio.sample_rate

    @property
    def verdict(self) -> str:
        """Score and threshold in words."""
        threshold = self.detector.threshold.value
        side, word = ("above", "anomalous") if self.is_anomalous else ("not above", "normal")
        rate = 100 * self.detector.settings.false_alarm_rate
        doubts = self.detector.threshold.notes
        return (
            f"{word.capitalize()}: the score {self.anomaly_score:.3g} is {side} the threshold {threshold:.3g}, "
            f"which is meant for {rate:.3g} % of false alarms" + (f"; {doubts[0]}" if doubts else "")
        )

    @property
    def p_value_words(self) -> str:
        """P-value and its calibration in words."""
        calibration = self.detector.calibration
        if calibration is None:
            return "The detector has no calibration, so there is no p-value."
        return _p_value_words(calibration, self.anomaly_score)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Description of the anomalous regions."""
        if not self.regions:
            return ("Nothing in it differs from normal.",)
        first, *others = self.regions
        lead = "Most anomalous is" if self.is_anomalous else "The largest difference from normal is"
        words = [f"{lead} {first}; its share of the anomaly is {_per_cent(first.share)}."]
        words += [f"Next is {other} ({_per_cent(other.share)})." for other in others]
        if not others:
            words.append("The rest is spread over the other bands.")
        return tuple(words)


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
    waveform, front_end = read_recording(path, detector.settings), detector.front_end
    with audio_errors_at(path):
        sounds = {source: front_end.sound(waveform, source) for source in front_end.sources}
        clip = pair({source: front_end.log_mel(sound) for source, sound in sounds.items()})
    explanation = explain_clip(detector, clip)
    nearest, line = _nearest_recording(detector, explanation, path, normal)
    return ExplainedClip(
        name=path.name,
        detector=detector,
        waveform=front_end.sound(waveform, "original")[0],
        machine_sound=sounds["separated"][0] if "separated" in sounds else None,
        anomaly_score=detector.score_spectrograms(clip),
        explanation=explanation,
        regions=tuple(regions_of(detector, explanation)),
        nearest=nearest,
        notes=(*detector.notes(waveform), *([line] if line else [])),
    )


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
            waveform = read_recording(candidate, detector.settings)
            log_mel = detector.spectrograms(waveform).reference
        except AudioError:  # another recording of that name
            continue
        if log_mel.shape[0] == kept.means.shape[1] and _is_same(log_mel, kept.means[index]):
            channel = detector.front_end.sound(waveform, "original")
            is_itself = candidate.resolve() == path.resolve()
            line = "the detector was trained on this clip, so it looks more normal than it is" if is_itself else ""
            return NormalRecording(name, channel[0], log_mel), line
    where = f"in {folder}" if folder is not None else "beside the clip; name its folder with --normal"
    found = "the recording of that name is another one" if has_namesake else "it is not found"
    return None, f"the nearest normal clip is {name}: {found} {where}"


def _candidates(name: str, path: Path, folder: Path | None) -> Iterator[Path]:
    """Files that may be a normal clip, the most likely first."""
    base = name.rpartition("/")[2]
    if folder is None:
        places = [path.parent.parent / name, path.parent / base, path.parent.parent.parent / name]
    else:
        places = [folder / name, folder / base]
    yield from (place for place in places if place.is_file())
    if folder is not None:
        yield from (place for place in iter_audio(folder) if place.name == base and place not in places)


def _is_same(log_mel: NDArray[np.float32], level: NDArray[np.floating]) -> bool:
    return float(np.abs(log_mel.mean(axis=1) - level).mean()) < _SAME_DB


def _p_value_words(calibration: Calibration, score: float) -> str:
    p_value = calibration.p_value(score)
    found = {domain: (int((values >= score).sum()), len(values)) for domain, values in calibration.used.items()}
    domain, (n_above, n_clips) = max(found.items(), key=lambda item: (1 + item[1][0]) / (1 + item[1][1]))
    n_words = "none" if n_above == 0 else str(n_above)
    words = (
        f"The p-value is {p_value:.2g}: of {n_clips} normal {domain + ' ' if domain else ''}clips {n_words} scored "
        f"as high"
    )
    if not calibration.is_valid:
        words += "; the network was trained on these clips, so it is too small"
    return words + "."


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"
