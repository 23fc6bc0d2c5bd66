"""A PostgreSQL server for tests, in a temporary folder, that can go away and come back."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PLACES = "/usr/lib/postgresql/*/bin/initdb"
_USER = "postgres"  # it refuses to run as root


class PostgresServer:
    """A server that listens on a socket in its own folder alone."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        self._n_databases = 0
        self.run("initdb", "-D", str(folder / "db"), "-A", "trust", "-U", "monitor", "-N", "-E", "UTF8", "--locale=C")
        self.start()

    def run(self, program: str, *words: str) -> None:
        """Run one of PostgreSQL's programs, as a user that it accepts."""
        command = [str(self.programs / program), *words]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _USER, "--", *command]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=60)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses='' -k {self.folder} -F -c max_connections=40"
        self.run("pg_ctl", "-D", str(self.folder / "db"), "-o", options, "-l", str(self.folder / "log"), "-w", "start")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.run("pg_ctl", "-D", str(self.folder / "db"), "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """Address of a new and empty database."""
        self._n_databases += 1
        name = f"test{self._n_databases}"
        self.run("createdb", "-h", str(self.folder), "-U", "monitor", name)
        return f"postgresql://monitor@/{name}?host={self.folder}"


def postgres_programs() -> Path | None:
    """Folder of PostgreSQL's programs; ``None`` if it is not installed or cannot be run here."""
    if sys.platform == "win32" or (os.geteuid() == 0 and shutil.which("runuser") is None):
        return None
    found = shutil.which("createdb")
    places = [] if found is None else [Path(found).resolve().parent]  # Debian's are elsewhere, by version
    places += [place.parent for place in Path("/").glob(_PLACES[1:])]
    return next((place for place in places if (place / "initdb").exists() and (place / "createdb").exists()), None)


@contextmanager
def postgres_server(programs: Path) -> Iterator[PostgresServer]:
    """A server in a folder below that of temporary files; a socket's name must be short."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _USER)
        server = PostgresServer(folder, programs)
        try:
            yield server
        finally:
            if (folder / "db" / "postmaster.pid").exists():
                server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
