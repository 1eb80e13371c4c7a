"""What a step that is called once per element gave for each: found by the element's own key.

There may be thousands to a step, so they are no executions of their own: one line each, written
many at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from gristmill.store.database import insert_into
from gristmill.store.gathered import Member
from gristmill.store.runs import Artifact, note_artifacts
from gristmill.store.tables import elements

if TYPE_CHECKING:
    from gristmill.store.runs import RunLog

_KEYS_AT_ONCE = 500


class ElementLog:
    """The elements of one step, in one run."""

    def __init__(self, log: RunLog, run: str, step: str) -> None:
        self._log, self._run, self._step = log, run, step
        self._database = log.project.database

    def find(self, keys: Iterable[str]) -> dict[str, Member]:
        """Return the results of these keys, of any run, that are still in the store."""
        found: dict[str, Member] = {}
        waiting = iter(keys)
        columns = [elements.c[name] for name in ("key", *Member.__struct_fields__)]
        while some := list(islice(waiting, _KEYS_AT_ONCE)):
            query = select(*columns).where(elements.c.key.in_(some))
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            found.update({key: Member(*place) for key, *place in rows})
        holders = {member.artifact for member in found.values()}
        stored = {one for one in holders if self._log.project.artifacts.exists(one)}
        return {key: member for key, member in found.items() if member.artifact in stored}

    def record(self, results: Mapping[str, Member], holders: Sequence[Artifact]) -> None:
        """Write down results in one transaction; a key that is known has the new result.

        Args:
            results: key -> where the result is.
            holders: the artifacts that hold them.
        """
        if not results:
            return
        shared = {"run": self._run, "step": self._step, "created": time.time()}
        rows = [
            {"key": key, **msgspec.structs.asdict(results[key]), **shared}
            # In one order, as `note_artifacts` does.
            for key in sorted(results)
        ]
        with self._database.write() as connection:
            note_artifacts(connection, holders)
            fresh = insert_into(elements, connection)
            renewed = {name: fresh.excluded[name] for name in rows[0] if name != "key"}
            connection.execute(
                fresh.on_conflict_do_update(index_elements=["key"], set_=renewed), rows
            )
