"""What a step that is called once per element gave for each: found by the element's own key.

There may be thousands to a step, so they are no executions of their own: one line each, written
many at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from sqlalchemy import select

from gristmill.store.database import insert_into
from gristmill.store.gathered import Member
from gristmill.store.runs import Artifact, note_artifacts
from gristmill.store.tables import artifacts, elements

if TYPE_CHECKING:
    from gristmill.store.runs import RunLog

_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class ElementResult:
    """What came of one element: its key and the stored result."""

    key: str
    artifact: Artifact


class ElementLog:
    """The elements of one step, in one run."""

    def __init__(self, log: RunLog, run: str, step: str) -> None:
        self._log, self._run, self._step = log, run, step
        self._database = log.project.database

    def find(self, keys: Iterable[str]) -> dict[str, Member]:
        """Return the results of these keys, of any run, that are still in the store."""
        found, waiting = {}, iter(keys)
        query = select(elements.c.key, artifacts.c.digest, artifacts.c.codec).join(
            artifacts, artifacts.c.digest == elements.c.artifact
        )
        while some := list(islice(waiting, _KEYS_AT_ONCE)):
            with self._database.read() as connection:
                rows = connection.execute(query.where(elements.c.key.in_(some))).all()
            found.update({key: Member(digest, codec) for key, digest, codec in rows})
        stored = self._log.project.artifacts.exists
        return {key: member for key, member in found.items() if stored(member.digest)}

    def record(self, results: Sequence[ElementResult]) -> None:
        """Write down results in one transaction; a key that is known has the new result."""
        if not results:
            return
        now = time.time()
        rows = {
            result.key: {
                "key": result.key,
                "artifact": result.artifact.digest,
                "run": self._run,
                "step": self._step,
                "created": now,
            }
            for result in results
        }
        with self._database.write() as connection:
            note_artifacts(connection, [result.artifact for result in results])
            fresh = insert_into(elements, connection)
            renewed = {name: fresh.excluded[name] for name in ("artifact", "run", "created")}
            connection.execute(
                fresh.on_conflict_do_update(index_elements=["key"], set_=renewed),
                # In one order, as `note_artifacts` does.
                [rows[key] for key in sorted(rows)],
            )
