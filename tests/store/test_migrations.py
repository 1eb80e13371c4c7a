"""A database of an older layout is brought up to today's, with all that is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select, update

from gristmill.core.errors import StoreError
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog
from gristmill.store.seals import DECISIONS
from gristmill.store.tables import SCHEMA_VERSION, metadata, promotions

ADDED = ("alias", "replaced", "forced", "evidence")
Age = Callable[[Project, str], None]


@pytest.fixture
def old_project(tmp_path: Path, make_older: Age) -> Path:
    """A project with one promoted model, as layout 1 kept it."""
    with Project(tmp_path) as project:
        registry = Registry(project)
        registry.register("spam", RunLog(project).keep("a model").digest)
        registry.decide("spam", 1, "promote", ["first"], author="ada")
        make_older(project, "1")
    with sqlite3.connect(tmp_path / ".gristmill" / "store.db") as raw:
        for name in ADDED:
            raw.execute(f"ALTER TABLE promotions DROP COLUMN {name}")
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
    with pytest.raises(StoreError, match="has layout '1'") as caught:
        Registry(project).models()
    assert "where it can be written" in str(caught.value.fix)


@pytest.mark.parametrize("layout", ["4", "5", "6"])
def test_layouts_that_hold_the_same_are_read_where_nothing_is_written(
    tmp_path: Path, layout: str, make_older: Age
) -> None:
    with Project(tmp_path) as project:
        digest = RunLog(project).keep("a value").digest
        registry = Registry(project)
        registry.register("spam", digest)
        said = registry.decide("spam", 1, "promote", ["first"])
        make_older(project, layout)
    with Project(tmp_path, read_only=True) as project:
        assert RunLog(project).load(digest) == "a value"
        assert Registry(project).history("spam") == [said]
        assert len(Registry(project).seals("spam").seals) == (layout == "6")


def test_a_log_without_seals_is_sealed_and_guarded_once(project: Project, make_older: Age) -> None:
    registry = Registry(project)
    for model in ("spam", "ham"):
        for number in (1, 2):
            registry.register(model, RunLog(project).keep([model, number]).digest)
            registry.decide(model, number, "promote", ["better"], evidence={"gain": 0.1 * number})
    told = {model: registry.seals(model) for model in ("spam", "ham")}
    make_older(project, "5")
    for _ in range(2):
        with Project(project.root) as again:
            for model, sealed in told.items():
                assert Registry(again).seals(model) == sealed
            with (
                pytest.raises(StoreError, match="only grows"),
                again.database.write() as connection,
            ):
                connection.execute(update(promotions).values(author="eve"))
    assert registry.seals("spam").broken == []


@pytest.mark.parametrize("layout", ["5", "6"])
def test_who_was_running_meanwhile_decides_nothing_without_a_seal(
    project: Project, make_older: Age, layout: str
) -> None:
    registry = Registry(project)
    registry.register("spam", RunLog(project).keep("a model").digest)
    registry.decide("spam", 1, "promote", ["first"])
    make_older(project, layout)
    with Project(project.root) as newer:
        sealed = Registry(newer).seals("spam")
    unsealed = insert(promotions).from_select(
        [column.name for column in DECISIONS], select(*DECISIONS)
    )
    with (
        pytest.raises(StoreError, match="takes no decision without a seal") as caught,
        project.database.write() as connection,
    ):
        connection.execute(unsealed)
    assert "start this program again" in str(caught.value.fix)
    assert registry.seals("spam") == sealed


def test_indexes_that_are_new_are_made(project: Project, make_older: Age) -> None:
    make_older(project, "4")
    names = ("links_by_artifact", "artifacts_by_age")
    with project.database.write() as connection:
        made = {index.name: index for table in metadata.tables.values() for index in table.indexes}
        for name in names:
            made[name].drop(connection)
        connection.exec_driver_sql("CREATE INDEX links_by_artifact ON links (artifact, role)")
    with Project(project.root) as again, again.database.read() as connection:
        found = inspect(connection)
        for name in names:
            table = made[name].table.name
            (index,) = [each for each in found.get_indexes(table) if each["name"] == name]
            assert len(index["column_names"]) == 3


def test_tables_that_are_new_are_made(old_project: Path) -> None:
    new = ("elements", "enclosures", "monitorings")
    with sqlite3.connect(old_project / ".gristmill" / "store.db") as raw:
        for name in new:
            raw.execute(f"DROP TABLE {name}")
    with Project(old_project) as project, project.database.read() as connection:
        for name in new:
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 0
