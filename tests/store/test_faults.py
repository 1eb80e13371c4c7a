"""A full disk, and a database server that goes away in mid-commit: said, and nothing half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gristmill.core.errors import StoreError
from gristmill.store.artifacts import check_content
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import Artifact, RunLog, note_artifacts
from gristmill.store.tables import artifacts, executions

PIPELINE = """
import numpy as np
from gristmill import step
from gristmill.store import Registry, current_project
from gristmill.store.runs import Artifact, RunLog, note_artifacts

@step
def rows():
    return np.arange(60_000)

@step
def texts(rows):
    return [str(number) for number in rows[:20_000].tolist()]

@step
def registered(rows, texts):
    registry = Registry(current_project())
    artifact = RunLog(current_project()).keep(texts).digest
    version = registry.register("spam", artifact).version
    return registry.decide("spam", version, "promote", ["good"]).version
"""


KILLING = """def texts(rows):
    import os, pathlib, signal
    doomed = pathlib.Path("{doomed}")
    if doomed.exists():
        for process in doomed.read_text().split():
            try:
                os.kill(int(process), signal.SIGKILL)
            except ProcessLookupError:
                continue
        doomed.unlink()"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-m", "gristmill", "run"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def check_sound(folder: Path) -> None:
    """Everything that the store shows is whole."""
    with Project(folder) as project:
        log = RunLog(project)
        shown = {one.digest for one in log.artifacts(artifacts.c.digest != "")}
        stored = (one.digest for one in project.artifacts.stored())
        shown |= {digest for digest in stored if project.artifacts.exists(digest)}
        for digest in shown:
            check_content(project.artifacts.get(digest), digest)
        done = log.select(executions.c.status == "done")
        assert {one.output for one in done} <= shown
        assert {one.artifact for one in Registry(project).versions("spam")} <= shown
        if not project.settings.database:
            with project.database.read() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def check_goes_on(folder: Path) -> None:
    """Nothing half-written is to be seen, and the next run ends where it would have."""
    check_sound(folder)
    again = run(folder)
    assert again.returncode == 0, again.stderr
    check_sound(folder)
    with Project(folder) as project:
        assert [entry.version for entry in Registry(project).history("spam")] == [1]


@pytest.mark.parametrize("kilobytes", [0, 150, 400, 700])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    small_disk: Path, kilobytes: int
) -> None:
    (small_disk / "pipeline.py").write_text(PIPELINE)
    with Project(small_disk) as project:
        RunLog(project).runs()  # the database is there before the disk fills up
    filler = small_disk / "filler"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(b"x" * (free - 1024 * kilobytes))
    full = run(small_disk)
    assert full.returncode in (6, 7)
    told = full.stdout + full.stderr
    assert "Traceback" not in told
    assert "space" in told
    filler.unlink()
    check_goes_on(small_disk)


@pytest.mark.postgres
def test_a_connection_lost_in_mid_commit_leaves_nothing_visible(
    postgres_server: str, tmp_path: Path
) -> None:
    import psycopg
    from sqlalchemy import insert

    address = postgres_server.replace("postgresql+psycopg", "postgresql")
    name = f"t{os.urandom(6).hex()}"
    with psycopg.connect(address, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        (tmp_path / "gristmill.toml").write_text(
            f'database = "{postgres_server.rpartition("/")[0]}/{name}"\n'
        )
        with Project(tmp_path) as project:
            log = RunLog(project)
            run = log.start("pipeline.py", {})
            row = {
                "run": run, "pipeline": "p", "step": "s", "key": "k", "status": "done", "why": "",
                "reach": "{}", "started": 0.0, "seconds": 0.0,
            }  # fmt: skip

            def write_and_lose_the_server() -> None:
                with project.database.write() as connection:
                    connection.execute(insert(executions).values(row))
                    mine = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
                    server.execute(f"SELECT pg_terminate_backend({mine})")

            with pytest.raises(StoreError) as lost:
                write_and_lose_the_server()
            assert "database" in lost.value.message
            assert lost.value.fix
            assert log.of_run(run) == []
            log.finish(run, "stopped")
            assert log.run(run).status == "stopped"


def kill_all(processes: Iterable[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.mark.postgres
def test_a_server_that_is_killed_leaves_nothing_half_written_and_all_goes_on_with_the_next(
    new_postgres: Callable[[], Any], tmp_path: Path
) -> None:
    server = new_postgres()
    server.start()
    (tmp_path / "gristmill.toml").write_text(f'database = "{server.url}"\n')
    with Project(tmp_path) as project:
        log = RunLog(project)
        run_id = log.start("pipeline.py", {})
        unwritten = Artifact("0" * 32, "json", "json", 1, None, {})

        def write_and_kill_the_server() -> None:
            with project.database.write() as connection:
                note_artifacts(connection, [unwritten])
                kill_all(server.processes())

        with pytest.raises(StoreError, match="the database cannot be used") as lost:
            write_and_kill_the_server()
        assert lost.value.fix == "check that the database server runs and the URL is right"
        with pytest.raises(StoreError, match="the database cannot be used"):
            log.runs()
        server.start_again()
        assert log.artifacts(artifacts.c.digest == unwritten.digest) == []
        log.finish(run_id, "stopped")
    doomed = tmp_path / "doomed"
    doomed.write_text(" ".join(map(str, server.processes())))
    killing = KILLING.format(doomed=str(doomed))
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace("def texts(rows):", killing))
    failed = run(tmp_path)
    told = failed.stdout + failed.stderr
    assert failed.returncode == 7, told
    assert "Traceback" not in told
    assert "check that the database server runs" in told
    server.start_again()
    check_goes_on(tmp_path)
    server.stop()
