"""A change of the log by somebody who may do anything shows; many who decide make one chain."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from gristmill.store.project import Project
from gristmill.store.registry import Registry
from gristmill.store.runs import RunLog
from gristmill.store.seals import seal_of
from gristmill.store.tables import promotions, versions

COUNT = 5


@pytest.fixture
def registry(project: Project) -> Registry:
    """A model with five decisions, and another beside it."""
    registry = Registry(project)
    for model in ("ham", "spam"):
        for number in (1, 2):
            registry.register(model, RunLog(project).keep([model, number]).digest)
    for number in range(COUNT):
        registry.decide("spam", 1 + number % 2, "promote", [f"décision {number}"], author="ada")
        registry.decide("ham", 1, "hold", ["no"], evidence={"p": 0.1 + 0.2})
    return registry


def test_the_seal_of_a_decision_is_the_same_for_ever() -> None:
    row = {
        "model": "spam", "version": 2, "verdict": "promote", "reasons": '["better"]',
        "author": "ada", "at": 1764000000.25, "alias": "champion", "replaced": None, "forced": 0,
        "evidence": "{}", "id": 9,
    }  # fmt: skip
    assert seal_of(row, "ab" * 16, "") == "4d5886f57708ad716ebbfe4ea1bba7a8"
    assert seal_of(row, "ab" * 16, "cd" * 16) == "27518ed7d938296ae083623bf4f4582a"


def test_a_log_that_nobody_touched_is_whole(registry: Registry) -> None:
    for model in ("ham", "spam"):
        sealed = registry.seals(model)
        assert (len(set(sealed.seals)), sealed.broken) == (COUNT, [])


CHANGES = {
    "author": (update(promotions).values(author="eve"), [2]),
    "time": (update(promotions).values(at=promotions.c.at + 1), [2]),
    "version": (update(promotions).values(version=2), [2]),
    "model": (update(promotions).values(model="ham"), [2]),  # the next one has lost its own
    "seal": (update(promotions).values(seal=""), [2, 3]),
    "gone": (delete(promotions), [2]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_decision_that_was_changed_or_taken_away_shows(
    project: Project,
    registry: Registry,
    drop_guards: Callable[[Connection], None],
    name: str,
) -> None:
    change, broken = CHANGES[name]
    mine = select(promotions.c.id).where(promotions.c.model == "spam").order_by(promotions.c.id)
    with project.database.write() as connection:
        drop_guards(connection)
        third = connection.execute(mine).scalars().all()[2]
        connection.execute(change.where(promotions.c.id == third))
    assert registry.seals("spam").broken == broken
    assert registry.roll_back("spam").verdict == "rollback"  # which an emergency must not wait for
    assert registry.seals("spam").broken == broken


def test_a_line_put_in_and_a_version_that_is_another_model_show(
    project: Project, registry: Registry, drop_guards: Callable[[Connection], None]
) -> None:
    with project.database.write() as connection:
        query = select(promotions).order_by(promotions.c.id.desc()).limit(1)
        last = dict(connection.execute(query).mappings().one())
        connection.execute(insert(promotions).values({**last, "id": 0, "model": "spam"}))
    assert registry.seals("spam").broken == [0, 1]
    with project.database.write() as connection:
        drop_guards(connection)
        decided = (versions.c.model == "ham") & (versions.c.version == 1)
        another = select(versions.c.artifact).where(
            versions.c.model == "spam", versions.c.version == 2
        )
        swapped = update(versions).where(decided).values(artifact=another.scalar_subquery())
        connection.execute(swapped)
    assert registry.seals("ham").broken == [*range(COUNT)]


def decide(folder: Path, writer: int) -> None:
    """What each of many processes does."""
    with Project(folder) as project:
        registry = Registry(project)
        for number in range(COUNT):
            registry.decide("spam", 1, "hold", [f"{writer} {number}"])
            registry.decide("ham", 1, "hold", [f"{writer} {number}"])


def test_eight_processes_that_decide_at_once_make_one_chain(
    project: Project, registry: Registry
) -> None:
    context = multiprocessing.get_context("fork")
    project.close()
    processes = [context.Process(target=decide, args=(project.root, n)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    wanted = sorted(f"{writer} {number}" for writer in range(8) for number in range(COUNT))
    for model in ("ham", "spam"):
        sealed = registry.seals(model)
        assert (len(set(sealed.seals)), sealed.broken) == (9 * COUNT, [])
        told = [entry.reasons[0] for entry in registry.history(model)[COUNT:]]
        assert sorted(told) == wanted
