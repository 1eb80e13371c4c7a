"""Where things came from, and what was made of them: artifacts, and the executions between them.

A question is one recursive query and a few that fetch what it found, however long the chain is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Select, cast, func, literal, select

from gristmill.core.errors import UsageError
from gristmill.store.runs import Artifact, Execution, RunLog
from gristmill.store.tables import artifacts, executions, links

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row

T = TypeVar("T")
_AT_ONCE = 5000
"""Most values of one query: SQLite takes 32,766."""


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

        Who is related in several ways comes several times, but is one object.
        """
        waiting = [(0, self)]
        while waiting:
            depth, one = waiting.pop()
            yield depth, one
            waiting += [(depth + 1, each) for each in reversed(one.relatives)]


def ancestors(log: RunLog, digest: str) -> Relative:
    """Return an artifact with all that it was made from.

    Raises:
        UsageError: there is no such artifact.
    """
    makers = {row.digest: row.maker for row in _followed(log, _makers_upwards(digest))}
    made = _executions(log, {maker for maker in makers.values() if maker is not None})
    relatives = {
        one.digest: Relative("", one, made.get(makers[one.digest] or 0))
        for one in _artifacts(log, makers)
    }
    _check_known(relatives, digest)
    named = {digest}  # by those who read them, the first of whom counts
    for one in relatives.values():
        one.name = one.name or (one.execution.step if one.execution else "")
        for name, source in sorted(one.execution.inputs.items()) if one.execution else ():
            if source not in named:
                relatives[source].name = name
                named.add(source)
            one.relatives.append(relatives[source])
    return relatives[digest]


def descendants(log: RunLog, digest: str) -> Relative:
    """Return an artifact with all that was made from it.

    Raises:
        UsageError: there is no such artifact.
    """
    uses = [(row.digest, row.execution) for row in _followed(log, _uses_downwards(digest))]
    made = _executions(log, {use for _, use in uses})
    outputs = {one.output for one in made.values() if one.output is not None}
    known = _artifacts(log, {digest, *outputs})
    first = {one.output: one for one in sorted(made.values(), key=lambda each: -each.id)}
    maker = maker_of(log, digest)
    relatives = {one.digest: Relative("", one, first.get(one.digest, maker)) for one in known}
    for one in relatives.values():
        one.name = one.execution.step if one.execution else ""
    _check_known(relatives, digest)
    for source, output in dict.fromkeys(
        (source, made[use].output) for source, use in sorted(uses, key=lambda pair: pair[1])
    ):
        if output is not None:
            relatives[source].relatives.append(relatives[output])
    return relatives[digest]


def maker_of(log: RunLog, digest: str) -> Execution | None:
    """Return the execution that first made an artifact."""
    with log.project.database.read() as connection:
        number = connection.execute(_first_maker(literal(digest))).scalar()
    return None if number is None else log.select(executions.c.id == number)[0]


def made_from(log: RunLog, digest: str) -> list[Execution]:
    """Return the executions that read an artifact, newest first."""
    query = select(links.c.execution).where(
        (links.c.artifact == digest) & (links.c.role == "input")
    )
    with log.project.database.read() as connection:
        numbers = list(connection.execute(query).scalars())
    return log.select(executions.c.id.in_(numbers)) if numbers else []


def _first_maker(digest: ColumnElement[str]) -> Select[tuple[int]]:
    made, maker = links.alias(), executions.alias()
    return (
        select(func.min(maker.c.id))
        .join(made, made.c.execution == maker.c.id)
        .where((made.c.artifact == digest) & (made.c.role == "output"))
        .where(maker.c.status == "done")
    )


def _makers_upwards(digest: str) -> Select[Any]:
    """Select each ancestor's digest and the number of its maker."""
    start = cast(digest, links.c.artifact.type)
    maker = _first_maker(literal(digest)).scalar_subquery()
    up = select(start.label("digest"), maker.label("maker")).cte("up", recursive=True)
    read = links.alias()
    further = (
        select(read.c.artifact, _first_maker(read.c.artifact).correlate(read).scalar_subquery())
        .select_from(up)
        .join(read, (read.c.execution == up.c.maker) & (read.c.role == "input"))
    )
    up = up.union(further)
    return select(up.c.digest, up.c.maker)


def _uses_downwards(digest: str) -> Select[Any]:
    """Select each digest that was read, with the number of an execution that read it."""
    down = select(cast(digest, links.c.artifact.type).label("digest")).cte("down", recursive=True)
    read, made = links.alias(), links.alias()
    done = executions.c.status == "done"
    further = (
        select(made.c.artifact)
        .select_from(down)
        .join(read, (read.c.artifact == down.c.digest) & (read.c.role == "input"))
        .join(executions, (executions.c.id == read.c.execution) & done)
        .join(made, (made.c.execution == executions.c.id) & (made.c.role == "output"))
    )
    down = down.union(further)
    return (
        select(down.c.digest, read.c.execution)
        .select_from(down)
        .join(read, (read.c.artifact == down.c.digest) & (read.c.role == "input"))
        .join(executions, (executions.c.id == read.c.execution) & done)
    )


def _followed(log: RunLog, question: Select[Any]) -> Sequence[Row[Any]]:
    """Ask a recursive question."""
    with log.project.database.read() as connection:
        if connection.dialect.name == "postgresql":
            # Each round finds a few rows by index, in the order in which the joins are written. A
            # planner without statistics would read whole tables in each of a thousand rounds.
            connection.exec_driver_sql("SET LOCAL join_collapse_limit = 1")
            for way in ("seqscan", "hashjoin", "mergejoin"):
                connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return connection.execute(question).all()


def _executions(log: RunLog, numbers: Collection[int]) -> dict[int, Execution]:
    return {
        one.id: one
        for some in _some_at_once(numbers)
        for one in log.select(executions.c.id.in_(some))
    }


def _artifacts(log: RunLog, digests: Collection[str]) -> list[Artifact]:
    return [
        one
        for some in _some_at_once(digests)
        for one in log.artifacts(artifacts.c.digest.in_(some))
    ]


def _some_at_once(values: Collection[T]) -> Iterator[list[T]]:
    waiting = iter(values)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some


def _check_known(relatives: Mapping[str, Relative], digest: str) -> None:
    if digest not in relatives:
        raise UsageError(f"there is no artifact {digest!r}", fix="`gristmill runs last` lists some")
