"""SQL over one table, for the rules and slices of users: it reads that table and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.errors import UsageError

if TYPE_CHECKING:
    import duckdb

TABLE = "data"
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    # Neither files, network, extensions nor variables of this process can be reached from SQL.
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
}


class _Stream:
    """Hands a frame over by the Arrow C stream interface, for which DuckDB needs no pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def run_sql(frame: pl.DataFrame, query: str) -> pl.DataFrame:
    """Run one SELECT over a frame that the query calls `data`, in DuckDB's dialect.

    Raises:
        UsageError: the query is not one SELECT, or DuckDB refuses it.
    """
    import duckdb

    with duckdb.connect(":memory:", config=_CLOSED) as connection:
        try:
            _check_select(connection, query)
            connection.register(TABLE, _Stream(frame))
            connection.execute("SET lock_configuration = true")
            return pl.DataFrame(connection.sql(query))
        except duckdb.Error as error:
            raise _refused(query, str(error).partition("\n")[0]) from error


def _check_select(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    import duckdb

    statements = connection.extract_statements(query)
    kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise _refused(query, f"{len(kinds)} statements ({', '.join(kinds) or 'none'})")


def _refused(query: str, reason: str) -> UsageError:
    return UsageError(
        f"expected one SELECT over the table {TABLE!r}, found {query!r}: {reason}",
        fix=f"write one query that reads {TABLE!r} only: it can reach neither files nor network",
    )
