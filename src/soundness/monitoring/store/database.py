"""Opening a monitor's database: SQLite or PostgreSQL, brought up to date, for one monitor alone."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError

from soundness.errors import InUseError, OutputError, SettingsError
from soundness.files.atomic import output_errors
from soundness.files.run_folders import try_lock

__all__ = ["database_errors", "is_away", "only_monitor", "open_database", "shown", "sqlite_url"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x536F756E64  # of PostgreSQL, whose locks are numbers
_TIMEOUT_SECONDS = 10
_KEEP_ALIVE = {
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
"""Settings of a connection to PostgreSQL that end it half a minute after its server or the network is gone."""


def sqlite_url(file: Path) -> str:
    """Address of a database in a file."""
    return f"sqlite:///{file.absolute()}"


def open_database(url: str, *, password: str | None = None, survives_power_cuts: bool = False) -> sql.Engine:
    """Connect to a database and bring its tables up to date.

    Parameters
    ----------
    url
        Address as SQLAlchemy writes it, ``sqlite:///file`` or ``postgresql+psycopg://user@host/name``.
    password
        Its password; ``None`` without one.
    survives_power_cuts
        See `soundness.monitoring.store.store.Store.open`.

    Raises
    ------
    SettingsError
        If the address makes no sense.
    OutputError
        If it cannot be reached, written or understood, or a later version of soundness made it.
    """
    try:
        address = sql.engine.make_url(url)
        if address.get_backend_name() == "postgresql" and address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if password is not None:
            address = address.set(password=password)
        options: dict[str, Any] = (
            {"timeout": _TIMEOUT_SECONDS}
            if address.get_backend_name() == "sqlite"
            else {"connect_timeout": _TIMEOUT_SECONDS, **_KEEP_ALIVE}
        )
        engine = sql.create_engine(address, connect_args=options, pool_pre_ping=True)
    except (sql.exc.ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(f"store: not an address of a database that can be used: {error}") from None
    if engine.dialect.name == "sqlite":
        synchronous = "FULL" if survives_power_cuts else "NORMAL"
        sql.event.listen(engine, "connect", lambda connection, _: _as_wal(connection, synchronous))
        sql.event.listen(engine, "begin", _begin)
    try:
        with database_errors(engine):
            _upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _as_wal(connection: Any, synchronous: str) -> None:
    """Settings of each connection: readers never wait for the writer, and a crash leaves whole transactions."""
    connection.isolation_level = None  # Python's own transactions leave out changes of tables
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", f"synchronous = {synchronous}", "foreign_keys = ON", "busy_timeout = 10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sql.Connection) -> None:
    """Begin a transaction; one that writes waits for others at once, and never sees that they were faster."""
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _upgrade(engine: sql.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        now = MigrationContext.configure(connection).get_current_revision()
    if now == script.get_current_head():
        return
    if now is not None and now not in {revision.revision for revision in script.walk_revisions()}:
        raise OutputError(f"{shown(engine)}: made by a later version of soundness (revision {now})")
    with engine.execution_options(is_writing=True).begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise OutputError(f"{shown(engine)}: cannot be brought up to date: {error}") from None


def shown(engine: sql.Engine) -> str:
    """Address of a database without its password."""
    return engine.url.database or "" if engine.dialect.name == "sqlite" else engine.url.render_as_string()


def is_away(error: BaseException | None) -> bool:
    """True if an error is of a database that may come back, and what failed may be tried again."""
    if isinstance(error, OperationalError):
        code = getattr(error.orig, "sqlite_errorcode", None)
        return code is None or code & 0xFF != sqlite3.SQLITE_ERROR  # that is a table that is not there, and the like
    if isinstance(error, sql.exc.TimeoutError):  # all connections wait for one that does not answer
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


@contextmanager
def database_errors(engine: sql.Engine) -> Iterator[None]:
    """Give errors of a database as one line that names it.

    Raises
    ------
    OutputError
        In the place of every error of the database.
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise OutputError(f"{shown(engine)}: {str(cause).partition(chr(10))[0]}") from error


@contextmanager
def only_monitor(engine: sql.Engine) -> Iterator[Callable[[], None]]:
    """Context in which no other monitor can use a database; a function that makes sure that it is still so.

    The lock of a PostgreSQL server ends when the server restarts. So the function is called from time to time: it locks
    again, or raises `OutputError` if another monitor was faster.

    Raises
    ------
    OutputError
        If another does.
    """
    if engine.dialect.name == "sqlite":
        with _locked_file(Path(engine.url.database or "")):
            yield lambda: None
        return
    lock = _ServerLock(engine)
    try:
        with database_errors(engine):
            lock.take()
        yield lock.check
    finally:
        lock.release()


class _ServerLock:
    """Lock of a PostgreSQL server, held by a connection of its own."""

    def __init__(self, engine: sql.Engine) -> None:
        self.engine = engine
        self._connection: sql.Connection | None = None

    def take(self) -> None:
        self._connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.detach()  # from the pool, so that closing it ends the lock
        taken = sql.text("SELECT pg_try_advisory_lock(:number)")
        if not self._connection.execute(taken, {"number": _LOCK}).scalar():
            self.release()
            raise InUseError(f"{shown(self.engine)}: in use by another monitor or watch")

    def check(self) -> None:
        try:
            if self._connection is not None:
                self._connection.execute(sql.text("SELECT 1"))
                return
            self.take()
        except DBAPIError as error:
            self.release()
            if not is_away(error):
                raise

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):  # it is gone already
                connection.close()


@contextmanager
def _locked_file(database: Path) -> Iterator[None]:
    place = database.with_name(f"{database.name}.lock")
    with output_errors(place):
        stream = place.open("ab", buffering=0)
    with stream:
        if not try_lock(stream, place):
            raise InUseError(f"{database}: in use by another monitor or watch")
        yield
