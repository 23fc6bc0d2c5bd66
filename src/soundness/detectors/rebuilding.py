"""A detector from the export of one without a network, and checks of the parts of any."""

from typing import TYPE_CHECKING

import numpy as np

from soundness.audio.log_mel import Spectrograms
from soundness.detectors.detector import Detector
from soundness.detectors.training_summary import TrainingSummary
from soundness.errors import BundleError, SettingsError
from soundness.files.stored_values import arrays_below, stored_value
from soundness.plugins import check_allowed
from soundness.representations.protocol import find_representation
from soundness.scoring.decisions.calibration import Threshold
from soundness.scoring.scorers import find_scorer
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # it uses this module
    from soundness.detectors.exported import ExportedDetector

__all__ = ["check_parts_allowed", "check_parts_fit", "rebuilt"]


def check_parts_allowed(settings: SystemSettings) -> None:
    """Refuse parts of a user's own that may not be imported."""
    network = [] if settings.autoencoder is None else [settings.autoencoder.name]
    try:
        check_allowed([settings.representation, settings.scorer.name, *network])
    except SettingsError as error:
        raise BundleError(str(error)) from None


def rebuilt(exported: "ExportedDetector") -> Detector | None:
    """Detector without a network, as it was before it was exported; ``None`` where the graph does not carry its parts.

    Raises
    ------
    BundleError
        If the parts cannot be used.
    """
    carried, settings = exported.carried("parts"), exported.settings
    if carried is None:
        return None
    check_parts_allowed(settings)
    arrays, _ = carried
    detector = Detector(
        machine_type=exported.machine_type,
        settings=settings,
        representation=find_representation(settings.representation).from_arrays(
            arrays_below("representation", arrays), settings
        ),
        scorer=find_scorer(settings.scorer.name).from_arrays(arrays_below("scorer", arrays), settings.scorer),
        threshold=stored_value(Threshold, exported.about["threshold"], name="threshold"),
        summary=stored_value(TrainingSummary, exported.about["summary"], name="summary"),
        calibration=exported.calibration,
        alarm_rule=exported.alarm_rule,
        normal_clips=exported.normal_clips,
        lengths=exported.lengths,
        form=exported.form,
    )
    check_parts_fit(detector)
    return detector


def check_parts_fit(detector: Detector) -> None:
    """Refuse a detector whose parts cannot score a clip together, each of which may be as its own settings want it."""
    n_mels = detector.settings.log_mel.n_mels
    plan = detector.representation.network_plan(detector.settings)
    log_mel = np.full((n_mels, 2 if plan is None else max(2, plan.segment_frames)), -50.0, np.float32)
    details = detector.front_end.details(np.zeros((1, 1), np.float32))
    clip = Spectrograms(input=log_mel, reference=log_mel, details=details)
    with np.errstate(all="ignore"):
        score, error_map = detector.score_spectrograms(clip), detector.representation.error_map(clip)
    if error_map.shape != log_mel.shape or not (np.isfinite(score) and np.isfinite(error_map).all()):
        raise BundleError("its parts do not fit each other: no score of a clip comes out")
    normal = detector.normal_clips
    if normal is None:
        return
    n_clips = len(detector.scorer.left_out_scores())
    if (len(normal), normal.means.shape[1]) != (n_clips, n_mels):
        found = f"{len(normal)} normal clips of {normal.means.shape[1]} bands"
        raise BundleError(f"its parts do not fit each other: {found}; {n_clips} of {n_mels} are expected")
