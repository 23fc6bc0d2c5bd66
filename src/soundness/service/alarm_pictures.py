"""Picture of an alarm for a notification: the explanation of one of its clips."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from soundness.detectors.detector import Detector
from soundness.errors import OutputError
from soundness.monitoring.live.recorder import Recorder
from soundness.monitoring.store.listing import find_alarm, find_clip, find_clips
from soundness.monitoring.store.records import ClipRow, Delivery
from soundness.monitoring.store.store import Store
from soundness.service.audio_files import clip_audio

__all__ = ["AlarmPictures"]

_MOST_TRIED = 2  # clips, for each takes about a second


class AlarmPictures:
    """Draws the pictures of alarms.

    Parameters
    ----------
    store
        Store of the monitor.
    recorders
        Recorders with their detectors, by name of the sensor.
    """

    def __init__(self, store: Store, recorders: Mapping[str, Recorder]) -> None:
        self.store, self.recorders = store, recorders

    def draw(self, delivery: Delivery) -> bytes | None:
        """Picture of an alarm that is raised, as a PNG.

        ``None`` for other events, for exported detectors, and where no clip is anomalous by itself.

        Raises
        ------
        SoundnessError
            If there is no clip to show, or it cannot be read.
        """
        content = delivery.content
        sensor, key = str(content.get("sensor")), str(content.get("id"))
        recorder = self.recorders.get(sensor)
        if content.get("event") == "ended" or content.get("kind") != "anomaly" or recorder is None:
            return None
        using = recorder.detector
        if using is None or not isinstance(using.detector, Detector):
            return None
        from soundness.reports.explained_clip import explain_recording  # few monitors need them
        from soundness.reports.explanation_picture import draw_explanation

        paths = [
            (clip, path) for clip in self._clips(key, using.rule.n_clips) if (path := clip_audio(self.store, clip))
        ]
        if not paths:
            raise OutputError("the audio of its clips is not kept")
        for clip, path in paths[:_MOST_TRIED]:
            explained = explain_recording(using.detector, path, normal=None)
            if explained.score.verdict == "anomalous":
                time = datetime.fromtimestamp(clip.start_us // 1_000_000, UTC).isoformat()
                return draw_explanation(replace(explained, name=sensor, time=time))
        return None

    def _clips(self, key: str, n_clips: int) -> list[ClipRow]:
        """Clips with which an alarm was raised: the last one, whose reason is told, then those least like normal."""
        alarm = find_alarm(self.store, key)
        last = None if alarm is None or alarm.clip_id is None else find_clip(self.store, alarm.clip_id)
        if last is None:
            raise OutputError("it is not in the store any more")
        numbers = range(last.number - n_clips + 1, last.number)
        found = [clip for clip in find_clips(self.store, last.sensor_id, numbers) if clip.p_value is not None]
        return [last, *sorted(found, key=lambda clip: (clip.p_value, -(clip.score or 0.0)))]
