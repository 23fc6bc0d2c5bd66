"""Detector of a sensor: its file, its rule, and the replacement of the file while it is in use."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from soundness.detectors.bulk_scoring import load_any
from soundness.detectors.protocol import AnyDetector
from soundness.errors import OutputError, SettingsError
from soundness.monitoring.alarm_rules import AlarmRequest, candidate_rules, nearest_rule
from soundness.monitoring.recording_files import Stamp, stamp_of
from soundness.scoring.decisions.alarms import AlarmRule

__all__ = ["DetectorInUse", "load_detector_in_use"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectorInUse:
    """A detector that scores a sensor's clips.

    Parameters
    ----------
    detector
        The detector.
    file, stamp, fingerprint
        Its file, size and time of change of it, and the SHA-256 of its content.
    rule
        Rule of the alarms.
    note
        Reason why the rate of false alarms cannot be promised; empty if it can.
    """

    detector: AnyDetector
    file: Path
    stamp: Stamp | None
    fingerprint: str
    rule: AlarmRule
    note: str = ""


def load_detector_in_use(file: Path, *, false_alarms: str, hop_seconds: float, longest_window: int) -> DetectorInUse:
    """Read a detector, and find its rule: its own if it is for clips as often, else one for the rate.

    Raises
    ------
    SoundnessError
        If there is no such detector, more than one, or it is not calibrated.
    """
    stamp = stamp_of(file)
    detectors = load_any(file)
    if len(detectors) != 1:
        raise SettingsError(f"{file}: {len(detectors)} detectors ({', '.join(detectors)}); expected the file of one")
    (detector,) = detectors.values()
    try:
        content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror or error}") from None
    rule, note = _rule(detector, false_alarms=false_alarms, hop_seconds=hop_seconds, longest_window=longest_window)
    return DetectorInUse(detector=detector, file=file, stamp=stamp, fingerprint=content, rule=rule, note=note)


def _rule(
    detector: AnyDetector, *, false_alarms: str, hop_seconds: float, longest_window: int
) -> tuple[AlarmRule, str]:
    own = detector.alarm_rule
    if own is not None and abs(own.clip_every_seconds - hop_seconds) < 0.01 * hop_seconds:
        return own, ""
    calibration = detector.calibration
    if calibration is None or not calibration.is_valid:
        reason = detector.calibration_note or "not calibrated"
        raise SettingsError(f"the detector of {detector.machine_type} cannot raise alarms: {reason}")
    request = AlarmRequest(false_alarms=false_alarms, clip_every=f"{hop_seconds:g}s", longest=longest_window)
    try:
        return candidate_rules(calibration, request)[0], ""
    except SettingsError as error:
        return nearest_rule(calibration, request), str(error)
