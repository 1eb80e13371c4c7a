"""The same tests on SQLite and on a PostgreSQL server that is started for them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real server on a free port; yield the URL of its first database."""
    programs = _postgres_bin()
    if programs is None:
        pytest.skip("PostgreSQL server binaries are not installed")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    user = _as_server_user()
    if user:
        os.chown(folder, user["user"], user["group"])  # type: ignore[arg-type]
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **user}
    data = folder / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
    control = [programs / "pg_ctl", "-D", data]
    try:
        make = [programs / "initdb", "-D", data, "-U", "mill", "-A", "trust"]
        subprocess.run(make, cwd=folder, **run)  # type: ignore[call-overload]
        start = [*control, "-o", options, "-l", folder / "log", "-w", "start"]
        subprocess.run(start, cwd=folder, **run)  # type: ignore[call-overload]
        yield f"postgresql+psycopg://mill@127.0.0.1:{port}/postgres"
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, cwd=folder, **run)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
