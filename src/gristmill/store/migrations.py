"""How a database of an older layout becomes one of today's: nothing in it is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy import select, text, update

from gristmill.store.guards import guard
from gristmill.store.seals import seal_all
from gristmill.store.tables import metadata, settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

_Change: TypeAlias = "str | Callable[[Connection], None]"
MIGRATIONS: dict[str, tuple[_Change, ...]] = {
    "1": (
        "ALTER TABLE promotions ADD COLUMN alias VARCHAR(200) NOT NULL DEFAULT 'champion'",
        "ALTER TABLE promotions ADD COLUMN replaced INTEGER",
        "ALTER TABLE promotions ADD COLUMN forced INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE promotions ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}'",
    ),
    "2": (),  # the table of elements
    "3": (),  # the tables of enclosures and of monitorings
    "4": (  # indexes that answer by themselves
        "DROP INDEX IF EXISTS links_by_artifact",
        "CREATE INDEX links_by_artifact ON links (artifact, role, execution)",
        "CREATE INDEX IF NOT EXISTS artifacts_by_age ON artifacts (created DESC, digest, kind)",
    ),
    "5": (
        "ALTER TABLE promotions ADD COLUMN seal VARCHAR(64) NOT NULL DEFAULT ''",
        seal_all,
    ),
    "6": (),  # the guard against decisions without a seal
}
"""Layout -> the changes that lead to the next one, on SQLite as on PostgreSQL.

Tables that are new are made as `store.tables` has them, after all changes, and guards last."""


def migrate(connection: Connection) -> str:
    """Bring the tables up to today's layout, in the transaction of `connection`; return it.

    Two that open an old database at once are told apart by the lock of the row that says the
    layout: the second finds the work done.
    """
    row = select(settings.c.value).where(settings.c.name == "schema").with_for_update()
    found = str(connection.execute(row).scalar())
    while found in MIGRATIONS:
        for change in MIGRATIONS[found]:
            if callable(change):
                change(connection)
            else:
                connection.execute(text(change))
        found = str(int(found) + 1)
        connection.execute(update(settings).where(settings.c.name == "schema").values(value=found))
    metadata.create_all(connection)
    guard(connection)
    return found
