"""The SQL database of a project: SQLite in its folder by default, PostgreSQL by URL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Table,
    any_,
    cast,
    create_engine,
    event,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool, StaticPool

from gristmill.core.errors import ReadOnlyError, StoreError
from gristmill.store import tables
from gristmill.store.guards import GROWS, REMEDY, RESTART, SEALED, guard
from gristmill.store.migrations import MIGRATIONS, migrate

_WRITES = "gristmill_writes"
_BUSY_SECONDS = 60.0
"""How long a writer waits for others. Eight writers at once wait well under a second each."""
_URL = "use postgresql+psycopg://user:password@host/database"
_LOST = (
    "this is no database of Gristmill, or it is damaged: put back a copy of it, or move it and "
    "what lies beside it under the same name away, and every step runs again"
)


class Database:
    """One open database.

    Args:
        target: path of a SQLite file, or a SQLAlchemy URL such as `postgresql+psycopg://...`.
        read_only: open without ever writing; the file may lie on a disk that can't be written.

    Attributes:
        layout: of its tables: today's, or, read only, an older one of `tables.READABLE`.

    Raises:
        StoreError: the database cannot be opened, or was written by another version.
    """

    def __init__(self, target: Path | str, *, read_only: bool = False) -> None:
        self.read_only = read_only
        self._engine = _open(target, read_only)
        self._where = str(target) if isinstance(target, Path) else None
        with _translated(self._where):
            self.layout = self._check_version()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for reading."""
        with _translated(self._where), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection inside one transaction: all of the block is kept, or nothing.

        Raises:
            ReadOnlyError: the project is open read-only.
        """
        if self.read_only:
            raise ReadOnlyError(
                "this project is open read-only",
                fix="copy it to a folder that can be written, and run there",
            )
        engine = self._engine.execution_options(**{_WRITES: True})
        with _translated(self._where), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections; on SQLite the last one to close folds the log into the file."""
        self._engine.dispose()

    def _check_version(self) -> str:
        wanted = tables.settings.c.name == "schema"
        with self._engine.connect() as connection:
            found = connection.execute(select(tables.settings.c.value).where(wanted)).scalar()
        if found in MIGRATIONS and not self.read_only:
            with self.write() as connection:
                found = migrate(connection)
        known = tables.READABLE if self.read_only else {tables.SCHEMA_VERSION}
        if found not in known:
            raise StoreError(
                f"the project's database has layout {found!r}, this Gristmill reads "
                f"{tables.SCHEMA_VERSION!r}",
                where=self._where,
                fix=_other_layout(str(found)),
            )
        return str(found)


def _other_layout(found: str) -> str:
    """Say what to do about a database of a layout that cannot be used."""
    if found in MIGRATIONS:
        return "open it once where it can be written: that brings it up to date"
    if found.isdecimal() and int(found) > int(tables.SCHEMA_VERSION):
        return "upgrade Gristmill: a newer one has written this database"
    return _LOST


def insert_into(table: Table, connection: Connection) -> Any:
    """Return an `INSERT` that can say what happens where the row is there already.

    Standard SQL has no words for that; SQLite and PostgreSQL have the same ones.
    """
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def among(
    column: ColumnElement[Any], values: Collection[Any], connection: Connection
) -> ColumnElement[bool]:
    """Return the condition that a column has one of many values, sent as one parameter.

    `column IN (...)` has a parameter for each value: SQLite takes 32,766 of them, and a thousand
    take longer to write down than the rows do to be found.
    """
    if connection.dialect.name == "sqlite":
        given = func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(select(given.c.value))
    from sqlalchemy.dialects import postgresql

    return column == any_(cast(list(values), postgresql.ARRAY(column.type)))


