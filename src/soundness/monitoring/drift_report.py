"""Report on the drift of normal clips, in words and as JSON: what has moved, and what to do."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from soundness.aliases import CountProgress, PathLike
from soundness.audio.log_mel import band_centres
from soundness.data.datasets import Paths, list_clips
from soundness.detectors.detector import Detector
from soundness.detectors.saving import one_detector
from soundness.errors import DataError, SettingsError
from soundness.monitoring.drift_statistics import ALPHA, Drift, compute_drift
from soundness.monitoring.new_clips import concatenate_clips, read_new_clips, without_copies

__all__ = ["DriftReport", "drift"]

_N_BANDS_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DriftReport:
    """An answer, and its evidence.

    Parameters
    ----------
    drift
        Figures of the drift.
    n_clips
        Number of new clips.
    finding
        Sentence on what has changed.
    recommendation
        Sentence on what to do.
    hz
        Centres of the bands in Hz, shape ``(mel,)``.
    notes
        Notes for the user on what was not tested.
    """

    drift: Drift
    n_clips: int
    finding: str
    recommendation: str
    hz: tuple[float, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The report in plain types."""
        shift = self.drift.shift
        return {
            "answer": self.drift.answer,
            "advice": self.drift.advice,
            "finding": self.finding,
            "recommendation": self.recommendation,
            "p_value": self.drift.p_value,
            "alpha": ALPHA,
            "tests": self.drift.tests,
            "domain": self.drift.domain,
            "n_clips": self.n_clips,
            "level_db": shift.level,
            "bands": [
                {"hz": hz, "mean_db": float(mean), "floor_db": float(floor)}
                for hz, mean, floor in zip(self.hz, shift.means, shift.floors, strict=True)
            ],
            "notes": list(self.notes),
        }


def drift(
    detector: PathLike | Detector,
    clips: Paths,
    *,
    seed: int = 0,
    progress: CountProgress | None = None,
) -> DriftReport:
    """Compare new normal clips with those of the training.

    Parameters
    ----------
    detector
        A detector of any system, its file, or the folder of a run with one machine.
    clips
        Normal recordings, or folders of them.
    seed
        Seed of the draws of normal clips.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SettingsError
        If the detector holds no band statistics of its clips.
    DataError
        If a clip is labelled anomalous.
    AudioError
        If a clip cannot be used.
    """
    detector = one_detector(detector)
    before, calibration = detector.normal_clips, detector.calibration
    if before is None:
        raise SettingsError(
            f"the detector of {detector.machine_type} holds no band statistics of its training clips, since an earlier "
            f"version made it; train it anew"
        )
    fresh = read_new_clips(detector, list_clips(clips), progress=progress)
    for each in fresh:
        if each.clip.label == "anomaly":
            raise DataError("labelled anomalous; drift is measured on normal clips", path=each.clip.path)
    fresh, copy_notes = without_copies(detector, fresh)
    notes = [] if len(fresh) > 2 else [f"{len(fresh)} clip(s): only large changes are noticed"]
    notes += copy_notes
    scores = {}
    if calibration is None or not calibration.is_valid:
        notes.append("scores are not tested: only clips that the network was trained on calibrate the detector")
    else:
        scores = calibration.scores
    found = compute_drift(
        before,
        concatenate_clips(fresh, domain=""),
        scores=scores,
        new_scores=np.array([each.score for each in fresh]),
        rng=np.random.default_rng(seed),
    )
    hz = band_centres(detector.settings.log_mel)
    return DriftReport(
        drift=found,
        n_clips=len(fresh),
        finding=_finding(found, hz),
        recommendation=_recommendation(found, hz),
        hz=tuple(float(centre) for centre in hz),
        notes=tuple(notes),
    )


def _finding(drift: Drift, hz: np.ndarray[Any, Any]) -> str:
    shift = drift.shift
    if drift.answer == "nothing":
        return "no band, level, noise floor or score differs by more than chance"
    if drift.advice == "recalibrate" and drift.answer == "new condition":
        return "scores are higher than those of the calibration, while bands are as they were"
    if drift.answer == "microphone gain changed":
        way = "louder" if shift.gain > 0 else "quieter"
        return f"all bands are {abs(shift.gain):.1f} dB {way}, and their quiet moments, too"
    order = np.argsort(-np.abs(shift.means), kind="stable")[:_N_BANDS_NAMED]
    bands = ", ".join(f"{shift.means[band]:+.1f} dB near {hz[band]:.0f} Hz" for band in sorted(order))
    if drift.answer == "noise floor rose":
        return f"bands rose, in quiet moments too, and none fell: {bands}"
    return f"bands moved apart from each other: {bands}"


def _recommendation(drift: Drift, hz: np.ndarray[Any, Any]) -> str:
    if drift.answer == "nothing":
        return "go on"
    if drift.answer == "microphone gain changed":
        return (
            f"fix the microphone: set its gain back by {-drift.shift.gain:+.1f} dB; if it is to stay, retrain with new "
            f"clips"
        )
    if drift.answer == "noise floor rose":
        return "recalibrate with new clips, after a search for the source of the noise; if it is to stay, retrain"
    if drift.advice == "fix the microphone":
        start = hz[min(drift.shift.first_cut_band, len(hz) - 1)]
        return f"fix the microphone: only bands above {start:.0f} Hz fell, as behind a cover"
    if drift.advice == "recalibrate":
        return "recalibrate with new clips"
    return "enroll these clips if the machine is in order; retrain if there are many"
