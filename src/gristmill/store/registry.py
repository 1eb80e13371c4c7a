"""The model registry: versions that never change and a log of decisions that only grows.

"Which model was live last Tuesday, who promoted it, on what evidence" must have an answer, so
nothing here is updated in place: the live version is the newest promotion in the log.
"""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from gristmill.core.errors import StoreError, UsageError
from gristmill.store.tables import promotions, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gristmill.store.project import Project

_RETRIES = 20


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered bundle: `model` and `version` (1, 2, ...) name the artifact for good."""

    model: str
    version: int
    artifact: str
    run: str | None
    created: float


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the log: what was decided about a version, by whom, when and why."""

    model: str
    version: int
    verdict: str
    reasons: list[str]
    author: str
    at: float


class Registry:
    """The models of a project."""

    def __init__(self, project: Project) -> None:
        self._database = project.database

    def register(self, model: str, artifact: str, *, run: str | None = None) -> ModelVersion:
        """Give a bundle artifact the next version number of `model`.

        Registering the same artifact again returns the version that it has.

        Args:
            model: the model's name.
            artifact: digest of the bundle's artifact.
            run: the run that made it.
        """
        for _ in range(_RETRIES):
            try:
                with self._database.write() as connection:
                    return _register(connection, model, artifact, run)
            except StoreError as error:
                if not isinstance(error.__cause__, IntegrityError):
                    raise
                # Another process took the number between our look and our write: look again.
        raise StoreError(f"could not register a version of {model!r}: too many writers at once")

    def decide(
        self, model: str, version: int, verdict: str, reasons: list[str], *, author: str = ""
    ) -> Decision:
        """Append a decision: `promote` makes the version live, `hold` and `reject` don't.

        Raises:
            UsageError: the verdict is unknown, or there is no such version.
        """
        if verdict not in ("promote", "hold", "reject"):
            raise UsageError(f"expected promote, hold or reject, found {verdict!r}")
        if all(known.version != version for known in self.versions(model)):
            raise UsageError(f"model {model!r} has no version {version}")
        entry = Decision(model, version, verdict, reasons, author or _user(), time.time())
        row: dict[str, Any] = {
            "model": model,
            "version": version,
            "verdict": verdict,
            "reasons": json.dumps(reasons),
            "author": entry.author,
            "at": entry.at,
        }
        with self._database.write() as connection:
            connection.execute(insert(promotions).values(row))
        return entry

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""
        query = select(versions).where(versions.c.model == model).order_by(versions.c.version)
        with self._database.read() as connection:
            return [ModelVersion(**row) for row in connection.execute(query).mappings()]

    def history(self, model: str) -> list[Decision]:
        """Return the log of a model, oldest first."""
        query = select(promotions).where(promotions.c.model == model).order_by(promotions.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Decision(row["model"], row["version"], row["verdict"], json.loads(row["reasons"]),
                     row["author"], row["at"])
            for row in rows
        ]  # fmt: skip

    def live(self, model: str) -> ModelVersion | None:
        """Return the version that was promoted last, or None."""
        promoted = [entry for entry in self.history(model) if entry.verdict == "promote"]
        if not promoted:
            return None
        wanted = promoted[-1].version
        return next(known for known in self.versions(model) if known.version == wanted)

    def models(self) -> list[str]:
        """Return the names of all models, in order."""
        query = select(versions.c.model).distinct().order_by(versions.c.model)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())


def _register(connection: Connection, model: str, artifact: str, run: str | None) -> ModelVersion:
    mine = versions.c.model == model
    known = connection.execute(
        select(versions).where(mine & (versions.c.artifact == artifact))
    ).mappings().first()  # fmt: skip
    if known is not None:
        return ModelVersion(**known)
    newest = connection.execute(select(func.max(versions.c.version)).where(mine)).scalar() or 0
    fresh = ModelVersion(model, newest + 1, artifact, run, time.time())
    connection.execute(insert(versions).values(asdict(fresh)))
    return fresh


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
