"""What is in the store: artifacts by kind, step and time, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select

from gristmill.store.runs import RunLog
from gristmill.store.tables import artifacts, executions, links


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One artifact as a list shows it.

    Attributes:
        digest: its digest.
        kind: what it is: table, bundle, json, ...
        bytes_: of its files.
        rows: how many, where it has any.
        created: when it was stored first, in seconds since 1970, UTC.
        step: the step that made it first; None where none did.
        run: the run in which that was.
    """

    digest: str
    kind: str
    bytes_: int
    rows: int | None
    created: float
    step: str | None
    run: str | None


def list_artifacts(
    log: RunLog,
    *,
    kind: str | None = None,
    step: str | None = None,
    since: float | None = None,
    limit: int = 50,
    skip: int = 0,
) -> list[StoredArtifact]:
    """Return the newest artifacts.

    Args:
        log: the record of the project.
        kind: only those of this kind.
        step: only results of this step, of any pipeline.
        since: only those stored since, in seconds since 1970.
        limit: at most so many.
        skip: so many of the newest are left out; the next page.
    """
    query = select(artifacts.c.digest)
    if kind is not None:
        query = query.where(artifacts.c.kind == kind)
    if since is not None:
        query = query.where(artifacts.c.created >= since)
    if step is not None:
        query = query.where(artifacts.c.digest.in_(_results_of(step)))
    newest = artifacts.c.created.desc(), artifacts.c.digest
    page = query.order_by(*newest).limit(limit).offset(skip).subquery()
    maker = (
        select(func.min(links.c.execution))
        .where((links.c.artifact == artifacts.c.digest) & (links.c.role == "output"))
        .correlate(artifacts)
        .scalar_subquery()
    )
    columns = (artifacts.c[name] for name in ("digest", "kind", "bytes", "rows", "created"))
    shown = (
        select(*columns, executions.c.step, executions.c.run)
        .join(page, page.c.digest == artifacts.c.digest)
        .outerjoin(executions, executions.c.id == maker)
        .order_by(*newest)
    )
    with log.project.database.read() as connection:
        rows: Sequence[Sequence[Any]] = connection.execute(shown).all()
    return [StoredArtifact(*row) for row in rows]


def _results_of(step: str) -> Select[Any]:
    made = select(executions.c.id).where(executions.c.step == step)
    return select(links.c.artifact).where(links.c.execution.in_(made) & (links.c.role == "output"))
