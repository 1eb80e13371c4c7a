"""History is refused every change by the database itself, whoever asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Executable, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gristmill.core.errors import StoreError
from gristmill.store.guards import HISTORY, REMEDY
from gristmill.store.monitorings import Monitorings
from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import Execution, RunLog
from gristmill.store.tables import metadata, versions


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with a row or two in every table of history."""
    log, registry = RunLog(project), Registry(project)
    run = log.start("pipeline.py", {})
    made, other = log.keep("a model").digest, log.keep("another").digest
    done = Execution(0, run, "train", "k", "done", "new", {}, 0.0, 0.0, None, {"x": other}, made)
    log.record(done, "pipeline.py")
    registry.register("spam", made, run=run)
    registry.decide("spam", 1, "promote", ["first"])
    Monitorings(project).add("spam", "none", ["quiet"])
    return project


def rows_of(project: Project) -> dict[str, list[Any]]:
    with project.database.read() as connection:
        return {table.name: connection.execute(select(table)).all() for table in HISTORY}


def refused(project: Project, statement: Executable) -> StoreError:
    with (
        pytest.raises(StoreError, match="holds history and only grows") as told,
        project.database.write() as connection,
    ):
        connection.execute(statement)
    return told.value


def test_no_row_of_history_is_changed_or_removed(filled: Project) -> None:
    before = rows_of(filled)
    for table in HISTORY:
        assert before[table.name]
        same = {column.name: column for column in table.columns}
        for statement in (update(table).values(same), delete(table)):
            error = refused(filled, statement)
            assert table.name in error.message
            assert error.fix == REMEDY
    assert rows_of(filled) == before


def test_no_row_is_put_in_the_place_of_another(filled: Project) -> None:
    before = rows_of(filled)
    for table in HISTORY:
        if filled.settings.database:
            refused(filled, text(f"TRUNCATE {table.name} CASCADE"))
            continue
        names = ", ".join(column.name for column in table.columns)
        changed = names.replace("created", "0").replace("author", "'eve'").replace("why", "'?'")
        replace = text(f"REPLACE INTO {table.name} ({names}) SELECT {changed} FROM {table.name}")
        if table.name != "artifacts":
            refused(filled, replace)
            continue
        with filled.database.write() as connection:  # noted again by many: what is there stays
            connection.execute(replace)
    if not filled.settings.database:  # a row that is in the way by another of its keys
        refused(
            filled, text("REPLACE INTO versions SELECT model, 7, artifact, '', 0 FROM versions")
        )
    assert rows_of(filled) == before


def test_a_number_that_is_taken_is_refused_as_ever(filled: Project) -> None:
    with filled.database.read() as connection:
        taken = dict(connection.execute(select(versions)).mappings().one())
    with pytest.raises(StoreError) as told, filled.database.write() as connection:
        connection.execute(insert(versions).values(taken))
    assert isinstance(told.value.__cause__, IntegrityError)  # what `register` tries again after


def test_what_is_not_history_is_renewed_as_ever(filled: Project) -> None:
    log = RunLog(filled)
    log.finish(log.run("last").id, "done")
    log.keep("a model")
    with filled.database.read() as connection:
        assert log.run("last").status == "done"
        count = select(func.count()).select_from(metadata.tables["artifacts"])
        assert connection.execute(count).scalar() == 2
