"""The same tests on SQLite and on a PostgreSQL server that is started for them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection

from gristmill.store.guards import HISTORY
from gristmill.store.project import Project


def _postgres_bin() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def _as_server_user() -> dict[str, object]:
    """PostgreSQL refuses to run as root: use the `postgres` account there."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid}


class PostgresServer:
    """A real server on a free port, with its data in a folder of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._user = _as_server_user()
        if self._user:
            os.chown(folder, self._user["user"], self._user["group"])  # type: ignore[arg-type]
        self._folder, self._data = folder, folder / "data"
        self._control = [programs / "pg_ctl", "-D", self._data]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        names = ["-U", "mill", "-A", "trust", "-E", "UTF8", "--locale", "C"]
        self._run([programs / "initdb", "-D", self._data, *names])

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"postgresql+psycopg://mill@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off"
        log = self._folder / "log"
        self._run([*self._control, "-o", options, "-l", log, "-w", "start"])

    def stop(self) -> None:
        self._run([*self._control, "-m", "immediate", "stop"])

    def processes(self) -> list[int]:
        """Return the ids of the server and of all that it started."""
        server = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        return [server, *map(int, children)]

    def start_again(self) -> None:
        """Start it after a kill: its shared memory may be in use until the last process is gone."""
        for _ in range(50):
            try:
                return self.start()
            except subprocess.CalledProcessError:
                time.sleep(0.2)
        raise RuntimeError((self._folder / "log").read_text())

    def _run(self, command: list[object]) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        where = {"cwd": self._folder, "check": True}
        subprocess.run(command, **where, **quiet, **self._user)  # type: ignore[call-overload]


@pytest.fixture(scope="session")
def new_postgres() -> Iterator[Callable[[], PostgresServer]]:
    """Make a server that is not started yet."""
    programs = _postgres_bin()
    if programs is None:
        pytest.skip("PostgreSQL server binaries are not installed")
    with ExitStack() as made:

        def make() -> PostgresServer:
            folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
            made.callback(shutil.rmtree, folder, ignore_errors=True)
            return PostgresServer(programs, folder)

        yield make


@pytest.fixture(scope="session")
def postgres_server(new_postgres: Callable[[], PostgresServer]) -> Iterator[str]:
    """Start a server; yield the URL of its first database."""
    server = new_postgres()
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL for `gristmill.toml`: empty for SQLite, a fresh database for PostgreSQL."""
    if request.param == "sqlite":
        return ""
    import psycopg

    server = request.getfixturevalue("postgres_server")
    name = f"t{os.urandom(6).hex()}"
    address = server.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"{server.rpartition('/')[0]}/{name}"


@pytest.fixture
def project(database_url: str, tmp_path: Path) -> Iterator[Project]:
    """An empty project on each database."""
    root = tmp_path / "project"
    root.mkdir()
    if database_url:
        (root / "gristmill.toml").write_text(f'database = "{database_url}"\n')
    with Project(root) as opened:
        yield opened


@pytest.fixture
def reopen(project: Project) -> Callable[[], Project]:
    """Open the same project again, as another process would."""
    return lambda: Project(project.root)


@pytest.fixture
def drop_guards() -> Callable[[Connection], None]:
    """What somebody does who may do anything with the database."""

    def drop(connection: Connection) -> None:
        for table in HISTORY:
            if connection.dialect.name == "sqlite":
                for deed in ("update", "delete", "insert"):
                    connection.exec_driver_sql(f"DROP TRIGGER {table.name}_{deed}_guard")
            else:
                connection.exec_driver_sql(f"DROP TRIGGER {table.name}_guard ON {table.name}")

    return drop


@pytest.fixture
def make_older(drop_guards: Callable[[Connection], None]) -> Callable[[Project, str], None]:
    """Take from a project what layouts up to 5 did not have."""

    def age(project: Project, layout: str) -> None:
        with project.database.write() as connection:
            drop_guards(connection)
            connection.exec_driver_sql("ALTER TABLE promotions DROP COLUMN seal")
            connection.exec_driver_sql(f"UPDATE settings SET value = '{layout}'")

    return age
