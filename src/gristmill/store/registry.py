"""The model registry: versions that never change and a log of decisions that only grows.

"Which model was live last Tuesday, who promoted it, on what evidence" must have an answer, so
nothing here is updated in place: what an alias names is its newest promotion in the log. The
database refuses any change of it (`store.guards`), and one that was made all the same shows
(`store.seals`).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from gristmill.core.author import current_user
from gristmill.core.errors import StoreError, UsageError
from gristmill.store.decision import (
    CHAMPION,
    Decision,
    DecisionVerdict,
    earlier_version,
    named_at,
    standing,
)
from gristmill.store.seals import DECISIONS, SealedLog, next_seal, read_seals
from gristmill.store.tables import UNSEALED, promotions, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gristmill.store.project import Project

_RETRIES = 20
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One registered bundle: `model` and `version` (1, 2, ...) name the artifact for good."""

    model: str
    version: int
    artifact: str
    run: str | None
    created: float


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

        Raises:
            StoreError: too many others register at the same time.
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
        self,
        model: str,
        version: int,
        verdict: str,
        reasons: list[str],
        *,
        author: str = "",
        alias: str = CHAMPION,
        forced: bool = False,
        evidence: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Append a decision: `promote` and `rollback` make `alias` name the version.

        Args:
            model: the model's name.
            version: its number.
            verdict: `promote`, `rollback`, `hold` or `reject`.
            reasons: one sentence each.
            author: who decided; by default the user of this process.
            alias: the name that it is about.
            forced: whether a gate or a check had said no.
            evidence: what it rests on, as plain JSON values.

        Raises:
            UsageError: the verdict is unknown, there is no such version, or the alias is no name.
        """
        if verdict not in get_args(DecisionVerdict):
            known = ", ".join(get_args(DecisionVerdict))
            raise UsageError(f"expected one of {known}, found {verdict!r}")
        check_alias(alias)
        self.version(model, version)
        with self._database.write() as connection:
            entry = Decision(
                model=model,
                version=version,
                verdict=cast("DecisionVerdict", verdict),
                reasons=list(reasons),
                author=author or current_user(),
                at=time.time(),
                alias=alias,
                forced=forced,
                evidence=dict(evidence or {}),
            )
            return _append(connection, entry, _locked_log(connection, model))

    def standing(
        self,
        model: str,
        version: int,
        verdict: str,
        reasons: list[str],
        *,
        alias: str = CHAMPION,
        evidence: Mapping[str, Any] | None = None,
    ) -> Decision | None:
        """Return the decision that says just this, if it is the last word on the alias.

        A step that was killed after it had decided, and runs again, need not decide again.

        Args:
            model: the model's name.
            version: see `decide`.
            verdict: see `decide`.
            reasons: see `decide`.
            alias: see `decide`.
            evidence: what the decision rests on; it may hold more.
        """
        wanted = Decision(
            model, version, cast("DecisionVerdict", verdict), list(reasons), "", 0.0, alias,
            evidence=dict(evidence or {}),
        )  # fmt: skip
        return standing(self.history(model), wanted)

    def roll_back(
        self, model: str, *, alias: str = CHAMPION, reason: str = "", author: str = ""
    ) -> Decision:
        """Make an alias name the version that it named before; one more line in the log.

        Args:
            model: the model's name.
            alias: which of its aliases.
            reason: why, one sentence.
            author: who decided; by default the user of this process.

        Raises:
            UsageError: there is no such model, or the alias never named another version.
        """
        known = self.models()
        if model not in known:
            raise _no_model(model, known)
        with self._database.write() as connection:
            log = _locked_log(connection, model)
            now, target = named_at(log).get(alias), earlier_version(log, alias)
            if now is None or target is None:
                raise UsageError(
                    f"{alias!r} of {model!r} never named an earlier version",
                    fix="see `gristmill history`; promote a version by its number",
                )
            why = f"back from version {now.version}" + (f": {reason}" if reason else "")
            entry = Decision(
                model, target, "rollback", [why], author or current_user(), time.time(), alias
            )
            return _append(connection, entry, log)

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""
        query = select(versions).where(versions.c.model == model).order_by(versions.c.version)
        with self._database.read() as connection:
            return [ModelVersion(**row) for row in connection.execute(query).mappings()]

    def version(self, model: str, number: int) -> ModelVersion:
        """Return a version by its number.

        Raises:
            UsageError: there is none of that number, or no such model.
        """
        versions = self.versions(model)
        for known in versions:
            if known.version == number:
                return known
        if not versions:
            raise _no_model(model, self.models())
        raise UsageError(
            f"model {model!r} has no version {number}",
            fix=f"its versions: 1 to {versions[-1].version}",
        )

    def versions_of(self, artifact: str) -> list[ModelVersion]:
        """Return the versions, of any model, that an artifact is."""
        query = select(versions).where(versions.c.artifact == artifact)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(versions.c.model)).mappings()
            return [ModelVersion(**row) for row in rows]

    def history(self, model: str) -> list[Decision]:
        """Return the log of a model, oldest first."""
        with self._database.read() as connection:
            return _log(connection, model)

    def seals(self, model: str, *, first: int | None = None) -> SealedLog:
        """Return the seals of a model's log, each held against its decision.

        There are none in a project of an older layout that is open read-only.

        Args:
            model: the model's name.
            first: only those of the oldest so many decisions; all by default.
        """
        if self._database.layout in UNSEALED:
            return SealedLog([], [])
        with self._database.read() as connection:
            return read_seals(connection, model, first)

    def aliases(self, model: str, *, at: float | None = None) -> dict[str, Decision]:
        """Return alias -> the decision that made it name a version, now or at a moment.

        Args:
            model: the model's name.
            at: seconds since 1970, UTC; by default now.
        """
        return named_at(self.history(model), at)

    def live(
        self, model: str, alias: str = CHAMPION, *, at: float | None = None
    ) -> ModelVersion | None:
        """Return the version that an alias names, now or at a moment; None if it names none."""
        decision = self.aliases(model, at=at).get(alias)
        return None if decision is None else self.version(model, decision.version)

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


def check_alias(alias: str) -> None:
    """Check the name of an alias.

    Raises:
        UsageError: it is empty, a number, or has other characters than letters, digits, `-_.`.
    """
    if not _ALIAS.fullmatch(alias):
        raise UsageError(
            f"expected an alias such as {CHAMPION!r}, found {alias!r}",
            fix="begin with a letter; then letters, digits, '-', '_' and '.'",
        )


def _locked_log(connection: Connection, model: str) -> list[Decision]:
    """Return the log, which nobody else adds to before this transaction ends."""
    # On SQLite a writer is alone anyway; PostgreSQL needs a row to hold: the oldest version's.
    mine = select(versions.c.version).where(versions.c.model == model)
    connection.execute(mine.order_by(versions.c.version).limit(1).with_for_update()).all()
    return _log(connection, model)


def _append(connection: Connection, entry: Decision, log: list[Decision]) -> Decision:
    before = named_at(log).get(entry.alias)
    if entry.moved and before is not None:
        entry = replace(entry, replaced=before.version)
    row = _as_row(entry)
    connection.execute(insert(promotions).values(row | {"seal": next_seal(connection, row)}))
    return entry


def _log(connection: Connection, model: str) -> list[Decision]:
    query = select(*DECISIONS).where(promotions.c.model == model).order_by(promotions.c.id)
    rows = connection.execute(query).mappings().all()
    return [
        Decision(
            **{
                **row,
                "reasons": json.loads(row["reasons"]),
                "evidence": json.loads(row["evidence"]),
                "forced": bool(row["forced"]),
            }
        )
        for row in rows
    ]


def _as_row(entry: Decision) -> dict[str, Any]:
    return asdict(entry) | {
        "reasons": json.dumps(entry.reasons),
        "evidence": json.dumps(entry.evidence),
        "forced": int(entry.forced),
    }


def _no_model(model: str, models: list[str]) -> UsageError:
    known = f"known models: {', '.join(models)}"
    none = "none is registered yet: `gristmill.pipeline.release` in a step registers one"
    return UsageError(f"there is no model {model!r}", fix=known if models else none)
