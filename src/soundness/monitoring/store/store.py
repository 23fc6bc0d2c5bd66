"""Store of a monitor: what becomes of each clip is written in one transaction, with its alarms and their deliveries."""

import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from sqlalchemy import Executable
from sqlalchemy.dialects import postgresql, sqlite

from soundness.errors import OutputError
from soundness.monitoring.store import tables
from soundness.monitoring.store.database import database_errors, open_database, sqlite_url
from soundness.monitoring.store.records import Alarm, AlarmKind, ClipRow, Delivery, DetectorRow, Sensor, SensorState

__all__ = ["DATABASE_FILE", "Store", "Transaction", "new_key", "row_values"]

Record = TypeVar("Record", Sensor, ClipRow, Alarm, Delivery, DetectorRow)

DATABASE_FILE = "soundness.sqlite"


class Store:
    """Database of a monitor, and the folder beside it.

    Parameters
    ----------
    engine
        Database, see `soundness.monitoring.store.database.open_database`.
    folder
        Folder of audio and detectors.
    """

    def __init__(self, engine: sql.Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder

    @classmethod
    def open(
        cls, folder: Path, *, url: str = "", password: str | None = None, survives_power_cuts: bool = False
    ) -> "Store":
        """Open the store of a folder, which is made if it does not exist.

        With ``survives_power_cuts`` each row of SQLite is on the disk before the next one is made; else a power cut may
        cost the last ones, and what they are of is scored again.

        Raises
        ------
        SettingsError
            If the address makes no sense.
        OutputError
            If folder or database cannot be used.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as stream:
                stream.write(b"x")  # it can be written
        except OSError as error:
            raise OutputError(f"{folder}: {error.strerror or error}") from None
        address = url or sqlite_url(folder / DATABASE_FILE)
        engine = open_database(address, password=password, survives_power_cuts=survives_power_cuts)
        return cls(engine, folder)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Context in which all is written or, if it raises, nothing.

        Raises
        ------
        OutputError
            If the database cannot be written.
        """
        writing = self.engine.execution_options(is_writing=True)
        with database_errors(self.engine), writing.begin() as connection:
            yield Transaction(connection)

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Context with a connection to read by.

        Raises
        ------
        OutputError
            If the database cannot be read.
        """
        with database_errors(self.engine), self.engine.connect() as connection:
            yield connection

    def sensors(self) -> list[Sensor]:
        """All sensors, by name."""
        return self._all(Sensor, sql.select(tables.sensors).order_by(tables.sensors.c.name))

    def sensor(self, name: str) -> Sensor | None:
        """Sensor of a name; ``None`` if there is none."""
        return next(iter(self._all(Sensor, sql.select(tables.sensors).where(tables.sensors.c.name == name))), None)

    def ignored_until_us(self, sensor_id: int) -> int | None:
        """Time until which the alarms of a sensor are ignored; ``None`` without one."""
        table = tables.sensors
        with self.reading() as connection:
            found = connection.execute(sql.select(table.c.ignored_until_us).where(table.c.id == sensor_id)).scalar()
        return None if found is None else int(found)

    def last_clip(self, sensor_id: int) -> ClipRow | None:
        """Latest clip or gap of a sensor; ``None`` without one."""
        return next(iter(self.last_clips(sensor_id, 1)), None)

    def last_clips(self, sensor_id: int, n_clips: int, *, is_scored: bool = False) -> list[ClipRow]:
        """Latest clips of a sensor, the latest last."""
        table = tables.clips
        query = sql.select(table).where(table.c.sensor_id == sensor_id)
        if is_scored:
            query = query.where(table.c.outcome == "scored")
        return self._all(ClipRow, query.order_by(table.c.number.desc()).limit(n_clips))[::-1]

    def clips_from(self, sensor_id: int, number: int) -> list[ClipRow]:
        """Clips and gaps of a sensor from a number on, the latest last."""
        table = tables.clips
        query = sql.select(table).where(table.c.sensor_id == sensor_id, table.c.number >= number)
        return self._all(ClipRow, query.order_by(table.c.number))

    def clip(self, sensor_id: int, number: int) -> ClipRow | None:
        """Clip or gap of a sensor by its number; ``None`` if it is not there."""
        table = tables.clips
        query = sql.select(table).where(table.c.sensor_id == sensor_id, table.c.number == number)
        return next(iter(self._all(ClipRow, query)), None)

    def open_alarms(self, sensor_id: int) -> list[Alarm]:
        """Alarms of a sensor that have not ended, the latest last."""
        table = tables.alarms
        query = sql.select(table).where(table.c.sensor_id == sensor_id, table.c.ended_us.is_(None))
        return self._all(Alarm, query.order_by(table.c.id))

    def last_alarm(self, sensor_id: int, kind: AlarmKind) -> Alarm | None:
        """Latest alarm of a kind; ``None`` without one."""
        table = tables.alarms
        query = sql.select(table).where(table.c.sensor_id == sensor_id, table.c.kind == kind)
        return next(iter(self._all(Alarm, query.order_by(table.c.id.desc()).limit(1))), None)

    def detectors(self, sensor_id: int) -> list[DetectorRow]:
        """Detectors of a sensor that have been in use, the latest last."""
        table = tables.detectors
        query = sql.select(table).where(table.c.sensor_id == sensor_id)
        return self._all(DetectorRow, query.order_by(table.c.id))

    def last_detector(self, sensor_id: int) -> DetectorRow | None:
        """Detector of a sensor that is, or was, in use last; ``None`` without one."""
        return next(reversed(self.detectors(sensor_id)), None)

    def count_learned(self, sensor_id: int, *, after: int) -> int:
        """Clips after a number that a sensor learns from: those without a note that says why not."""
        table = tables.clips
        query = sql.select(sql.func.count()).select_from(table)
        own = (table.c.sensor_id == sensor_id, table.c.number > after, table.c.outcome == "learned", table.c.note == "")
        with self.reading() as connection:
            return int(connection.execute(query.where(*own)).scalar() or 0)

    def anomalous_clips(self, sensor_id: int, *, start_us: int, end_us: int) -> list[ClipRow]:
        """Anomalous clips of a sensor that begin within a time, in their order."""
        table = tables.clips
        query = sql.select(table).where(
            table.c.sensor_id == sensor_id, table.c.start_us.between(start_us, end_us), table.c.is_anomalous
        )
        return self._all(ClipRow, query.order_by(table.c.number))

    def alarms_since(self, sensor_id: int, since_us: int) -> list[Alarm]:
        """Alarms of a sensor that were on at a time or raised later, the latest last."""
        table = tables.alarms
        is_later = sql.or_(table.c.ended_us.is_(None), table.c.ended_us >= since_us)
        return self._all(Alarm, sql.select(table).where(table.c.sensor_id == sensor_id, is_later).order_by(table.c.id))

    def unsent(self, sink: str, *, most: int = 100) -> list[Delivery]:
        """Events of a sink that are to be sent, in their order."""
        table = tables.deliveries
        query = sql.select(table).where(table.c.sink == sink, table.c.sent_us.is_(None))
        return self._all(Delivery, query.order_by(table.c.id).limit(most))

    def _all(self, kind: type[Record], query: sql.Select[Any]) -> list[Record]:
        with self.reading() as connection:
            return [row_values(kind, row) for row in connection.execute(query).mappings()]


def row_values(kind: type[Record], row: Mapping[Any, Any]) -> Record:
    """Object of a row."""
    return kind(**{field.name: row[field.name] for field in fields(kind)})


class Transaction:
    """Writing within one transaction; see `Store.transaction`."""

    def __init__(self, connection: sql.Connection) -> None:
        self.connection = connection

    def add_sensor(self, name: str, *, source: str, state: SensorState, now_us: int) -> int:
        """Add a sensor, or update the source of the one that has the name; its id."""
        table = tables.sensors
        found = self.connection.execute(sql.select(table.c.id).where(table.c.name == name)).scalar()
        if found is not None:
            self.update_sensor(int(found), source=source)
            return int(found)
        values = {"name": name, "source": source, "state": state, "state_since_us": now_us, "details": {}}
        return self._insert(table, values)

    def update_sensor(self, sensor_id: int, **values: Any) -> None:
        """Change columns of a sensor."""
        table = tables.sensors
        self.connection.execute(sql.update(table).where(table.c.id == sensor_id).values(**values))

    def set_first(self, sensor_id: int, start_us: int) -> None:
        """Set the start of a sensor's first clip, unless it had one before."""
        table = tables.sensors
        is_first = (table.c.id == sensor_id) & table.c.first_us.is_(None)
        self.connection.execute(sql.update(table).where(is_first).values(first_us=start_us))

    def set_details(self, sensor_id: int, **details: Any) -> None:
        """Set some details of a sensor, and leave the others; ``None`` removes one."""
        table = tables.sensors
        query = sql.select(table.c.details).where(table.c.id == sensor_id)
        found = {**(self.connection.execute(query).scalar() or {}), **details}
        self.update_sensor(sensor_id, details={name: value for name, value in found.items() if value is not None})

    def add_clip(self, clip: ClipRow) -> ClipRow:
        """Add a clip; the same with its id."""
        return replace(clip, id=self._insert(tables.clips, _without_id(clip)))

    def add_alarm(self, alarm: Alarm) -> Alarm:
        """Add an alarm; the same with its id."""
        return replace(alarm, id=self._insert(tables.alarms, _without_id(alarm)))

    def update_alarm(self, alarm_id: int, **values: Any) -> None:
        """Change columns of an alarm."""
        table = tables.alarms
        self.connection.execute(sql.update(table).where(table.c.id == alarm_id).values(**values))

    def set_clip(self, clip_id: int, **values: Any) -> None:
        """Change columns of a clip."""
        table = tables.clips
        self.connection.execute(sql.update(table).where(table.c.id == clip_id).values(**values))

    def set_audio(self, places: Mapping[int, str]) -> None:
        """Set the places of the audio of some clips."""
        for clip_id, audio in places.items():
            self.set_clip(clip_id, audio=audio)

    def note_recording(
        self, sensor_id: int, name: str, *, size: int, mtime_ns: int, content: str, **values: Any
    ) -> None:
        """Note how much of a recording has its rows, as in `soundness.monitoring.store.tables.recordings`."""
        row = {"sensor_id": sensor_id, "name": name, "size": size, "mtime_ns": mtime_ns, "content": content, **values}
        self.connection.execute(_noting(self.connection.dialect.name, tuple(values)), row)

    def add_detector(self, sensor_id: int, **values: Any) -> int:
        """Add a detector that is in use from now on; its id."""
        return self._insert(tables.detectors, {"sensor_id": sensor_id, "details": {}, **values})

    def deliver(self, sinks: Sequence[str], *, key: str, content: Mapping[str, Any], now_us: int) -> None:
        """Add an event for each sink, unless it has one of that key."""
        table = tables.deliveries
        for sink in sinks:
            known = sql.select(table.c.id).where(table.c.sink == sink, table.c.key == key)
            if self.connection.execute(known).first() is None:
                self._insert(table, {"sink": sink, "key": key, "content": dict(content), "created_us": now_us})

    def mark_sent(self, delivery_id: int, *, now_us: int) -> None:
        """Note that an event was sent."""
        table = tables.deliveries
        self.connection.execute(sql.update(table).where(table.c.id == delivery_id).values(sent_us=now_us, problem=""))

    def mark_failed(self, delivery_id: int, *, problem: str) -> None:
        """Note that an event could not be sent."""
        table = tables.deliveries
        values = {"n_tries": table.c.n_tries + 1, "problem": problem}
        self.connection.execute(sql.update(table).where(table.c.id == delivery_id).values(**values))

    def note_change(
        self, what: str, *, now_us: int, sensor_id: int | None = None, person: str = "", **details: Any
    ) -> None:
        """Note a change, and who made it."""
        values = {"time_us": now_us, "person": person, "sensor_id": sensor_id, "what": what, "details": details}
        self._insert(tables.changes, values)

    def _insert(self, table: sql.Table, values: Mapping[str, Any]) -> int:
        found = self.connection.execute(sql.insert(table), dict(values))  # whose text is made once for all rows
        assert found.inserted_primary_key is not None
        return int(found.inserted_primary_key[0])


def new_key() -> str:
    """Key of an event that no other has."""
    return str(uuid.uuid4())


@cache
def _noting(dialect: str, columns: tuple[str, ...]) -> Executable:
    """Statement that adds a recording, or changes some columns of it."""
    made = (sqlite if dialect == "sqlite" else postgresql).insert(tables.recordings)
    changed = {column: made.excluded[column] for column in ("content", *columns)}
    key = ["sensor_id", "name", "size", "mtime_ns"]
    statement: Executable = made.on_conflict_do_update(index_elements=key, set_=changed)
    return statement


def _without_id(record: ClipRow | Alarm) -> dict[str, Any]:
    values = asdict(record)
    del values["id"]
    return values
