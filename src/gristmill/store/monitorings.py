"""What monitoring found of a model, and what was done: a log that only grows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from sqlalchemy import insert, select

from gristmill.core.errors import UsageError
from gristmill.store.tables import monitorings

if TYPE_CHECKING:
    from gristmill.store.project import Project

Deed: TypeAlias = Literal["none", "wait", "retrain", "promoted", "kept", "failed"]
"""What was done: nothing, nothing yet, a retraining was begun; and how one ended."""
ENDS: tuple[Deed, ...] = ("promoted", "kept", "failed")


@dataclass(frozen=True, slots=True)
class Monitoring:
    """One line of the log: a look at what is served, or the end of a retraining.

    Attributes:
        model: the model's name.
        version: the version that answered, or, where one was promoted, the one that does now.
        at: seconds since 1970, UTC.
        action: what was done.
        reasons: one sentence each.
        findings: what was found: `code`, `severity`, `feature` and `message` of each; of a
            retraining's end, what it was begun for.
        run: the run of the pipeline; None for a look.
    """

    model: str
    version: int | None
    at: float
    action: Deed
    reasons: list[str]
    findings: list[dict[str, Any]] = field(default_factory=list)
    run: str | None = None


class Monitorings:
    """The log of a project."""

    def __init__(self, project: Project) -> None:
        self._database = project.database

    def add(
        self,
        model: str,
        action: str,
        reasons: Sequence[str],
        *,
        version: int | None = None,
        findings: Sequence[Mapping[str, Any]] = (),
        run: str | None = None,
        at: float | None = None,
    ) -> Monitoring:
        """Append a line.

        Args:
            model: the model's name.
            action: one of `Deed`.
            reasons: one sentence each.
            version: the version it is about.
            findings: plain JSON values.
            run: the run of the pipeline, if there was one.
            at: seconds since 1970; by default now.

        Raises:
            UsageError: the action is unknown.
            ReadOnlyError: the project is open read-only.
        """
        if action not in get_args(Deed):
            raise UsageError(f"expected one of {', '.join(get_args(Deed))}, found {action!r}")
        moment = time.time() if at is None else at
        entry = Monitoring(
            model, version, moment, cast("Deed", action), list(reasons), [*map(dict, findings)], run
        )
        row = {
            "model": entry.model,
            "version": entry.version,
            "at": entry.at,
            "action": entry.action,
            "reasons": json.dumps(entry.reasons),
            "findings": json.dumps(entry.findings),
            "run": entry.run,
        }
        with self._database.write() as connection:
            connection.execute(insert(monitorings).values(row))
        return entry

    def history(self, model: str, *, last: int | None = None) -> list[Monitoring]:
        """Return the log of a model, oldest first.

        Args:
            model: the model's name.
            last: only so many of the newest lines; all by default.
        """
        query = select(monitorings).where(monitorings.c.model == model)
        query = query.order_by(monitorings.c.id.desc()).limit(last)
        return self._read(query)

    def deeds(self, model: str) -> list[Monitoring]:
        """Return the lines of retrainings alone, oldest first: there are few of them."""
        wanted = ("retrain", *ENDS)
        query = select(monitorings).where(
            (monitorings.c.model == model) & monitorings.c.action.in_(wanted)
        )
        return self._read(query.order_by(monitorings.c.id.desc()))

    def _read(self, query: Any) -> list[Monitoring]:
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Monitoring(
                **{
                    **{name: value for name, value in row.items() if name != "id"},
                    "reasons": json.loads(row["reasons"]),
                    "findings": json.loads(row["findings"]),
                }
            )
            for row in reversed(rows)
        ]
