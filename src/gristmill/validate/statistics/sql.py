"""SQL over one table, for the rules and slices of users: it reads that table and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    import duckdb

TABLE = "data"
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    # Neither network, extensions nor variables of this process can be reached from SQL.
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
}


class _Stream:
    """Hands a table over by the Arrow C stream interface, for which nobody needs pyarrow."""

    def __init__(self, table: pl.DataFrame | duckdb.DuckDBPyRelation) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def run_sql(frame: pl.DataFrame, query: str) -> pl.DataFrame:
    """Run one SELECT over a frame that the query calls `data`, in DuckDB's dialect.

    Raises:
        UsageError: the query is not one SELECT, or DuckDB refuses it.
    """
    import duckdb

    with connect_closed() as connection:
        try:
            problem = select_problem(connection, query)
            if problem:
                raise _refused(query, problem)
            # DuckDB refuses columns without a type.
            typed = frame.with_columns(pl.col(pl.Null).cast(pl.String))
            connection.register(TABLE, _Stream(typed))
            connection.execute("SET lock_configuration = true")
            # Wrapped, for Polars remembers the types it has met, and with DuckDB's own it would
            # keep all of that package alive beyond its end ("leaked" on standard error).
            return pl.DataFrame(_Stream(connection.sql(query)))
        except duckdb.Error as error:
            raise _refused(query, str(error).partition("\n")[0]) from error


def connect_closed(
    folder: Path | None = None, settings: Mapping[str, str] | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that reaches nothing outside but the files of one folder.

    Whoever runs queries of users in it sets `lock_configuration` first.
    """
    import duckdb

    connection = duckdb.connect(":memory:", config={**_CLOSED, **(settings or {})})
    if folder is not None:
        # A setting takes no parameters; the folder is our own, its quotes are doubled.
        place = str(folder).replace("'", "''")
        connection.execute(f"SET allowed_directories = ['{place}']")
    connection.execute("SET enable_external_access = false")
    return connection


def select_problem(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """Say what a query is instead of one SELECT; nothing where it is one.

    Raises:
        duckdb.Error: the query cannot be parsed.
    """
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) == 1 and statements[0].type == duckdb.StatementType.SELECT:
        return ""
    kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    return ", then ".join(kinds) or "no statement"


def _refused(query: str, reason: str) -> UsageError:
    return UsageError(
        f"expected one SELECT over the table {TABLE!r}, found {query!r}: {reason}",
        fix=f"write one query that reads {TABLE!r} only: it can reach neither files nor network",
    )
