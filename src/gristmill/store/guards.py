"""Triggers that have the database itself refuse to change history.

Gristmill only adds rows to these tables. A person with an SQL prompt could do more; the triggers
say no, and why. Whoever may drop them can still change anything: `store.seals` is how that shows.

A migration that rewrites such a table drops its triggers first; `guard` makes them again.

A decision without a seal is refused, too: a program that was running when a newer Gristmill brought
the database up to a layout with seals knows nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import UniqueConstraint

from gristmill.store.tables import artifacts, executions, links, monitorings, promotions, versions

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

HISTORY = (executions, artifacts, links, versions, promotions, monitorings)
"""Tables that only grow. Not `runs`, which end; nor elements and enclosures, which are renewed."""
GROWS = "holds history and only grows"
REMEDY = "decide anew with `gristmill promote` or `rollback`; free space with `gristmill gc`"
SEALED = "takes no decision without a seal"
RESTART = "a newer Gristmill has brought this database up to its layout: start this program again"
SEAL_GUARD = f"{promotions.name}_seal_guard"
"""The trigger that says so."""
_NOTED_AGAIN = (artifacts,)
"""Tables whose writers say `on conflict do nothing`: a row that is there already is no mistake."""


def guard(connection: Connection) -> None:
    """Make the triggers, in the transaction of `connection`; those that are there stay."""
    makers = {"sqlite": _sqlite, "postgresql": _postgresql}
    for statement in makers[connection.dialect.name]():
        connection.exec_driver_sql(statement)


def _sqlite() -> Iterator[str]:
    for table in HISTORY:
        refuse = f"RAISE(ABORT, '{table.name} {GROWS}: {REMEDY}')"
        taken = "RAISE(IGNORE)" if table in _NOTED_AGAIN else refuse
        yield _sqlite_trigger(table, "update", refuse)
        yield _sqlite_trigger(table, "delete", refuse)
        # `insert or replace` removes the row that is in its way without asking the second trigger.
        yield _sqlite_trigger(table, "insert", taken, f"WHEN EXISTS ({_in_the_way(table)})")
    yield (
        f"CREATE TRIGGER IF NOT EXISTS {SEAL_GUARD} BEFORE INSERT ON {promotions.name} "
        "WHEN NEW.seal = '' BEGIN "
        f"SELECT RAISE(ABORT, '{promotions.name} {SEALED}: {RESTART}'); END"
    )


def _sqlite_trigger(table: Table, deed: str, answer: str, condition: str = "") -> str:
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table.name}_{deed}_guard BEFORE {deed} ON {table.name} "
        f"{condition} BEGIN SELECT {answer}; END"
    )


def _in_the_way(table: Table) -> str:
    """Return the query for rows that share a key with the new one."""
    keys = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    same = [
        " AND ".join(f"{column.name} = NEW.{column.name}" for column in key.columns)
        for key in (table.primary_key, *keys)
    ]
    found = " OR ".join(f"({each})" for each in same)
    return f"SELECT 1 FROM {table.name} WHERE {found}"  # noqa: S608 - names of our own


def _postgresql() -> Iterator[str]:
    yield _postgresql_refusal("gristmill_guard", GROWS, REMEDY)
    for table in HISTORY:
        when = f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} FOR EACH STATEMENT"
        yield from _postgresql_trigger(table, f"{table.name}_guard", when, "gristmill_guard")
    yield _postgresql_refusal("gristmill_seal_guard", SEALED, RESTART)
    when = f"BEFORE INSERT ON {promotions.name} FOR EACH ROW WHEN (NEW.seal = '')"
    yield from _postgresql_trigger(promotions, SEAL_GUARD, when, "gristmill_seal_guard")


def _postgresql_refusal(function: str, words: str, hint: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION USING ERRCODE = 'restrict_violation', "
        f"MESSAGE = TG_TABLE_NAME || ' {words}', HINT = '{hint}'; END $$"
    )


def _postgresql_trigger(table: Table, name: str, when: str, function: str) -> Iterator[str]:
    yield f"DROP TRIGGER IF EXISTS {name} ON {table.name}"
    yield f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()"
