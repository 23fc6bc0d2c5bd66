"""Opening of a monitor's database: migrations, one monitor alone, and what is said of one that cannot be used."""

import subprocess
from contextlib import ExitStack

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from small_disks import small_disk
from soundness.errors import OutputError, SettingsError
from soundness.monitoring.store import tables
from soundness.monitoring.store.database import is_away, only_monitor, open_database, shown, sqlite_url
from soundness.monitoring.store.store import Store


@pytest.fixture
def url(tmp_path, database_url):
    return database_url or sqlite_url(tmp_path / "soundness.sqlite")


@pytest.fixture
def engine(url):
    found = open_database(url)
    yield found
    found.dispose()


def test_the_migrations_make_the_tables_of_today(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, tables.metadata) == []
    assert set(sql.inspect(engine).get_table_names()) == {*tables.metadata.tables, "alembic_version"}


def test_a_database_that_is_opened_again_is_left_as_it_is(engine, url):
    with engine.begin() as connection:
        connection.execute(sql.insert(tables.changes).values(time_us=1, what="kept"))
    again = open_database(url)
    with again.connect() as connection:
        assert connection.execute(sql.select(tables.changes.c.what)).scalars().all() == ["kept"]
    again.dispose()


def test_a_migration_that_is_cut_off_leaves_no_table(tmp_path, database_url, monkeypatch):
    url = database_url or sqlite_url(tmp_path / "soundness.sqlite")

    def cut_off(_connection, _cursor, statement, *_):
        if "CREATE TABLE clips" in statement:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        made = sql.create_engine

        def create(*words, **options):
            engine = made(*words, **options)
            sql.event.listen(engine, "before_cursor_execute", cut_off)
            return engine

        context.setattr(sql, "create_engine", create)
        with pytest.raises(KeyboardInterrupt):
            open_database(url)
    engine = open_database(url)
    assert "clips" in sql.inspect(engine).get_table_names()
    engine.dispose()


def test_a_database_of_a_later_version_is_refused_and_not_changed(engine, url):
    with engine.begin() as connection:
        connection.execute(sql.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OutputError, match=r"made by a later version of soundness \(revision 9999\)"):
        open_database(url)
    with engine.connect() as connection:
        assert connection.execute(sql.text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_two_monitors_cannot_use_one_database(engine, url):
    other = open_database(url)
    with ExitStack() as stack:
        with only_monitor(engine), pytest.raises(OutputError, match="in use by another monitor"):
            stack.enter_context(only_monitor(other))
        stack.enter_context(only_monitor(other))
    other.dispose()


def test_a_monitor_locks_again_after_the_server_was_away_unless_another_was_faster(postgres):
    url = postgres.new_database()
    engine, other = open_database(url), open_database(url)
    with only_monitor(engine) as still_alone:
        still_alone()
        postgres.kill()
        still_alone()  # nobody can be faster now
        postgres.start()
        still_alone()
        with pytest.raises(OutputError, match="in use by another monitor"), only_monitor(other):
            pass
        postgres.kill()
        still_alone()
        postgres.start()
        with only_monitor(other), pytest.raises(OutputError, match="in use by another monitor"):
            still_alone()
    engine.dispose()
    other.dispose()


def test_a_foreign_database_is_refused_by_name(tmp_path):
    (tmp_path / "x.sqlite").write_bytes(b"no database at all\n" * 100)
    with pytest.raises(OutputError, match=r"x\.sqlite: file is not a database"):
        open_database(sqlite_url(tmp_path / "x.sqlite"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "not an address of a database"),
        ("oracle+nothing://x", "not an address of a database"),
        ("postgresql://monitor:hunter2@127.0.0.1:1/x", r"postgresql\+psycopg://monitor:\*\*\*@127\.0\.0\.1:1/x: "),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line_without_its_password(address, message):
    with pytest.raises((SettingsError, OutputError), match=message) as caught:
        open_database(address)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_password_of_a_database_is_not_shown(postgres):
    engine = open_database(postgres.new_database(), password="hunter2")
    assert "hunter2" not in shown(engine)
    engine.dispose()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.store: "):
        Store.open(tmp_path / "file" / "store")


def test_readers_never_wait_for_the_writer(engine):
    with engine.begin() as writer:
        writer.execute(sql.insert(tables.changes).values(time_us=1, what="unseen"))
        with engine.connect() as reader:
            assert reader.execute(sql.select(tables.changes)).all() == []


def test_a_postgresql_that_restarts_is_away_and_then_there_again(postgres, tmp_path):
    store = Store.open(tmp_path, url=postgres.new_database())
    with store.transaction() as transaction:
        transaction.note_change("before", now_us=1)

    def write(then=None):
        with store.transaction() as transaction:
            transaction.note_change("lost", now_us=2)
            if then is not None:
                then()

    for then in (postgres.kill, None):
        with pytest.raises(OutputError) as caught:
            write(then)
        assert is_away(caught.value.__cause__)
    postgres.start()
    with store.transaction() as transaction:
        transaction.note_change("after", now_us=4)
    with store.reading() as connection:
        assert connection.execute(sql.select(tables.changes.c.what)).scalars().all() == ["before", "after"]
    store.close()


def test_a_database_all_of_whose_connections_wait_is_away(tmp_path):
    address = sqlite_url(tmp_path / "soundness.sqlite")
    open_database(address).dispose()
    one = {"poolclass": sql.QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    store = Store(sql.create_engine(address, **one), tmp_path)
    with store.reading(), pytest.raises(OutputError, match="timed out") as caught, store.reading():
        pass
    assert is_away(caught.value.__cause__)
    store.close()


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def test_a_full_disk_is_away_until_there_is_room(disk):
    store = Store.open(disk)
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    written = []

    def fill():
        for number in range(10_000):
            with store.transaction() as transaction:
                transaction.note_change("x" * 1_000, now_us=number)
            written.append(number)

    with pytest.raises(OutputError, match=r"soundness\.sqlite: (database or disk is full|disk I/O error)") as caught:
        fill()
    assert is_away(caught.value.__cause__)
    ballast.unlink()
    with store.transaction() as transaction:
        transaction.note_change("after", now_us=0)
    with store.reading() as connection:
        assert connection.execute(sql.select(sql.func.count()).select_from(tables.changes)).scalar() == len(written) + 1
        assert connection.execute(sql.text("PRAGMA integrity_check")).scalar() == "ok"
    store.close()


def test_a_read_only_store_is_named(disk):
    Store.open(disk).close()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, timeout=30)
    with pytest.raises(OutputError, match=r"disk: Read-only file system"):
        Store.open(disk)
