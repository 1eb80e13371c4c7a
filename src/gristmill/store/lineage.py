"""Where things came from, and what was made of them: artifacts, and the executions between them.

A question is one recursive query and a few that fetch what it found, however long the chain is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from gristmill.core.errors import UsageError
from gristmill.store.database import among, plain_rows
from gristmill.store.runs import (
    Artifact,
    Execution,
    RunLog,
    Ties,
    find_artifacts,
    find_executions,
)
from gristmill.store.tables import artifacts, executions, links

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(slots=True)
class Relative:
    """An artifact in a line of descent.

    Attributes:
        name: of an ancestor, what its reader called it: the parameter that it went into; of a
            descendant, the step that made it.
        artifact: the artifact.
        execution: what made it first; None where nobody did.
        relatives: what it was made from; or, in the other direction, what was made from it.
    """

    name: str
    artifact: Artifact
    execution: Execution | None
    relatives: list[Relative] = field(default_factory=list)

    def walk(self) -> Iterator[tuple[int, Relative]]:
        """Yield everyone with the distance from here, each before its own relatives.

        Who is related in several ways comes several times, but is one object; its relatives come
        once.
        """
        seen: set[str] = set()
        waiting = [(0, self)]
        while waiting:
            depth, one = waiting.pop()
            yield depth, one
            if one.artifact.digest not in seen:
                seen.add(one.artifact.digest)
                waiting += [(depth + 1, each) for each in reversed(one.relatives)]


_FIRST_MAKER = text("""
    SELECT min(made.execution)
    FROM links AS made CROSS JOIN executions
    WHERE made.artifact = :digest AND made.role = 'output'
      AND executions.id = made.execution AND executions.status = 'done'
""")
_UPWARDS = text("""
    WITH RECURSIVE up (execution) AS (
        SELECT CAST(:maker AS BIGINT)
        UNION
        SELECT (
            SELECT min(made.execution)
            FROM links AS made CROSS JOIN executions
            WHERE made.artifact = read.artifact AND made.role = 'output'
              AND executions.id = made.execution AND executions.status = 'done'
        )
        FROM up CROSS JOIN links AS read
        WHERE read.execution = up.execution AND read.role = 'input'
    )
    SELECT tie.execution, tie.role, tie.name, tie.artifact
    FROM up CROSS JOIN links AS tie
    WHERE tie.execution = up.execution
""")
"""The links of an execution and of the first makers of all that it came from."""
_DOWNWARDS = text("""
    WITH RECURSIVE down (digest) AS (
        SELECT CAST(:digest AS VARCHAR(64))
        UNION
        SELECT made.artifact
        FROM down CROSS JOIN links AS read CROSS JOIN executions CROSS JOIN links AS made
        WHERE read.artifact = down.digest AND read.role = 'input'
          AND executions.id = read.execution AND executions.status = 'done'
          AND made.execution = executions.id AND made.role = 'output'
    )
    SELECT tie.execution, tie.role, tie.name, tie.artifact
    FROM (
        SELECT CAST(:maker AS BIGINT) AS execution
        UNION
        SELECT read.execution
        FROM down CROSS JOIN links AS read CROSS JOIN executions
        WHERE read.artifact = down.digest AND read.role = 'input'
          AND executions.id = read.execution AND executions.status = 'done'
    ) AS used CROSS JOIN links AS tie
    WHERE tie.execution = used.execution
""")
"""The links of the executions that made an artifact, or read it or a descendant of it.

`CROSS JOIN` is what keeps SQLite from another order, in which it would read a whole table."""


def ancestors(log: RunLog, digest: str) -> Relative:
    """Return an artifact with all that it was made from.

    Raises:
        UsageError: there is no such artifact.
    """
    with _asking(log) as connection:
        maker = _first_maker(connection, digest)
        ties = Ties.of_links(plain_rows(connection, _UPWARDS, {"maker": maker}))
        made = _executions(connection, ties)
        read = {source for inputs in ties.inputs.values() for source in inputs.values()}
        known = _artifacts(connection, {digest, *read})
    makers = {one.output: one for one in made.values()}
    relatives = {one.digest: Relative("", one, makers.get(one.digest)) for one in known}
    start = _known(relatives, digest)
    start.name = start.execution.step if start.execution else ""
    seen, waiting = {digest}, [start]
    for one in waiting:  # the nearest first: who reads it first names it
        for name, source in sorted(one.execution.inputs.items()) if one.execution else ():
            relative = relatives[source]
            one.relatives.append(relative)
            if source not in seen:
                seen.add(source)
                relative.name = name
                waiting.append(relative)
    return start


def descendants(log: RunLog, digest: str) -> Relative:
    """Return an artifact with all that was made from it.

    Raises:
        UsageError: there is no such artifact.
    """
    with _asking(log) as connection:
        asked = {"digest": digest, "maker": _first_maker(connection, digest)}
        ties = Ties.of_links(plain_rows(connection, _DOWNWARDS, asked))
        found = _executions(connection, ties)
        known = _artifacts(connection, {digest, *ties.outputs.values()})
    oldest_first = [found[number] for number in sorted(found)]
    makers = {one.output: one for one in reversed(oldest_first)}
    relatives = {one.digest: Relative("", one, makers.get(one.digest)) for one in known}
    start = _known(relatives, digest)
    for one in relatives.values():
        one.name = one.execution.step if one.execution else ""
    for source, output in dict.fromkeys(
        (source, one.output) for one in oldest_first for source in one.inputs.values()
    ):
        if source in relatives and output is not None:
            relatives[source].relatives.append(relatives[output])
    return start


def maker_of(log: RunLog, digest: str) -> Execution | None:
    """Return the execution that first made an artifact."""
    with log.project.database.read() as connection:
        maker = _first_maker(connection, digest)
        found = find_executions(connection, executions.c.id == maker)
    return found[0] if found else None


def made_from(log: RunLog, digest: str) -> list[Execution]:
    """Return the executions that read an artifact, newest first."""
    readers = select(links.c.execution).where(
        (links.c.artifact == digest) & (links.c.role == "input")
    )
    return log.select(executions.c.id.in_(readers))


@contextmanager
def _asking(log: RunLog) -> Iterator[Connection]:
    """Yield a connection for recursive questions."""
    with log.project.database.read() as connection:
        if connection.dialect.name == "postgresql":
            # Each round finds a few rows by index, in the order in which the joins are written. A
            # planner without statistics would read whole tables in each of a thousand rounds.
            connection.exec_driver_sql("SET LOCAL join_collapse_limit = 1")
            for way in ("seqscan", "hashjoin", "mergejoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        yield connection


def _first_maker(connection: Connection, digest: str) -> int | None:
    return connection.execute(_FIRST_MAKER, {"digest": digest}).scalar()


def _executions(connection: Connection, ties: Ties) -> dict[int, Execution]:
    """Return the executions that these links are of, by number."""
    numbers = {*ties.inputs, *ties.outputs}
    wanted = among(executions.c.id, numbers, connection)
    return {one.id: one for one in find_executions(connection, wanted, ties=ties)}


def _artifacts(connection: Connection, digests: Collection[str]) -> list[Artifact]:
    return find_artifacts(connection, among(artifacts.c.digest, digests, connection))


def _known(relatives: Mapping[str, Relative], digest: str) -> Relative:
    if digest not in relatives:
        raise UsageError(f"there is no artifact {digest!r}", fix="`gristmill runs last` lists some")
    return relatives[digest]
