"""The same tests on SQLite and on a PostgreSQL server that is started for them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.ports import reserved_port

from gristmill.store.guards import HISTORY, SEAL_GUARD
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
    """A real server with its data in a folder of its own."""

    def __init__(self, programs: Path, folder: Path, port: int) -> None:
        self._user = _as_server_user()
        if self._user:
            os.chown(folder, self._user["user"], self._user["group"])  # type: ignore[arg-type]
        self._folder, self._data = folder, folder / "data"
        self._control = [programs / "pg_ctl", "-D", self._data]
        self._port = port
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
        for _ in range(300):
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
            return PostgresServer(programs, folder, made.enter_context(reserved_port()))

        yield make


@pytest.fixture(scope="session")
def postgres_server(new_postgres: Callable[[], PostgresServer]) -> Iterator[str]:
    """Start a server; yield the URL of its first database."""
    server = new_postgres()
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres_server: str) -> Callable[..., str]:
    """new_database(encoding="UTF8"): the URL of a fresh database of the server."""
    import psycopg

    def make(encoding: str = "UTF8") -> str:
        name = f"t{os.urandom(6).hex()}"
        address = postgres_server.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(address, autocommit=True) as connection:
            made = f"CREATE DATABASE \"{name}\" ENCODING '{encoding}' TEMPLATE template0"
            connection.execute(made)
        return f"{postgres_server.rpartition('/')[0]}/{name}"

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL for `gristmill.toml`: empty for SQLite, a fresh database for PostgreSQL."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("new_database")()
    return url


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


def drop_seal_guard(connection: Connection) -> None:
    """Take away what layout 6 did not have."""
    where = "" if connection.dialect.name == "sqlite" else " ON promotions"
    connection.exec_driver_sql(f"DROP TRIGGER {SEAL_GUARD}{where}")


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
        drop_seal_guard(connection)

    return drop


@pytest.fixture
def make_older(drop_guards: Callable[[Connection], None]) -> Callable[[Project, str], None]:
    """Take from a project what a layout from 4 on did not have."""

    def age(project: Project, layout: str) -> None:
        with project.database.write() as connection:
            if layout == "6":
                drop_seal_guard(connection)
            else:
                drop_guards(connection)
                connection.exec_driver_sql("ALTER TABLE promotions DROP COLUMN seal")
            connection.exec_driver_sql(f"UPDATE settings SET value = '{layout}'")

    return age
