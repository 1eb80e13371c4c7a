"""What is kept of a run beside its results: what its steps printed, their source, what was changed.

An enclosure is an artifact like others. It stays as long as its run is kept, and then goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import select

from gristmill.core.fingerprint import fingerprint, fingerprint_bytes
from gristmill.store.database import insert_into
from gristmill.store.runs import Artifact, note_artifacts
from gristmill.store.tables import enclosures, runs

if TYPE_CHECKING:
    from gristmill.store.codecs import Encoded
    from gristmill.store.runs import RunLog

Role = Literal["log", "source", "changes", "environment"]
"""What a step printed; the code that the run could reach; what of it git has not committed; the
packages that were installed.
"""

KINDS = ("step log", "run source", "run changes", "run environment")
"""Kinds of artifacts that are nothing but enclosures. No class of a user's is called so."""


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


def put_files(log: RunLog, files: Mapping[str, bytes], encoded: Encoded) -> Artifact:
    """Store files that are in memory; where the store has them already, nothing is written.

    Args:
        log: the record of the project.
        files: relative path -> content.
        encoded: what they are.
    """
    prints = {name: [fingerprint_bytes(data), len(data)] for name, data in files.items()}
    digest = fingerprint({"codec": encoded.codec, "files": prints})
    if log.project.artifacts.exists(digest):
        bytes_ = sum(len(data) for data in files.values())
        return Artifact(digest, encoded.kind, encoded.codec, bytes_, encoded.rows, encoded.summary)
    with log.draft() as folder:
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return log.put(folder, encoded)


def enclose(log: RunLog, run: str, step: str, kept: Mapping[Role, Artifact]) -> None:
    """Note that artifacts belong to a run; what it had in these roles is replaced.

    Args:
        log: the record of the project.
        run: the run's id.
        step: the step that they belong to; empty for the whole run.
        kept: role -> artifact.
    """
    rows = [
        {"run": run, "step": step, "role": role, "artifact": artifact.digest}
        for role, artifact in sorted(kept.items())
    ]
    with log.project.database.write() as connection:
        note_artifacts(connection, list(kept.values()))
        fresh = insert_into(enclosures, connection)
        renewed = {"artifact": fresh.excluded.artifact}
        connection.execute(
            fresh.on_conflict_do_update(index_elements=["run", "step", "role"], set_=renewed), rows
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


def find_enclosure(log: RunLog, run: str, role: Role, step: str = "") -> Artifact | None:
    """Return the artifact that a run has in a role; None where it has none."""
    query = select(enclosures.c.artifact).where(
        (enclosures.c.run == run) & (enclosures.c.step == step) & (enclosures.c.role == role)
    )
    with log.project.database.read() as connection:
        digest = connection.execute(query).scalar()
    return None if digest is None else log.artifact(digest)


def last_enclosure(log: RunLog, pipeline: str, role: Role) -> Artifact | None:
    """Return the artifact that the newest run of a pipeline which has one has in a role."""
    query = (
        select(enclosures.c.artifact)
        .join(runs, enclosures.c.run == runs.c.id)
        .where((runs.c.pipeline == pipeline) & (enclosures.c.role == role))
        .where(enclosures.c.step == "")
        .order_by(runs.c.started.desc())
        .limit(1)
    )
    with log.project.database.read() as connection:
        digest = connection.execute(query).scalar()
    return None if digest is None else log.artifact(digest)


def runs_with(log: RunLog, role: Role, digest: str, limit: int = 3) -> list[str]:
    """Return the ids of the newest runs that have an artifact in a role, newest first."""
    query = (
        select(runs.c.id)
        .join(enclosures, enclosures.c.run == runs.c.id)
        .where((enclosures.c.artifact == digest) & (enclosures.c.role == role))
        .order_by(runs.c.started.desc())
        .limit(limit)
    )
    with log.project.database.read() as connection:
        return list(connection.execute(query).scalars())
