"""Facts of a sensor in words: its detector, promises kept or not, drift, maintenance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.monitoring.store.history import level_at_share
from soundness.monitoring.store.listing import list_alarms, list_detectors, list_false_alarms
from soundness.monitoring.store.records import Sensor
from soundness.monitoring.store.times import utc_us
from soundness.plain_text import printable
from soundness.scoring.decisions.alarms import rate_per_day
from soundness.service.parts import ServiceParts

__all__ = ["FAULT_LABELS", "KINDS", "STATE_WORDS", "VERDICTS", "Fact", "detector_facts", "sensor_facts"]

STATE_WORDS = {
    "alarm": "Alarm",
    "fault": "No signal",
    "drifting": "Drifting",
    "learning": "Learning",
    "waiting": "Waiting",
    "normal": "Normal",
    "stopped": "Stopped",
}
"""States in words, in the order in which they need attention."""

KINDS = {"anomaly": "anomalous sound", "fault": "no usable signal", "drift": "normal sound has drifted"}
"""Kinds of alarms in words."""

_MACHINE_FAULTS = ("bearing", "leak", "imbalance", "loose part", "cavitation", "belt")
FAULT_LABELS = {
    "anomaly": _MACHINE_FAULTS,
    "drift": _MACHINE_FAULTS,
    "fault": ("cable", "microphone", "power supply", "network"),
}
"""Faults that are proposed for an answer, by the kind of the alarm."""

VERDICTS = {"fault": "fault", "normal": "normal sound", "ignored": "ignored", "": "not answered"}
"""Answers in words."""

_NOISE_FLOOR_SHARE = 0.1
_DAY_US = 86_400 * 1_000_000
_ACHIEVED_DAYS = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact, and what more there is to say about it."""

    name: str
    value: str
    more: str = ""


def sensor_facts(parts: ServiceParts, sensor: Sensor) -> list[Fact]:
    """Facts of a sensor: noise floor, drift, false alarms promised and achieved, maintenance."""
    now_us = utc_us()
    floor = level_at_share(parts.store, sensor.id, share=_NOISE_FLOOR_SHARE, start_us=now_us - _DAY_US)
    settings, detector = parts.sensor_settings(sensor.name), parts.detector_of(sensor.name)
    facts = [
        Fact(
            name="Noise floor",
            value="not known" if floor is None else f"{floor:.0f} dB".replace("-", "\N{MINUS SIGN}"),
            more="level that a tenth of the clips of the last day stay below",
        ),
        _drift(parts, sensor),
        _promised(detector, "" if settings is None else settings.false_alarms),
        _achieved(parts, sensor, now_us),
    ]
    if settings is not None:
        windows = "; ".join(settings.maintenance)
        facts.append(Fact(name="Maintenance", value=printable(windows) or "none", more="UTC; no alarms within it"))
    return facts


def _drift(parts: ServiceParts, sensor: Sensor) -> Fact:
    found = list_alarms(parts.store, sensor_id=sensor.id, kind="drift", state="open", limit=1)
    if found:
        since = datetime.fromtimestamp(found[0].raised_us / 1e6, UTC)
        return Fact(name="Drift", value=f"since {since:%d %b %Y}", more=printable(found[0].reason))
    if parts.detector_of(sensor.name) is None:
        return Fact(name="Drift", value="not known yet")
    followed = sensor.details.get("following")
    more = "" if not isinstance(followed, dict) else _followed_words(followed)
    return Fact(name="Drift", value="none found", more=more)


def _followed_words(followed: Mapping[str, Any]) -> str:
    """Level and threshold that follow the normal sound, in words."""
    level, shift = followed.get("level"), followed.get("shift")
    if not isinstance(level, float | int) or not isinstance(shift, float | int):
        return ""
    bound = "; it follows no further" if followed.get("is_at_bound") else ""
    return f"last day {level:+.1f} deviations from the learning period; threshold moved by {shift:+.1f}{bound}"


def _promised(detector: DetectorInUse | None, asked: str) -> Fact:
    if detector is None:
        return Fact(name="False alarms promised", value="none yet", more=f"{asked} asked for" if asked else "")
    rule = detector.rule
    more = f"{rate_per_day(rule.expected_per_day)} expected; alarm at {rule}"
    if detector.note:
        return Fact(name="False alarms promised", value="no promise", more=printable(f"{detector.note}; {more}"))
    return Fact(name="False alarms promised", value=f"at most {rate_per_day(rule.bound_per_day)}", more=more)


def _achieved(parts: ServiceParts, sensor: Sensor, now_us: int) -> Fact:
    first_us = sensor.first_us if sensor.first_us is not None else now_us
    since_us = max(first_us, now_us - _ACHIEVED_DAYS * _DAY_US)
    days = (now_us - since_us) / _DAY_US
    n_normal, n_unanswered = list_false_alarms(parts.store, sensor.id, since_us=since_us)
    more = f"in {_days(days)}: {n_normal} answered as normal, {n_unanswered} not answered"
    n_alarms = n_normal + n_unanswered
    if days < 7:
        return Fact(name="False alarms achieved", value=f"{n_alarms} so far", more=more)
    return Fact(name="False alarms achieved", value=f"{7 * n_alarms / days:.2g}/week", more=more)


def _days(days: float) -> str:
    if days < 1 / 24:
        return "less than an hour"
    return f"{24 * days:.0f} h" if days < 2 else f"{days:.0f} days"


def detector_facts(parts: ServiceParts, sensor: Sensor) -> list[Fact]:
    """Facts of the detector that is in use; empty without one."""
    rows, detector = list_detectors(parts.store, sensor.id, limit=1), parts.detector_of(sensor.name)
    if detector is None:
        return []
    facts = [Fact(name="File", value=printable(detector.file.name), more=f"SHA-256 {detector.fingerprint[:16]}…")]
    if rows:
        since = datetime.fromtimestamp(rows[0]["installed_us"] / 1e6, UTC)
        facts.append(Fact(name="In use since", value=f"{since:%d %b %Y, %H:%M} UTC", more=printable(rows[0]["reason"])))
    facts += _training_facts(detector.detector)
    calibration = detector.detector.calibration
    if calibration is not None:
        n_clips = sum(calibration.n_clips.values())
        facts.append(
            Fact(name="Calibrated by", value=f"{n_clips} normal clips", more=printable("; ".join(calibration.notes)))
        )
    return facts


def _training_facts(detector: Any) -> list[Fact]:
    """Facts of the training of a detector that remembers it; exported ones may not."""
    summary = getattr(detector, "summary", None)
    if summary is None:
        return [Fact(name="Kind", value="exported detector")]
    n_clips, made_by = sum(summary.n_clips.values()), summary.versions.get("soundness", "")
    return [
        Fact(name="Learned from", value=f"{n_clips} normal clips", more=f"system {summary.system}"),
        Fact(name="Made by", value=f"soundness {printable(made_by)}"),
    ]
