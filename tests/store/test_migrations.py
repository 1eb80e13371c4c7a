"""A database of an older layout is brought up to today's, with all that is in it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gristmill.core.errors import StoreError
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog
from gristmill.store.tables import SCHEMA_VERSION

ADDED = ("alias", "replaced", "forced", "evidence")


@pytest.fixture
def old_project(tmp_path: Path) -> Path:
    """A project with one promoted model, as layout 1 kept it."""
    with Project(tmp_path) as project:
        registry = Registry(project)
        registry.register("spam", RunLog(project).keep("a model").digest)
        registry.decide("spam", 1, "promote", ["first"], author="ada")
    with sqlite3.connect(tmp_path / ".gristmill" / "store.db") as raw:
        for name in ADDED:
            raw.execute(f"ALTER TABLE promotions DROP COLUMN {name}")
        raw.execute("UPDATE settings SET value = '1' WHERE name = 'schema'")
    return tmp_path


def test_what_the_log_said_it_still_says(old_project: Path) -> None:
    for _ in range(2):
        with Project(old_project) as project:
            (entry,) = Registry(project).history("spam")
            assert (entry.author, entry.alias, entry.replaced, entry.forced, entry.evidence) == (
                "ada", "champion", None, False, {},
            )  # fmt: skip
            with project.database.read() as connection:
                kept = connection.exec_driver_sql("SELECT value FROM settings").scalar()
            assert kept == SCHEMA_VERSION


def test_a_folder_that_is_only_read_is_left_as_it_is(old_project: Path) -> None:
    project = Project(old_project, read_only=True)
    with pytest.raises(StoreError, match="has layout '1'"):
        Registry(project).models()


def test_tables_that_are_new_are_made(old_project: Path) -> None:
    new = ("elements", "enclosures", "monitorings")
    with sqlite3.connect(old_project / ".gristmill" / "store.db") as raw:
        for name in new:
            raw.execute(f"DROP TABLE {name}")
    with Project(old_project) as project, project.database.read() as connection:
        for name in new:
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0
