"""Detector of a sensor: its file, its rule, and the replacement of the file while it is in use."""

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

from soundness.detectors.bulk_scoring import load_any
from soundness.detectors.protocol import AnyDetector
from soundness.errors import SettingsError
from soundness.monitoring.alarm_rules import candidate_rules, nearest_rule
from soundness.monitoring.capture.sensor import LiveSensor
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.recording_files import Stamp, stamp_of
from soundness.monitoring.store.store import Store
from soundness.monitoring.upkeep.detector_versions import file_of, is_learned
from soundness.scoring.decisions.alarms import AlarmRule, rate_per_day

__all__ = ["DetectorInUse", "file_in_use", "fingerprint_of", "load_detector_in_use"]


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
    has_promise
        False where the rule is applied as it stands, and nothing is promised of it.
    """

    detector: AnyDetector
    file: Path
    stamp: Stamp | None
    fingerprint: str
    rule: AlarmRule
    note: str = ""
    has_promise: bool = True

    @property
    def promise(self) -> str:
        """Rule of the alarms and the rate of false ones, in words; empty where nothing is promised."""
        if not self.has_promise:
            return ""
        kept = self.note or f"false alarms: at most {rate_per_day(self.rule.bound_per_day)}"
        return f"an alarm at {self.rule}; {kept}"


def file_in_use(store: Store, sensor: LiveSensor, *, folder: Path) -> Path | None:
    """File of a sensor's detector: the one of the configuration, or the version that was learned from it.

    Parameters
    ----------
    store
        Store of the monitor.
    sensor
        The sensor.
    folder
        Folder that relative paths of the configuration are below.

    Returns
    -------
    Path or None
        ``None`` if the sensor is to learn one.
    """
    last, configured = store.last_detector(sensor.sensor_id), sensor.settings.detector
    learned = file_of(store, last) if last is not None and is_learned(last) else None
    if configured is None:
        return learned
    file = folder / configured
    is_of_it = last is not None and last.details.get("base") == fingerprint_of(file)
    return learned if learned is not None and is_of_it else file


def fingerprint_of(file: Path) -> str:
    """SHA-256 of a file's content; empty for a folder or a file that cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    except OSError:
        return ""


def load_detector_in_use(file: Path, settings: SensorSettings) -> DetectorInUse:
    """Read a detector, and find its rule for a sensor.

    It is its own if that is for clips as often, and for the rate of false alarms that the configuration names, if it
    names one; else one for that rate.

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
    content = fingerprint_of(file)
    rule, note = _rule(detector, settings)
    return DetectorInUse(detector=detector, file=file, stamp=stamp, fingerprint=content, rule=rule, note=note)


def _rule(detector: AnyDetector, settings: SensorSettings) -> tuple[AlarmRule, str]:
    own, request = detector.alarm_rule, settings.alarm_request
    if own is not None and math.isclose(own.clip_every_seconds, settings.hop, rel_tol=0.01):
        if not settings.has_rate or math.isclose(own.asked_per_day, request.per_day, rel_tol=1e-6):
            return own, _unkept(own)
        request = replace(request, correlations=own.correlations)
    calibration = detector.calibration
    if calibration is None or not calibration.is_valid:
        reason = detector.calibration_note or "not calibrated"
        raise SettingsError(f"the detector of {detector.machine_type} cannot raise alarms: {reason}")
    try:
        return candidate_rules(calibration, request)[0], ""
    except SettingsError as error:
        return nearest_rule(calibration, request), str(error)


def _unkept(rule: AlarmRule) -> str:
    """Note where a rule is the nearest to a rate that it cannot keep."""
    if rule.bound_per_day <= rule.asked_per_day * (1.0 + 1e-9):
        return ""
    return (
        f"{rate_per_day(rule.asked_per_day)} cannot be promised: the rule is bounded by "
        f"{rate_per_day(rule.bound_per_day)}; more normal clips support less"
    )
