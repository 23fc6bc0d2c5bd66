"""Answers that teach: the sound of an alarm is normal, which makes a new version of the detector, and can be undone."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from soundness.errors import DataError, SettingsError
from soundness.monitoring.detector_in_use import load_detector_in_use
from soundness.monitoring.learning.enrolling import EnrolJob, enrolled
from soundness.monitoring.learning.learners import run_beside
from soundness.monitoring.store.listing import find_alarm
from soundness.monitoring.store.records import Alarm
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.times import shown_minute, shown_time, utc_us
from soundness.monitoring.upkeep.detector_versions import KEPT_BEFORE, file_of, inherited, next_file
from soundness.plain_text import counted

if TYPE_CHECKING:  # which imports this module's neighbours
    from soundness.monitoring.live.recorder import Recorder

__all__ = ["NormalSounds"]

_LOG = logging.getLogger(__name__)

_MOST_CLIPS = 20  # of an alarm: more of the same teach nothing, and the detector grows with them


class NormalSounds:
    """Learning from the answer that the sound of an alarm is normal.

    Parameters
    ----------
    recorders
        Recorders of the monitor, by name of the sensor.
    """

    def __init__(self, recorders: Mapping[str, "Recorder"]) -> None:
        self._recorders = recorders

    def __call__(self, alarm: Alarm, *, person: str) -> str:
        """Learn the clips of an alarm as normal; the change in words. It takes seconds to a minute.

        Raises
        ------
        SoundnessError
            If they cannot be learned: the alarm is of another kind, or no audio of it is kept.
        """
        recorder = self._recorder(alarm.sensor_id)
        if alarm.kind == "fault":
            raise SettingsError("a sensor without usable sound is no sound to learn")
        if alarm.kind == "drift":
            return self._accepted(recorder, alarm, person=person)
        clips = _clips_of(recorder, alarm)
        if not clips:
            raise DataError("no audio of the alarm's clips is kept, so that they cannot be learned")
        return self._enrolled(recorder, alarm, clips, person=person)

    def _recorder(self, sensor_id: int) -> "Recorder":
        for recorder in self._recorders.values():
            if recorder.sensor.sensor_id == sensor_id:
                return recorder
        raise SettingsError("the sensor is not in the configuration any more")

    def _enrolled(self, recorder: "Recorder", alarm: Alarm, clips: list[Path], *, person: str) -> str:
        with recorder.turn:
            before, before_id = recorder.detector, recorder.detector_id
        if before is None or before_id is None:
            raise SettingsError("the sensor has no detector yet")
        settings, store = recorder.sensor.settings, recorder.store
        out = next_file(store, recorder.sensor.sensor_id)
        raised = shown_minute(alarm.raised_us)
        job = EnrolJob(
            detector=before.file,
            clips=tuple(clips),
            condition=f"alarm of {raised}",
            request=settings.alarm_request,
            rule=before.rule,
            out=out,
        )
        found = run_beside(enrolled, job)
        detector = load_detector_in_use(out, settings)
        last = store.last_detector(recorder.sensor.sensor_id)
        base = before.fingerprint if last is None else last.details.get("base", last.fingerprint)
        reason = f"{counted(len(clips), 'clip')} of the alarm of {raised} are normal"
        with recorder.turn:
            if recorder.detector_id != before_id:
                raise SettingsError("the sensor has got another detector meanwhile; answer again")
            details = {
                **inherited(last),
                **found,
                "parent": before_id,
                "base": base,
                "alarm": alarm.key,
                "person": person,
            }
            recorder.end_alarm(alarm)
            recorder.install(detector, reason=reason, details=details)
        self._note(recorder, f"detector: {reason}", person)
        dangers = f"; note: {'; '.join(found['dangers'])}" if found["dangers"] else ""
        what = f"{counted(len(clips), 'clip')} of it: normal from now on"
        return f"{what}. {found['of_clips']}. {found['promise']}{dangers}"

    def undo(self, sensor: str, *, person: str) -> str:
        """Go back to the detector before the latest answer that was learned, which is taken back; that in words.

        Raises
        ------
        SettingsError
            If there is nothing to undo.
        """
        recorder = self._recorders.get(sensor)
        if recorder is None:
            raise SettingsError(f"{sensor}: no such sensor")
        settings, store = recorder.sensor.settings, recorder.store
        rows = {row.id: row for row in store.detectors(recorder.sensor.sensor_id)}
        last = rows.get(recorder.detector_id or 0)
        parent = None if last is None else rows.get(int(last.details.get("parent", 0)))
        if last is None or parent is None:
            raise SettingsError(f"{sensor}: its detector has learned from no answer")
        file = file_of(store, parent)
        if not file.exists():
            raise SettingsError(f"{sensor}: no more than {KEPT_BEFORE} versions before the one in use are kept")
        detector = load_detector_in_use(file, settings)
        details = {**parent.details, "base": last.details["base"], "undone": last.id}
        reason = f"undone: {last.reason}"
        with recorder.turn:
            if recorder.detector_id != last.id:
                raise SettingsError("the sensor has got another detector meanwhile; undo again")
            recorder.install(detector, reason=reason, details=details)
        self._note(recorder, f"detector: {reason}", person)
        return _taken_back(store, find_alarm(store, str(last.details.get("alarm"))))

    def _accepted(self, recorder: "Recorder", alarm: Alarm, *, person: str) -> str:
        """Take the level of today as the normal one."""
        with recorder.turn:
            following, now = recorder.following, recorder.book.open.get("drift")
            if following is None or now is None or now.id != alarm.id:
                raise SettingsError("the drift is over: the level of today is not that of the alarm")
            words = following.accept()
            recorder.set_details(following=following.as_details())
            recorder.end_alarm(alarm)
        self._note(recorder, f"trend: {words}", person)
        return words

    @staticmethod
    def _note(recorder: "Recorder", what: str, person: str) -> None:
        now_us = utc_us()
        with recorder.store.transaction() as transaction:
            transaction.note_change(what, now_us=now_us, sensor_id=recorder.sensor.sensor_id, person=person)


def _taken_back(store: Store, alarm: Alarm | None) -> str:
    """Take the answer to an alarm back, whose sound is not normal any more; that in words."""
    if alarm is None:
        return "The detector of before is in use again."
    with store.transaction() as transaction:
        transaction.update_alarm(alarm.id, verdict="", label="", note="", closed_us=None, closed_by="")
    return (
        f"The detector of before the answer to the alarm of {shown_time(alarm.raised_us)} is in use again: that sound "
        "raises alarms as it did. The alarm has no answer now."
    )


def _clips_of(recorder: "Recorder", alarm: Alarm) -> list[Path]:
    """Audio of the anomalous clips of an alarm and those that led to it, as many as there is a use for."""
    hops = 0 if recorder.detector is None else recorder.detector.rule.n_clips - 1
    start_us = alarm.raised_us - round(1e6 * hops * recorder.sensor.settings.hop)
    found = recorder.store.anomalous_clips(alarm.sensor_id, start_us=start_us, end_us=alarm.last_us)
    rows = [row for row in found if row.audio]
    picked = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_CLIPS)).round().astype(int))
    paths = [recorder.store.folder / rows[index].audio for index in picked]
    return [path for path in paths if path.is_file()]
