"""Enrolment of recordings that people call normal: a new version of a detector, made in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from soundness.detectors.detector import Detector
from soundness.detectors.saving import one_detector, save_detector
from soundness.errors import SettingsError
from soundness.monitoring.alarm_rules import AlarmRequest, candidate_rules, nearest_rule
from soundness.monitoring.enrolment import enroll
from soundness.plain_text import counted
from soundness.scoring.decisions.alarms import AlarmRule, rate_per_day

__all__ = ["EnrolJob", "enrolled", "promise_change"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolJob:
    """An enrolment.

    Parameters
    ----------
    detector
        File of the detector.
    clips
        Recordings that are normal.
    condition
        Name of what they are.
    request
        Rate of false alarms that is asked for.
    rule
        Rule that is in use.
    out
        File of the new detector.
    is_sure
        True if a person says that they are normal, whatever is found; else those that are dangerous are left out.
    """

    detector: Path
    clips: tuple[Path, ...]
    condition: str
    request: AlarmRequest
    rule: AlarmRule
    out: Path
    is_sure: bool = True


def enrolled(job: EnrolJob) -> dict[str, Any]:
    """Enroll the recordings and find a rule; plain values about what has changed.

    Raises
    ------
    SoundnessError
        If the recordings cannot be enrolled.
    """
    before = one_detector(job.detector)
    if before.calibration is None:
        raise SettingsError(f"the detector of {before.machine_type} is not calibrated")
    domain = next(iter(before.calibration.used))  # one of their own would be too small to promise anything
    known = set() if before.normal_clips is None else {name.rpartition("/")[2] for name in before.normal_clips.names}
    clips = [path for path in job.clips if path.name not in known]
    found = enroll(before, clips, condition=job.condition, domain=domain, force=True)
    if not job.is_sure and (dangerous := {clip.path for clip in found.clips if clip.danger}):
        clips = [path for path in clips if path not in dangerous]
        found = enroll(before, clips, condition=job.condition, domain=domain, force=True)
    request = replace(job.request, correlations=job.rule.correlations)  # as the learning period has shown them
    rule, problem = _rule(found.detector, request, before=job.rule)
    after = replace(found.detector, alarm_rule=rule)
    save_detector(after, job.out)
    dangers = [f"{clip.path.name}: {clip.danger}" for clip in found.clips if clip.danger]
    return {
        "promise": promise_change(job.rule, rule),
        "of_clips": _of_clips(before, after, job.rule, [clip.score for clip in found.clips], clips),
        "bound_per_day": {"before": job.rule.bound_per_day, "after": rule.bound_per_day},
        "note": problem,
        "dangers": dangers,
        "rule": str(rule),
        "n_clips": len(found.clips),
    }


def _rule(detector: Detector, request: AlarmRequest, *, before: AlarmRule) -> tuple[AlarmRule, str]:
    """Rule with the window of the one before, which the learning period has borne out, if that keeps to the rate."""
    assert detector.calibration is not None
    try:
        rules = candidate_rules(detector.calibration, request)
    except SettingsError as error:
        return nearest_rule(detector.calibration, request), str(error)
    window = before.n_anomalous, before.n_clips
    return next((rule for rule in rules if (rule.n_anomalous, rule.n_clips) == window), rules[0]), ""


def _of_clips(
    before: Detector, after: Detector, rule: AlarmRule, scores: Sequence[float], clips: Sequence[Path]
) -> str:
    """Number of the clips that were anomalous, and that would be if they came again."""
    assert before.calibration is not None
    assert after.calibration is not None
    assert after.alarm_rule is not None
    n_before = sum(rule.is_anomalous(before.calibration.p_value(score)) for score in scores)
    own = [after.score_recording(path).anomaly_score for path in clips]
    n_after = sum(after.alarm_rule.is_anomalous(after.calibration.p_value(score)) for score in own)
    return f"{n_before} of its {counted(len(clips), 'clip')} were anomalous before; {n_after} would be now"


def promise_change(before: AlarmRule, after: AlarmRule) -> str:
    """Change of what is promised about false alarms, in words."""
    old, new = rate_per_day(before.bound_per_day), rate_per_day(after.bound_per_day)
    asked = rate_per_day(after.asked_per_day)
    kept = "kept" if after.bound_per_day <= after.asked_per_day * (1.0 + 1e-9) else "cannot be promised"
    changed = f"at most {new}, as before" if old == new else f"at most {new}, {old} before"
    rules = f"an alarm at {after}" + ("" if str(before) == str(after) else f", before at {before}")
    return f"False alarms: {changed} ({asked} asked for: {kept}); {rules}"