def plain_rows(
    connection: Connection, query: Executable, given: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Return the rows of a query as the driver gives them.

    SQLAlchemy's own rows know the names of their columns, and where there are thousands take half
    as long again. Only columns whose type needs no translation come out right.
    """
    result = connection.execute(query, given or {})
    rows = list(result.cursor.fetchall())
    result.close()
    return rows


def _open(target: Path | str, read_only: bool) -> Engine:
    if isinstance(target, Path):
        return _open_sqlite(target, read_only)
    try:
        url = make_url(target)
        match url.get_backend_name():
            case "sqlite":
                return _open_sqlite(Path(url.database or ""), read_only)
            case "postgresql":
                return _open_server(url)
            case other:
                raise StoreError(f"expected a PostgreSQL database, found {other}", fix=_URL)
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreError(f"cannot understand the database URL: {error}", fix=_URL) from error


def _open_sqlite(path: Path, read_only: bool) -> Engine:
    if read_only:
        return _engine_of_copyable_file(path)
    if not path.exists():
        _create_sqlite(path)
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _engine_of_copyable_file(path: Path) -> Engine:
    if not path.exists():
        raise StoreError("this folder holds no project", where=str(path.parent))
    # `immutable` lets SQLite read a file in WAL mode from a folder where it cannot put its log.
    log = path.with_name(path.name + "-wal")
    suffix = "" if log.exists() and log.stat().st_size else "&immutable=1"
    location = f"file:{path}?mode=ro{suffix}"
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(location, uri=True, check_same_thread=False),
        poolclass=StaticPool,
    )


def _create_sqlite(path: Path) -> None:
    """Make the file whole under another name, then put it in place: two may start at once."""
    import os
    import secrets

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    engine = create_engine(URL.create("sqlite", database=str(draft)), poolclass=NullPool)
    try:
        with _translated(str(path)), engine.begin() as connection:
            _create_tables(connection)
        raw = sqlite3.connect(draft)
        raw.execute("PRAGMA journal_mode=WAL")
        raw.close()
        try:
            os.link(draft, path)  # unlike rename, fails if somebody else was first
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            draft.rename(path)
    finally:
        engine.dispose()
        for leftover in path.parent.glob(f"{draft.name}*"):
            leftover.unlink(missing_ok=True)


def _create_tables(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    version = {"name": "schema", "value": tables.SCHEMA_VERSION}
    if connection.execute(select(tables.settings)).first() is None:
        guard(connection)
        connection.execute(insert(tables.settings).values(version))


def _open_server(url: URL) -> Engine:
    # Said by ourselves: of a database without an encoding (SQL_ASCII) texts would come as bytes.
    encoded = url.update_query_dict({"client_encoding": "utf8"})
    engine = create_engine(encoded, poolclass=NullPool, isolation_level="READ COMMITTED")
    with _translated(), engine.begin() as connection:
        # One creator at a time: `create table if not exists` alone can collide.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7420813)")
        _create_tables(connection)
    return engine


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_immediate says
    connection.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin(connection: Connection) -> None:
    """Begin; a writer takes the lock at once, since a lock upgraded half-way can only fail."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated(where: str | None = None) -> Iterator[None]:
    """Turn database failures into StoreErrors that say what to do."""
    try:
        yield
    except DBAPIError as error:
        fix = _advice(str(error.orig))
        verb = "cannot be used" if fix or isinstance(error, OperationalError) else "refused"
        raise StoreError(f"the database {verb}: {error.orig}", where=where, fix=fix) from error


def _advice(text: str) -> str | None:
    remedies: dict[str, Any] = {
        GROWS: REMEDY,
        SEALED: RESTART,
        "disk is full": "free some space and run again; finished steps are kept",
        "disk I/O error": "free some space, or check the disk; finished steps are kept",
        "locked": "another process holds the database; wait for it, or stop it",
        "readonly": "check the permissions of the project's folder",
        "unable to open": "check that the folder exists and can be written",
        "no such table": _LOST,
        "not a database": _LOST,
        "malformed": _LOST,
        "has no equivalent in encoding": "use a database with the encoding UTF8",
        "connection": "check that the database server runs and the URL is right",
    }
    return next((advice for words, advice in remedies.items() if words in text), None)
