"""Rows and audio that are kept for a time and within a size: what is too old or too much is deleted, in small steps."""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import sqlalchemy as sql

from soundness.errors import OutputError
from soundness.monitoring.store.store import Store
from soundness.monitoring.store.tables import alarms, changes, clips, deliveries

__all__ = ["Retention"]

_LOG = logging.getLogger(__name__)

_BATCH = 200  # rows of one transaction, so that no clip waits long for its own
_PAUSE_SECONDS = 0.02  # after each
_LAST_ROWS = 200  # of each sensor that stay: alarms and numbers go on from them
_ROOM = 0.95  # of the largest size, down to which audio is deleted
_STRAY_SECONDS = 3_600.0  # age at which a file without a row is deleted: its row may be on its way
_RING_SECONDS = 86_400.0  # for which the last clips of a sensor that is not in the configuration stay
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Limits of a store, and their upkeep.

    Parameters
    ----------
    store
        The store.
    clips_us, alarms_us
        Age at which clips are deleted, and those of alarms, in microseconds.
    before_us
        Time before an alarm whose clips are kept as long as the alarm, in microseconds.
    most_bytes, least_free_bytes
        Largest size of the kept audio, and the free space on its disk.
    """

    store: Store
    clips_us: int
    alarms_us: int
    before_us: int
    most_bytes: float
    least_free_bytes: float
    _sizes: dict[Path, tuple[float, int]] = field(default_factory=dict)  # of folders that nobody writes to any more

    def keep(self, *, now_us: int, stop: Event) -> None:
        """Delete what is too old or too much, and files that no row names, until done or ``stop`` is set.

        Rows and audio of alarms are deleted by their own age; by size they are the last, and for free space they are
        never deleted: somebody else may have filled the disk.

        Raises
        ------
        OutputError
            If the database cannot be written.
        """
        missing = self.least_free_bytes - shutil.disk_usage(self.store.folder).free
        if missing > 0:  # first: where the disk is full, nothing else can be written
            self._delete_audio(self._all_sizes(stop), missing, stop, is_alarm=False)
        self._delete_old_rows(now_us, stop)
        sizes = self._all_sizes(stop)
        too_much = sum(sizes.values()) - self.most_bytes
        if too_much > 0:
            too_much += (1 - _ROOM) * self.most_bytes
            too_much -= self._delete_audio(sizes, too_much, stop, is_alarm=False)
            self._delete_audio(sizes, too_much, stop, is_alarm=True)

    def delete_rings(self, sensor_ids: Iterable[int]) -> None:
        """Delete the last clips of sensors that are not among these, a day after they were recorded."""
        known = {str(number) for number in sensor_ids}
        for ring in sorted(self.store.folder.glob("ring/*")):
            if ring.name not in known and _age(ring) > _RING_SECONDS:
                _LOG.info("%s: of a sensor that is not in the configuration; deleted", ring)
                shutil.rmtree(ring, ignore_errors=True)

    def _delete_old_rows(self, now_us: int, stop: Event) -> None:
        clips_before, alarms_before = now_us - self.clips_us, now_us - self.alarms_us
        is_over = alarms.c.ended_us.is_not(None) & (alarms.c.last_us < alarms_before)
        self._delete(sql.select(alarms.c.id).where(is_over), stop)
        is_sent = deliveries.c.sent_us.is_not(None) & (deliveries.c.sent_us < clips_before)
        is_given_up = deliveries.c.created_us < alarms_before
        self._delete(sql.select(deliveries.c.id).where(is_sent | is_given_up), stop)
        is_past = (changes.c.time_us < alarms_before) & (changes.c.what != "configuration")
        self._delete(sql.select(changes.c.id).where(is_past), stop)
        for sensor in self.store.sensors():
            last = self.store.last_clip(sensor.id)
            if last is not None:
                is_old = (clips.c.start_us < clips_before) & (clips.c.number <= last.number - _LAST_ROWS)
                query = sql.select(clips.c.id, clips.c.audio).where(clips.c.sensor_id == sensor.id, is_old)
                self._delete(query.where(~self._is_of_alarm()).order_by(clips.c.start_us), stop)

    def _is_of_alarm(self) -> sql.Exists:
        """Condition of clips of an alarm, and of those within the time before it."""
        begins = alarms.c.raised_us - self.before_us
        is_within = (clips.c.start_us >= begins) & (clips.c.start_us <= alarms.c.last_us)
        return sql.exists().where(alarms.c.sensor_id == clips.c.sensor_id, is_within)

    def _delete(self, query: sql.Select[Any], stop: Event) -> None:
        """Delete rows that are found, and then the audio that they name."""
        (table,) = {column.table for column in query.selected_columns if isinstance(column, sql.Column)}
        while not stop.is_set():
            with self.store.transaction() as transaction:
                found = transaction.connection.execute(query.limit(_BATCH)).all()
                numbers = [row[0] for row in found]
                if numbers:
                    transaction.connection.execute(sql.delete(table).where(table.c.id.in_(numbers)))
            self._unlink(row[1] for row in found if len(row) > 1 and row[1])
            if len(found) < _BATCH:
                return
            stop.wait(_PAUSE_SECONDS)

    def _day_folders(self) -> Iterator[Path]:
        """Folders of kept audio, one a sensor and day, those of the earliest day first."""
        return iter(sorted(self.store.folder.glob("audio/*/*"), key=lambda folder: (folder.name, folder.parent.name)))

    def _rows(self, folder: Path, *conditions: sql.ColumnElement[bool]) -> Sequence[tuple[int, str]]:
        """Rows with audio in a folder: their numbers, and the names of their files, the earliest first."""
        try:
            sensor_id = int(folder.parent.name)
            day_us = round(1e6 * datetime.fromisoformat(folder.name).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return ()
        is_of_day = (clips.c.start_us >= day_us) & (clips.c.start_us < day_us + _DAY_US) & (clips.c.audio != "")
        query = sql.select(clips.c.id, clips.c.audio).where(clips.c.sensor_id == sensor_id, is_of_day, *conditions)
        with self.store.reading() as connection:
            rows = connection.execute(query.order_by(clips.c.start_us)).all()
        return [(row[0], row[1].rpartition("/")[2]) for row in rows]

    def _all_sizes(self, stop: Event) -> dict[Path, int]:
        return {folder: self._size(folder, stop) for folder in self._day_folders()}

    def _size(self, folder: Path, stop: Event) -> int:
        """Bytes of the audio in a folder, once files without a row are deleted."""
        changed = folder.stat().st_mtime
        if self._sizes.get(folder, (0.0, 0))[0] == changed:
            return self._sizes[folder][1]
        self._delete_strays(folder)
        size = sum(size for _, size in _files(folder))
        if time.time() - changed > _STRAY_SECONDS and folder.exists():
            self._sizes[folder] = (folder.stat().st_mtime, size)
        stop.wait(_PAUSE_SECONDS)
        return size

    def _delete_strays(self, folder: Path) -> None:
        known = {name for _, name in self._rows(folder)}
        for path, _ in _files(folder):
            if path.name not in known and _age(path) > _STRAY_SECONDS:
                _remove(path)
        with suppress(OSError):  # it is not empty
            folder.rmdir()

    def _delete_audio(self, sizes: dict[Path, int], n_bytes: float, stop: Event, *, is_alarm: bool) -> int:
        """Delete the earliest audio, of alarms or of other clips, until so much is gone; bytes that are gone."""
        gone, condition = 0, self._is_of_alarm() if is_alarm else ~self._is_of_alarm()
        for folder in sizes:
            rows = list(self._rows(folder, condition)) if gone < n_bytes else []
            while rows and gone < n_bytes and not stop.is_set():
                step, rows = rows[:_BATCH], rows[_BATCH:]
                chosen = []
                for number, name in step:
                    if gone < n_bytes:
                        with suppress(OSError):  # it is gone already
                            gone += (folder / name).stat().st_size
                        chosen.append((number, folder / name))
                self._forget_audio(dict(chosen))
                stop.wait(_PAUSE_SECONDS)
        if gone:
            _LOG.info("%.1f MB of the earliest audio%s deleted", gone / 1e6, " of alarms" if is_alarm else "")
        return gone

    def _forget_audio(self, files: dict[int, Path]) -> None:
        """Delete audio and its places in the rows of these numbers; the files first if a full disk takes no rows."""
        places = dict.fromkeys(files, "")
        try:
            with self.store.transaction() as transaction:
                transaction.set_audio(places)
        except OutputError:
            self._unlink(map(str, files.values()))
            with self.store.transaction() as transaction:
                transaction.set_audio(places)
        self._unlink(map(str, files.values()))

    def _unlink(self, places: Iterable[str]) -> None:
        for place in places:
            _remove(self.store.folder / place)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in sorted(folder.glob("*")):
        with suppress(OSError):  # it was deleted meanwhile
            yield path, path.stat().st_size


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("%s: cannot be deleted: %s", path, error.strerror or error)
