"""Pages of alarms: the list of them, and one with its explanation, its sounds and the answers."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from soundness.detectors.detector import Detector
from soundness.errors import SoundnessError
from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.monitoring.store.listing import find_clip, find_last_normal, list_alarms, list_clips
from soundness.monitoring.store.records import Alarm, ClipRow, Sensor
from soundness.plain_text import printable
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_page import explanation_context
from soundness.service.api.alarms import AlarmKey, can_undo, required_alarm
from soundness.service.api.answers import Before
from soundness.service.api.sensors import required_sensor
from soundness.service.audio_files import clip_audio
from soundness.service.pages.rendering import Pages
from soundness.service.pages.words import FAULT_LABELS, KINDS, VERDICTS
from soundness.service.parts import ServiceParts

__all__ = ["alarm_pages"]

_MOST_CLIPS = 24
_MOST_ALARMS = 50
_MOST_REMEMBERED = 8


@dataclass
class _Explanations:
    """Explanations that were computed last, and one at a time: each takes the memory of a clip's spectra."""

    parts: ServiceParts
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _found: OrderedDict[tuple[int, str], dict[str, Any]] = field(default_factory=OrderedDict)

    def of(self, clip: ClipRow, path: Path, detector: DetectorInUse, trained: Detector) -> dict[str, Any]:
        """Values of the explanation of a clip, as the page of ``explain`` has them."""
        key = clip.id, detector.fingerprint
        with self._lock:
            if key not in self._found:
                learned = self.parts.store.folder / "learning" / str(clip.sensor_id)
                explained = explain_recording(trained, path, normal=learned if learned.is_dir() else None)
                self._found[key] = explanation_context(explained)
                while len(self._found) > _MOST_REMEMBERED:
                    self._found.popitem(last=False)
            return self._found[key]


def alarm_pages(parts: ServiceParts, pages: Pages) -> APIRouter:
    """Pages of alarms."""
    router = APIRouter(include_in_schema=False)
    explanations = _Explanations(parts)

    @router.get("/alarms")
    def alarms(request: Request, before: Before = None) -> HTMLResponse:
        found = list_alarms(parts.store, before=before, limit=_MOST_ALARMS + 1)
        return pages.page(
            request,
            "alarms.html",
            alarms=found[:_MOST_ALARMS],
            names={one.id: one.name for one in parts.store.sensors()},
            kinds=KINDS,
            verdicts=VERDICTS,
            following=found[_MOST_ALARMS - 1].id if len(found) > _MOST_ALARMS else None,
        )

    @router.get("/alarms/{key}")
    def alarm(request: Request, key: AlarmKey) -> HTMLResponse:
        return pages.page(request, "alarm.html", **_shown(parts, required_alarm(parts, key)))

    @router.get("/alarms/{key}/explanation")
    def explanation(key: AlarmKey) -> HTMLResponse:
        found = required_alarm(parts, key)
        return pages.fragment("explanation.html", **_explained(parts, explanations, found))

    return router


def _shown(parts: ServiceParts, alarm: Alarm) -> dict[str, Any]:
    """Values of the page of an alarm."""
    last = list_clips(parts.store, alarm=alarm, limit=_MOST_CLIPS + 1)
    clips = last[:_MOST_CLIPS][::-1]
    return {
        "alarm": alarm,
        "reason": printable(alarm.reason),
        "sensor": required_sensor(parts, alarm.sensor_id),
        "clips": clips,
        "is_cut": len(last) > len(clips),
        "labels": FAULT_LABELS[alarm.kind],
        "has_audio": {one.id: clip_audio(parts.store, one) is not None for one in clips},
        "kind": KINDS[alarm.kind],
        "verdict": VERDICTS[alarm.verdict],
        "can_undo": can_undo(parts, alarm),
    }


def _explained(parts: ServiceParts, explanations: _Explanations, alarm: Alarm) -> dict[str, Any]:
    """Values of the fragment: the explanation, or the reason why there is none, and the normal clip before it."""
    sensor = required_sensor(parts, alarm.sensor_id)
    clip = None if alarm.clip_id is None else find_clip(parts.store, alarm.clip_id)
    normal = find_last_normal(parts.store, alarm.sensor_id, before_us=alarm.raised_us)
    values: dict[str, Any] = {
        "found": None,
        "clip": clip,
        "normal": normal,
        "notes": [],
        "is_anomaly": alarm.kind == "anomaly",
    }
    path = None if clip is None else clip_audio(parts.store, clip)
    if clip is None or path is None:
        return {**values, "clip": None, "why_not": "The audio of this alarm is not kept, so there is no picture of it."}
    detector = parts.detector_of(sensor.name)
    if alarm.kind != "anomaly" or detector is None:
        return {**values, "why_not": ""}
    if not isinstance(detector.detector, Detector):
        return {**values, "why_not": "An exported detector gives the reason above, and no picture."}
    try:
        values["found"] = explanations.of(clip, path, detector, detector.detector)
    except SoundnessError as error:
        return {**values, "why_not": printable(f"It cannot be explained: {error}")}
    values["notes"] = _notes(sensor, clip, detector, values["found"])
    if values["found"]["nearest"] is None:  # its note is advice for the command line
        values["found"] = {**values["found"], "notes": values["found"]["notes"][:-1]}
    return {**values, "why_not": ""}


def _notes(sensor: Sensor, clip: ClipRow, detector: DetectorInUse, found: dict[str, Any]) -> list[str]:
    notes = []
    if clip.score is not None and found["verdict"] != "anomalous":
        notes.append(
            "This clip alone does not lie above the threshold of a single recording; the alarm is by the rule of "
            f"{sensor.name}: {detector.rule}."
        )
    return notes
