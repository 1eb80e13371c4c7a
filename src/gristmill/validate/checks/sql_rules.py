"""Rules that a person writes as SQL queries over the whole table, run by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from gristmill.core.atomic import naming
from gristmill.core.quantities import many
from gristmill.data.table import ROW_ID
from gristmill.validate.checks.expression_rules import spelled_row
from gristmill.validate.checks.places import MAX_PLACES, Part, Places
from gristmill.validate.checks.rule import Draft
from gristmill.validate.checks.seen import Seen
from gristmill.validate.schemas.table_spec import RuleSpec
from gristmill.validate.statistics.sql import TABLE, connect_closed, select_problem

if TYPE_CHECKING:
    import duckdb

_SHOWN_ROWS = 5
_MEMORY = "1GB"


class SqlRules:
    """`sql`: queries over the table `data` whose result rows break a rule.

    A query may group and join, so it needs the whole table at once, which need not fit memory:
    the parts of a pass are written to a temporary folder as Parquet, cells cast to the types of
    the schema, and DuckDB reads them from there with at most 1 GB of memory, spilling to the same
    folder. The disk space of the table as Parquet is the price; the folder is gone afterwards.

    A query is one SELECT. It reaches no file but those, no network and no extension. Result rows
    are evidence; where they have a column `row_id`, they name bad rows of the table.
    """

    def __init__(self, rules: Mapping[str, RuleSpec]) -> None:
        self._rules, self._parts = rules, list[tuple[Part, pl.Series]]()
        self._folder = TemporaryDirectory(prefix="gristmill-sql-") if rules else None
        self._rows = 0

    def observe(self, frame: pl.DataFrame, ids: pl.Series, part: Part) -> None:
        """Keep one part for the queries."""
        if self._folder is None:
            return
        self._rows += frame.height
        self._parts.append((part, ids))
        path = Path(self._folder.name) / f"{part.number:06d}.parquet"
        with naming(path, path):
            frame.with_columns(ids.alias(ROW_ID)).write_parquet(path, compression="lz4")

    def judge(self) -> Iterator[Draft]:
        """Run the queries; yield what breaks a rule, and rules that cannot be run."""
        if self._folder is None:
            return
        with self._folder as folder, closing(_connect(Path(folder))) as connection:
            for name, rule in self._rules.items():
                yield from self._judge(connection, name, rule)

    def close(self) -> None:
        """Remove what is kept, where `judge` was never run."""
        if self._folder is not None:
            self._folder.cleanup()

    def _judge(
        self, connection: duckdb.DuckDBPyConnection, name: str, rule: RuleSpec
    ) -> Iterator[Draft]:
        import duckdb

        title = f"rule {name!r} ({' '.join((rule.sql or '').split())})"
        try:
            found = select_problem(connection, rule.sql or "")
            if not found:
                yield from self._broken(connection, title, rule)
                return
            problem = f"must be one SELECT, found {found}"
        except duckdb.Error as error:
            problem = f"cannot be run: {str(error).strip().splitlines()[0]}"
        yield Draft("invalid_rule", f"{title} {problem}", severity=rule.severity)

    def _broken(
        self, connection: duckdb.DuckDBPyConnection, title: str, rule: RuleSpec
    ) -> Iterator[Draft]:
        query = (rule.sql or "").strip().rstrip(";")
        connection.execute(f"CREATE OR REPLACE TEMP TABLE broken AS ({query}\n)")
        count = _count(connection)
        if not count:
            return
        result = connection.execute("SELECT * FROM broken LIMIT ?", [_SHOWN_ROWS])
        names = [column[0] for column in result.description or ()]
        rows = [spelled_row(dict(zip(names, row, strict=True))) for row in result.fetchall()]
        told = f": {rule.message}" if rule.message else ""
        message = f"{many(count, 'row')} of {title}{told} - {rows[0]}"
        places = self._places(connection) if ROW_ID in names else Places()
        seen = Seen(count, max(count, self._rows), tuple(rows), places)
        yield Draft("rule_broken", message, seen, severity=rule.severity)

    def _places(self, connection: duckdb.DuckDBPyConnection) -> Places:
        named = "SELECT DISTINCT row_id FROM broken WHERE row_id IS NOT NULL LIMIT ?"
        bad = pl.Series(list(connection.execute(named, [MAX_PLACES]).fetchnumpy()[ROW_ID]))
        places = Places()
        for part, ids in self._parts:
            mask = ids.is_in(bad.cast(ids.dtype, strict=False).implode())
            places += Places.of(mask.fill_null(value=False), part)
        return places


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with the view `data`, closed to all but the folder."""
    settings = {"temp_directory": str(folder / "spill"), "memory_limit": _MEMORY}
    connection = connect_closed(folder, settings)
    # A view takes no parameters; the folder is our own, its quotes are doubled.
    place = str(folder).replace("'", "''")
    files = f"read_parquet('{place}/*.parquet', union_by_name = true)"
    connection.execute(f"CREATE VIEW {TABLE} AS FROM {files}")
    connection.execute("SET lock_configuration = true")
    return connection


def _count(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("SELECT count(*) FROM broken").fetchone()
    return int(row[0]) if row else 0
