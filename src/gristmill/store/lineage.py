"""Where things came from: the graph of artifacts and the executions that made them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from gristmill.store.runs import Artifact, Execution
from gristmill.store.tables import executions, links

if TYPE_CHECKING:
    from gristmill.store.runs import RunLog


@dataclass(slots=True)
class Origin:
    """An artifact, the execution that made it, and the origins of what that read.

    `name` is what the reader called it: the parameter of the step that it went into.
    """

    name: str
    artifact: Artifact
    execution: Execution | None
    inputs: list[Origin] = field(default_factory=list)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Origin]]:
        """Yield every origin with its depth, results before what they were made from."""
        yield depth, self
        for origin in self.inputs:
            yield from origin.walk(depth + 1)


def trace(log: RunLog, digest: str, name: str = "") -> Origin:
    """Return the whole ancestry of an artifact.

    An artifact that several paths lead to appears once in full and then as the same object.

    Raises:
        UsageError: there is no such artifact.
    """
    return _trace(log, digest, name, {})


def _trace(log: RunLog, digest: str, name: str, known: dict[str, Origin]) -> Origin:
    if digest in known:
        return known[digest]
    maker = maker_of(log, digest)
    origin = Origin(name or (maker.step if maker else ""), log.artifact(digest), maker)
    known[digest] = origin
    if maker is not None:
        pairs = sorted(maker.inputs.items())
        origin.inputs = [_trace(log, inner, role, known) for role, inner in pairs]
    return origin


def maker_of(log: RunLog, digest: str) -> Execution | None:
    """Return the execution that first made an artifact."""
    query = (
        select(executions.c.id)
        .join(links, links.c.execution == executions.c.id)
        .where((links.c.artifact == digest) & (links.c.role == "output"))
        .where(executions.c.status == "done")
        .order_by(executions.c.id)
        .limit(1)
    )
    with log.project.database.read() as connection:
        number = connection.execute(query).scalar()
    if number is None:
        return None
    return log.select(executions.c.id == number)[0]


def made_from(log: RunLog, digest: str) -> list[Execution]:
    """Return the executions that read an artifact, newest first."""
    query = select(links.c.execution).where(
        (links.c.artifact == digest) & (links.c.role == "input")
    )
    with log.project.database.read() as connection:
        numbers = list(connection.execute(query).scalars())
    return log.select(executions.c.id.in_(numbers)) if numbers else []
