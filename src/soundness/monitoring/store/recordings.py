"""Recordings of a folder that have their rows: so that each is scored once, whatever it is called later."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import sqlalchemy as sql

from soundness.monitoring.recording_files import Stamp
from soundness.monitoring.sources.protocol import RecordingClip
from soundness.monitoring.store import tables
from soundness.monitoring.store.records import ClipRow
from soundness.monitoring.store.retrying import retried
from soundness.monitoring.store.store import Store, Transaction
from soundness.plain_text import one_line

__all__ = ["StoredRecordings", "note_recording"]


@dataclass(frozen=True, slots=True)
class StoredRecordings:
    """Recordings of one sensor, or of all, in the store, which is asked again while it is away.

    Parameters
    ----------
    store
        Store of the monitor.
    sensor_id
        Number of the sensor; ``None`` for the recordings of all.
    stop
        Set to end the tries: then a question raises `soundness.errors.OutputError`.
    """

    store: Store
    sensor_id: int | None
    stop: Event

    @property
    def _is_own(self) -> sql.ColumnElement[bool]:
        of, all_sensors = tables.recordings.c.sensor_id, sql.select(tables.sensors.c.id)  # which an index serves
        return of.in_(all_sensors) if self.sensor_id is None else of == self.sensor_id

    def complete(self) -> set[tuple[str, int, int]]:
        """Name, size and time of change of the recordings all of which has its rows."""
        table = tables.recordings
        query = sql.select(table.c.name, table.c.size, table.c.mtime_ns)
        query = query.where(self._is_own, table.c.is_complete)
        return {(name, size, mtime_ns) for name, size, mtime_ns in self._rows(query)}

    def n_clips(self, name: str, stamp: Stamp) -> int:
        """Clips of a recording that have their rows."""
        table = tables.recordings
        query = sql.select(table.c.n_clips).where(self._is_own, table.c.name == name)
        query = query.where(table.c.size == stamp[0], table.c.mtime_ns == stamp[1])
        return next((int(n_clips) for (n_clips,) in self._rows(query)), 0)

    def alike(self, size: int, content: str) -> list[tuple[str, int, bool]]:
        """Names, times of change in nanoseconds, and True unless it failed, of recordings of a size and content."""
        table = tables.recordings
        query = sql.select(table.c.name, table.c.mtime_ns, table.c.is_scored)
        query = query.where(self._is_own, table.c.content == content, table.c.size == size)
        return [(name, mtime_ns, is_scored) for name, mtime_ns, is_scored in self._rows(query)]

    def _rows(self, query: sql.Select[Any]) -> Sequence[Any]:
        def attempt() -> Sequence[Any]:
            with self.store.reading() as connection:
                return connection.execute(query).all()

        return retried(attempt, stop=self.stop)


def note_recording(
    transaction: Transaction, clip: ClipRow, recording: RecordingClip, *, is_scored: bool, now_us: int
) -> None:
    """Note that a clip of a recording has its row, or that the recording is a known one.

    Parameters
    ----------
    transaction
        Transaction of the clip's row.
    clip
        The row; one that is not stored for a known recording.
    recording
        The recording.
    is_scored
        False if the clip failed.
    now_us
        Time now, microseconds since 1970, UTC.
    """
    size, mtime_ns = recording.stamp
    transaction.note_recording(
        clip.sensor_id,
        recording.name,
        size=size,
        mtime_ns=mtime_ns,
        content=recording.content,
        n_clips=0 if recording.known_as else recording.index + 1,
        is_complete=recording.is_last,
        is_scored=is_scored,
        note=one_line(recording.known_as or recording.problem),
        clip_id=clip.id or None,
        noted_us=now_us,
    )
