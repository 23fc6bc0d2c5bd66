"""Picture of an alarm for a notification: the explanation of the clip that is least like normal."""

from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sql

from soundness.detectors.detector import Detector
from soundness.errors import OutputError
from soundness.monitoring.capture.clip_files import ClipFolder
from soundness.monitoring.live.recorder import Recorder
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import Alarm, ClipRow, Delivery
from soundness.monitoring.store.store import Store, row_values

__all__ = ["AlarmPictures"]


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
        """Picture of an alarm that is raised, as a PNG; ``None`` for other events, and for exported detectors.

        Raises
        ------
        SoundnessError
            If there is no clip to show, or it cannot be read.
        """
        content = delivery.content
        recorder = self.recorders.get(str(content.get("sensor")))
        if content.get("event") == "ended" or content.get("kind") != "anomaly" or recorder is None:
            return None
        using = recorder.detector
        if using is None or not isinstance(using.detector, Detector):
            return None
        from soundness.reports.explained_clip import explain_recording  # few monitors need them
        from soundness.reports.explanation_picture import draw_explanation

        alarm = self._alarm(str(content.get("id")))
        for clip in self._clips(alarm, using.rule.n_clips):
            path = self._audio(clip)
            if path is not None:
                explained = explain_recording(using.detector, path, normal=None)
                return draw_explanation(explained) if explained.score.verdict == "anomalous" else None
        raise OutputError("the audio of its clips is not kept")

    def _alarm(self, key: str) -> Alarm:
        with self.store.reading() as connection:
            found = connection.execute(sql.select(tables.alarms).where(tables.alarms.c.key == key)).mappings().first()
        if found is None:
            raise OutputError("it is not in the store any more")
        return row_values(Alarm, found)

    def _clips(self, alarm: Alarm, n_clips: int) -> list[ClipRow]:
        """Clips with which an alarm was raised, the one that is least like normal first."""
        table = tables.clips
        last = sql.select(table.c.number).where(table.c.id == alarm.clip_id).scalar_subquery()
        query = sql.select(table).where(
            table.c.sensor_id == alarm.sensor_id,
            table.c.number <= last,
            table.c.number > last - n_clips,
            table.c.p_value.is_not(None),
        )
        with self.store.reading() as connection:
            found = connection.execute(query.order_by(table.c.p_value, table.c.score.desc())).mappings()
            return [row_values(ClipRow, row) for row in found]

    def _audio(self, clip: ClipRow) -> Path | None:
        kept = self.store.folder / clip.audio
        if clip.audio and kept.is_file():
            return kept
        ring = ClipFolder(self.store.folder, f"{clip.sensor_id}").left_quietly()
        return next((one.path for one in ring if one.number == clip.number), None)
