"""What is kept of a run beside its results: what its steps printed, their source, what was changed.

An enclosure is an artifact like others. It stays as long as its run is kept, and then goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from sqlalchemy import select

from gristmill.core.errors import UsageError
from gristmill.store.database import insert_into
from gristmill.store.runs import Artifact, note_artifacts
from gristmill.store.tables import enclosures

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.store.runs import RunLog

Role = Literal["log", "source", "changes"]
"""What a step printed; the code that the run could reach; what of it git has not committed."""


@dataclass(frozen=True, slots=True)
class Enclosure:
    """Something that belongs to a run.

    Attributes:
        run: the run's id.
        step: the step that it belongs to; empty for what belongs to the whole run.
        role: what it is.
        artifact: digest of the artifact that holds it.
    """

    run: str
    step: str
    role: Role
    artifact: str


def enclose(log: RunLog, run: str, step: str, role: Role, artifact: Artifact) -> None:
    """Note that an artifact belongs to a run; what it had of this role is replaced.

    Raises:
        UsageError: there is no such role.
    """
    if role not in get_args(Role):
        raise UsageError(f"expected one of {', '.join(get_args(Role))}, found {role!r}")
    row = {"run": run, "step": step, "role": role, "artifact": artifact.digest}
    with log.project.database.write() as connection:
        note_artifacts(connection, [artifact])
        fresh = insert_into(enclosures, connection).values(row)
        connection.execute(
            fresh.on_conflict_do_update(
                index_elements=["run", "step", "role"], set_={"artifact": artifact.digest}
            )
        )


def enclosures_of(log: RunLog, run: str) -> list[Enclosure]:
    """Return what belongs to a run, by step and role."""
    query = (
        select(enclosures)
        .where(enclosures.c.run == run)
        .order_by(enclosures.c.step, enclosures.c.role)
    )
    with log.project.database.read() as connection:
        return [Enclosure(*row) for row in connection.execute(query).all()]


def find_enclosure(log: RunLog, run: str, role: Role, step: str = "") -> Path | None:
    """Return the folder with the files of an enclosure, checked; None where the run has none.

    Raises:
        StoreError: it is gone or damaged.
    """
    query = select(enclosures.c.artifact).where(
        (enclosures.c.run == run) & (enclosures.c.step == step) & (enclosures.c.role == role)
    )
    with log.project.database.read() as connection:
        digest = connection.execute(query).scalar()
    return None if digest is None else log.files(digest)
