"""A folder that is watched: its recordings go to the sensors of their machines, and what becomes of them is told."""

import logging
import threading
from collections.abc import Callable

from soundness.data.finding import find_recordings
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.live.events import Event
from soundness.monitoring.recording_files import stamp_of
from soundness.monitoring.sinks.delivery import Deliveries
from soundness.monitoring.sources.folder import FolderSource
from soundness.monitoring.sources.protocol import Item, Lost, RecordingClip, SourceState
from soundness.monitoring.store.recordings import StoredRecordings
from soundness.monitoring.watching.alarm_posts import count_unsent_alarms
from soundness.monitoring.watching.counts import WatchCounts
from soundness.monitoring.watching.log import CsvLog, LogRow, last_id, rows_after
from soundness.monitoring.watching.machines import Machines
from soundness.plain_text import one_line

__all__ = ["FolderWatch"]

_LOGGER = logging.getLogger(__name__)

_PATIENCE_SECONDS = 3.0  # at the end, for alarms that cannot be sent, which the next watch sends


class FolderWatch:
    """A watch at work.

    Parameters
    ----------
    engine
        Engine of the watch, which has no sensors of its own.
    source
        Folder that is watched.
    machines
        Machines of the folder.
    csv_log
        Text of the log; ``None`` if it is the store alone.
    on_alarm
        Called with the row of a recording with which an alarm begins.
    """

    def __init__(
        self,
        engine: Engine,
        source: FolderSource,
        machines: Machines,
        *,
        csv_log: CsvLog | None,
        on_alarm: Callable[[LogRow], None],
    ) -> None:
        self.engine, self.store, self.source, self.machines = engine, engine.store, source, machines
        self.csv_log, self.on_alarm = csv_log, on_alarm
        self.counts = WatchCounts()
        self.known = StoredRecordings(engine.store, None, engine.end_of_tries)
        self._last_id = last_id(engine.store)
        self._telling = threading.Lock()
        self._lost = ""

    def run(self, deliveries: Deliveries) -> None:
        """Watch until the recordings that are there are scored, if the source ends with them, or without end.

        Raises
        ------
        OutputError
            If the store or the log cannot be written.
        """
        self.engine.feeds.append(self._feed)
        self.engine.events.call(self._note)
        deliveries.start()
        try:
            self.engine.run()
        finally:
            deliveries.close(patience_seconds=_PATIENCE_SECONDS)
        self._tell()

    def counted(self, *, has_webhook: bool) -> WatchCounts:
        """Numbers of this watch, and of what is left at its end."""
        listed = find_recordings(self.source.folder, self.source.selection)
        known, folder = self.known.complete(), self.source.folder
        found = [
            (one_line(path.relative_to(folder).as_posix()), *stamp)
            for path in (*listed.recordings, *listed.unread)
            if (stamp := stamp_of(path)) is not None
        ]
        self.counts.n_waiting = sum(key not in known for key in found)
        self.counts.n_closed = len(listed.closed) + (not folder.is_dir())
        self.counts.n_unsent = count_unsent_alarms(self.store) if has_webhook else 0
        return self.counts

    def _feed(self, stop: threading.Event) -> None:
        for item in self.source.items(SourceState(known=self.known), stop):
            if isinstance(item, RecordingClip):
                self.machines.sensor_of(item.path).take(self.machines.checked(item), stop)
            else:
                self._note_look(item)
            if stop.is_set():
                return

    def _note_look(self, item: Item) -> None:
        lost = item.reason if isinstance(item, Lost) and not self.source.folder.is_dir() else ""
        if lost and lost != self._lost:  # what else cannot be read is said by the source
            _LOGGER.warning("%s; looking again", lost)
        self._lost = lost
        self._tell()

    def _note(self, event: Event) -> None:
        if event.kind == "clip":
            self._tell()

    def _tell(self) -> None:
        """Write new rows to the log, count them, and say what they hold."""
        with self._telling:
            rows = rows_after(self.store, self._last_id)
            if self.csv_log is not None:
                self.csv_log.add(rows)
            self._last_id = rows[-1].id if rows else self._last_id
            for row in rows:
                self._say(row)

    def _say(self, row: LogRow) -> None:
        self.counts.n_scored += row.event == "clip"
        self.counts.n_failed += row.event == "failed"
        self.counts.n_alarms += row.alarm
        if row.alarm:
            self.on_alarm(row)
        elif row.message and row.event != "known":
            _LOGGER.warning("%s: %s", self.source.folder / row.file, row.message)
